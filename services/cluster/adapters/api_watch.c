/* Watches: a stream of events from a version on; and the query of lists. */
#include "api_int.h"

#include <stdio.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/str.h>

#include "core/table.h"

struct watch {
    struct ac_list node; /* in api.watches */
    struct api *a;
    struct ac_http_stream *st;
    enum cl_kind_id kind;
    char *ns; /* "" = all */
    struct api_query q;
    bool table, whole, headed, closed;
    int64_t end_ns;
};

int api_query_parse(struct areq *q, struct api_query *ret, struct ac_err *err)
{
    memset(ret, 0, sizeof(*ret));
    int r = cl_selector_parse(ac_http_query(q->r, "labelSelector"), &ret->labels, err);
    if (r == 0)
        r = cl_fields_parse(ac_http_query(q->r, "fieldSelector"), &ret->fields, err);
    if (r != 0)
        api_query_fini(ret);
    return r;
}

void api_query_fini(struct api_query *aq)
{
    cl_selector_destroy(aq->labels);
    cl_selector_destroy(aq->fields);
    memset(aq, 0, sizeof(*aq));
}

static void with_objects(json_t *table, const json_t *objects)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(table, "rows"), i, row)
        json_object_set(row, "object", json_array_get(objects, i));
}

json_t *api_table(struct areq *q, const json_t *objects, uint64_t rv, bool header)
{
    json_t *t = cl_table(q->k->id, objects, rv, cl_store_now(q->a->d.store), header);
    if (ac_streq(ac_http_query(q->r, "includeObject"), "Object"))
        with_objects(t, objects);
    return t;
}

static void on_close(void *arg)
{
    struct watch *w = arg;
    ac_list_remove(&w->node);
    api_query_fini(&w->q);
    free(w->ns);
    free(w);
}

static void end(struct watch *w)
{
    if (w->closed)
        return;
    w->closed = true;
    ac_http_stream_end(w->st);
}

static void send(struct watch *w, const char *type, json_t *object)
{
    json_t *shown;
    if (w->closed)
        return;
    if (w->table && !ac_streq(type, "ERROR")) {
        js_auto one = json_pack("[O]", object);
        shown = cl_table(w->kind, one, cl_store_rv(w->a->d.store), cl_store_now(w->a->d.store),
                         !w->headed);
        if (w->whole)
            with_objects(shown, one);
        w->headed = true;
    } else {
        shown = json_incref(object);
    }
    js_auto ev = json_pack("{s:s,s:o}", "type", type, "object", shown);
    char *text = json_dumps(ev, JSON_COMPACT);
    size_t n = text != NULL ? strlen(text) : 0;
    if (n > 0) {
        text[n] = '\n';
        /* A client that does not read is dropped: it lists anew. */
        if (ac_http_stream_write(w->st, text, n + 1) != 0)
            end(w);
    }
    free(text);
}

static bool selects(const struct watch *w, const json_t *o)
{
    return o != NULL && cl_selector_labels(w->q.labels, o) && cl_selector_fields(w->q.fields, o);
}

/* An object that begins or ceases to be selected appears or disappears for the watcher. */
static void forward(struct watch *w, const struct cl_event *ev)
{
    if (ev->kind != w->kind || w->closed ||
        (w->ns[0] != '\0' && !ac_streq(js_ns(ev->object), w->ns)))
        return;
    bool is = ev->change != CL_DELETED && selects(w, ev->object);
    bool was = ev->old != NULL && selects(w, ev->old);
    if (is)
        send(w, was ? "MODIFIED" : "ADDED", ev->object);
    else if (was)
        send(w, "DELETED", ev->object);
}

void api_watch_event(const struct cl_event *ev, void *api)
{
    struct api *a = api;
    AC_LIST_FOREACH(n, &a->watches)
    forward(AC_LIST_ENTRY(n, struct watch, node), ev);
}

void api_watch_sweep(void *api)
{
    struct api *a = api;
    int64_t now = ac_now_ns();
    AC_LIST_FOREACH(n, &a->watches)
    {
        struct watch *w = AC_LIST_ENTRY(n, struct watch, node);
        if (now >= w->end_ns)
            end(w);
    }
}

static void send_present(struct watch *w)
{
    json_t *o;
    for (size_t it = 0; (o = cl_store_next(w->a->d.store, w->kind, w->ns, &it)) != NULL;)
        if (selects(w, o))
            send(w, "ADDED", o);
}

static void replay(struct watch *w, uint64_t rv)
{
    struct ac_err err = AC_ERR_INIT;
    if (!cl_store_log_has(w->a->d.store, rv)) {
        ac_err_set(&err, AC_ERANGE, "too old resource version: %llu", (unsigned long long)rv);
        js_auto st = cl_status_failure(&err, NULL, NULL);
        send(w, "ERROR", st);
        end(w);
        return;
    }
    for (const struct cl_event *ev; (ev = cl_store_log_next(w->a->d.store, &rv)) != NULL;)
        forward(w, ev);
}

void api_watch_start(struct areq *q, struct api_query *aq)
{
    struct watch *w = ac_xcalloc(1, sizeof(*w));
    int64_t seconds = 0;
    uint64_t rv = 0;
    const char *text = ac_http_query(q->r, "timeoutSeconds");
    const char *from = ac_http_query(q->r, "resourceVersion");
    if (text == NULL || !ac_str_to_i64(text, &seconds) || seconds <= 0 || seconds > 86400)
        seconds = 1800;
    w->a = q->a;
    w->kind = q->k->id;
    w->ns = ac_xstrdup(q->ns != NULL && q->k->namespaced ? q->ns : "");
    w->q = *aq;
    w->table = api_wants_table(q);
    w->whole = ac_streq(ac_http_query(q->r, "includeObject"), "Object");
    w->end_ns = ac_now_ns() + seconds * AC_NS_PER_S;
    if (q->name != NULL) {
        char field[300];
        struct ac_err err = AC_ERR_INIT;
        snprintf(field, sizeof(field), "metadata.name=%.250s", q->name);
        cl_selector_destroy(w->q.fields);
        w->q.fields = NULL;
        (void)!cl_fields_parse(field, &w->q.fields, &err);
    }
    ac_list_push_back(&q->a->watches, &w->node);
    w->st = ac_http_stream_begin(q->r, 200, "application/json", on_close, w);
    if (from != NULL && ac_str_to_u64(from, &rv) && rv > 0)
        replay(w, rv);
    else
        send_present(w);
}

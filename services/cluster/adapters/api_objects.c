/* Get, list, create, replace, delete. */
#include "api_int.h"

#include <stdio.h>
#include <string.h>

#include <aceso/str.h>

#include "core/table.h"

static const char *verb_of(struct areq *q)
{
    if (ac_streq(q->method, "GET"))
        return api_flag(q, "watch") ? "watch" : q->name != NULL ? "get" : "list";
    if (ac_streq(q->method, "POST"))
        return "create";
    if (ac_streq(q->method, "PUT"))
        return "update";
    if (ac_streq(q->method, "PATCH"))
        return "patch";
    return "delete";
}

static const char *ns_of(const struct areq *q)
{
    return q->k->namespaced ? q->ns : NULL;
}

static json_t *find(struct areq *q, struct ac_err *err)
{
    json_t *o = cl_store_get(q->a->d.store, q->k->id, ns_of(q), q->name);
    if (o == NULL)
        ac_err_set(err, AC_ENOTFOUND, "%s%s%s \"%.150s\" not found", q->k->plural,
                   q->k->group[0] != '\0' ? "." : "", q->k->group, q->name);
    return o;
}

static void reply_object(struct areq *q, int status, const json_t *o)
{
    if (!api_wants_table(q)) {
        api_reply_json(q, status, o);
        return;
    }
    js_auto one = json_pack("[O]", o);
    api_reply_new(q, status, api_table(q, one, cl_store_rv(q->a->d.store), true));
}

static void get_one(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    const json_t *o = find(q, &err);
    if (o == NULL)
        api_fail(q, &err);
    else
        reply_object(q, 200, o);
}

static json_t *collect(struct areq *q, const struct api_query *aq)
{
    json_t *o, *items = json_array();
    for (size_t it = 0; (o = cl_store_next(q->a->d.store, q->k->id, ns_of(q), &it)) != NULL;)
        if (cl_selector_labels(aq->labels, o) && cl_selector_fields(aq->fields, o))
            json_array_append(items, o);
    return items;
}

static void list(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    struct api_query aq;
    char text[80], rv[24], api_version[64];
    if (api_query_parse(q, &aq, &err) != 0) {
        api_fail(q, &err);
        return;
    }
    if (api_flag(q, "watch")) {
        api_watch_start(q, &aq);
        return;
    }
    js_auto items = collect(q, &aq);
    api_query_fini(&aq);
    if (api_wants_table(q)) {
        api_reply_new(q, 200, api_table(q, items, cl_store_rv(q->a->d.store), true));
        return;
    }
    snprintf(text, sizeof(text), "%sList", q->k->kind);
    snprintf(rv, sizeof(rv), "%llu", (unsigned long long)cl_store_rv(q->a->d.store));
    api_reply_new(q, 200,
                  json_pack("{s:s,s:s,s:{s:s},s:O}", "kind", text, "apiVersion",
                            cl_kind_api_version(q->k, api_version, sizeof(api_version)), "metadata",
                            "resourceVersion", rv, "items", items));
}

/* The object of a create or replace, with namespace and defaults. */
static int object_of(struct areq *q, const json_t *old, json_t **ret, struct ac_err *err)
{
    json_t *o = NULL;
    int r = api_body(q, &o, err);
    if (r != 0)
        return r;
    const char *kind = js_str(o, "kind", NULL);
    if (!json_is_object(o) || (kind != NULL && !ac_streq(kind, q->k->kind)))
        r = ac_err_set(err, AC_EPROTO, "expected a %s", q->k->kind);
    if (r == 0 && q->k->namespaced) {
        const char *ns = js_str(o, "metadata.namespace", NULL);
        if (ns != NULL && !ac_streq(ns, q->ns))
            r = ac_err_set(err, AC_EPROTO,
                           "the namespace of the provided object does not match the namespace sent "
                           "on the request");
        else
            js_set_str(o, "metadata.namespace", q->ns);
    }
    if (r == 0 && q->name != NULL)
        js_set_str(o, "metadata.name", q->name);
    if (r == 0)
        r = cl_prepare(q->a->d.store, q->k->id, o, old, err);
    if (r == 0 && q->k->id == CL_SERVICE)
        r = cl_service_assign(q->a->d.ctl, o, err);
    if (r != 0) {
        json_decref(o);
        return r;
    }
    *ret = o;
    return 0;
}

static void create(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    js_auto o = NULL;
    json_t *made = NULL;
    int r = 0;
    if (q->k->namespaced && q->ns == NULL)
        r = ac_err_set(&err, AC_EPROTO, "a namespace is required");
    if (r == 0)
        r = object_of(q, NULL, &o, &err);
    if (r == 0 && !q->k->custom && q->k->id != CL_NAMESPACE && q->k->id != CL_POD &&
        q->k->id != CL_NODE)
        js_del(o, "status");
    if (r == 0 && ac_http_query(q->r, "dryRun") == NULL)
        r = cl_store_add(q->a->d.store, q->k->id, o, &made, &err);
    if (r != 0) {
        q->name = o != NULL ? js_str(o, "metadata.name", NULL) : NULL;
        api_fail(q, &err);
        return;
    }
    reply_object(q, 201, made != NULL ? made : o);
}

static void update(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    js_auto o = NULL;
    json_t *now = NULL;
    json_t *old = find(q, &err);
    if (old == NULL) {
        api_fail(q, &err);
        return;
    }
    int r = object_of(q, old, &o, &err);
    if (r == 0 && ac_streq(q->sub, "status")) {
        json_t *st = json_incref(json_object_get(o, "status"));
        json_decref(o);
        o = json_deep_copy(old);
        json_object_set_new(o, "status", st != NULL ? st : json_object());
    } else if (r == 0 && json_object_get(old, "status") != NULL) {
        json_object_set(o, "status", json_object_get(old, "status"));
    }
    if (r == 0)
        r = cl_store_update(q->a->d.store, q->k->id, o, &now, &err);
    if (r != 0)
        api_fail(q, &err);
    else
        reply_object(q, 200, now != NULL ? now : o);
}

static int delete_options(struct areq *q, json_t **body, struct cl_delete *ret, struct ac_err *err)
{
    int64_t grace;
    int r = api_body(q, body, err);
    if (r != 0)
        return r;
    const char *policy =
        js_str(*body, "propagationPolicy", ac_http_query(q->r, "propagationPolicy"));
    const char *text = ac_http_query(q->r, "gracePeriodSeconds");
    ret->grace_s = js_int(*body, "gracePeriodSeconds", -1);
    if (text != NULL && ac_str_to_i64(text, &grace))
        ret->grace_s = grace;
    ret->uid = js_str(*body, "preconditions.uid", NULL);
    ret->orphan = ac_streq(policy, "Orphan") || js_bool(*body, "orphanDependents", false);
    return 0;
}

static void delete_one(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    js_auto body = NULL;
    struct cl_delete how = {.grace_s = -1};
    json_t *left = NULL;
    json_t *old = find(q, &err);
    if (old == NULL || delete_options(q, &body, &how, &err) != 0) {
        api_fail(q, &err);
        return;
    }
    js_auto held = json_incref(old);
    if (ac_http_query(q->r, "dryRun") == NULL &&
        cl_store_delete(q->a->d.store, q->k->id, ns_of(q), q->name, &how, &left, &err) != 0) {
        api_fail(q, &err);
        return;
    }
    if (left != NULL)
        api_reply_json(q, 200, left);
    else
        api_reply_new(q, 200, cl_status_success(q->k, held));
}

static void delete_many(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    js_auto body = NULL;
    struct cl_delete how = {.grace_s = -1};
    struct api_query aq;
    if (delete_options(q, &body, &how, &err) != 0 || api_query_parse(q, &aq, &err) != 0) {
        api_fail(q, &err);
        return;
    }
    js_auto items = collect(q, &aq);
    api_query_fini(&aq);
    size_t i;
    json_t *o;
    json_array_foreach(items, i, o)(void) !cl_store_delete(q->a->d.store, q->k->id, js_ns(o),
                                                           js_name(o), &how, NULL, &err);
    api_reply_new(q, 200, cl_status_success(q->k, items));
}

static void subresource(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    if (ac_streq(q->sub, "scale") && (q->k->subresources & CL_SUB_SCALE) != 0) {
        api_scale(q);
    } else if (q->k->id == CL_POD) {
        api_pod_sub(q);
    } else if (ac_streq(q->sub, "token") && q->k->id == CL_SERVICEACCOUNT) {
        api_account_token(q);
    } else {
        ac_err_set(&err, AC_ENOTFOUND, "the server could not find the requested resource");
        api_fail(q, &err);
    }
}

void api_objects(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    const char *verb = verb_of(q);
    if (!api_allowed(&q->who, q->k, verb, q->ns, q->name)) {
        ac_err_set(&err, AC_EPERM,
                   "%s is forbidden: User \"system:serviceaccount:%.60s:%.60s\" cannot %s it here",
                   q->k->plural, q->who.ns, q->who.account, verb);
        api_fail(q, &err);
        return;
    }
    if (q->sub != NULL && !ac_streq(q->sub, "status") && !ac_streq(q->sub, "finalize")) {
        subresource(q);
        return;
    }
    if (ac_streq(q->method, "GET") && q->name != NULL && !api_flag(q, "watch"))
        get_one(q);
    else if (ac_streq(q->method, "GET"))
        list(q);
    else if (ac_streq(q->method, "POST") && q->name == NULL)
        create(q);
    else if (ac_streq(q->method, "PUT") && q->name != NULL)
        update(q);
    else if (ac_streq(q->method, "PATCH") && q->name != NULL)
        api_patch(q);
    else if (ac_streq(q->method, "DELETE") && q->name != NULL)
        delete_one(q);
    else if (ac_streq(q->method, "DELETE"))
        delete_many(q);
    else {
        ac_err_set(&err, AC_ENOTSUP,
                   "the server does not allow this method on the requested resource");
        api_fail(q, &err);
    }
}

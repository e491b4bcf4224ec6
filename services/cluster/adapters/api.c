#include "api_int.h"

#include <stdio.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#include "core/kpb.h"

#define BODY_MAX (8u << 20)

void api_reply_json(struct areq *q, int http_status, const json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT);
    if (text == NULL) {
        ac_http_reply_text(q->r, 500, "{}");
        return;
    }
    ac_http_reply(q->r, http_status, "application/json", text, strlen(text));
    free(text);
}

void api_reply_new(struct areq *q, int http_status, json_t *j)
{
    api_reply_json(q, http_status, j);
    json_decref(j);
}

void api_fail(struct areq *q, const struct ac_err *err)
{
    api_reply_new(q, cl_status_http(err->code), cl_status_failure(err, q->k, q->name));
}

int api_body(struct areq *q, json_t **ret, struct ac_err *err)
{
    size_t len = 0;
    const char *text = ac_http_body(q->r, &len);
    const char *type = ac_http_header(q->r, "Content-Type");
    if (len == 0) {
        *ret = json_object();
        return 0;
    }
    if (type != NULL && strstr(type, "protobuf") != NULL)
        return cl_kpb_decode(text, len, ret, err);
    if (type != NULL && strstr(type, "yaml") != NULL) {
        struct ac_yaml_doc *doc = NULL;
        if (ac_yaml_parse("body", text, len, &doc, err) != 0)
            return AC_EPROTO;
        *ret = ac_yaml_documents(doc) > 0 ? ac_yaml_to_json(ac_yaml_root(doc, 0)) : json_object();
        ac_yaml_destroy(doc);
        return 0;
    }
    json_error_t je;
    json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (j == NULL)
        return ac_err_set(err, AC_EPROTO, "body: line %d column %d: %.120s", je.line, je.column,
                          je.text);
    *ret = j;
    return 0;
}

bool api_wants_table(struct areq *q)
{
    const char *accept = ac_http_header(q->r, "Accept");
    return accept != NULL && strstr(accept, "as=Table") != NULL;
}

bool api_flag(struct areq *q, const char *key)
{
    const char *v = ac_http_query(q->r, key);
    return v != NULL && (ac_streq(v, "true") || ac_streq(v, "1"));
}

static const char *segment(char **rest)
{
    const char *s = ac_str_next(rest, '/');
    return ac_str_empty(s) ? NULL : s;
}

/* /api/v1/... and /apis/GROUP/VERSION/...: [namespaces/NS/]PLURAL[/NAME[/SUB]]. */
static bool parse_path(struct areq *q)
{
    if (!ac_str_copy(q->path, sizeof(q->path), ac_http_path(q->r)) || q->path[0] != '/')
        return false;
    char *rest = q->path + 1;
    const char *root = segment(&rest);
    if (ac_streq(root, "api"))
        q->group = "";
    else if (ac_streq(root, "apis"))
        q->group = segment(&rest);
    else
        return false;
    q->version = segment(&rest);
    const char *plural = segment(&rest);
    if (q->group == NULL || q->version == NULL || plural == NULL)
        return false;
    if (ac_streq(plural, "namespaces") && q->group[0] == '\0') {
        /* The namespace itself, or what is in it. */
        q->name = segment(&rest);
        const char *next = segment(&rest);
        if (next == NULL || ac_streq(next, "status") || ac_streq(next, "finalize")) {
            q->sub = next;
        } else {
            q->ns = q->name;
            plural = next;
            q->name = segment(&rest);
            q->sub = segment(&rest);
        }
    } else if (ac_streq(plural, "namespaces")) {
        q->ns = segment(&rest);
        plural = segment(&rest);
        q->name = segment(&rest);
        q->sub = segment(&rest);
    } else {
        q->name = segment(&rest);
        q->sub = segment(&rest);
    }
    if (ac_streq(plural, "selfsubjectaccessreviews")) {
        q->sub = "selfsubjectaccessreviews";
        return true;
    }
    q->k = plural != NULL ? cl_kind_find(q->group, q->version, plural) : NULL;
    return q->k != NULL && (q->ns == NULL || q->k->namespaced);
}

static void not_found(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    q->k = NULL;
    ac_err_set(&err, AC_ENOTFOUND, "the server could not find the requested resource");
    api_fail(q, &err);
}

static void route(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    const char *auth = ac_http_header(q->r, "Authorization");
    if (pki_identify(q->a->d.pki, auth, ac_wall_ns() / AC_NS_PER_S, &q->who, &err) != 0) {
        api_fail(q, &err);
        return;
    }
    if (api_discovery(q) || api_metrics(q))
        return;
    if (!parse_path(q)) {
        not_found(q);
        return;
    }
    if (q->k == NULL) {
        api_access_review(q);
        return;
    }
    api_objects(q);
}

static void handle(struct ac_http_req *r, void *arg)
{
    struct areq q = {.a = arg, .r = r, .method = ac_http_method(r)};
    const char *path = ac_http_path(r);
    AC_LOGD("api", "request", AC_KS("method", q.method), AC_KS("path", path));
    if (ac_streq(path, "/healthz") || ac_streq(path, "/livez") || ac_streq(path, "/readyz"))
        ac_http_reply_text(r, 200, "ok");
    else
        route(&q);
}

int api_start(const struct api_deps *d, const char *listen, struct api **ret, struct ac_err *err)
{
    struct api *a = ac_xcalloc(1, sizeof(*a));
    a->d = *d;
    ac_list_init(&a->watches);
    struct ac_http_server_opts o = {.listen = listen,
                                    .tls_cert = d->pki->cert,
                                    .tls_key = d->pki->key,
                                    .max_body_bytes = BODY_MAX,
                                    .max_connections = 512,
                                    .idle_timeout_ns = 300 * AC_NS_PER_S};
    int r = ac_http_server_start(d->loop, d->metrics, &o, handle, a, &a->http, err);
    if (r != 0) {
        free(a);
        return r;
    }
    cl_store_observe(d->store, api_watch_event, a);
    a->sweep = ac_timer_create(d->loop, api_watch_sweep, a);
    ac_timer_start(a->sweep, AC_NS_PER_S, AC_NS_PER_S);
    *ret = a;
    return 0;
}

int api_port(const struct api *a)
{
    return ac_http_server_port(a->http);
}

void api_stop(struct api *a)
{
    if (a == NULL || a->http == NULL)
        return;
    ac_timer_destroy(a->sweep);
    ac_http_server_stop(a->http);
    a->http = NULL;
    /* Watches free themselves as their streams close. */
}

void api_destroy(struct api *a)
{
    api_stop(a);
    free(a);
}

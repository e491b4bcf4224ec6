/* Subresources of pods (log, exec, eviction) and tokens of service accounts. */
#include "api_int.h"
#include "runtime.h"

#include <string.h>

#include <aceso/clock.h>
#include <aceso/str.h>

#define TOKEN_MAX_S (30LL * 86400)

static int64_t number(struct areq *q, const char *key, int64_t def)
{
    int64_t v;
    const char *s = ac_http_query(q->r, key);
    return s != NULL && ac_str_to_i64(s, &v) && v >= 0 ? v : def;
}

/* ---- log ---- */

struct follower {
    struct ac_http_stream *st;
    struct runtime_follow *f;
    bool closed;
};

static void log_closed(void *arg)
{
    struct follower *fl = arg;
    if (fl->f != NULL)
        runtime_follow_stop(fl->f);
    free(fl);
}

/* text NULL: the container has ended. */
static void log_text(const char *text, size_t len, void *arg)
{
    struct follower *fl = arg;
    if (fl->closed)
        return;
    if (text == NULL || ac_http_stream_write(fl->st, text, len) != 0) {
        fl->closed = true;
        ac_http_stream_end(fl->st);
    }
}

static void reply_log(struct areq *q, const json_t *pod)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_buf text;
    const char *container = ac_http_query(q->r, "container");
    if (ac_str_empty(container))
        container = js_str(json_array_get(js_at(pod, "spec.containers"), 0), "name", "");
    struct runtime_log lg = {.uid = js_uid(pod),
                             .container = container,
                             .previous = api_flag(q, "previous"),
                             .timestamps = api_flag(q, "timestamps"),
                             .tail = number(q, "tailLines", -1),
                             .limit_bytes = number(q, "limitBytes", -1),
                             .since_ns = js_time_ns(ac_http_query(q->r, "sinceTime"))};
    int64_t since = number(q, "sinceSeconds", -1);
    if (since >= 0)
        lg.since_ns = ac_wall_ns() - since * AC_NS_PER_S;
    ac_buf_init(&text, 64u << 20);
    int r = runtime_log_read(q->a->d.runtime, &lg, &text, &err);
    if (r != 0) {
        q->k = NULL;
        api_fail(q, &err);
    } else if (api_flag(q, "follow") && !lg.previous) {
        struct follower *fl = ac_xcalloc(1, sizeof(*fl));
        fl->st = ac_http_stream_begin(q->r, 200, "text/plain", log_closed, fl);
        fl->f = runtime_follow_start(q->a->d.runtime, &lg, log_text, fl);
        if (text.len > 0)
            log_text(text.data, text.len, fl);
        if (fl->f == NULL)
            log_text(NULL, 0, fl);
    } else {
        ac_http_reply(q->r, 200, "text/plain", ac_buf_str(&text), text.len);
    }
    ac_buf_fini(&text);
}

/* ---- the rest ---- */

static void evict(struct areq *q, const json_t *pod)
{
    struct ac_err err = AC_ERR_INIT;
    struct cl_delete how = {.grace_s = -1};
    js_auto held = json_incref((json_t *)(uintptr_t)pod);
    if (cl_store_delete(q->a->d.store, CL_POD, js_ns(held), js_name(held), &how, NULL, &err) != 0)
        api_fail(q, &err);
    else
        api_reply_new(q, 201, cl_status_success(q->k, held));
}

void api_pod_sub(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    const json_t *pod = cl_store_get(q->a->d.store, CL_POD, q->ns, q->name);
    if (pod == NULL) {
        ac_err_set(&err, AC_ENOTFOUND, "pods \"%.150s\" not found", q->name);
        api_fail(q, &err);
    } else if (ac_streq(q->sub, "log")) {
        reply_log(q, pod);
    } else if (ac_streq(q->sub, "eviction")) {
        evict(q, pod);
    } else if (ac_streq(q->sub, "exec")) {
        api_exec(q, pod);
    } else {
        ac_err_set(&err, AC_ENOTFOUND, "the server could not find the requested resource");
        api_fail(q, &err);
    }
}

void api_account_token(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    js_auto body = NULL;
    char until[32];
    if (!ac_streq(q->method, "POST"))
        ac_err_set(&err, AC_ENOTSUP, "only POST");
    else if (cl_store_get(q->a->d.store, CL_SERVICEACCOUNT, q->ns, q->name) == NULL)
        ac_err_set(&err, AC_ENOTFOUND, "serviceaccounts \"%.150s\" not found", q->name);
    else
        (void)!api_body(q, &body, &err);
    if (err.code != 0) {
        api_fail(q, &err);
        return;
    }
    int64_t life = js_int(body, "spec.expirationSeconds", 3600);
    life = AC_MAX(AC_MIN(life, TOKEN_MAX_S), 60);
    int64_t end = ac_wall_ns() / AC_NS_PER_S + life;
    ac_cleanup(ac_free_p) char *token = pki_account_token(q->a->d.pki, q->ns, q->name, end);
    js_time(end * AC_NS_PER_S, until, sizeof(until));
    js_set_str(body, "kind", "TokenRequest");
    js_set_str(body, "apiVersion", "authentication.k8s.io/v1");
    js_set(body, "status", json_pack("{s:s,s:s}", "token", token, "expirationTimestamp", until));
    api_reply_json(q, 201, body);
}

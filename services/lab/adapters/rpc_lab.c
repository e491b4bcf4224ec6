/* aceso.v1.Lab. */
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/convert_pb.h"

#define QUEUE_MAX 128 /* of a watcher's messages; the rest follows when they are sent */

struct lab_watcher {
    struct lab_watcher *next;
    struct lab_view *v;
    struct ac_rpc_call *call;
    size_t sent; /* events */
    bool last;   /* nothing follows those that are known */
};

static void fail(struct ac_rpc_call *c, int code, const char *msg)
{
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, code, "%s", msg);
    ac_rpc_fail(c, &err);
}

static void reply_session(struct ac_rpc_call *c, const struct lab_view *v)
{
    const Aceso__V1__Session *m = lab_session_to_pb(v, ac_rpc_arena(c));
    if (m)
        ac_rpc_reply(c, m);
    else
        fail(c, AC_ENOMEM, "the session is too large for an answer");
}

/* ---- watching ---- */

static void watcher_remove(struct lab_watcher *w)
{
    for (struct lab_watcher **p = &w->v->watchers; *p; p = &(*p)->next) {
        if (*p == w) {
            *p = w->next;
            break;
        }
    }
    ac_rpc_on_cancel(w->call, NULL, NULL);
    ac_rpc_on_drained(w->call, NULL, NULL);
    ac_rpc_finish(w->call);
    free(w);
}

static void watcher_gone(struct ac_rpc_call *c, void *arg)
{
    (void)c;
    watcher_remove(arg);
}

/* Sends what fits; frees the watcher when all is sent. */
static void pump(struct lab_watcher *w)
{
    while (w->sent < w->v->n_events && ac_rpc_queued(w->call) < QUEUE_MAX) {
        struct ac_arena *a = ac_arena_create(1u << 20);
        const Aceso__V1__SessionEvent *m = lab_event_to_pb(w->v, &w->v->events[w->sent], a);
        int rc = m ? ac_rpc_send(w->call, m) : AC_ENOMEM;
        ac_arena_destroy(a);
        if (rc != 0)
            return; /* watcher_gone follows */
        w->sent++;
    }
    if (w->last && w->sent == w->v->n_events)
        watcher_remove(w);
}

static void drained(struct ac_rpc_call *c, void *arg)
{
    (void)c;
    pump(arg);
}

void lab_watchers_tell(struct lab_view *v)
{
    for (struct lab_watcher *w = v->watchers, *next; w; w = next) {
        next = w->next;
        pump(w);
    }
}

void lab_watchers_end(struct lab_view *v)
{
    for (struct lab_watcher *w = v->watchers, *next; w; w = next) {
        next = w->next;
        w->last = true;
        pump(w);
    }
}

static void on_watch(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__GetSessionRequest *req = msg;
    struct ac_err err = AC_ERR_INIT;
    struct lab_view *v = lab_find_session(self, req->id, &err);
    if (!v) {
        ac_rpc_fail(c, &err);
        return;
    }
    struct lab_watcher *w = ac_xcalloc(1, sizeof(*w));
    *w = (struct lab_watcher){
        .next = v->watchers, .v = v, .call = c, .last = !v->run || v->lab->stopping};
    while (w->sent < v->n_events && v->events[w->sent].sequence <= req->after)
        w->sent++;
    v->watchers = w;
    ac_rpc_on_cancel(c, watcher_gone, w);
    ac_rpc_on_drained(c, drained, w);
    pump(w);
}

/* ---- the rest ---- */

static void on_problems(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__ListProblemsRequest *req = msg;
    struct lab *l = self;
    struct ac_arena *a = ac_rpc_arena(c);
    Aceso__V1__ListProblemsResponse out = ACESO__V1__LIST_PROBLEMS_RESPONSE__INIT;
    unsigned only = lab_task_from_name(req->task);
    if (req->task[0] && !only) {
        fail(c, AC_EINVAL, "a task is detection, localization, analysis or mitigation");
        return;
    }
    out.problems = ac_arena_calloc(a, 4 * l->n_problems + 1, sizeof(*out.problems));
    for (size_t i = 0; out.problems && i < l->n_problems; i++) {
        const struct lab_problem *p = &l->problems[i];
        if (req->application[0] && !ac_streq(req->application, p->application))
            continue;
        for (unsigned t = LAB_TASK_DETECTION; t <= LAB_TASK_MITIGATION; t <<= 1) {
            if ((p->tasks & t) && (!only || only == t))
                out.problems[out.n_problems++] = lab_problem_to_pb(p, (enum lab_task)t, a);
        }
    }
    if (ac_arena_failed(a))
        fail(c, AC_ENOMEM, "too many problems for an answer");
    else
        ac_rpc_reply(c, &out);
}

static void started(struct lab_view *v, const struct ac_err *err, void *arg)
{
    if (v)
        reply_session(arg, v);
    else
        ac_rpc_fail(arg, err);
}

static void on_start(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__StartSessionRequest *req = msg;
    struct lab_state s = {.seed = req->seed};
    if (!ac_str_copy(s.problem, sizeof(s.problem), req->problem) ||
        !ac_str_copy(s.agent, sizeof(s.agent), req->agent) ||
        !ac_str_copy(s.request_id, sizeof(s.request_id), req->request_id)) {
        fail(c, AC_EINVAL, "problem and request id take 63 bytes, agent 31");
        return;
    }
    if (req->seed > INT64_MAX) {
        fail(c, AC_ERANGE, "seed: at most 9223372036854775807");
        return;
    }
    lab_start_session(self, &s, started, c);
}

static void on_get(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct ac_err err = AC_ERR_INIT;
    struct lab_view *v =
        lab_find_session(self, ((const Aceso__V1__GetSessionRequest *)msg)->id, &err);
    if (v)
        reply_session(c, v);
    else
        ac_rpc_fail(c, &err);
}

static void on_stop(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct ac_err err = AC_ERR_INIT;
    struct lab_view *v =
        lab_find_session(self, ((const Aceso__V1__GetSessionRequest *)msg)->id, &err);
    if (!v) {
        ac_rpc_fail(c, &err);
        return;
    }
    lab_stop_session(v);
    reply_session(c, v);
}

/* Newest first. */
static void on_list(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__ListSessionsRequest *req = msg;
    struct lab *l = self;
    struct ac_arena *a = ac_rpc_arena(c);
    size_t n = ac_map_len(l->views), k = n;
    Aceso__V1__Session **all = ac_arena_calloc(a, n + 1, sizeof(*all));
    const char *id;
    void *v;
    for (size_t it = 0; all && ac_map_next(l->views, &it, &id, &v);)
        all[--k] = lab_session_to_pb(v, a);
    if (!all || ac_arena_failed(a)) {
        fail(c, AC_ENOMEM, "too many sessions for an answer: give a limit");
        return;
    }
    Aceso__V1__ListSessionsResponse out = ACESO__V1__LIST_SESSIONS_RESPONSE__INIT;
    out.sessions = all;
    out.n_sessions = req->limit ? AC_MIN(req->limit, n) : n;
    ac_rpc_reply(c, &out);
}

void lab_rpc_add(struct lab *l)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "ListProblems", .kind = AC_RPC_UNARY, .handler = on_problems},
        {.name = "StartSession", .kind = AC_RPC_UNARY, .handler = on_start},
        {.name = "GetSession", .kind = AC_RPC_UNARY, .handler = on_get},
        {.name = "ListSessions", .kind = AC_RPC_UNARY, .handler = on_list},
        {.name = "WatchSession", .kind = AC_RPC_SERVER_STREAM, .handler = on_watch},
        {.name = "StopSession", .kind = AC_RPC_UNARY, .handler = on_stop},
    };
    ac_rpc_server_add(l->svc->server, &aceso__v1__lab__descriptor, methods, AC_ARRAY_LEN(methods),
                      l);
}

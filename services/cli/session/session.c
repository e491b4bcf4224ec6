#include "session/session.h"

#include "verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/id.h>
#include <aceso/json.h>
#include <aceso/rpc.h>
#include <aceso/str.h>
#include <aceso/v1/lab.pb-c.h>

#include "../../lab/adapters/problem_yaml.h"

#define UP_NS      (90 * AC_NS_PER_S)
#define CALL_NS    (10 * AC_NS_PER_S)
#define SLICE_NS   (2 * AC_NS_PER_S) /* a watch is asked anew so often: SIGINT is seen in between */
#define SESSION_NS (600 * AC_NS_PER_S)
#define AWAY_NS    (200 * AC_NS_PER_MS)

/* ---- the stage ---- */

static int temporary_state(char *path, size_t size, struct ac_err *err)
{
    const char *tmp = getenv("TMPDIR");
    if (snprintf(path, size, "%s/aceso-XXXXXX", ac_str_empty(tmp) ? "/tmp" : tmp) >= (int)size)
        return ac_err_set(err, AC_ERANGE, "TMPDIR is too long a path");
    if (!mkdtemp(path))
        return ac_err_errno(err, errno, "%s", path);
    return 0;
}

int cli_session_check(const char *problem, const char *agent, struct ac_err *err)
{
    struct lab_problem *all = NULL;
    const struct lab_problem *found;
    unsigned task;
    size_t n = 0;
    ac_cleanup(ac_free_p) char *dir = ac_xasprintf("%s/../share/aceso/problems", ac_exe_dir());
    int rc = lab_problems_load(dir, &all, &n, err);
    if (rc != 0)
        return rc;
    if (lab_problem_wanted(all, n, problem, agent, &found, &task, err) != 0)
        rc = err->code = AC_EINVAL;
    lab_problems_free(all, n);
    return rc;
}

int cli_stage_open(const char *state_option, struct cli_stage *ret, struct ac_err *err)
{
    struct cli_stage s = {0};
    char path[512] = "";
    int64_t from = ac_now_ns();
    int rc = 0;
    if (ac_str_empty(state_option)) {
        rc = temporary_state(path, sizeof(path), err);
        state_option = path;
        s.temporary = rc == 0;
    }
    if (rc == 0)
        rc = cli_layout_find(state_option, &s.layout, err);
    ac_cleanup_json status = NULL;
    cli_instance_catch_signals();
    if (rc == 0)
        rc = cli_instance_up(&s.layout, UP_NS, &s.started, &status, err);
    if (rc == 0)
        rc = cli_instance_address(&s.layout, "lab", s.lab, sizeof(s.lab), err);
    s.up_s = (double)(ac_now_ns() - from) / 1e9;
    if (rc != 0) {
        cli_stage_close(&s);
        return rc;
    }
    *ret = s;
    return 0;
}

void cli_stage_close(struct cli_stage *s)
{
    struct ac_err err = AC_ERR_INIT;
    if (s->started) {
        cli_progress("stopping");
        if (cli_instance_down(&s->layout, &err) != 0)
            cli_progress("%s", err.msg);
    }
    if (s->temporary && ac_dir_remove(s->layout.dir, &err) != 0)
        cli_progress("%s", err.msg);
    s->started = s->temporary = false;
}

/* ---- progress for people ---- */

struct watched {
    int64_t from_ns;
    uint64_t last;
    bool over;
};

static const struct {
    const char *phase, *says;
} PHASES[] = {{"setup", "deploying the application"},  {"baseline", "gathering healthy telemetry"},
              {"learning", "learning rules from it"},  {"injecting", "breaking it"},
              {"gate", "waiting until users feel it"}, {"agent", "healing"},
              {"reverting", "taking the fault out"},   {"teardown", "clearing away"}};

static void print_event(struct watched *w, const Aceso__V1__SessionEvent *e)
{
    const char *text = e->text;
    if (w->from_ns == 0)
        w->from_ns = e->time_ns;
    for (size_t i = 0; ac_streq(e->kind, "phase") && i < AC_ARRAY_LEN(PHASES); i++) {
        if (ac_streq(PHASES[i].phase, e->text))
            text = PHASES[i].says;
    }
    cli_progress("%6.1f s  %-10s %s", (double)(e->time_ns - w->from_ns) / 1e9, e->kind, text);
}

static bool on_event(const void *msg, void *arg)
{
    const Aceso__V1__SessionEvent *e = msg;
    struct watched *w = arg;
    if (e->sequence <= w->last)
        return true;
    w->last = e->sequence;
    print_event(w, e);
    w->over =
        ac_streq(e->kind, "phase") && (ac_streq(e->phase, "done") || ac_streq(e->phase, "failed"));
    return !w->over && !cli_instance_interrupted();
}

/* ---- the session ---- */

static int call(const struct cli_stage *stage, const char *method, const void *req,
                Aceso__V1__Session **ret, struct ac_err *err)
{
    return ac_rpc_call_sync(stage->lab, NULL, NULL, method, req, &aceso__v1__session__descriptor,
                            CALL_NS, (ProtobufCMessage **)(void *)ret, err);
}

static void session_p(Aceso__V1__Session **s)
{
    aceso__v1__session__free_unpacked(*s, NULL);
}

/* Over restarts of the lab: what was seen is not shown again. */
static int watch(const struct cli_stage *stage, Aceso__V1__GetSessionRequest *req,
                 struct ac_err *err)
{
    struct watched w = {0};
    int64_t deadline = ac_now_ns() + SESSION_NS;
    while (!w.over) {
        req->after = w.last;
        int rc =
            ac_rpc_stream_sync(stage->lab, NULL, NULL, "/aceso.v1.Lab/WatchSession", req,
                               &aceso__v1__session_event__descriptor, SLICE_NS, on_event, &w, err);
        if (cli_instance_interrupted())
            return ac_err_set(err, AC_ECANCELED, "interrupted");
        if (rc != 0 && !ac_err_retryable(rc) && rc != AC_ECANCELED)
            return rc;
        if (ac_now_ns() > deadline)
            return ac_err_set(err, AC_ETIMEOUT, "session %s did not end in time", req->id);
        if (rc != 0 && rc != AC_ETIMEOUT) {
            const struct timespec t = {.tv_nsec = AWAY_NS};
            nanosleep(&t, NULL);
        }
    }
    return 0;
}

static json_t *seconds_or_null(double s)
{
    return s >= 0 ? json_real(s) : json_null();
}

static json_t *to_json(const Aceso__V1__Session *s)
{
    const Aceso__V1__Scores *c = s->scores;
    json_t *evidence = json_array();
    for (size_t i = 0; i < c->n_evidence; i++)
        json_array_append_new(evidence, json_string(c->evidence[i]));
    return json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:o, s:o, s:o, s:f, s:f, s:s, s:s, s:s, "
                     "s:o, s:s, s:b}",
                     "session", s->meta ? s->meta->id : "", "problem", s->problem, "agent",
                     s->agent, "seed", (json_int_t)s->seed, "detected", c->detected, "localised",
                     c->localised, "mitigated", c->mitigated, "ttd_s", seconds_or_null(c->ttd_s),
                     "ttl_s", seconds_or_null(c->ttl_s), "ttm_s", seconds_or_null(c->ttm_s),
                     "setup_s", s->setup_s, "total_s", c->total_s, "rule", c->rule, "reason",
                     c->reason, "root_cause", c->root_cause, "evidence", evidence, "mitigation",
                     c->mitigation, "void", s->void_run);
}

int cli_session_run(const struct cli_stage *stage, const struct cli_session_ask *ask, json_t **ret,
                    struct ac_err *err)
{
    Aceso__V1__StartSessionRequest start = ACESO__V1__START_SESSION_REQUEST__INIT;
    Aceso__V1__GetSessionRequest get = ACESO__V1__GET_SESSION_REQUEST__INIT;
    ac_cleanup(session_p) Aceso__V1__Session *begun = NULL, *ended = NULL;
    struct ac_id request = ac_id_new();
    start.problem = (char *)(uintptr_t)ask->problem;
    start.agent = (char *)(uintptr_t)ask->agent;
    start.seed = ask->seed;
    start.request_id = request.s;
    int rc = call(stage, "/aceso.v1.Lab/StartSession", &start, &begun, err);
    if (rc != 0)
        return rc;
    if (!begun->meta)
        return ac_err_set(err, AC_EPROTO, "the lab's answer names no session");
    get.id = begun->meta->id;
    cli_progress("problem %s, seed %llu, agent %s, namespace %s", begun->problem,
                 (unsigned long long)begun->seed, begun->agent, begun->namespace_);
    rc = watch(stage, &get, err);
    if (rc == AC_ECANCELED)
        (void)!call(stage, "/aceso.v1.Lab/StopSession", &get, &ended, NULL);
    else if (rc == 0)
        rc = call(stage, "/aceso.v1.Lab/GetSession", &get, &ended, err);
    if (rc != 0)
        return rc;
    if (ac_streq(ended->phase, "failed") || !ended->scores)
        return ac_err_set(err, AC_ESTATE, "the session failed: %.200s", ended->error);
    *ret = to_json(ended);
    return 0;
}

bool cli_session_bool(const json_t *session, const char *key)
{
    return json_is_true(json_object_get(session, key));
}

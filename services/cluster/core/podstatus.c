#include "podstatus.h"

#include "ctl.h"
#include "js.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

int64_t cl_backoff_ns(int64_t n, int64_t base_ns, int64_t cap_ns)
{
    if (n <= 0)
        return 0;
    int64_t d = base_ns;
    for (; n > 1 && d < cap_ns; n--)
        d *= 2;
    return AC_MIN(d, cap_ns);
}

bool cl_restarts(const char *restart_policy, int exit_code)
{
    if (ac_streq(restart_policy, "Never"))
        return false;
    return !ac_streq(restart_policy, "OnFailure") || exit_code != 0;
}

static json_t *terminated(const struct cl_cterm *t, const char *id)
{
    char from[32], to[32];
    js_time(t->started_ns, from, sizeof(from));
    js_time(t->finished_ns, to, sizeof(to));
    json_t *j = json_pack("{s:i,s:s,s:s,s:s,s:s}", "exitCode", t->exit_code, "reason", t->reason,
                          "startedAt", from, "finishedAt", to, "containerID", id);
    if (t->signal != 0)
        js_set_int(j, "signal", t->signal);
    return j;
}

static json_t *container_status(const struct cl_container_state *c)
{
    json_t *state = json_object();
    char at[32];
    if (c->state == CL_C_RUNNING) {
        js_time(c->started_ns, at, sizeof(at));
        js_set_str(state, "running.startedAt", at);
    } else if (c->state == CL_C_TERMINATED) {
        js_set(state, "terminated", terminated(&c->term, c->id));
    } else {
        js_set_str(state, "waiting.reason", c->reason);
        if (c->message[0] != '\0')
            js_set_str(state, "waiting.message", c->message);
    }
    json_t *last = json_object();
    if (c->has_last)
        js_set(last, "terminated", terminated(&c->last, c->id));
    json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:b,s:b,s:I,s:o,s:o}", "name", c->name, "image",
                          c->image, "imageID", c->image, "containerID", c->id, "ready",
                          c->state == CL_C_RUNNING && c->ready, "started",
                          c->state == CL_C_RUNNING && c->started, "restartCount",
                          (json_int_t)c->restarts, "state", state, "lastState", last);
    return j;
}

static const char *phase_of(const json_t *pod, const struct cl_pod_states *st)
{
    const char *policy = js_str(pod, "spec.restartPolicy", "Always");
    size_t waiting = 0, running = 0, ended = 0, failed = 0;
    for (size_t i = 0; i < st->n_init; i++) {
        const struct cl_container_state *c = &st->init[i];
        if (c->state != CL_C_TERMINATED || c->term.exit_code != 0) {
            bool over = c->state == CL_C_TERMINATED && ac_streq(policy, "Never");
            return over ? "Failed" : "Pending";
        }
    }
    for (size_t i = 0; i < st->n_main; i++) {
        const struct cl_container_state *c = &st->main[i];
        if (c->state == CL_C_RUNNING) {
            running++;
        } else if (c->state == CL_C_WAITING) {
            /* Between two runs it counts as running. */
            running += c->has_last;
            waiting += !c->has_last;
        } else if (cl_restarts(policy, c->term.exit_code)) {
            running++;
        } else {
            ended++;
            failed += c->term.exit_code != 0;
        }
    }
    if (waiting > 0)
        return "Pending";
    if (running > 0 || ended == 0)
        return "Running";
    return failed > 0 ? "Failed" : "Succeeded";
}

static void conditions(json_t *list, const struct cl_pod_states *st, const char *phase)
{
    bool init = true, ready = st->n_main > 0;
    bool done = ac_streq(phase, "Succeeded");
    char unready[300] = "";
    for (size_t i = 0; i < st->n_init; i++)
        init = init && st->init[i].state == CL_C_TERMINATED && st->init[i].term.exit_code == 0;
    for (size_t i = 0; i < st->n_main; i++) {
        bool ok = st->main[i].state == CL_C_RUNNING && st->main[i].ready;
        ready = ready && ok;
        size_t n = strlen(unready);
        if (!ok)
            (void)snprintf(unready + n, sizeof(unready) - n, "%s%.60s", n > 0 ? " " : "",
                           st->main[i].name);
    }
    char msg[400];
    (void)snprintf(msg, sizeof(msg), "containers with unready status: [%s]", unready);
    const char *why = done ? "PodCompleted" : "ContainersNotReady";
    cl_condition_set(list, "PodReadyToStartContainers", "True", NULL, NULL, st->now_ns);
    cl_condition_set(list, "Initialized", init ? "True" : "False",
                     done   ? "PodCompleted"
                     : init ? NULL
                            : "ContainersNotInitialized",
                     NULL, st->now_ns);
    cl_condition_set(list, "Ready", ready ? "True" : "False", ready ? NULL : why,
                     ready || done ? NULL : msg, st->now_ns);
    cl_condition_set(list, "ContainersReady", ready ? "True" : "False", ready ? NULL : why,
                     ready || done ? NULL : msg, st->now_ns);
}

json_t *cl_pod_status(const json_t *pod, const struct cl_pod_states *st)
{
    const char *phase = phase_of(pod, st);
    json_t *s = json_object();
    const json_t *old = js_at(pod, "status");
    char now[32];
    js_set_str(s, "phase", phase);
    json_t *list = json_deep_copy(js_at(old, "conditions"));
    js_set(s, "conditions", list != NULL ? list : json_array());
    conditions(js_arr(s, "conditions"), st, phase);
    js_set_str(s, "hostIP", st->host_ip);
    js_set_str(s, "podIP", st->pod_ip);
    js_set(s, "podIPs", json_pack("[{s:s}]", "ip", st->pod_ip));
    js_time(st->now_ns, now, sizeof(now));
    js_set_str(s, "startTime", js_str(old, "startTime", now));
    for (size_t i = 0; i < st->n_init; i++)
        json_array_append_new(js_arr(s, "initContainerStatuses"), container_status(&st->init[i]));
    for (size_t i = 0; i < st->n_main; i++)
        json_array_append_new(js_arr(s, "containerStatuses"), container_status(&st->main[i]));
    js_set_str(s, "qosClass", "BestEffort");
    return s;
}

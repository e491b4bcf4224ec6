#include "serving/serving_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>

static const char *const outcome_names[POLICY_OUTCOME_END] = {
    [POLICY_ON_TIME] = "on_time", [POLICY_LATE] = "late",           [POLICY_REFUSED] = "refused",
    [POLICY_EXPIRED] = "expired", [POLICY_NO_DEVICE] = "no_device", [POLICY_FULL] = "full",
    [POLICY_ERROR] = "error",     [POLICY_SHARE] = "share",         [POLICY_YIELDED] = "yielded"};
static const char *const status_names[] = {
    [POLICY_DONE] = "done", [POLICY_TOO_LATE] = "too_late", [POLICY_FAILED] = "failed"};
static const char *const fate_names[] = {
    [SIM_LOST] = "lost", [SIM_SUPERSEDED] = "superseded", [SIM_OPEN] = "open"};
static const char *const kind_names[] = {
    [POLICY_LOAD] = "load", [POLICY_UNLOAD] = "unload", [POLICY_INFER] = "infer"};

static void on_request(void *self, const struct sim_seen_request *r)
{
    struct cli_sim_watch *w = self;
    bool answered = r->outcome == POLICY_ON_TIME || r->outcome == POLICY_LATE;
    int64_t took = r->done_ns - r->came_ns;
    timeline_note(&w->timeline, r->class, r->came_ns, answered ? took : -1,
                  r->outcome == POLICY_ON_TIME);
    if (r->came_ns >= w->workload->warmup_ns)
        cli_cdf_add(&w->latency[r->class], answered ? took : -1);
    if (w->requests)
        fprintf(w->requests, "%" PRId64 "\t%u\t%u\t%s\t%" PRId64 "\t%" PRId64 "\t%d\t%d\n",
                r->came_ns, r->model, r->class, outcome_names[r->outcome], r->due_ns, took,
                r->outcome == POLICY_ON_TIME, r->cold);
}

/* What has not come, or has no end, is an empty cell. */
static void put_time(FILE *f, int64_t ns)
{
    if (ns)
        fprintf(f, "\t%" PRId64, ns);
    else
        fputc('\t', f);
}

static void on_action(void *self, const struct sim_seen_action *x)
{
    struct cli_sim_watch *w = self;
    const struct policy_action *a = &x->a;
    if (a->kind != POLICY_UNLOAD && x->fate == SIM_TOLD && x->status == POLICY_DONE) {
        int64_t longer = x->end_ns - x->begin_ns - a->expected_ns;
        int k = a->kind == POLICY_INFER ? CLI_ERROR_INFER_LONGER : CLI_ERROR_LOAD_LONGER;
        cli_cdf_add(&w->errors[k + (longer < 0)], longer < 0 ? -longer : longer);
    }
    if (!w->actions)
        return;
    fprintf(w->actions, "%" PRId64 "\t%s\t%u\t%u\t%u\t%u\t%" PRId64, x->sent_ns,
            kind_names[a->kind], a->device, a->model, a->kind == POLICY_INFER ? a->batch : 0, a->n,
            a->earliest_ns);
    put_time(w->actions, a->latest_ns == POLICY_NEVER ? 0 : a->latest_ns);
    fprintf(w->actions, "\t%" PRId64, a->expected_ns);
    put_time(w->actions, x->begin_ns);
    put_time(w->actions, x->end_ns);
    put_time(w->actions, x->told_ns);
    fprintf(w->actions, "\t%s\n",
            x->fate == SIM_TOLD ? status_names[x->status] : fate_names[x->fate]);
}

static int open_log(const char *path, const char *header, FILE **ret_f, struct ac_err *err)
{
    if (!path)
        return 0;
    *ret_f = fopen(path, "we");
    if (!*ret_f)
        return ac_err_errno(err, errno, "%s", path);
    fputs(header, *ret_f);
    return 0;
}

int cli_sim_watch_start(struct cli_sim_watch *w, const struct workload *load,
                        const char *request_path, const char *action_path, struct ac_err *err)
{
    *w = (struct cli_sim_watch){.workload = load,
                                .request_path = request_path,
                                .action_path = action_path,
                                .ports = {.request = on_request, .action = on_action}};
    w->ports.self = w;
    static const char *const classes[WORKLOAD_CLASSES] = {"class 0", "class 1", "class 2",
                                                          "class 3"};
    static const char *const errors[CLI_ERRORS] = {"infer, longer", "infer, shorter",
                                                   "load, longer", "load, shorter"};
    for (int i = 0; i < WORKLOAD_CLASSES; i++)
        w->latency[i].name = load->n_classes > 1 ? classes[i] : "requests";
    for (int i = 0; i < CLI_ERRORS; i++)
        w->errors[i].name = errors[i];
    timeline_init(&w->timeline, load->duration_ns);
    int rc = open_log(request_path,
                      "came_ns\tmodel\tclass\toutcome\tdeadline_ns\tlatency_ns\tdeadline_met\t"
                      "cold\n",
                      &w->requests, err);
    if (rc == 0)
        rc = open_log(action_path,
                      "sent_ns\taction\tdevice\tmodel\tbatch\trequests\tearliest_ns\tlatest_ns\t"
                      "expected_ns\tbegin_ns\tend_ns\ttold_ns\tstatus\n",
                      &w->actions, err);
    return rc;
}

static int close_log(FILE **f, const char *path, struct ac_err *err)
{
    if (!*f)
        return 0;
    bool bad = ferror(*f) != 0;
    errno = bad ? EIO : 0;
    if (fclose(*f) != 0)
        bad = true;
    *f = NULL;
    return bad ? ac_err_errno(err, errno, "%s is not whole", path) : 0;
}

int cli_sim_watch_end(struct cli_sim_watch *w, struct ac_err *err)
{
    int a = close_log(&w->requests, w->request_path, err);
    int b = close_log(&w->actions, w->action_path, a ? NULL : err);
    return a ? a : b;
}

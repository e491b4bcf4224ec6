#include "serving/serving_sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/series.h>
#include <aceso/str.h>

#include "serving/serving_watch.h"

/* A:B or, where there is a c, A:B:C; as ns. */
static bool seconds_list(const char *text, int64_t *ret_a, int64_t *ret_b, int64_t *ret_c)
{
    ac_cleanup(ac_free_p) char *copy = ac_xstrdup(text);
    char *rest = copy;
    int64_t *const out[] = {ret_a, ret_b, ret_c};
    int n = 0;
    for (double v; rest; n++) {
        if (n == 3 || !out[n] || !cli_number(ac_str_next(&rest, ':'), 0.001, 86400, &v))
            return false;
        *out[n] = (int64_t)(v * 1e9);
    }
    return n >= 2;
}

/* What goes wrong, and what differs, among the devices. */
static int sim_faults(const struct cli_sim_args *a, struct sim_config *c)
{
    double pages = 0;
    if (!cli_number(a->stragglers, 0, 1, &c->straggler_share))
        return cli_usage("serve", "--stragglers: a share of executions, from 0 to 1");
    if (!cli_number(a->drift, 0, 1000, &c->drift_ppm))
        return cli_usage("serve", "--drift-ppm: a number from 0 to 1000");
    if (!cli_number(a->link, 0, 1e6, &c->link_gbps))
        return cli_usage("serve", "--link-gbps: a number from 0 to 1000000");
    if (!cli_number(a->pages, 1, 1 << 20, &pages) || pages != floor(pages))
        return cli_usage("serve", "--pages: a whole number from 1 to 1048576");
    c->pages = (uint32_t)pages;
    if (a->overlap && !ac_streq(a->overlap, "on") && !ac_streq(a->overlap, "off"))
        return cli_usage("serve", "--overlap: on or off");
    c->no_overlap = ac_streq(a->overlap, "off");
    if (a->crash && !seconds_list(a->crash, &c->crash_at_ns, &c->crash_for_ns, &c->lease_ns))
        return cli_usage("serve", "--crash AT:FOR[:LEASE]: numbers of seconds, from .001 to 86400");
    if (a->stall && !seconds_list(a->stall, &c->stall_at_ns, &c->stall_for_ns, NULL))
        return cli_usage("serve", "--stall AT:FOR: two numbers of seconds, from .001 to 86400");
    return CLI_OK;
}

static int sim_config(const struct cli_sim_args *a, struct sim_config *c, double *slo,
                      double *seconds)
{
    double gpus = 0, jitter = 0, seed = 1;
    if (!a->models)
        return cli_usage("serve", "name a cost table with --models CSV");
    if (!cli_number(a->gpus, 1, 1024, &gpus) || gpus != floor(gpus))
        return cli_usage("serve", "--gpus: a whole number from 1 to 1024");
    if (!cli_number(a->slo, 0.001, 1e8, slo))
        return cli_usage("serve", "--slo-ms: a number above 0");
    if (!cli_number(a->seconds, 3, 86400, seconds))
        return cli_usage("serve", "--seconds: a number from 3 to 86400");
    if (!cli_number(a->jitter, 0, 1000, &jitter))
        return cli_usage("serve", "--jitter-ms: a number from 0 to 1000");
    if (!cli_number(a->save, 0, 1, &c->sched.save))
        return cli_usage("serve", "--save: a number from 0 to 1");
    if (!cli_number(a->seed, 0, 9e15, &seed) || seed != floor(seed))
        return cli_usage("serve", "--seed: a whole number");
    if (a->policy && !(c->policy = policy_find(a->policy)))
        return cli_usage("serve",
                         "no policy \"%s\"; there are aceso, clockwork, "
                         "clockwork-10ms, clockwork-fixed, fifo, clipper, triton, nexus",
                         a->policy);
    int rc = sim_faults(a, c);
    if (rc)
        return rc;
    c->gpus = (uint32_t)gpus;
    c->seed = (uint64_t)seed;
    c->jitter_mean_ns = (int64_t)(jitter * 1e6);
    c->sched.learn = jitter > 0 || c->drift_ppm > 0 || c->link_gbps > 0;
    c->timer = &ac_clock_real;
    c->cpu = &ac_clock_thread_cpu;
    return CLI_OK;
}

uint64_t cli_sim_rejected(const struct sim_stats *s)
{
    return s->requests - s->outcomes[POLICY_ON_TIME] - s->outcomes[POLICY_LATE];
}

double cli_sim_class_attainment(const struct sim_stats *s, uint32_t i)
{
    uint64_t n = s->classes[i].requests;
    return n ? (double)s->classes[i].on_time / (double)n : 0;
}

void cli_sim_print_json(const char *policy, const struct sim_stats *s)
{
    printf("{\"policy\": \"%s\", \"requests\": %lu, \"goodput_rps\": %.3f, \"attainment\": %.6f, "
           "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p9999_ms\": %.3f, \"cold_starts\": %lu, "
           "\"rejected\": %lu, \"scheduler_ns_per_request\": %.1f, \"mean_batch\": %.3f, "
           "\"busy\": %.4f, \"loads\": %lu, \"digest\": \"%016lx\", \"classes\": [",
           policy, (unsigned long)s->requests, s->goodput_rps, s->attainment, s->p50_ms, s->p99_ms,
           s->p9999_ms, (unsigned long)s->cold_starts, (unsigned long)cli_sim_rejected(s),
           s->policy_ns_per_request, s->mean_batch, s->busy, (unsigned long)s->loads,
           (unsigned long)s->digest);
    for (uint32_t i = 0; i < s->n_classes; i++)
        printf("%s{\"requests\": %lu, \"goodput_rps\": %.3f, \"attainment\": %.6f}", i ? ", " : "",
               (unsigned long)s->classes[i].requests, (double)s->classes[i].on_time / s->seconds,
               cli_sim_class_attainment(s, i));
    printf("]}");
}

static void print_sim(const struct sim_stats *s)
{
    printf("%lu requests, %.1f r/s on time, attainment %.4f, p50 %.2f ms, p99 %.2f ms, p99.99 %.2f "
           "ms, %lu cold starts, %lu rejected, scheduler %.0f ns a request, mean batch %.2f, "
           "devices busy %.3f, %lu loads, digest %016lx\n",
           (unsigned long)s->requests, s->goodput_rps, s->attainment, s->p50_ms, s->p99_ms,
           s->p9999_ms, (unsigned long)s->cold_starts, (unsigned long)cli_sim_rejected(s),
           s->policy_ns_per_request, s->mean_batch, s->busy, (unsigned long)s->loads,
           (unsigned long)s->digest);
    for (uint32_t i = 0; s->n_classes > 1 && i < s->n_classes; i++)
        printf("  class %u: %.1f r/s on time, attainment %.4f\n", i,
               (double)s->classes[i].on_time / s->seconds, cli_sim_class_attainment(s, i));
}

int cli_trace_read(const char *verb, const char *path, struct trace *ret_t)
{
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len;
    if (ac_gz_read(path, TRACE_BYTES_MAX, &text, &len, &err) != 0 ||
        serving_trace_parse(path, text, len, ret_t, &err) != 0)
        return cli_fail_input(verb, &err);
    return CLI_OK;
}

/* What is no experiment's name and looks like a file is a trace to replay. */
static int make_workload(const struct cli_sim_args *a, double slo, struct cli_sim *s)
{
    const char *name = a->workload ? a->workload : "fig5";
    double scale = 1, cv = 0, instances = 0;
    struct ac_err err = AC_ERR_INIT;
    if (!cli_number(a->rate_scale, 0.001, 1000, &scale))
        return cli_usage("serve", "--rate-scale: a number from 0.001 to 1000");
    if (!cli_number(a->cv, 0.01, 100, &cv))
        return cli_usage("serve", "--cv: a number from 0.01 to 100");
    if (!cli_number(a->instances, 1, WORKLOAD_REPLAY_MODELS, &instances) ||
        instances != floor(instances))
        return cli_usage("serve", "--instances: a whole number from 1 to %d",
                         WORKLOAD_REPLAY_MODELS);
    if (strpbrk(name, "/.")) {
        if (a->cv)
            return cli_usage("serve", "--cv: not of a trace, whose gaps are recorded");
        struct workload_replay r = {.rate = scale,
                                    .models = (uint32_t)instances,
                                    .objective_ns = (int64_t)(slo * 1e6),
                                    .gpus = s->config.gpus,
                                    .seed = s->config.seed};
        int rc = cli_trace_read("serve", name, &s->trace);
        if (rc == CLI_OK)
            serving_workload_trace(&s->trace, &s->costs, &r, &s->workload);
        return rc;
    }
    if (serving_workload_named(name, &s->costs, (int64_t)(slo * 1e6), s->config.gpus,
                               s->config.seed, &s->workload, &err) != 0)
        return cli_fail("serve", &err);
    if (a->instances && serving_workload_models(&s->workload, (uint32_t)instances, &err) != 0) {
        ac_err_wrap(&err, "--instances: %s", name);
        return cli_fail_input("serve", &err);
    }
    serving_workload_scale(&s->workload, scale, cv);
    return CLI_OK;
}

/* Weights of tenants 0, 1, ...: shares alone rank requests, and so do a workload's tenants. */
static int sim_shares(const struct cli_sim_args *a, const struct workload *w,
                      struct sched_config *c)
{
    c->ranks = a->shares || serving_workload_ranked(w);
    if (!a->shares)
        return CLI_OK;
    ac_cleanup(ac_free_p) char *copy = ac_xstrdup(a->shares);
    char *rest = copy;
    uint32_t n = 0;
    for (char *f; (f = ac_str_next(&rest, ',')) != NULL; n++)
        if (n == POLICY_TENANTS || !cli_number(f, 0.001, 1e6, &c->shares[n]))
            return cli_usage("serve", "--shares: at most %d numbers from 0.001 to 1e6, by comma",
                             POLICY_TENANTS);
    return CLI_OK;
}

static int own_objectives(const struct cli_sim_args *a, struct cli_sim *s)
{
    double times = 0;
    if (!a->slo_x)
        return CLI_OK;
    if (a->slo)
        return cli_usage("serve", "--slo-ms or --slo-x, not both");
    if (!cli_number(a->slo_x, 0.01, 1e6, &times))
        return cli_usage("serve", "--slo-x: a number from 0.01 to 1000000");
    serving_workload_own_objectives(&s->workload, &s->costs, times);
    return CLI_OK;
}

static int read_costs(const char *path, struct costs *ret_c)
{
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len;
    if (ac_file_read(path, 16u << 20, &text, &len, &err) != 0)
        return cli_fail_input("serve", &err);
    if (serving_costs_parse(text, len, ret_c, &err) != 0) {
        ac_err_wrap(&err, "%s", path);
        return cli_fail("serve", &err);
    }
    return CLI_OK;
}

static int read_kinds(const struct cli_sim_args *a, struct cli_sim *s)
{
    struct sim_config *c = &s->config;
    int rc = CLI_OK;
    for (int i = 0; rc == CLI_OK && i < a->n_kinds; i++) {
        double n = 0;
        const char *path = strchr(a->kinds[i], ':');
        ac_cleanup(ac_free_p) char *count =
            ac_xstrndup(a->kinds[i], path ? (size_t)(path - a->kinds[i]) : 0);
        if (!path || !cli_number(count, 1, 1023, &n) || n != floor(n))
            return cli_usage("serve", "--kind N:FILE: a number of devices and their cost table");
        rc = read_costs(path + 1, &s->kinds[i]);
        c->kinds[i] = (struct sim_kind){.costs = &s->kinds[i], .gpus = (uint32_t)n};
        c->n_kinds = (uint32_t)i + 1;
    }
    return rc;
}

int cli_sim_prepare(const struct cli_sim_args *a, struct cli_sim *ret)
{
    *ret = (struct cli_sim){.config = SIM_CONFIG_INIT};
    struct sim_config *c = &ret->config;
    double slo = 0, seconds = 0;
    int rc = sim_config(a, c, &slo, &seconds);
    if (rc)
        return rc;
    rc = read_costs(a->models, &ret->costs);
    if (rc == CLI_OK)
        rc = read_kinds(a, ret);
    if (rc == CLI_OK)
        rc = make_workload(a, slo, ret);
    if (rc == CLI_OK)
        rc = own_objectives(a, ret);
    if (rc)
        return rc;
    rc = sim_shares(a, &ret->workload, &c->sched);
    if (rc)
        return rc;
    if (c->gpus == 0)
        c->gpus = ret->workload.gpus;
    if (seconds > 0)
        ret->workload.duration_ns = (int64_t)(seconds * 1e9);
    c->sched.cells = (c->gpus + 15) / 16;
    c->costs = &ret->costs;
    c->workload = &ret->workload;
    return CLI_OK;
}

void cli_sim_fini(struct cli_sim *s)
{
    serving_workload_free(&s->workload);
    serving_trace_free(&s->trace);
    serving_costs_free(&s->costs);
    for (int i = 0; i < POLICY_KINDS - 1; i++)
        serving_costs_free(&s->kinds[i]);
}

void cli_sim_title(const struct cli_sim_args *a, const struct cli_sim *s, char *ret, size_t size)
{
    const char *name = a->workload ? a->workload : "fig5", *slash = strrchr(name, '/');
    (void)snprintf(ret, size, "%.60s on %u simulated device%s%s%.20s%s, seed %lu",
                   slash ? slash + 1 : name, s->config.gpus, s->config.gpus == 1 ? "" : "s",
                   a->slo || a->slo_x ? ", objective " : "",
                   a->slo     ? a->slo
                   : a->slo_x ? a->slo_x
                              : "",
                   a->slo     ? " ms"
                   : a->slo_x ? " executions"
                              : "",
                   (unsigned long)s->config.seed);
}

static int draw(const struct cli_sim_args *a, const struct cli_sim *s,
                const struct cli_sim_watch *w, struct ac_err *err)
{
    char title[160], full[240];
    int rc = 0;
    cli_sim_title(a, s, title, sizeof(title));
    if (a->plot) {
        (void)snprintf(full, sizeof(full), "%s: %s", s->config.policy->name, title);
        rc = cli_sim_plot(w, full, a->plot, err);
    }
    if (rc == 0 && a->cdf) {
        (void)snprintf(full, sizeof(full), "%s, answered within: %s", s->config.policy->name,
                       title);
        rc = cli_cdf_plot(w->latency, (int)s->workload.n_classes, full, a->cdf, err);
    }
    if (rc == 0 && a->errors) {
        (void)snprintf(full, sizeof(full), "%s, errors of durations: %s", s->config.policy->name,
                       title);
        rc = cli_cdf_plot(w->errors, CLI_ERRORS, full, a->errors, err);
    }
    return rc;
}

/* Runs it with whatever is to be kept of it besides the sums. */
static int run_watched(const struct cli_sim_args *a, struct cli_sim *s, struct sim_stats *ret_st,
                       struct ac_err *err)
{
    if (!a->plot && !a->cdf && !a->errors && !a->request_log && !a->action_log)
        return serving_sim_run(&s->config, ret_st, err);
    struct cli_sim_watch *w = ac_xcalloc(1, sizeof(*w));
    struct ac_err at_end = AC_ERR_INIT;
    int rc = cli_sim_watch_start(w, &s->workload, a->request_log, a->action_log, err);
    s->config.watch = &w->ports;
    if (rc == 0)
        rc = serving_sim_run(&s->config, ret_st, err);
    if (cli_sim_watch_end(w, &at_end) != 0 && rc == 0) {
        *err = at_end;
        rc = at_end.code;
    }
    if (rc == 0)
        rc = draw(a, s, w, err);
    free(w);
    return rc;
}

int cli_serving_sim(const struct cli_sim_args *a, const struct cli_ctx *ctx)
{
    struct cli_sim s;
    struct sim_stats st;
    struct ac_err err = AC_ERR_INIT;
    int rc = cli_sim_prepare(a, &s);
    if (rc == CLI_OK && run_watched(a, &s, &st, &err) != 0)
        rc = cli_fail("serve", &err);
    if (rc == CLI_OK && ctx->json) {
        cli_sim_print_json(s.config.policy->name, &st);
        printf("\n");
    } else if (rc == CLI_OK) {
        print_sim(&st);
    }
    cli_sim_fini(&s);
    return rc;
}

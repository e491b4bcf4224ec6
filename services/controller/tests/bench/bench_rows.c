/* The rows on serving that the project is measured by, beside the rebuilt Clockwork, by jitter: see
 * docs/benchmarks.md. Usage: bench_rows [rows|lowest|world|hours] COSTS.csv. Its seeds are none
 * that constants were chosen on; everything is learnt on line. */
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>

#define SEED 11

static struct costs costs;
static const int64_t jitters[] = {0, 200000, 1000000};
static const struct policy_ops *const policies[] = {&policy_aceso, &policy_clockwork};

static void fail(const struct ac_err *err)
{
    fprintf(stderr, "bench_rows: %s\n", err->msg);
    exit(1);
}

struct row {
    const char *name, *workload;
    double ms, times; /* objective; in executions; else the workload's own */
    double rate;      /* factor on the workload's; 0: 1 */
    double cv;
    uint32_t models;
    double seconds; /* 0: the workload's own */
    double stragglers, drift, link;
    double crash_s; /* the first device is away from then on for three seconds; 0: not */
    double lease_s; /* until that is known */
    uint32_t without;
    double stall_s; /* the first device does nothing from then on for .2 seconds; 0: not */
};

static struct sim_stats run(const struct row *r, const struct policy_ops *policy, int64_t jitter_ns,
                            uint64_t seed)
{
    struct sim_config c = SIM_CONFIG_INIT;
    struct workload w;
    struct sim_stats st;
    struct ac_err err = AC_ERR_INIT;
    if (serving_workload_named(r->workload, &costs, (int64_t)(r->ms * 1e6), 0, seed, &w, &err) != 0)
        fail(&err);
    if (r->models && serving_workload_models(&w, r->models, &err) != 0)
        fail(&err);
    if (r->times > 0)
        serving_workload_own_objectives(&w, &costs, r->times);
    serving_workload_scale(&w, r->rate > 0 ? r->rate : 1, r->cv);
    if (r->seconds > 0)
        w.duration_ns = (int64_t)(r->seconds * 1e9);
    c.policy = policy;
    c.gpus = w.gpus;
    c.seed = seed;
    c.jitter_mean_ns = jitter_ns;
    c.straggler_share = r->stragglers;
    c.drift_ppm = r->drift;
    c.link_gbps = r->link;
    c.crash_at_ns = (int64_t)(r->crash_s * 1e9);
    c.crash_for_ns = 3 * AC_NS_PER_S;
    c.lease_ns = (int64_t)(r->lease_s * 1e9);
    c.stall_at_ns = (int64_t)(r->stall_s * 1e9);
    c.stall_for_ns = AC_NS_PER_S / 5;
    c.sched.learn = true;
    c.sched.without = r->without;
    c.costs = &costs;
    c.workload = &w;
    if (serving_sim_run(&c, &st, &err) != 0)
        fail(&err);
    serving_workload_free(&w);
    return st;
}

/* Of one class: answers in time a second and what was not in time; of two: the first's share, and
 * the second's answers a second. */
static void put(const struct sim_stats *st)
{
    double share = (double)st->classes[0].on_time / (double)st->classes[0].requests;
    if (st->n_classes > 1)
        printf(" | %.5f, %7.1f", share, (double)st->classes[1].on_time / st->seconds);
    else
        printf(" | %8.1f, %.6f, %8lu", st->goodput_rps, share,
               (unsigned long)(st->requests - st->outcomes[POLICY_ON_TIME]));
}

static void table(const struct row *rows, size_t n, bool jittered)
{
    printf("| experiment | jitter, ms | aceso | clockwork |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < (jittered ? AC_ARRAY_LEN(jitters) : 1); j++) {
            printf("| %s | %.1f", rows[i].name, (double)jitters[j] * 1e-6);
            for (size_t p = 0; p < AC_ARRAY_LEN(policies); p++) {
                struct sim_stats st = run(&rows[i], policies[p], jitters[j], SEED);
                put(&st);
                (void)fflush(stdout);
            }
            printf(" |\n");
        }
}

/* The load of the trace is .25 as it is; a burst's rate is 970 requests a second. */
static const struct row rows[] = {
    {.name = "fig5, 10 ms", .workload = "fig5", .ms = 10},
    {.name = "fig5, 25 ms", .workload = "fig5", .ms = 25},
    {.name = "fig5, 50 ms", .workload = "fig5", .ms = 50},
    {.name = "fig5, 100 ms", .workload = "fig5", .ms = 100},
    {.name = "fig5, 500 ms", .workload = "fig5", .ms = 500},
    {.name = "isolation, 1.5 x", .workload = "fig8", .times = 1.5, .seconds = 60},
    {.name = "isolation, 2 x", .workload = "fig8", .times = 2, .seconds = 60},
    {.name = "isolation, 10 x", .workload = "fig8", .times = 10, .seconds = 60},
    {.name = "isolation, 25 x", .workload = "fig8", .times = 25, .seconds = 60},
    {.name = "3,600 + 1 models, 600 s", .workload = "fig6"},
    {.name = "trace, load .30", .workload = "azure", .rate = 1.2},
    {.name = "trace, load .5", .workload = "azure", .rate = 2},
    {.name = "trace, load .8", .workload = "azure", .rate = 3.2},
    {.name = "trace, load .15, 25 ms", .workload = "azure", .ms = 25, .rate = .6},
    {.name = "trace, load .15, 15 ms", .workload = "azure", .ms = 15, .rate = .6},
    {.name = "trace, 1 % stragglers", .workload = "azure", .stragglers = .01},
    {.name = "bursts CV 4, 5 x", .workload = "gamma", .times = 5},
    {.name = "bursts CV 8, 5 x", .workload = "gamma", .times = 5, .cv = 8},
    {.name = "bursts CV 4, 2 x", .workload = "gamma", .times = 2},
    {.name = "bursts CV 4, 2 x, 700/s", .workload = "gamma", .times = 2, .rate = 700 / 970.0},
    {.name = "one burst for all, CV 8, 5 x", .workload = "burst", .times = 5, .cv = 8},
};

/* What the world does to both. */
static const struct row world[] = {
    {.name = "fig5, 25 ms", .workload = "fig5", .ms = 25},
    {.name = "same, link of 12.3 GB/s", .workload = "fig5", .ms = 25, .link = 12.3},
    {.name = "same, clocks off by 100 ppm", .workload = "fig5", .ms = 25, .drift = 100},
    {.name = "poisson, 8 ms", .workload = "poisson", .ms = 8},
    {.name = "same, link", .workload = "poisson", .ms = 8, .link = 12.3},
    {.name = "same, clocks", .workload = "poisson", .ms = 8, .drift = 100},
    {.name = "same, a crash", .workload = "poisson", .ms = 8, .crash_s = 20},
    {.name = "same, known 3 s later", .workload = "poisson", .ms = 8, .crash_s = 20, .lease_s = 3},
    {.name = "same, silence is waited out",
     .workload = "poisson",
     .ms = 8,
     .crash_s = 20,
     .lease_s = 3,
     .without = SCHED_WITHOUT_SILENCE},
    {.name = "same, a stall of .2 s", .workload = "poisson", .ms = 8, .stall_s = 20},
    {.name = "trace, 25 ms", .workload = "azure", .ms = 25},
    {.name = "same, link", .workload = "azure", .ms = 25, .link = 12.3},
    {.name = "same, link of 4 GB/s", .workload = "azure", .ms = 25, .link = 4},
    {.name = "same, clocks", .workload = "azure", .ms = 25, .drift = 100},
    {.name = "same, a crash", .workload = "azure", .ms = 25, .crash_s = 20},
    {.name = "same, known 3 s later", .workload = "azure", .ms = 25, .crash_s = 20, .lease_s = 3},
    {.name = "same, silence is waited out",
     .workload = "azure",
     .ms = 25,
     .crash_s = 20,
     .lease_s = 3,
     .without = SCHED_WITHOUT_SILENCE},
    {.name = "same, a stall of .2 s", .workload = "azure", .ms = 25, .stall_s = 20},
    {.name = "fig6", .workload = "fig6"},
    {.name = "same, link", .workload = "fig6", .link = 12.3},
};

static const struct row hours[] = {
    {.name = "3,600 + 1 models, 3,600 s", .workload = "fig6", .seconds = 3600},
    {.name = "trace, 8 h", .workload = "azure", .seconds = 28800},
    {.name = "trace, load .30, 8 h", .workload = "azure", .rate = 1.2, .seconds = 28800},
    {.name = "trace, 1 % stragglers, 8 h",
     .workload = "azure",
     .stragglers = .01,
     .seconds = 28800},
};

/* ---- the lowest objective with which 99 % are in time ---- */

#define MULTIPLE_MOST 32.0
#define RESOLUTION    1.008
#define CELL_SECONDS  30
#define CELL_SEEDS    2

static double lowest(const struct policy_ops *policy, uint32_t models, double rate, int64_t jitter)
{
    double low = 1, high = MULTIPLE_MOST;
    while (high / low > RESOLUTION) {
        double mid = sqrt(low * high);
        struct row r = {.workload = "poisson",
                        .times = mid,
                        .rate = rate / 1200,
                        .models = models,
                        .seconds = CELL_SECONDS + 2};
        uint64_t good = 0, all = 0;
        for (uint64_t seed = SEED; seed < SEED + CELL_SEEDS; seed++) {
            struct sim_stats st = run(&r, policy, jitter, seed);
            good += st.outcomes[POLICY_ON_TIME];
            all += st.requests;
        }
        *((double)good >= 0.99 * (double)all ? &high : &low) = mid;
    }
    return high;
}

/* What no policy without batches beats: requests in turn on whichever device is free first, those
 * that cannot be met not begun; in executions, the network's way included. 0: overloaded. */
static double queueing_floor(double rate, double exec_ns, double net_ns, uint32_t devices)
{
    double low = 1, high = MULTIPLE_MOST;
    if (rate * exec_ns * 1e-9 >= devices)
        return 0;
    while (high / low > RESOLUTION) {
        double mid = sqrt(low * high), wait = (mid - 1) * exec_ns - 2 * net_ns, now = 0;
        double free_at[8] = {0};
        uint32_t lost = 0;
        struct ac_rng rng;
        ac_rng_seed(&rng, SEED);
        for (uint32_t i = 0; i < 1000000; i++) {
            uint32_t best = 0;
            now += ac_rng_exponential(&rng) / rate * 1e9;
            for (uint32_t d = 1; d < devices; d++)
                best = free_at[d] < free_at[best] ? d : best;
            double begin = AC_MAX(now, free_at[best]);
            bool good = wait >= 0 && begin - now <= wait;
            lost += !good;
            free_at[best] = good ? begin + exec_ns : free_at[best];
        }
        *(lost <= 10000 ? &high : &low) = mid;
    }
    return high;
}

static void cells(void)
{
    static const uint32_t models[] = {12, 48};
    static const double rates[] = {600, 1200, 2400};
    const struct sim_config c = SIM_CONFIG_INIT;
    const struct costs_row *r = serving_costs_find(&costs, "resnet50_v2");
    double sums[AC_ARRAY_LEN(jitters)] = {0};
    if (!r) {
        fprintf(stderr, "bench_rows: the table has no resnet50_v2\n");
        exit(1);
    }
    printf("| models | requests/s | jitter, ms | aceso | clockwork | ratio | floor |\n"
           "|---|---|---|---|---|---|---|\n");
    for (size_t m = 0; m < AC_ARRAY_LEN(models); m++)
        for (size_t k = 0; k < AC_ARRAY_LEN(rates); k++)
            for (size_t j = 0; j < AC_ARRAY_LEN(jitters); j++) {
                double ours = lowest(&policy_aceso, models[m], rates[k], jitters[j]);
                double theirs = lowest(&policy_clockwork, models[m], rates[k], jitters[j]);
                double least =
                    queueing_floor(rates[k], (double)r->cost.exec_ns[0], (double)c.net_ns, 6);
                printf("| %u | %.0f | %.1f | %.2f | %.2f | %.2f | ", models[m], rates[k],
                       (double)jitters[j] * 1e-6, ours, theirs, ours / theirs);
                printf(least > 0 && jitters[j] == 0 ? "%.2f |\n" : "|\n", least);
                (void)fflush(stdout);
                sums[j] += log(ours / theirs) / 6;
            }
    for (size_t j = 0; j < AC_ARRAY_LEN(jitters); j++)
        printf("geometric mean of the ratios at %.1f ms: %.3f\n", (double)jitters[j] * 1e-6,
               exp(sums[j]));
}

int main(int argc, char **argv)
{
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len;
    const char *what = argc == 3 ? argv[1] : "";
    bool known = ac_streq(what, "rows") || ac_streq(what, "lowest") || ac_streq(what, "world") ||
                 ac_streq(what, "hours");
    if (!known) {
        fprintf(stderr, "usage: bench_rows rows|lowest|world|hours COSTS.csv\n");
        return 2;
    }
    if (ac_file_read(argv[2], 16u << 20, &text, &len, &err) != 0 ||
        serving_costs_parse(text, len, &costs, &err) != 0)
        fail(&err);
    if (ac_streq(what, "rows"))
        table(rows, AC_ARRAY_LEN(rows), true);
    else if (ac_streq(what, "world"))
        table(world, AC_ARRAY_LEN(world), false);
    else if (ac_streq(what, "hours"))
        table(hours, AC_ARRAY_LEN(hours), false);
    else
        cells();
    serving_costs_free(&costs);
    return 0;
}

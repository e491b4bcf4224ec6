/* The scheduler on the virtual clock: what each ingredient is worth, and how goodput and cost grow.
 * Usage: bench_sched waiting|ablation|scale [COSTS.csv [N]], N: the N-th column of the ablation, or
 * the rows of N devices, alone. Its seeds are none that constants were chosen on. */
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>

#define SEEDS      3
#define FIRST_SEED 11

static struct costs costs;

struct scene {
    const char *workload;
    double objective_ms;
    uint32_t gpus;
    void (*change)(struct sim_config *c, struct workload *w);
};

static void slower_device(struct sim_config *c, struct workload *w)
{
    (void)w;
    c->change_at_ns = 10 * AC_NS_PER_S;
    c->change_pace = 2;
}

static const struct scene scenes[] = {{"fig5", 10, 1, NULL},     {"fig5", 25, 1, NULL},
                                      {"poisson", 8.2, 6, NULL}, {"fig8", 27.3, 6, NULL},
                                      {"azure", 25, 6, NULL},    {"burst", 25, 6, NULL},
                                      {"fig6", 100, 1, NULL},    {"poisson", 6, 6, slower_device}};

static void fail(const struct ac_err *err)
{
    fprintf(stderr, "bench_sched: %s\n", err->msg);
    exit(1);
}

static struct sim_stats run_one(const struct scene *x, uint64_t seed, int64_t jitter_ns,
                                uint32_t without)
{
    struct sim_config c = SIM_CONFIG_INIT;
    struct workload w;
    struct sim_stats st;
    struct ac_err err = AC_ERR_INIT;
    if (serving_workload_named(x->workload, &costs, (int64_t)(x->objective_ms * 1e6), x->gpus, seed,
                               &w, &err) != 0)
        fail(&err);
    c.gpus = x->gpus;
    c.seed = seed;
    c.jitter_mean_ns = jitter_ns;
    c.sched.learn = true;
    c.sched.without = without;
    c.costs = &costs;
    c.workload = &w;
    if (x->change)
        x->change(&c, &w);
    if (serving_sim_run(&c, &st, &err) != 0)
        fail(&err);
    serving_workload_free(&w);
    return st;
}

/* Closed loops: answers in time a second; open arrivals: the share in time of those that have an
 * objective, and batch work in time a second. */
static void cell(const struct scene *x, int64_t jitter_ns, uint32_t without)
{
    double share = 0, rps = 0, batch = 0;
    bool open = !ac_streq(x->workload, "fig5") && !ac_streq(x->workload, "fig6");
    bool beside = ac_streq(x->workload, "fig8");
    for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
        struct sim_stats st = run_one(x, seed, jitter_ns, without);
        share += (double)st.classes[0].on_time / (double)st.classes[0].requests / SEEDS;
        rps += st.goodput_rps / SEEDS;
        batch += beside ? (double)st.classes[1].on_time / st.seconds / SEEDS : 0;
    }
    if (!open)
        printf(" %13.1f", rps);
    else if (beside)
        printf(" %8.5f/%4.0f", share, batch);
    else
        printf(" %13.5f", share);
    (void)fflush(stdout);
}

static void row(const char *name, uint32_t without, uint32_t only)
{
    static const int64_t jitters[] = {0, 200000, 1000000};
    for (size_t j = 0; j < AC_ARRAY_LEN(jitters); j++) {
        printf("%-26s %4.1f", name, (double)jitters[j] * 1e-6);
        for (size_t i = 0; i < AC_ARRAY_LEN(scenes); i++)
            if (only == 0 || only == i + 1)
                cell(&scenes[i], jitters[j], without);
        printf("\n");
    }
}

static void ablation(uint32_t only)
{
    static const char *const parts[] = {
#define X(name, text) text,
        SCHED_PARTS(X)
#undef X
    };
    printf("%-26s %4s", "without", "ms");
    for (size_t i = 0; i < AC_ARRAY_LEN(scenes); i++) {
        char head[32];
        if (only && only != i + 1)
            continue;
        snprintf(head, sizeof(head), "%s %.4g%s", scenes[i].workload, scenes[i].objective_ms,
                 scenes[i].change ? " *" : "");
        printf(" %13s", head);
    }
    printf("\n");
    row("nothing", 0, only);
    for (uint32_t p = 0; p < SCHED_PART_END; p++)
        row(parts[p], 1u << p, only);
}

/* ---- growth: cells of at most 15 devices, models asked for by Zipf's law (.9) ---- */

#define CELL          15
#define RATE          300 /* requests a second for each device */
#define REQUESTS_MOST 1500000.0

static void zipf(struct workload *w, uint32_t gpus, uint32_t models)
{
    double sum = 0, rate = RATE * (double)gpus;
    *w = (struct workload){.n_models = models, .n_functions = models, .gpus = gpus, .n_classes = 1};
    w->classes[0] = (struct workload_class){.n_models = models, .objective_ns = 100 * AC_NS_PER_MS};
    w->row = ac_xcalloc(models, sizeof(*w->row));
    w->functions = ac_xcalloc(models, sizeof(*w->functions));
    for (uint32_t i = 0; i < models; i++)
        sum += w->functions[i].rate = pow(i + 1, -0.9);
    for (uint32_t i = 0; i < models; i++) {
        struct workload_function *f = &w->functions[i];
        *f = (struct workload_function){
            .model = i, .kind = WORKLOAD_POISSON, .rate = f->rate / sum * rate};
        w->row[i] = i % (uint32_t)costs.n;
    }
    w->warmup_ns = AC_NS_PER_S;
    w->duration_ns = (int64_t)(AC_MIN(REQUESTS_MOST / rate, 60) * 1e9) + w->warmup_ns;
}

static void scale(uint32_t only)
{
    static const uint32_t sizes[][2] = {{1, 10},     {6, 40},     {15, 100},    {60, 400},
                                        {150, 1000}, {450, 3000}, {1000, 6700}, {1000, 26800},
                                        {60, 4000},  {15, 4000}};
    printf("%7s %7s %12s %10s %10s %10s %8s\n", "devices", "models", "in time/s", "share",
           "ns/request", "k/s whole", "cold");
    for (size_t i = 0; i < AC_ARRAY_LEN(sizes); i++) {
        struct sim_config c = SIM_CONFIG_INIT;
        struct workload w;
        struct sim_stats st;
        struct ac_err err = AC_ERR_INIT;
        c.gpus = sizes[i][0];
        if (only && c.gpus != only)
            continue;
        zipf(&w, c.gpus, sizes[i][1]);
        c.costs = &costs;
        c.workload = &w;
        c.seed = FIRST_SEED;
        c.sched.cells = (c.gpus + CELL - 1) / CELL;
        c.timer = &ac_clock_real;
        c.cpu = &ac_clock_thread_cpu;
        int64_t begun = ac_clock_thread_cpu.now_ns(ac_clock_thread_cpu.self);
        if (serving_sim_run(&c, &st, &err) != 0)
            fail(&err);
        int64_t took = ac_clock_thread_cpu.now_ns(ac_clock_thread_cpu.self) - begun;
        printf("%7u %7u %12.0f %10.5f %10.0f %10.0f %8lu\n", c.gpus, w.n_models, st.goodput_rps,
               st.attainment, st.policy_ns_per_request, (double)st.requests / (double)took * 1e6,
               (unsigned long)st.cold_starts);
        (void)fflush(stdout);
        serving_workload_free(&w);
    }
}

/* ---- many models that wait in one cell of 15 devices, which hold all of them ---- */

static const char small_costs[] =
    "model,input_kb,output_kb,weights_mb,load_ms,b1_ms,b2_ms,b4_ms,b8_ms,b16_ms\n"
    "small,602,4,10,1,1.32,1.81,2.48,4.42,7.12\n";

/* More is asked than devices can do one at a time. Within the run nothing is lost with an objective
 * of 9.9 s, and what waits grows; with 1 s it is shed. */
static void waiting(void)
{
    static const struct {
        uint32_t models;
        double load; /* of what the devices can do one at a time */
        int64_t objective_ns;
    } rows[] = {{300, 1.6, 9900 * AC_NS_PER_MS},
                {3000, 1.6, 9900 * AC_NS_PER_MS},
                {20000, 1.6, 9900 * AC_NS_PER_MS},
                {300, 4, 1000 * AC_NS_PER_MS},
                {3000, 4, 1000 * AC_NS_PER_MS}};
    printf("%7s %7s %9s %9s %10s\n", "models", "load", "objective", "share", "ns/request");
    for (size_t i = 0; i < AC_ARRAY_LEN(rows); i++) {
        struct sim_config c = SIM_CONFIG_INIT;
        struct workload w = {.n_models = rows[i].models,
                             .n_functions = rows[i].models,
                             .n_classes = 1,
                             .warmup_ns = 2 * AC_NS_PER_S,
                             .duration_ns = 8 * AC_NS_PER_S};
        struct sim_stats st;
        struct ac_err err = AC_ERR_INIT;
        double rate = rows[i].load * CELL / ((double)costs.rows[0].cost.exec_ns[0] * 1e-9);
        w.classes[0] =
            (struct workload_class){.n_models = w.n_models, .objective_ns = rows[i].objective_ns};
        w.row = ac_xcalloc(w.n_models, sizeof(*w.row));
        w.functions = ac_xcalloc(w.n_models, sizeof(*w.functions));
        for (uint32_t m = 0; m < w.n_models; m++)
            w.functions[m] = (struct workload_function){
                .model = m, .kind = WORKLOAD_POISSON, .rate = rate / w.n_models};
        c.gpus = CELL;
        c.costs = &costs;
        c.workload = &w;
        c.seed = FIRST_SEED;
        c.timer = &ac_clock_real;
        c.cpu = &ac_clock_thread_cpu;
        if (serving_sim_run(&c, &st, &err) != 0)
            fail(&err);
        printf("%7u %7.1f %9.1f %9.5f %10.0f\n", w.n_models, rows[i].load,
               (double)rows[i].objective_ns * 1e-9, st.attainment, st.policy_ns_per_request);
        (void)fflush(stdout);
        serving_workload_free(&w);
    }
}

/* Without a file: the workhorse of the published table, and two others of it. */
static const char few_costs[] =
    "model,input_kb,output_kb,weights_mb,load_ms,b1_ms,b2_ms,b4_ms,b8_ms,b16_ms\n"
    "resnet50_v2,602,4,102.2,8.32,2.73,4.05,5.87,9.93,17.30\n"
    "resnet18_v2,602,4,46.7,3.81,1.32,1.81,2.48,4.42,7.12\n"
    "densenet121,602,4,32,3,3.8,5,7,10,18\n";

int main(int argc, char **argv)
{
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len;
    bool ablate = argc > 1 && ac_streq(argv[1], "ablation");
    bool wait = argc == 2 && ac_streq(argv[1], "waiting");
    int64_t only = 0;
    if (argc > 4 || (argc == 4 && !ac_str_to_i64(argv[3], &only)) ||
        (argc > 1 && !ablate && !wait && !ac_streq(argv[1], "scale"))) {
        fprintf(stderr, "usage: bench_sched waiting|ablation|scale [COSTS.csv [N]]\n");
        return 2;
    }
    if (argc > 2 && ac_file_read(argv[2], 16u << 20, &text, &len, &err) != 0)
        fail(&err);
    const char *own = wait ? small_costs : few_costs;
    if (serving_costs_parse(text ? text : own, text ? len : strlen(own), &costs, &err) != 0)
        fail(&err);
    if (wait)
        waiting();
    else if (ablate)
        ablation((uint32_t)only);
    else
        scale((uint32_t)only);
    serving_costs_free(&costs);
    return 0;
}

/* aceso serve: a controller and workers in the foreground; the scheduler on the virtual clock; one
 * model from its file. No other service is needed. */
#include "verbs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "../../worker/adapters/memory_map.h"
#include "../../worker/adapters/onednn.h"
#include "../../worker/core/executor.h"
#include "../../worker/core/tensor_diff.h"
#include "serving/serving_run.h"
#include "serving/serving_sim.h"

static int cmd_serve(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_serve = {
    "serve", "serve a repository of models; simulate the scheduler; check one model", cmd_serve,
    "usage: aceso serve --repository DIR [--worker cpu|sim]... [--listen HOST:PORT]\n"
    "       aceso serve sim --models CSV [--policy NAME] [--plot FILE.svg] [--request-log "
    "FILE.tsv]\n"
    "                       [--action-log FILE.tsv] [OPTION]...\n"
    "       aceso serve compare --models CSV [--plot FILE.svg] [OPTION]...\n"
    "       aceso serve model FILE.onnx [--batch B] [--check DIR]\n\n"
    "  --repository DIR models in Triton's layout, served in the foreground until Ctrl-C; what "
    "dies is\n"
    "                   started again; the address is printed as one line of JSON\n"
    "  --worker X       executors of the workers (default: one cpu)\n"
    "  --models CSV     cost table: model,input_kb,output_kb,weights_mb,load_ms,b1_ms..b16_ms\n"
    "  --workload NAME  fig5 (default), fig6, fig7, fig8, azure (fig9, fig10), scale (fig11), "
    "poisson,\n"
    "                   burst, gamma, tenants\n"
    "  --workload FILE  a recorded trace, by its header: Azure Functions 2019 (counts a minute) "
    "or\n"
    "                   Azure LLM inference (a time a request); a file has a / or . in its name\n"
    "  --instances N    models that a trace's callers share (default: 4,026; LLM: 72); of poisson "
    "and\n"
    "                   fig7: how many (default: 12)\n"
    "  --shares W,W,... weights of tenants 0, 1, ... where not all requests can be met (default: "
    "1)\n"
    "  --save X         share of an objective for which requests may wait for a larger batch, so "
    "that\n"
    "                   devices work less (default: 0)\n"
    "  --rate-scale X   so many times the requests; --cv X: their gaps' coefficient of variation\n"
    "  --gpus N, --slo-ms X, --seed N, --seconds S    instead of the workload's own\n"
    "  --slo-x X        objective of each model in its own execution times\n"
    "  --policy NAME    aceso (default), clockwork, clockwork-10ms, clockwork-fixed, fifo,\n"
    "                   clipper, triton, nexus; compare runs all on the same arrivals\n"
    "  --tune           compare: what can be chosen of clipper, triton and nexus is what did best "
    "on\n"
    "                   another seed\n"
    "  --jitter-ms X    mean of the random delay each way (default 0); margins are then learnt\n"
    "  --stragglers X   share of executions that take three times as long; --drift-ppm X: each "
    "device's\n"
    "                   clock is off by up to X\n"
    "  --crash AT:FOR[:LEASE]   seconds: the first device is away, which is known LEASE later (at "
    "once);\n"
    "                   --stall AT:FOR: it does and says nothing\n"
    "  --link-gbps X    10^9 bytes a second that inputs come at, and share with loads\n"
    "  --overlap off    executions begin only when their model's load has ended (default: on)\n"
    "  --kind N:FILE    the last N devices are of another kind, with a cost table of its own\n"
    "  --pages N        memory of a device, in pages of 16 MiB (default 1,376)\n"
    "  --plot FILE.svg  sim: rates, latency and share in time over the run; compare: each policy's "
    "bars\n"
    "  --cdf FILE.svg   requests answered within, of each class or policy; --errors FILE.svg: sim: "
    "how\n"
    "                   far durations were from what the policy expected\n"
    "  --request-log FILE.tsv, --action-log FILE.tsv   a line for each request and action\n"
    "  --batch B        compiled batch size to time: 1 (default), 2, 4, 8, 16\n"
    "  --check DIR      folder with input_N.pb and output_N.pb to compare with\n"};

/* ---- one model ---- */

struct run {
    const char *file;
    struct wk_executor *x;
    struct wk_model *m;
    struct ac_arena *arena;
    const void *in[WK_MAX_IO];
    void *out[WK_MAX_IO];
    char *files[2 * WK_MAX_IO];
    struct wk_onnx_tensor want[WK_MAX_IO];
    uint32_t n_files, rows;
};

static int stored(struct run *r, const char *dir, const char *kind, uint32_t i,
                  const struct wk_io_info *io, struct wk_onnx_tensor *ret_t, struct ac_err *err)
{
    char path[1024];
    size_t len;
    snprintf(path, sizeof(path), "%s/%s_%u.pb", dir, kind, i);
    if (ac_file_read(path, 256u << 20, &r->files[r->n_files], &len, err) != 0)
        return AC_EINVAL; /* whatever is wrong with them, they are input */
    if (wk_onnx_parse_tensor(r->files[r->n_files++], len, r->arena, ret_t, err) != 0) {
        (void)ac_err_wrap(err, "%s", path);
        return AC_EINVAL;
    }
    size_t bytes = ret_t->elems * wk_dtype_size(ret_t->dtype);
    if (ret_t->dtype != io->dtype || bytes == 0 || bytes % io->row_bytes ||
        (r->rows && bytes / io->row_bytes != r->rows))
        return ac_err_set(err, AC_EINVAL, "%s: type or size does not fit %s of the model", path,
                          io->name);
    r->rows = (uint32_t)(bytes / io->row_bytes);
    return 0;
}

static int fill(struct run *r, const char *check, uint32_t batch, struct ac_err *err)
{
    const struct wk_model_info *info = &r->m->info;
    struct wk_onnx_tensor t;
    int rc = 0;
    r->rows = check ? 0 : batch;
    for (uint32_t i = 0; rc == 0 && i < info->n_inputs; i++) {
        if (check)
            rc = stored(r, check, "input", i, &info->inputs[i], &t, err);
        r->in[i] = check ? t.data
                         : (r->files[r->n_files++] = ac_xcalloc(batch, info->inputs[i].row_bytes));
    }
    for (uint32_t i = 0; rc == 0 && i < info->n_outputs; i++) {
        if (check)
            rc = stored(r, check, "output", i, &info->outputs[i], &r->want[i], err);
        r->out[i] = ac_xcalloc(AC_MAX(r->rows, 1u), info->outputs[i].row_bytes);
    }
    return rc;
}

static double worst_error(const struct run *r)
{
    double worst = 0;
    for (uint32_t i = 0; i < r->m->info.n_outputs && !isnan(worst); i++) {
        const struct wk_onnx_tensor *want = &r->want[i];
        double e = wk_tensor_diff(want->data, r->out[i], want->dtype, want->elems);
        worst = e > worst || isnan(e) ? e : worst;
    }
    return worst;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

#define ROUNDS       200
#define ROUNDS_LEAST 20
#define ROUNDS_NS    (10 * AC_NS_PER_S) /* no more begin after it */
#define LOADS        21
#define MODEL_MEMORY ((uint64_t)4 << 30)
#define MODEL_PAGE   ((uint64_t)1 << 20)

struct cost {
    double median_us, p99_us;
    double first_load_us, load_us, copy_us; /* copy: memcpy of as many bytes, all of them warm */
    long faults;                            /* of pages, in all rounds but the first */
    int rounds;
};

static int time_loads(const struct run *r, struct cost *c, struct ac_err *err)
{
    int64_t load[LOADS], copy[LOADS];
    size_t bytes = r->m->info.weights_bytes;
    ac_cleanup(ac_free_p) char *from = ac_xcalloc(1, bytes), *to = ac_xcalloc(1, bytes);
    memset(from, 1, bytes);
    memset(to, 2, bytes);
    for (int i = 0; i < LOADS; i++) {
        if (i)
            r->x->ops->unload(r->x, r->m);
        int64_t t0 = ac_now_ns();
        int rc = r->x->ops->load(r->x, r->m, err);
        if (rc)
            return rc;
        load[i] = ac_now_ns() - t0;
        t0 = ac_now_ns();
        memcpy(to, from, bytes);
        copy[i] = ac_now_ns() - t0;
        if (bytes)
            from[(size_t)i % bytes] ^= to[bytes - 1]; /* so that the copies are made */
    }
    c->first_load_us = (double)load[0] / 1e3;
    qsort(load + 1, LOADS - 1, sizeof(load[0]), by_value);
    qsort(copy + 1, LOADS - 1, sizeof(copy[0]), by_value);
    c->load_us = (double)load[1 + LOADS / 2] / 1e3;
    c->copy_us = (double)copy[1 + LOADS / 2] / 1e3;
    return 0;
}

static long page_faults(void)
{
    struct rusage u = {0};
    (void)getrusage(RUSAGE_THREAD, &u);
    return u.ru_minflt + u.ru_majflt;
}

static void print_cost(const struct run *r, const struct cost *c, uint32_t batch, bool check,
                       double worst, const struct cli_ctx *ctx)
{
    const struct wk_model_info *info = &r->m->info;
    double weights = (double)info->weights_bytes, workspace = (double)info->workspace_bytes;
    if (ctx->json) {
        printf(
            "{\"median_us\": %.2f, \"p99_us\": %.2f, \"max_abs_error\": %.9g, "
            "\"executions\": %d, \"page_faults\": %ld, \"first_load_us\": %.1f, \"load_us\": %.1f, "
            "\"memcpy_us\": %.1f, \"weights_bytes\": %.0f, \"workspace_bytes\": %.0f}\n",
            c->median_us, c->p99_us, isfinite(worst) ? worst : 1e300, c->rounds, c->faults,
            c->first_load_us, c->load_us, c->copy_us, weights, workspace);
        return;
    }
    printf("batch %u: median %.1f us, p99 %.1f us, %ld page faults in %d executions%s\n", batch,
           c->median_us, c->p99_us, c->faults, c->rounds - 1, check ? "" : "; not compared");
    printf("weights %.0f bytes, workspace %.0f; load %.1f us (the first %.1f), memcpy of as many "
           "%.1f us\n",
           weights, workspace, c->load_us, c->first_load_us, c->copy_us);
    if (check)
        printf("largest absolute difference from the stored outputs: %.3g\n", worst);
}

static int run_model(struct run *r, const char *check, uint32_t b, const struct cli_ctx *ctx,
                     struct ac_err *err)
{
    int64_t took[ROUNDS];
    struct wk_phases ph;
    struct cost c = {0};
    int rc = time_loads(r, &c, err);
    if (rc == 0)
        rc = fill(r, check, wk_batch_size[b], err);
    while (rc == 0 && b < WK_BATCHES - 1 && r->m->info.batched && wk_batch_size[b] < r->rows)
        b++;
    uint32_t room = r->m->info.batched ? wk_batch_size[b] : 1;
    if (rc == 0 && r->rows > room)
        rc = ac_err_set(err, AC_EINVAL, "%u rows do not fit a batch of %u", r->rows, room);
    if (rc == 0 && !r->m->info.compiled[b])
        rc = ac_err_set(err, AC_EINVAL,
                        "%s: batch %u is not compiled: its rows cannot be computed together; "
                        "batch 1 is",
                        r->file, wk_batch_size[b]);
    struct wk_item item = {.rows = r->rows, .inputs = r->in, .outputs = r->out};
    int64_t begun = ac_now_ns();
    for (int i = 0; rc == 0 && i < ROUNDS && (i < ROUNDS_LEAST || ac_now_ns() < begun + ROUNDS_NS);
         i++) {
        rc = r->x->ops->infer(r->x, r->m, b, &item, 1, &ph, err);
        if (rc == 0 && item.error)
            rc = ac_err_set(err, AC_EINVAL, "%s: %s%s", check ? check : r->file, item.error,
                            check ? "" : ": of inputs that are zero; give others with --check");
        took[i] = ph.input_ns + ph.exec_ns + ph.output_ns;
        c.faults = i ? c.faults : page_faults();
        c.rounds = i + 1;
    }
    if (rc)
        return rc;
    c.faults = page_faults() - c.faults;
    qsort(took, (size_t)c.rounds, sizeof(took[0]), by_value);
    c.median_us = (double)took[c.rounds / 2] / 1e3;
    c.p99_us = (double)took[c.rounds * 99 / 100] / 1e3;
    double worst = check ? worst_error(r) : 0;
    print_cost(r, &c, wk_batch_size[b], check, worst, ctx);
    if (check && !(worst <= 1e-3))
        return ac_err_set(err, AC_EDATALOSS, "outputs differ from the stored ones by %.3g", worst);
    return 0;
}

static int serve_model(const char *file, const char *batch, const char *check,
                       const struct cli_ctx *ctx)
{
    double want = 1;
    uint32_t b = 0;
    if (!cli_number(batch, 1, WK_MAX_BATCH, &want))
        return cli_usage("serve", "--batch: 1, 2, 4, 8 or 16");
    while (b < WK_BATCHES && wk_batch_size[b] != want)
        b++;
    if (b == WK_BATCHES)
        return cli_usage("serve", "--batch: 1, 2, 4, 8 or 16");
    ac_cleanup(ac_free_p) char *bytes = NULL;
    size_t len;
    struct ac_err err = AC_ERR_INIT;
    if (ac_file_read(file, (size_t)1 << 30, &bytes, &len, &err) != 0)
        return cli_fail_input("serve", &err);
    struct wk_kernels *kernels = NULL;
    struct wk_memory *memory = NULL;
    if (wk_memory_map_create(MODEL_MEMORY, MODEL_PAGE, false, &memory, &err) != 0)
        return cli_fail("serve", &err);
    if (wk_onednn_create(&kernels, &err) != 0) {
        wk_memory_map_destroy(memory);
        return cli_fail("serve", &err);
    }
    struct run r = {.file = file,
                    .x = wk_cpu_create(memory, kernels, &ac_clock_real),
                    .arena = ac_arena_create(512u << 20)};
    struct wk_source src = {.name = file, .bytes = bytes, .len = len};
    int rc = r.x->ops->prepare(r.x, &src, &r.m, &err);
    bool prepared = rc == 0;
    if (!prepared)
        ac_err_wrap(&err, "%s", file);
    if (prepared) {
        rc = run_model(&r, check, b, ctx, &err);
        r.x->ops->unload(r.x, r.m);
        for (uint32_t i = 0; i < r.m->info.n_outputs; i++)
            free(r.out[i]);
        r.x->ops->forget(r.x, r.m);
    }
    for (uint32_t i = 0; i < r.n_files; i++)
        free(r.files[i]);
    r.x->ops->destroy(r.x);
    wk_onednn_destroy(kernels);
    wk_memory_map_destroy(memory);
    ac_arena_destroy(r.arena);
    if (!prepared)
        return cli_fail_input("serve", &err);
    return rc == AC_EINVAL ? cli_fail_input("serve", &err) : rc ? cli_fail("serve", &err) : CLI_OK;
}

/* ---- a repository ---- */

static int serve_repository(const char *repository, const char *listen, const char **executors,
                            int n)
{
    struct cli_serving s;
    struct cli_serving_opts o = {.repository = repository, .listen = listen, .n_workers = n};
    struct ac_err err = AC_ERR_INIT;
    for (int i = 0; i < n; i++) {
        if (!ac_streq(executors[i], "cpu") && !ac_streq(executors[i], "sim"))
            return cli_usage("serve", "--worker %s: there are cpu and sim", executors[i]);
        o.executors[i] = executors[i];
    }
    if (n == 0)
        o.executors[o.n_workers++] = "cpu";
    if (cli_serving_start(&s, &o, &err) != 0)
        return cli_fail("serve", &err);
    printf("{\"address\":\"%s\"}\n", s.address);
    (void)fflush(stdout);
    cli_serving_watch(&s);
    cli_serving_stop(&s);
    return CLI_OK;
}

#define SIMULATED "sim and compare"

static int cmd_serve(int argc, char **argv, const struct cli_ctx *ctx)
{
    struct cli_sim_args a = {0};
    const char *batch = NULL, *check = NULL, *repository = NULL, *listen = NULL;
    const char *workers[CLI_SERVING_WORKERS];
    int n_workers = 0;
    const struct cli_opt opts[] = {
        {.name = "--models", .of = SIMULATED, .has_value = true, .value = &a.models},
        {.name = "--gpus", .of = SIMULATED, .has_value = true, .value = &a.gpus},
        {.name = "--workload", .of = SIMULATED, .has_value = true, .value = &a.workload},
        {.name = "--slo-ms", .of = SIMULATED, .has_value = true, .value = &a.slo},
        {.name = "--slo-x", .of = SIMULATED, .has_value = true, .value = &a.slo_x},
        {.name = "--tune", .of = "compare", .value = &a.tune},
        {.name = "--stragglers", .of = SIMULATED, .has_value = true, .value = &a.stragglers},
        {.name = "--drift-ppm", .of = SIMULATED, .has_value = true, .value = &a.drift},
        {.name = "--link-gbps", .of = SIMULATED, .has_value = true, .value = &a.link},
        {.name = "--overlap", .of = SIMULATED, .has_value = true, .value = &a.overlap},
        {.name = "--crash", .of = SIMULATED, .has_value = true, .value = &a.crash},
        {.name = "--stall", .of = SIMULATED, .has_value = true, .value = &a.stall},
        {.name = "--pages", .of = SIMULATED, .has_value = true, .value = &a.pages},
        {.name = "--kind",
         .of = SIMULATED,
         .has_value = true,
         .value = a.kinds,
         .repeat = true,
         .max = POLICY_KINDS - 1,
         .count = &a.n_kinds},
        {.name = "--policy", .of = "sim", .has_value = true, .value = &a.policy},
        {.name = "--seed", .of = SIMULATED, .has_value = true, .value = &a.seed},
        {.name = "--seconds", .of = SIMULATED, .has_value = true, .value = &a.seconds},
        {.name = "--jitter-ms", .of = SIMULATED, .has_value = true, .value = &a.jitter},
        {.name = "--rate-scale", .of = SIMULATED, .has_value = true, .value = &a.rate_scale},
        {.name = "--cv", .of = SIMULATED, .has_value = true, .value = &a.cv},
        {.name = "--save", .of = SIMULATED, .has_value = true, .value = &a.save},
        {.name = "--shares", .of = SIMULATED, .has_value = true, .value = &a.shares},
        {.name = "--instances", .of = SIMULATED, .has_value = true, .value = &a.instances},
        {.name = "--plot", .of = SIMULATED, .has_value = true, .value = &a.plot},
        {.name = "--cdf", .of = SIMULATED, .has_value = true, .value = &a.cdf},
        {.name = "--errors", .of = "sim", .has_value = true, .value = &a.errors},
        {.name = "--request-log", .of = "sim", .has_value = true, .value = &a.request_log},
        {.name = "--action-log", .of = "sim", .has_value = true, .value = &a.action_log},
        {.name = "--batch", .of = "model", .has_value = true, .value = &batch},
        {.name = "--check", .of = "model", .has_value = true, .value = &check},
        {.name = "--repository", .of = "--repository", .has_value = true, .value = &repository},
        {.name = "--listen", .of = "--repository", .has_value = true, .value = &listen},
        {.name = "--worker",
         .of = "--repository",
         .has_value = true,
         .value = workers,
         .repeat = true,
         .max = CLI_SERVING_WORKERS,
         .count = &n_workers},
    };
    int npos = 0, rc = cli_parse(&cli_verb_serve, argc, argv, opts, (int)AC_ARRAY_LEN(opts), &npos);
    if (rc)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    const char *what = npos ? argv[1] : "--repository";
    bool known = npos == 0   ? repository != NULL
                 : npos == 1 ? ac_streq(what, "sim") || ac_streq(what, "compare")
                             : npos == 2 && ac_streq(what, "model");
    if (known && (rc = cli_opts_of(&cli_verb_serve, what, opts, (int)AC_ARRAY_LEN(opts))) != 0)
        return rc;
    if (known && npos == 0)
        return serve_repository(repository, listen, workers, n_workers);
    if (known && npos == 2)
        return serve_model(argv[2], batch, check, ctx);
    if (known)
        return ac_streq(what, "sim") ? cli_serving_sim(&a, ctx) : cli_serving_compare(&a, ctx);
    return cli_usage(
        "serve",
        "say: serve --repository DIR, serve sim or compare --models CSV, or serve model FILE.onnx");
}

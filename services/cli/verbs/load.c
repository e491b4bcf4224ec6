/* aceso load: loads a served model and says what came back in time. */
#include "verbs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/json.h>
#include <aceso/str.h>

#include "serving/load_client.h"
#include "serving/serving_sim.h"

static int cmd_load(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_load = {
    "load", "load a served model and report what came back in time", cmd_load,
    "usage: aceso load --url grpc://HOST:PORT --model NAME [--version V] [--rate R | --outstanding "
    "N]\n"
    "                  [--process poisson|constant|trace FILE] [--slo-ms X] [--seconds S] [--rows "
    "N]\n"
    "                  [--seed N]\n\n"
    "  --rate R         open loop: R requests a second (default 100)\n"
    "  --process X      their gaps: poisson (default; seeded), constant\n"
    "  --process trace FILE   the arrivals of a recorded trace (Azure Functions 2019, Azure LLM "
    "inference),\n"
    "                   pressed together until they come at --rate on average, where that is "
    "given\n"
    "  --outstanding N  closed loop instead: N requests under way at any time\n"
    "  --slo-ms X       objective, sent as each request's timeout (default: none)\n"
    "  --seconds S      how long, behind half a second of warm-up (default 10; a trace: all of it, "
    "no warm-up)\n"
    "  --rows N         rows of each request (default 1)\n"};

static void print_report(const struct cli_load_report *r, const struct cli_ctx *ctx)
{
    if (!ctx->json) {
        printf("%llu sent in %.1f s: %llu on time, %llu late, %llu rejected, %llu failed\n"
               "%.1f r/s on time, attainment %.5f; p50 %.3f ms, p90 %.3f, p99 %.3f, p99.9 %.3f, "
               "max %.3f; client at most %.3f ms late\n",
               (unsigned long long)r->sent, r->seconds, (unsigned long long)r->ok,
               (unsigned long long)r->late, (unsigned long long)r->rejected,
               (unsigned long long)r->failed, r->goodput_rps, r->attainment, r->p50_ms, r->p90_ms,
               r->p99_ms, r->p999_ms, r->max_ms, r->send_lag_ms);
        if (r->first_error[0])
            printf("first failure: %s\n", r->first_error);
        return;
    }
    ac_cleanup_json j = json_pack(
        "{sI sI sI sI sI sf sf sf sf sf sf sf sf ss}", "sent", (json_int_t)r->sent, "ok",
        (json_int_t)r->ok, "late", (json_int_t)r->late, "rejected", (json_int_t)r->rejected,
        "failed", (json_int_t)r->failed, "goodput_rps", r->goodput_rps, "attainment", r->attainment,
        "p50_ms", r->p50_ms, "p90_ms", r->p90_ms, "p99_ms", r->p99_ms, "p999_ms", r->p999_ms,
        "max_ms", r->max_ms, "send_lag_ms", r->send_lag_ms, "first_error", r->first_error);
    ac_cleanup(ac_free_p) char *text = ac_json_text(j);
    puts(text);
}

/* The file's arrivals, pressed together or pulled apart to a rate (0: as recorded). */
static int take_trace(struct cli_load_plan *plan, const char *file, double rate, bool limited,
                      int64_t **ret_times)
{
    struct trace t;
    struct ac_err err = AC_ERR_INIT;
    int rc = cli_trace_read("load", file, &t);
    if (rc)
        return rc;
    double recorded = (double)t.requests / ((double)t.span_ns * 1e-9);
    double scale = rate > 0 ? rate / recorded : 1;
    /* Counts keep their minutes and have other numbers; times are moved. */
    double span = t.n_times ? (double)t.span_ns / scale + 1 : (double)t.span_ns;
    if (!limited)
        plan->duration_ns = (int64_t)AC_MIN(span, (double)TRACE_SPAN_MAX_S * 1e9);
    if (serving_trace_times(&t, scale, plan->duration_ns, plan->seed, ret_times, &plan->n_times,
                            &err) != 0) {
        ac_err_wrap(&err, "%s", file);
        rc = cli_fail_input("load", &err);
    }
    serving_trace_free(&t);
    plan->times_ns = *ret_times;
    plan->rate = 0;
    plan->warmup_ns = 0;
    return rc;
}

static int run(struct cli_load_plan *plan, const char *trace, double rate, bool limited,
               const struct cli_ctx *ctx)
{
    struct cli_load_report report;
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup(ac_free_p) int64_t *times = NULL;
    int rc = trace ? take_trace(plan, trace, rate, limited, &times) : CLI_OK;
    if (rc == CLI_OK && cli_load_run(plan, &report, &err) != 0)
        rc = cli_fail("load", &err);
    if (rc == CLI_OK)
        print_report(&report, ctx);
    return rc;
}

static int cmd_load(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *url = NULL, *model = NULL, *version = NULL, *rate = NULL, *outstanding = NULL;
    const char *slo = NULL, *seconds = NULL, *rows = NULL, *seed = NULL, *process = "poisson";
    const struct cli_opt opts[] = {
        {.name = "--url", .has_value = true, .value = &url},
        {.name = "--model", .has_value = true, .value = &model},
        {.name = "--version", .has_value = true, .value = &version},
        {.name = "--rate", .has_value = true, .value = &rate},
        {.name = "--outstanding", .has_value = true, .value = &outstanding},
        {.name = "--slo-ms", .has_value = true, .value = &slo},
        {.name = "--seconds", .has_value = true, .value = &seconds},
        {.name = "--rows", .has_value = true, .value = &rows},
        {.name = "--seed", .has_value = true, .value = &seed},
        {.name = "--process", .has_value = true, .value = &process},
    };
    int npos = 0, rc = cli_parse(&cli_verb_load, argc, argv, opts, (int)AC_ARRAY_LEN(opts), &npos);
    if (rc)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    double r = 100, n = 0, ms = 0, s = 10, b = 1, sd = 1;
    bool trace = ac_streq(process, "trace");
    if (trace && npos != 1)
        return cli_usage("load", "--process trace FILE: name one file");
    if (npos != trace || !url || !model)
        return cli_usage("load", "say: load --url grpc://HOST:PORT --model NAME");
    if (rate && outstanding)
        return cli_usage("load", "--rate and --outstanding: one of the two");
    if (!cli_number(rate, 0.001, 1e6, &r))
        return cli_usage("load", "--rate: requests a second, above 0");
    if (!cli_number(outstanding, 1, CLI_LOAD_OPEN_MAX, &n) || n != floor(n))
        return cli_usage("load", "--outstanding: a whole number from 1 to %d", CLI_LOAD_OPEN_MAX);
    if (!cli_number(slo, 0.001, 3600e3, &ms) || !cli_number(seconds, 0.1, 86400, &s))
        return cli_usage("load", "--slo-ms and --seconds: numbers above 0");
    if (!cli_number(rows, 1, 16, &b) || b != floor(b) || !cli_number(seed, 0, 9e15, &sd))
        return cli_usage("load", "--rows: 1 to 16; --seed: a whole number");
    if (!trace && !ac_streq(process, "poisson") && !ac_streq(process, "constant"))
        return cli_usage("load", "--process: poisson, constant or trace FILE");
    if (trace && outstanding)
        return cli_usage("load", "--process trace and --outstanding: one of the two");
    if (strstr(url, "://") && !ac_str_starts(url, "grpc://"))
        return cli_usage("load", "--url: grpc://HOST:PORT");
    struct cli_load_plan plan = {
        .target = ac_str_starts(url, "grpc://") ? url + 7 : url,
        .model = model,
        .version = version,
        .rate = outstanding ? 0 : r,
        .constant = ac_streq(process, "constant"),
        .outstanding = (uint32_t)n,
        .rows = (uint32_t)b,
        .slo_ns = (int64_t)(ms * 1e6),
        .duration_ns = (int64_t)(s * 1e9),
        .warmup_ns = AC_NS_PER_S / 2,
        .seed = (uint64_t)sd,
    };
    return run(&plan, trace ? argv[1] : NULL, rate ? r : 0, seconds != NULL, ctx);
}

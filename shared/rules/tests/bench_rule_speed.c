/* Speed of rules in processor time of one thread.
 *   bench_rule_speed RULE SERIES FLAGS   one rule on a file of doubles: a point at a time, in
 * blocks, 64 series side by side; writes the flags, prints JSON bench_rule_speed growth with
 * windows, rules a series, series a rule; prints a table integration-tests/bench_rules.py runs it
 * beside the same rules in numpy. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <malloc.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/rng.h>
#include <aceso/rules.h>

#define LANES 64
#define STEP  60000000000LL

/* Other programs may have the processor meanwhile: their time is not counted. */
static double seconds(void)
{
    return (double)ac_thread_cpu_ns() / AC_NS_PER_S;
}

static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_rule_speed: %s: %s\n", what, why);
    exit(1);
}

static char *read_all(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        die(path, "cannot be opened");
    (void)fseek(f, 0, SEEK_END);
    long len = ftell(f);
    rewind(f);
    char *s = ac_xcalloc((size_t)AC_MAX(len, 0L) + 1, 1);
    if (len < 0 || fread(s, 1, (size_t)len, f) != (size_t)len)
        die(path, "cannot be read");
    (void)fclose(f);
    *ret_len = (size_t)len;
    return s;
}

struct rules {
    struct ac_ruleset *set;
    struct ac_plan *plan;
};

static struct rules compile(const char *text, const char *name)
{
    struct rules r = {NULL, NULL};
    struct ac_diags d;
    if (ac_ruleset_parse(text, strlen(text), &r.set, &d) < 0)
        die(name, d.v[0].message);
    size_t n = ac_ruleset_len(r.set);
    const struct ac_rule **list = ac_xcalloc(n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = ac_ruleset_get(r.set, i);
    if (ac_plan_create(list, n, 0, &r.plan, NULL) < 0)
        die(name, "no plan");
    free(list);
    return r;
}

static void destroy(struct rules *r)
{
    ac_plan_destroy(r->plan);
    ac_ruleset_destroy(r->set);
}

static double stream_ns(const struct ac_plan *p, const double *v, size_t n, uint8_t *flags)
{
    struct ac_eval *e = ac_eval_create(p, 1);
    double began = seconds();
    for (size_t i = 0; i < n; i++) {
        uint64_t f = ac_eval_push(e, (int64_t)i * STEP, v[i]);
        if (flags)
            flags[i] = f & 1;
    }
    double took = seconds() - began;
    ac_eval_destroy(e);
    return took * 1e9 / (double)n;
}

static double blocks_ns(const struct ac_plan *p, const double *v, size_t n, uint8_t *flags)
{
    struct ac_eval *e = ac_eval_create(p, 512);
    struct ac_eval_batch b = {.values = v, .n = n, .step_ns = STEP, .flags = flags};
    double began = seconds();
    ac_eval_run(e, &b);
    double took = seconds() - began;
    ac_eval_destroy(e);
    return took * 1e9 / (double)n;
}

/* n points of series that are the same, each from another place on. */
static double lanes_ns(const struct ac_plan *p, const double *v, size_t n, size_t lanes)
{
    struct ac_eval *e = ac_eval_create_lanes(p, lanes);
    double *row = ac_xcalloc(lanes, sizeof *row), took = 0;
    int64_t *times = ac_xcalloc(lanes, sizeof *times);
    uint64_t *flags = ac_xcalloc(lanes, sizeof *flags);
    for (size_t t = 0; t < n; t++) {
        for (size_t k = 0; k < lanes; k++) {
            row[k] = v[(t + k * 977) % n];
            times[k] = (int64_t)t * STEP;
        }
        double began = seconds();
        ac_eval_push_lanes(e, times, row, NULL, flags);
        took += seconds() - began;
    }
    ac_eval_destroy(e);
    free(row);
    free(times);
    free(flags);
    return took * 1e9 / (double)(n * lanes);
}

static int one_rule(const char *rule, const char *series, const char *out)
{
    size_t len = 0, n = 0;
    char *text = read_all(rule, &len);
    double *v = (void *)read_all(series, &n);
    n /= sizeof *v;
    struct rules r = compile(text, rule);
    struct ac_cost c = ac_plan_cost(r.plan);
    uint8_t *a = ac_xcalloc(n, 1), *b = ac_xcalloc(n, 1);
    double stream = stream_ns(r.plan, v, n, a), blocks = blocks_ns(r.plan, v, n, b);
    for (int i = 0; i < 2; i++) { /* the best of three: the others were disturbed */
        stream = AC_MIN(stream, stream_ns(r.plan, v, n, a));
        blocks = AC_MIN(blocks, blocks_ns(r.plan, v, n, b));
    }
    if (memcmp(a, b, n) != 0)
        die(rule, "blocks and single points have different flags");
    double lanes = lanes_ns(r.plan, v, AC_MIN(n, (size_t)20000), LANES);
    FILE *f = fopen(out, "wb");
    if (!f || fwrite(a, 1, n, f) != n || fclose(f) != 0)
        die(out, "cannot be written");
    printf("{\"stream_ns\": %.2f, \"blocks_ns\": %.2f, \"lanes_ns\": %.2f, \"state_bytes\": %zu, "
           "\"operators\": %zu}\n",
           stream, blocks, lanes, c.state_bytes, c.operators);
    destroy(&r);
    free(text);
    free(v);
    free(a);
    free(b);
    return 0;
}

/* ---- growth ---- */

static double *noise(size_t n)
{
    double *v = ac_xcalloc(n, sizeof *v);
    struct ac_rng r;
    ac_rng_seed(&r, 1);
    for (size_t i = 0; i < n; i++)
        v[i] = 100 + 20 * sin((double)i / 200) + ac_rng_normal(&r);
    return v;
}

/* After the window has filled up once. */
static double settled_ns(const struct ac_plan *p, const double *v, size_t fill, size_t n)
{
    struct ac_eval *e = ac_eval_create(p, 1);
    struct ac_eval_batch b = {.values = v, .n = fill, .step_ns = STEP};
    ac_eval_run(e, &b);
    double began = seconds();
    for (size_t i = 0; i < n; i++)
        (void)ac_eval_push(e, 0, v[(fill + i) % (fill + n)]);
    double took = seconds() - began;
    ac_eval_destroy(e);
    return took * 1e9 / (double)n;
}

static void grow_windows(void)
{
    static const char *const what[] = {"mean", "std", "slope", "max", "median", "robust_z"};
    printf("window, one point at a time (ns)");
    for (size_t w = 10; w <= 1000000; w *= 10)
        printf("%10zu", w);
    printf("\n");
    double *v = noise(1200000);
    for (size_t i = 0; i < AC_ARRAY_LEN(what); i++) {
        printf("%-32s", what[i]);
        for (size_t w = 10; w <= 1000000; w *= 10) {
            char text[160];
            (void)snprintf(text, sizeof text, "language 1 rule \"w\" { when %s(value, %zu) > 150 }",
                           what[i], w);
            struct rules r = compile(text, what[i]);
            printf("%10.1f", settled_ns(r.plan, v, w + w / 8, 100000));
            (void)fflush(stdout);
            destroy(&r);
        }
        printf("\n");
    }
    free(v);
}

static void grow_rules(void)
{
    static const char *const kinds[] = {"other thresholds", "other windows"};
    double *v = noise(200000);
    for (size_t kind = 0; kind < 2; kind++) {
        for (size_t n = 1; n <= 1000; n *= 10) {
            struct ac_buf b;
            ac_buf_init(&b, 4u << 20);
            ac_buf_puts(&b, "language 1\n");
            for (size_t i = 0; i < n; i++)
                ac_buf_printf(&b,
                              "rule \"r%zu\" { let m = mean(value, %zu) when value > m + %zu * "
                              "std(value, %zu) for 2 of 3 }\n",
                              i, kind ? 10 + i : 60, kind ? 5 : 5 + i, kind ? 10 + i : 60);
            struct rules r = compile(ac_buf_str(&b), "rules");
            size_t points = AC_MAX(200000 / n, (size_t)2000);
            struct ac_cost c = ac_plan_cost(r.plan);
            double single = stream_ns(r.plan, v, points, NULL);
            printf("%4zu rules a series, %-16s  %8.1f ns a point and rule, in blocks %7.2f; %zu "
                   "operators, %zu bytes\n",
                   n, kinds[kind], single / (double)n,
                   blocks_ns(r.plan, v, points, NULL) / (double)n, c.operators, c.state_bytes);
            destroy(&r);
            ac_buf_fini(&b);
        }
    }
    free(v);
}

static void grow_series(void)
{
    static const char text[] =
        "language 1 rule \"s\" { let change = diff(value, 1) let ar = change - predict(change, "
        "[-0.5, "
        "-0.25, -0.12]) let up = mean(value, 3) - mean(lag(value, 3), 30) "
        "when ar / 2 > 9 or edge(up / (lag(ewma(abs(up), 0.02), 1) + 0.1) > 8, 5) }";
    double *v = noise(100000);
    struct rules r = compile(text, "series");
    for (size_t n = 10; n <= 1000000; n *= 10) {
        size_t evals = (n + LANES - 1) / LANES, ticks = AC_MAX((size_t)40, 2000000 / n);
        ticks = AC_MIN(ticks, (size_t)2000);
        struct ac_eval **e = ac_xcalloc(evals, sizeof(struct ac_eval *));
        size_t lanes = AC_MIN(n, (size_t)LANES), before = mallinfo2().uordblks;
        for (size_t i = 0; i < evals; i++)
            e[i] = ac_eval_create_lanes(r.plan, lanes);
        double bytes = (double)(mallinfo2().uordblks - before) / (double)(evals * lanes);
        uint64_t flags[LANES];
        double took = 0;
        for (size_t t = 0; t < ticks; t++) {
            double began = seconds();
            for (size_t i = 0; i < evals; i++)
                ac_eval_push_lanes(e[i], NULL, v + (t + i * LANES) % 90000, NULL, flags);
            took += t >= ticks / 2 ? seconds() - began : 0;
        }
        size_t counted = ticks - ticks / 2;
        double points = (double)(counted * evals * lanes);
        printf("%8zu series a rule  %6.2f ns a point (%.3g points/s), %.0f bytes a series\n", n,
               took * 1e9 / points, points / took, bytes);
        (void)fflush(stdout);
        for (size_t i = 0; i < evals; i++)
            ac_eval_destroy(e[i]);
        free(e);
    }
    printf("         state of a series alone: %zu bytes\n", ac_plan_cost(r.plan).state_bytes);
    destroy(&r);
    free(v);
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return one_rule(argv[1], argv[2], argv[3]);
    if (argc != 1 && !(argc == 2 && strcmp(argv[1], "growth") == 0))
        die("usage", "bench_rule_speed [growth] | RULE SERIES FLAGS");
    grow_windows();
    grow_rules();
    grow_series();
    return 0;
}

/* aceso rule: checks, formats and evaluates rule files. No service is needed. */
#include "verbs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/rules.h>
#include <aceso/str.h>

#include "readers/series_file.h"

static int cmd_rule(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_rule = {
    "rule", "check, format and evaluate rules", cmd_rule,
    "usage: aceso rule check FILE\n"
    "       aceso rule fmt FILE [--write]\n"
    "       aceso rule eval FILE --series CSV [--stream] [--out FLAGS] [--explain N]\n"
    "       aceso rule ops\n\n"
    "  check          syntax, types, bytes of state a series and arithmetic steps a point\n"
    "  fmt            prints the canonical text; --write puts it into the file\n"
    "  --series CSV   value,label rows or a header with timestamp,value,label; .gz is read as it "
    "is\n"
    "  --stream       feeds point by point instead of in blocks: the flags are the same\n"
    "  --out FLAGS    one 0/1 a row; with several rules a row is 1 when any of them flags it\n"
    "  --explain N    show the reasons of at most N flagged rows (default 20)\n"
    "  ops            the operators of the language\n"};

static void put_diags(struct ac_buf *b, const struct ac_diags *d)
{
    for (size_t i = 0; i < d->n; i++) {
        ac_buf_printf(b, "%s{\"line\": %d, \"column\": %d, \"message\": ", i ? ", " : "",
                      d->v[i].line, d->v[i].column);
        ac_buf_put_json_str(b, d->v[i].message);
        ac_buf_puts(b, ", \"hint\": ");
        ac_buf_put_json_str(b, d->v[i].hint);
        ac_buf_putc(b, '}');
    }
}

/* Errors as people read them: one line each, with the place; the hint behind. */
static void print_diags(FILE *to, const char *path, const struct ac_diags *d)
{
    for (size_t i = 0; i < d->n; i++)
        fprintf(to, "%s:%d:%d: %s%s%s%s\n", path, d->v[i].line, d->v[i].column, d->v[i].message,
                d->v[i].hint[0] ? " (" : "", d->v[i].hint, d->v[i].hint[0] ? ")" : "");
}

/* 0, or the exit code. */
static int load(const char *verb, const char *path, struct ac_ruleset **ret, struct ac_diags *d)
{
    struct ac_err err = AC_ERR_INIT;
    char *text = NULL;
    size_t len = 0;
    if (ac_file_read(path, AC_RULES_TEXT_MAX, &text, &len, &err) < 0)
        return cli_fail_input(verb, &err);
    int rc = ac_ruleset_parse(text, len, ret, d);
    free(text);
    return rc < 0 ? CLI_USAGE : CLI_OK;
}

static int plan_all(const struct ac_ruleset *s, struct ac_plan **ret, struct ac_err *err)
{
    size_t n = ac_ruleset_len(s);
    const struct ac_rule **r = ac_xcalloc(n + 1, sizeof *r);
    for (size_t i = 0; i < n; i++)
        r[i] = ac_ruleset_get(s, i);
    int rc = ac_plan_create(r, n, 0, ret, err);
    free(r);
    return rc;
}

static int cmd_check(const char *path, const struct cli_ctx *ctx)
{
    struct ac_ruleset *s = NULL;
    struct ac_diags d = {.n = 0};
    struct ac_plan *p = NULL;
    struct ac_err err = AC_ERR_INIT;
    int code = load("rule check", path, &s, &d);
    if (code && !d.n)
        return code;
    if (!code && plan_all(s, &p, &err) < 0) {
        ac_ruleset_destroy(s);
        return cli_fail("rule check", &err);
    }
    struct ac_cost c = p ? ac_plan_cost(p) : (struct ac_cost){0};
    if (ctx->json) {
        struct ac_buf b;
        ac_buf_init(&b, 1 << 20);
        ac_buf_printf(&b, "{\"ok\": %s, \"errors\": [", code ? "false" : "true");
        put_diags(&b, &d);
        ac_buf_printf(
            &b,
            "], \"rules\": %zu, \"state_bytes\": %zu, \"ops_per_point\": %.6g, \"lookback\": %zu}",
            s ? ac_ruleset_len(s) : 0, c.state_bytes, c.ops_per_point, c.lookback);
        printf("%s\n", ac_buf_str(&b));
        ac_buf_fini(&b);
    } else if (code) {
        print_diags(stderr, path, &d);
    } else {
        printf("%s: ok; %zu rules, %zu bytes of state a series, %.0f steps a point, looks back %zu "
               "points\n",
               path, ac_ruleset_len(s), c.state_bytes, c.ops_per_point, c.lookback);
    }
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
    return code;
}

static int cmd_fmt(const char *path, bool write, const struct cli_ctx *ctx)
{
    struct ac_ruleset *s = NULL;
    struct ac_diags d = {.n = 0};
    struct ac_err err = AC_ERR_INIT;
    int code = load("rule fmt", path, &s, &d);
    if (code) {
        print_diags(stderr, path, &d);
        return code;
    }
    struct ac_buf b;
    ac_buf_init(&b, 4 * (size_t)AC_RULES_TEXT_MAX);
    ac_ruleset_print(s, &b);
    if (write && ac_file_write_atomic(path, b.data, b.len, 0644, &err) < 0) {
        code = cli_fail("rule fmt", &err);
    } else if (ctx->json) {
        struct ac_buf j;
        ac_buf_init(&j, 16 * (size_t)AC_RULES_TEXT_MAX);
        ac_buf_puts(&j, "{\"ok\": true, \"errors\": [], \"text\": ");
        ac_buf_put_json_str(&j, b.data);
        printf("%s}\n", ac_buf_str(&j));
        ac_buf_fini(&j);
    } else if (!write) {
        fputs(ac_buf_str(&b), stdout);
    }
    ac_buf_fini(&b);
    ac_ruleset_destroy(s);
    return code;
}

struct explain {
    struct ac_buf json, text;
    size_t shown, max;
};

static void explain_row(struct ac_eval *e, size_t rule, size_t row, void *arg)
{
    struct explain *x = arg;
    if (x->shown == x->max)
        return;
    struct ac_buf reason;
    ac_buf_init(&reason, 64 * 1024);
    (void)ac_eval_reason(e, rule, &reason);
    ac_buf_printf(&x->text, "row %zu: %s\n", row, ac_buf_str(&reason));
    ac_buf_printf(&x->json, "%s{\"row\": %zu, \"reason\": ", x->shown++ ? ", " : "", row);
    ac_buf_put_json_str(&x->json, ac_buf_str(&reason));
    ac_buf_puts(&x->json, ", \"values\": {");
    ac_buf_fini(&reason);
}

struct evaluation {
    const struct ac_ruleset *set;
    struct ac_plan *plan;
    const struct series_file *f;
    uint8_t *any; /* a row's flag: any rule */
    struct explain x;
    double seconds;
};

static void put_values(struct ac_eval *e, size_t rule, struct ac_buf *b, const struct ac_rule *r)
{
    const char *names[64];
    size_t n = ac_rule_reason_names(r, names, AC_ARRAY_LEN(names));
    for (size_t i = 0; i < n; i++) {
        double v = ac_eval_term(e, rule, names[i]);
        ac_buf_printf(b, "%s\"%s\": ", i ? ", " : "", names[i]);
        if (isfinite(v))
            ac_buf_printf(b, "%.10g", v);
        else
            ac_buf_puts(b, "null");
    }
    ac_buf_puts(b, "}}");
}

static void on_flag(struct ac_eval *e, size_t rule, size_t row, void *arg)
{
    struct evaluation *v = arg;
    size_t before = v->x.shown;
    explain_row(e, rule, row, &v->x);
    if (v->x.shown != before)
        put_values(e, rule, &v->x.json, ac_ruleset_get(v->set, rule));
}

static void run_eval(struct evaluation *v, bool stream)
{
    const struct series_file *f = v->f;
    size_t n_rules = ac_plan_n_rules(v->plan);
    struct ac_eval *e = ac_eval_create(v->plan, stream ? 1 : 512);
    uint8_t *flags = stream ? NULL : ac_xcalloc(f->n * AC_MAX(n_rules, (size_t)1) + 1, 1);
    int64_t start = ac_now_ns();
    if (stream) {
        for (size_t i = 0; i < f->n; i++) {
            (void)ac_eval_push(e, f->t0_ns + (int64_t)i * f->step_ns, f->values[i]);
            for (size_t r = 0; r < n_rules; r++)
                v->any[i] |= ac_eval_flag(e, r);
        }
    } else {
        struct ac_eval_batch b = {.values = f->values,
                                  .n = f->n,
                                  .t0_ns = f->t0_ns,
                                  .step_ns = f->step_ns,
                                  .flags = flags};
        ac_eval_run(e, &b);
    }
    v->seconds = (double)(ac_now_ns() - start) / 1e9;
    for (size_t r = 0; flags && r < n_rules; r++) {
        for (size_t i = 0; i < f->n; i++)
            v->any[i] |= flags[r * f->n + i];
    }
    free(flags);
    if (v->x.max) { /* a second run for the reasons, so that the time is the rules' own */
        ac_eval_reset(e);
        struct ac_eval_batch b = {.values = f->values,
                                  .n = f->n,
                                  .t0_ns = f->t0_ns,
                                  .step_ns = f->step_ns,
                                  .on_flag = on_flag,
                                  .arg = v};
        ac_eval_run(e, &b);
    }
    ac_eval_destroy(e);
}

static int write_flags(const char *path, const uint8_t *any, size_t n, struct ac_err *err)
{
    char *out = ac_xmalloc(2 * n + 1);
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = any[i] ? '1' : '0';
        out[2 * i + 1] = '\n';
    }
    int rc = ac_file_write_atomic(path, out, 2 * n, 0644, err);
    free(out);
    return rc;
}

static int report(struct evaluation *v, const char *out, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    size_t flagged = 0;
    for (size_t i = 0; i < v->f->n; i++)
        flagged += v->any[i];
    if (out && write_flags(out, v->any, v->f->n, &err) < 0)
        return cli_fail("rule eval", &err);
    double rate = v->seconds > 0 ? (double)v->f->n / v->seconds : 0;
    if (ctx->json)
        printf("{\"points\": %zu, \"flagged\": %zu, \"points_per_s\": %.0f, \"explained\": [%s]}\n",
               v->f->n, flagged, rate, ac_buf_str(&v->x.json));
    else
        printf("%s%zu points, %zu flagged, %.3g points/s\n", ac_buf_str(&v->x.text), v->f->n,
               flagged, rate);
    return CLI_OK;
}

static int cmd_eval(const char *path, const char *series, bool stream, const char *out, size_t max,
                    const struct cli_ctx *ctx)
{
    struct ac_ruleset *s = NULL;
    struct ac_diags d = {.n = 0};
    struct ac_err err = AC_ERR_INIT;
    struct series_file f;
    int code = load("rule eval", path, &s, &d);
    if (code) {
        print_diags(stderr, path, &d);
        return code;
    }
    struct evaluation v = {.set = s, .f = &f};
    if (plan_all(s, &v.plan, &err) < 0 || series_file_read(series, &f, &err) < 0) {
        ac_plan_destroy(v.plan);
        ac_ruleset_destroy(s);
        return cli_fail("rule eval", &err);
    }
    v.any = ac_xcalloc(f.n + 1, 1);
    v.x.max = max;
    ac_buf_init(&v.x.json, 64u << 20);
    ac_buf_init(&v.x.text, 64u << 20);
    run_eval(&v, stream);
    code = report(&v, out, ctx);
    ac_buf_fini(&v.x.json);
    ac_buf_fini(&v.x.text);
    free(v.any);
    series_file_fini(&f);
    ac_plan_destroy(v.plan);
    ac_ruleset_destroy(s);
    return code;
}

static int cmd_ops(void)
{
    const struct ac_rule_op_info *ops;
    size_t n = ac_rule_ops(&ops);
    for (size_t i = 0; i < n; i++)
        printf("%-14s %s\n               %s; state: %s\n               %s\n", ops[i].name,
               ops[i].formula, ops[i].warmup, ops[i].state, ops[i].example);
    return CLI_OK;
}

static int cmd_rule(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *series = NULL, *stream = NULL, *out = NULL, *write = NULL, *explain = NULL;
    struct cli_opt opts[] = {{.name = "--series", .has_value = true, .value = &series},
                             {.name = "--out", .has_value = true, .value = &out},
                             {.name = "--explain", .has_value = true, .value = &explain},
                             {.name = "--stream", .value = &stream},
                             {.name = "--write", .value = &write}};
    int npos = 0;
    int rc = cli_parse(&cli_verb_rule, argc, argv, opts, AC_ARRAY_LEN(opts), &npos);
    if (rc)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    uint64_t max = 20;
    if (explain && (!ac_str_to_u64(explain, &max) || max > 1000000))
        return cli_usage("rule", "--explain is a number of rows");
    if (npos == 1 && ac_streq(argv[1], "ops"))
        return cmd_ops();
    if (npos != 2)
        return cli_usage("rule", "say check, fmt or eval and one file (see aceso rule --help)");
    if (ac_streq(argv[1], "check"))
        return cmd_check(argv[2], ctx);
    if (ac_streq(argv[1], "fmt"))
        return cmd_fmt(argv[2], write, ctx);
    if (!ac_streq(argv[1], "eval"))
        return cli_usage("rule", "%s is no action: check, fmt, eval or ops", argv[1]);
    if (!series)
        return cli_usage("rule eval", "name a series file with --series");
    return cmd_eval(argv[2], series, stream, out, (size_t)max, ctx);
}

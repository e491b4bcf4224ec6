/* aceso rule eval: flags of a series file, with their reasons. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "rule/inputs.h"
#include "rule/replay.h"
#include "rule/rule.h"

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
    struct rule_inputs in;
    uint8_t *any; /* a row's flag: any rule */
    struct explain x;
    double seconds; /* of processor time: other programs do not count */
};

void rule_put_values(struct ac_buf *b, const struct ac_eval *e, size_t rule,
                     const struct ac_rule *r)
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
}

static void on_flag(struct ac_eval *e, size_t rule, size_t row, void *arg)
{
    struct evaluation *v = arg;
    size_t before = v->x.shown;
    explain_row(e, rule, row, &v->x);
    if (v->x.shown == before)
        return;
    rule_put_values(&v->x.json, e, rule, ac_ruleset_get(v->set, rule));
    ac_buf_puts(&v->x.json, "}}");
}

static void run_eval(struct evaluation *v, bool stream)
{
    const struct series_file *f = v->f;
    size_t n_rules = ac_plan_n_rules(v->plan);
    struct ac_eval *e = ac_eval_create(v->plan, stream ? 1 : 512);
    int64_t start = ac_thread_cpu_ns();
    if (stream) {
        ac_cleanup(ac_free_p) double *now = ac_xcalloc(v->in.n + 1, sizeof *now);
        for (size_t i = 0; i < f->n; i++) {
            for (size_t k = 0; k < v->in.n; k++)
                now[k] = v->in.column[k][i];
            (void)ac_eval_push_with(e, f->t0_ns + (int64_t)i * f->step_ns, f->values[i], now);
            for (size_t r = 0; r < n_rules; r++)
                v->any[i] |= ac_eval_flag(e, r);
        }
    } else {
        struct ac_eval_batch b = {.values = f->values,
                                  .n = f->n,
                                  .t0_ns = f->t0_ns,
                                  .step_ns = f->step_ns,
                                  .inputs = (const double *const *)v->in.column};
        rule_run_any(e, v->plan, &b, v->any);
    }
    v->seconds = (double)(ac_thread_cpu_ns() - start) / 1e9;
    if (v->x.max) { /* a second run for the reasons, so that the time is the rules' own */
        ac_eval_reset(e);
        struct ac_eval_batch b = {.values = f->values,
                                  .n = f->n,
                                  .t0_ns = f->t0_ns,
                                  .step_ns = f->step_ns,
                                  .inputs = (const double *const *)v->in.column,
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
    if (ctx->json ? v->x.json.failed : v->x.text.failed) {
        (void)ac_err_set(&err, AC_ERANGE, "the reasons are too long: fewer of them (--explain)");
        return cli_fail("rule eval", &err);
    }
    double rate = v->seconds > 0 ? (double)v->f->n / v->seconds : 0;
    if (ctx->json)
        printf("{\"points\": %zu, \"flagged\": %zu, \"points_per_s\": %.0f, \"explained\": [%s]}\n",
               v->f->n, flagged, rate, ac_buf_str(&v->x.json));
    else
        printf("%s%zu points, %zu flagged, %.3g points/s\n", ac_buf_str(&v->x.text), v->f->n,
               flagged, rate);
    return CLI_OK;
}

static int plot(const struct rule_args *a)
{
    struct ac_err err = AC_ERR_INIT;
    struct rule_replay r;
    int code = rule_replay("rule eval", a->file, a->series, &r);
    if (code)
        return code;
    if (rule_replay_chart(a->plot, &r, &err) < 0)
        code = cli_fail("rule eval", &err);
    rule_replay_fini(&r);
    return code;
}

int rule_eval_cmd(const struct rule_args *a, const struct cli_ctx *ctx)
{
    struct ac_ruleset *s = NULL;
    struct ac_err err = AC_ERR_INIT;
    struct series_file f;
    int code = rule_load_ok("rule eval", a->file, &s);
    if (code)
        return code;
    struct evaluation v = {.set = s, .f = &f};
    if (rule_plan(s, 0, &v.plan, &err) < 0 ||
        rule_inputs_read(a->series, v.plan, &f, &v.in, &err) < 0) {
        ac_plan_destroy(v.plan);
        ac_ruleset_destroy(s);
        return cli_fail("rule eval", &err);
    }
    v.any = ac_xcalloc(f.n + 1, 1);
    v.x.max = a->explain;
    ac_buf_init(&v.x.json, 64u << 20);
    ac_buf_init(&v.x.text, 64u << 20);
    run_eval(&v, a->stream);
    code = a->plot ? plot(a) : CLI_OK;
    if (code == CLI_OK)
        code = report(&v, a->out, ctx);
    ac_buf_fini(&v.x.json);
    ac_buf_fini(&v.x.text);
    free(v.any);
    rule_inputs_fini(&v.in);
    series_file_fini(&f);
    ac_plan_destroy(v.plan);
    ac_ruleset_destroy(s);
    return code;
}

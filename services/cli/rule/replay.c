#include "rule/replay.h"

#include "deviation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/svg.h>

#include "rule/rule.h"

#define SVG_MAX (16u << 20)
#define BLOCK   512        /* points that an evaluation takes at once */
#define SLICE   (1u << 20) /* flags of all rules that are held at once */

/* Lets of the first rule whose values are wanted. */
struct terms {
    const char *names[4];
    double *columns[4];
    size_t n;
};

static double *want(struct terms *t, const struct ac_eval *e, const char *name, size_t points)
{
    if (!ac_eval_has_term(e, 0, name))
        return NULL;
    t->names[t->n] = name;
    t->columns[t->n] = ac_xmalloc(points * sizeof(double));
    return t->columns[t->n++];
}

static double *want_reference(struct terms *t, const struct ac_eval *e, size_t points)
{
    static const char *const names[] = {"expected", "ref1", "ref3", "ref7", "ref14", "ref28"};
    double *v = NULL;
    for (size_t i = 0; i < AC_ARRAY_LEN(names) && !v; i++)
        v = want(t, e, names[i], points);
    return v;
}

static struct replay_alarm *alarm_at(struct rule_replay *r, size_t row)
{
    size_t lo = 0, hi = r->n_alarms;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (r->alarms[mid].from < row)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < r->n_alarms && r->alarms[lo].from == row ? &r->alarms[lo] : NULL;
}

static void on_flag(struct ac_eval *e, size_t rule, size_t row, void *arg)
{
    struct replay_alarm *a = alarm_at(arg, row);
    if (!a || a->reason)
        return;
    struct ac_buf b;
    ac_buf_init(&b, 64 * 1024);
    (void)ac_eval_reason(e, rule, &b);
    a->rule = rule;
    a->reason = ac_buf_take(&b);
}

static void find_alarms(struct rule_replay *r)
{
    size_t cap = 0;
    for (size_t i = 0; i < r->f.n; i++) {
        if (!r->any[i])
            continue;
        if (i && r->any[i - 1]) {
            r->alarms[r->n_alarms - 1].to = i;
            continue;
        }
        ac_grow(&r->alarms, &cap, r->n_alarms + 1, sizeof *r->alarms);
        r->alarms[r->n_alarms++] = (struct replay_alarm){.from = i, .to = i};
    }
}

/* A slice at a time: rules x rows of the whole series would be too much memory. */
void rule_run_any(struct ac_eval *e, const struct ac_plan *p, const struct ac_eval_batch *b,
                  uint8_t *any)
{
    size_t n_rules = ac_plan_n_rules(p), n_inputs = ac_plan_n_inputs(p);
    size_t most = AC_MIN(b->n, AC_MAX(SLICE / AC_MAX(n_rules, (size_t)1), (size_t)BLOCK));
    uint8_t *flags = ac_xmalloc(most * n_rules + 1);
    const double **inputs = ac_xcalloc(n_inputs + 1, sizeof *inputs);
    double **terms = ac_xcalloc(b->n_terms + 1, sizeof *terms);
    struct ac_eval_batch part = *b;
    part.inputs = inputs;
    part.flags = flags;
    part.terms = terms;
    memset(any, 0, b->n);
    for (size_t at = 0; at < b->n; at += part.n) {
        part.n = AC_MIN(most, b->n - at);
        part.values = b->values + at;
        part.t0_ns = b->t0_ns + (int64_t)at * b->step_ns;
        for (size_t i = 0; i < n_inputs; i++)
            inputs[i] = b->inputs[i] + at;
        for (size_t i = 0; i < b->n_terms; i++)
            terms[i] = b->terms[i] + at;
        ac_eval_run(e, &part);
        for (size_t r = 0; r < n_rules; r++) {
            for (size_t i = 0; i < part.n; i++)
                any[at + i] |= flags[r * part.n + i];
        }
    }
    free(flags);
    free(inputs);
    free(terms);
}

static void run(struct rule_replay *r)
{
    size_t n = r->f.n, n_rules = ac_plan_n_rules(r->plan);
    struct ac_eval *e = ac_eval_create(r->plan, BLOCK);
    struct terms t = {.n = 0};
    if (n_rules) {
        r->score = want(&t, e, DEVIATION_NAME, n);
        if (!r->score)
            r->score = want(&t, e, "score", n);
        r->expected = want_reference(&t, e, n);
        r->low = want(&t, e, "low", n);
        r->high = want(&t, e, "high", n);
    }
    struct ac_eval_batch b = {.values = r->f.values,
                              .n = n,
                              .t0_ns = r->f.t0_ns,
                              .step_ns = r->f.step_ns,
                              .inputs = (const double *const *)r->in.column,
                              .n_terms = t.n,
                              .term_names = t.names,
                              .terms = t.columns};
    r->any = ac_xmalloc(n + 1);
    rule_run_any(e, r->plan, &b, r->any);
    find_alarms(r);
    ac_eval_reset(e); /* a second run, for the reasons of the rows that begin an alarm */
    b.n_terms = 0;
    b.on_flag = on_flag;
    b.arg = r;
    ac_eval_run(e, &b);
    ac_eval_destroy(e);
}

int rule_replay(const char *verb, const char *rules, const char *series, struct rule_replay *ret)
{
    struct ac_err err = AC_ERR_INIT;
    struct rule_replay r = {.n_alarms = 0};
    int code = rule_load_ok(verb, rules, &r.set);
    if (code)
        return code;
    if (rule_plan(r.set, AC_PLAN_ALL_TERMS, &r.plan, &err) < 0 ||
        rule_inputs_read(series, r.plan, &r.f, &r.in, &err) < 0) {
        ac_plan_destroy(r.plan);
        ac_ruleset_destroy(r.set);
        return cli_fail(verb, &err);
    }
    run(&r);
    *ret = r;
    return CLI_OK;
}

void rule_replay_fini(struct rule_replay *r)
{
    for (size_t i = 0; i < r->n_alarms; i++)
        free(r->alarms[i].reason);
    free(r->alarms);
    free(r->any);
    free(r->score);
    free(r->expected);
    free(r->low);
    free(r->high);
    rule_inputs_fini(&r->in);
    series_file_fini(&r->f);
    ac_plan_destroy(r->plan);
    ac_ruleset_destroy(r->set);
}

int rule_chart_write(const char *path, const struct rule_replay *r, const struct rule_replay *other,
                     const struct ac_chart_note *notes, size_t n_notes, struct ac_err *err)
{
    struct ac_chart_row rows[3];
    size_t n = 0;
    if (r->f.labelled)
        rows[n++] = (struct ac_chart_row){"labelled", r->f.labels, "e"};
    rows[n++] = (struct ac_chart_row){other ? "old rules" : "flagged", r->any, "f0"};
    if (other)
        rows[n++] = (struct ac_chart_row){"new rules", other->any, "f1"};
    const struct rule_replay *band = other ? other : r;
    struct ac_chart c = {.title = r->f.name,
                         .n = r->f.n,
                         .t0_ns = r->f.t0_ns,
                         .step_ns = r->f.step_ns,
                         .values = r->f.values,
                         .expected = band->expected,
                         .low = band->low,
                         .high = band->high,
                         .events = r->f.labelled ? r->f.labels : NULL,
                         .rows = rows,
                         .n_rows = n,
                         .notes = notes,
                         .n_notes = n_notes};
    struct ac_buf b;
    ac_buf_init(&b, SVG_MAX);
    int rc = ac_chart_svg(&c, &b)
                 ? ac_file_write_atomic(path, b.data, b.len, 0644, err)
                 : ac_err_set(err, AC_ERANGE, "%s: the picture is too large", path);
    ac_buf_fini(&b);
    return rc;
}

int rule_replay_chart(const char *path, const struct rule_replay *r, struct ac_err *err)
{
    struct ac_chart_note *notes = ac_xcalloc(r->n_alarms + 1, sizeof *notes);
    for (size_t i = 0; i < r->n_alarms; i++)
        notes[i] = (struct ac_chart_note){r->alarms[i].from, r->alarms[i].reason};
    int rc = rule_chart_write(path, r, NULL, notes, r->n_alarms, err);
    free(notes);
    return rc;
}

#include "defaults.h"

#include "bank.h"
#include "edit.h"
#include "evalrule.h"
#include "score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/rules.h>

#define QUIET     7  /* points without it before a part fires again; the texts say so, too */
#define FLAT_MIN  12 /* points */
#define STUCK_MIN 6
#define FLAT_MORE 2.0 /* times the longest seen */
#define CAP_SEEN  3   /* points at the greatest value that make it the end of a scale */
#define ON_SHARE  0.1 /* of points: more is staying on */

/* What a kind of series has, and how far beyond what was seen. */
static const struct {
    bool parts[DEFAULT_END];
    double jump, range;
} kinds[] = {
    [KIND_MINUTE] = {{[DEFAULT_SPIKE] = true, [DEFAULT_FLAT] = true, [DEFAULT_STUCK] = true},
                     0.05,
                     0.05},
    /* no range: what grows or sways leaves it every day */
    [KIND_HOURLY] = {{[DEFAULT_SPIKE] = true, [DEFAULT_FLAT] = true, [DEFAULT_STUCK] = true},
                     0.05,
                     0.05},
    [KIND_STATE] = {{true, true, true, true}, 1.0, 0.1},
};

/* What the parts are made from; n: the points that were looked at. */
struct seen {
    double low, high; /* of the values */
    double spike;     /* greatest size of the residual; 0: none can be fitted */
    size_t flat, top; /* longest runs: of one value, of the greatest */
    size_t at_top;    /* points at the greatest */
};

struct maker {
    const struct train_part *p;
    enum series_kind kind;
    struct bank_fit fit;
    struct bank_lets lets;
    double *resid; /* column of the residual; NULL: none can be fitted */
    char name[24];
};

/* Missing points end no run, and lengthen none. */
static size_t longest(const double *v, size_t n, double from)
{
    size_t best = 0, run = 0;
    double last = __builtin_nan("");
    for (size_t i = 0; i < n; i++) {
        if (v[i] != v[i])
            continue;
        run = v[i] < from ? 0 : v[i] == last ? run + 1 : 1;
        last = v[i];
        best = run > best ? run : best;
    }
    return best;
}

static bool look(const struct maker *m, size_t n, struct seen *s)
{
    *s = (struct seen){.low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < n; i++) {
        double v = m->p->values[i], r = m->resid ? fabs(m->resid[i]) : 0;
        s->low = v < s->low ? v : s->low;
        s->high = v > s->high ? v : s->high;
        s->spike = r > s->spike ? r : s->spike;
    }
    if (!(s->low <= s->high))
        return false;
    s->flat = longest(m->p->values, n, -INFINITY);
    s->top = longest(m->p->values, n, s->high);
    for (size_t i = 0; i < n; i++)
        s->at_top += m->p->values[i] == s->high;
    return true;
}

static double flat_limit(const struct seen *s)
{
    return fmax(ceil(FLAT_MORE * (double)s->flat), FLAT_MIN);
}

static double stuck_limit(const struct seen *s)
{
    return s->at_top < CAP_SEEN ? INFINITY : fmax(ceil(FLAT_MORE * (double)s->top), STUCK_MIN);
}

static double jump_limit(const struct maker *m, const struct seen *s)
{
    return bank_round((1 + kinds[m->kind].jump) * s->spike);
}

static double range_margin(const struct maker *m, const struct seen *s)
{
    return kinds[m->kind].range * (s->high > s->low ? s->high - s->low : fabs(s->high) + 1e-9);
}

static void put_head(const struct maker *m, struct ac_buf *b)
{
    ac_buf_puts(b, "language 1\n\n");
    ac_buf_printf(b, "# learnt from %zu points without labelled events, %s\nrule ", m->p->n,
                  series_kind_name(m->kind));
    ac_buf_put_json_str(b, m->p->name);
    ac_buf_puts(b, " {\n    on ");
    ac_buf_put_json_str(b, m->p->name);
    ac_buf_printf(b, "\n    step %lldns\n", (long long)m->p->step_ns);
}

/* One part: its lets; its score, 1 and more being an alarm; its condition. */
static void put_part(const struct maker *m, const struct seen *s, enum default_part part,
                     struct ac_buf *b)
{
    double margin = range_margin(m, s);
    const char *const uses[] = {m->name};
    switch (part) {
    case DEFAULT_SPIKE:
        bank_print_used(&m->lets, uses, 1, b);
        ac_buf_printf(b, "    let jump = abs(%s)\n    let jump_limit = %.6g\n", m->name,
                      jump_limit(m, s));
        ac_buf_puts(b, "    let jumps = coalesce(jump / jump_limit, 0)\n");
        return;
    case DEFAULT_RANGE:
        /* a narrow range far from 0 needs more digits than a limit */
        ac_buf_printf(b, "    let low = %.12g\n    let high = %.12g\n", s->low - margin,
                      s->high + margin);
        ac_buf_puts(b, "    let excess = outside(value, low, high)\n    let leaves = "
                       "coalesce(abs(2 * value - low - high) / (high - low), 0)\n");
        return;
    case DEFAULT_FLAT:
        ac_buf_printf(b, "    let still = unchanged(value)\n    let still_limit = %.0f\n",
                      flat_limit(s));
        return;
    case DEFAULT_STUCK:
        ac_buf_printf(b, "    let at_top = run(value >= %.17g)\n    let at_top_limit = %.0f\n",
                      s->high, stuck_limit(s));
        return;
    default:
        return;
    }
}

static const struct {
    const char *when, *score, *reason;
} texts[DEFAULT_END] = {
    [DEFAULT_SPIKE] = {"edge(jumps >= 1, 7)", "jumps",
                       "change that was not expected: {jump} (greatest learnt {jump_limit})"},
    [DEFAULT_RANGE] = {"edge(excess != 0, 7)", "leaves", "{value}, learnt from [{low}, {high}]"},
    [DEFAULT_FLAT] = {"edge(still >= still_limit, 7)", "still / still_limit",
                      "the same value for {still} points (limit {still_limit})"},
    [DEFAULT_STUCK] = {"edge(at_top >= at_top_limit, 7)", "at_top / at_top_limit",
                       "at its greatest for {at_top} points (limit {at_top_limit})"},
};

static char *print_rule(const struct maker *m, const struct seen *s, const bool *parts)
{
    struct ac_buf b;
    ac_buf_init(&b, AC_RULES_TEXT_MAX);
    put_head(m, &b);
    size_t n = 0;
    for (int k = 0; k < DEFAULT_END; k++) {
        if (parts[k])
            put_part(m, s, (enum default_part)k, &b);
        n += parts[k];
    }
    ac_buf_puts(&b, "    # the strongest part, in units of its limit\n    let score = ");
    const char *sep = "";
    size_t left = n;
    for (int k = 0; k < DEFAULT_END; k++) {
        if (parts[k])
            ac_buf_printf(&b, "%s%s%s", sep, --left ? "greatest(" : "", texts[k].score), sep = ", ";
    }
    ac_buf_printf(&b, "%s%.*s\n", n ? "" : "0", (int)(n ? n - 1 : 0), ")))))))");
    sep = "    when ";
    for (int k = 0; k < DEFAULT_END; k++) {
        if (parts[k])
            ac_buf_printf(&b, "%s%s", sep, texts[k].when), sep = " or ";
    }
    ac_buf_puts(&b, n ? "\n    severity warning\n    reason \"" : "    when false\n    reason \"");
    sep = "";
    for (int k = 0; k < DEFAULT_END; k++) {
        if (parts[k])
            ac_buf_printf(&b, "%s%s", sep, texts[k].reason), sep = "; ";
    }
    ac_buf_puts(&b, n ? "\"\n}\n" : "nothing is known of it\"\n}\n");
    return ac_buf_take(&b);
}

/* What the part would do on the points [a, b): alarms, as its edge makes them, and points on. */
static void speaks(const struct maker *m, const struct seen *s, enum default_part part, size_t a,
                   size_t b, size_t *ret_alarms, size_t *ret_on)
{
    double margin = range_margin(m, s), jump = jump_limit(m, s), still = 0, top = 0;
    size_t since = QUIET + 1;
    *ret_alarms = *ret_on = 0;
    for (size_t i = a; i < b; i++) {
        double v = m->p->values[i];
        still = i > a && v == m->p->values[i - 1] ? still + 1 : 1;
        top = v >= s->high ? top + 1 : 0;
        bool on = part == DEFAULT_SPIKE   ? fabs(m->resid[i]) > jump
                  : part == DEFAULT_RANGE ? v < s->low - margin || v > s->high + margin
                  : part == DEFAULT_FLAT  ? still >= flat_limit(s)
                                          : top >= stuck_limit(s);
        *ret_alarms += on && since > QUIET;
        since = on ? 0 : since + 1;
        *ret_on += on;
    }
}

static bool few(const struct maker *m, size_t points, size_t alarms)
{
    double days = (double)points * (double)m->p->step_ns / 86400e9;
    return (double)alarms <= 2 + days / 4;
}

/* Made from the first two thirds it must be nearly silent on the last: two alarms, and one in four
 * days, since nobody has said that nothing happened there. */
static bool silent(const struct maker *m, enum default_part part)
{
    size_t a = m->p->n / 3 * 2, n = m->p->n - a, alarms = 0, on = 0;
    struct seen s;
    if (!look(m, a, &s) || (part == DEFAULT_SPIKE && !(s.spike > 0)))
        return false;
    speaks(m, &s, part, a, m->p->n, &alarms, &on);
    return (double)on <= ON_SHARE * (double)n && few(m, n, alarms);
}

static int is_silent(const struct maker *m, const char *rule, bool *ret, struct ac_err *err)
{
    uint8_t *flags = ac_xcalloc(m->p->n + 1, 1);
    int rc = evalrule_flags(rule, m->p->values, m->p->n, flags, NULL, err);
    size_t a = m->p->n / 3 * 2, n = m->p->n - a, on = 0;
    for (size_t i = a; i < m->p->n; i++)
        on += flags[i];
    *ret = rc == 0 && few(m, n, score_alarms(flags + a, n)) && (double)on <= ON_SHARE * (double)n;
    free(flags);
    return rc;
}

/* The rule with the parts joined by or, in its reason, too. NULL when that is no rule. */
static char *joined(const struct maker *m, const struct seen *s, const char *rule,
                    const bool *parts)
{
    struct ac_buf lets, more, reason;
    ac_buf_init(&lets, AC_RULES_TEXT_MAX);
    ac_buf_init(&more, AC_RULES_TEXT_MAX);
    ac_buf_init(&reason, AC_RULES_TEXT_MAX);
    const char *end = strstr(rule, "\n    reason \"");
    end = end ? strstr(end, "\"\n}") : NULL;
    ac_buf_append(&reason, rule, end ? (size_t)(end - rule) : strlen(rule));
    for (int k = 0; k < DEFAULT_END; k++) {
        if (!parts[k] || k == DEFAULT_SPIKE)
            continue;
        put_part(m, s, (enum default_part)k, &lets);
        ac_buf_printf(&more, " or %s", texts[k].when);
        if (end)
            ac_buf_printf(&reason, "; %s", texts[k].reason);
    }
    ac_buf_puts(&reason, end ? end : "");
    /* the names in the reason come with the lets: text first, compiled as a whole */
    char *out = more.len ? edit_when(ac_buf_str(&reason), ac_buf_str(&lets), "", ac_buf_str(&more))
                         : ac_xstrdup(rule);
    ac_buf_fini(&lets);
    ac_buf_fini(&more);
    ac_buf_fini(&reason);
    return out;
}

static int fit_residual(struct maker *m, struct ac_err *err)
{
    const struct train_part *p = m->p;
    if (bank_fit_residuals(&m->fit, p->values, p->n, p->step_ns, NULL) < 0)
        return 0; /* too short or constant: the other parts need none */
    enum bank_resid r = R_AR40;
    bank_put_residuals(&m->lets, &m->fit);
    m->resid = ac_xcalloc(p->n + 1, sizeof *m->resid);
    const char *name = bank_resid_name(r);
    int rc = evalrule_columns(&m->lets, p->step_ns, p->values, p->n, &name, 1, &m->resid, err);
    if (rc == 0)
        (void)snprintf(m->name, sizeof m->name, "%s", name);
    return rc;
}

/* Where no autoregression can be fitted the range is all there is to see a jump by. */
static bool has_part(const struct maker *m, enum default_part part)
{
    return kinds[m->kind].parts[part] || (part == DEFAULT_RANGE && !m->resid);
}

int defaults_train(const struct train_part *p, const char *learnt, char **ret_text,
                   struct defaults_report *ret, struct ac_err *err)
{
    struct maker m = {.p = p, .kind = series_kind_of(p)};
    struct seen s;
    struct defaults_report rep = {.kind = m.kind};
    int rc = fit_residual(&m, err);
    if (rc == 0 && !look(&m, p->n, &s))
        rc = ac_err_set(err, AC_ENOTSUP, "the series has no values");
    if (rc == 0) {
        for (int k = 0; k < DEFAULT_END; k++)
            rep.kept[k] = has_part(&m, (enum default_part)k) && silent(&m, (enum default_part)k);
        rep.kept[DEFAULT_STUCK] = rep.kept[DEFAULT_STUCK] && s.at_top >= CAP_SEEN;
        if (learnt)
            rc = is_silent(&m, learnt, &rep.learnt, err);
    }
    if (rc == 0) {
        char *text = rep.learnt ? joined(&m, &s, learnt, rep.kept) : NULL;
        rep.learnt = text != NULL;
        rep.kept[DEFAULT_SPIKE] = rep.kept[DEFAULT_SPIKE] && !rep.learnt;
        *ret_text = text ? text : print_rule(&m, &s, rep.kept);
        *ret = rep;
        rc = evalrule_canonical(ret_text, err);
    }
    free(m.resid);
    bank_lets_fini(&m.lets);
    return rc;
}

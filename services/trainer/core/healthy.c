#include "healthy.h"

#include "bank.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/str.h>

#define POINTS_MIN 8 /* of a group; fewer teach nothing */

/* Labels that name one of many equal instances: rules speak of all of them. */
static const char *const instance_labels[] = {
    "pod",       "instance",   "host",         "host.name",
    "node",      "pid",        "k8s.pod.name", "service.instance.id",
    "container", "k8s.pod.uid"};

enum kind {
    K_NONE,
    K_ERRORS,
    K_DURATION,
    K_RATE,
    K_READY,
    K_RESTARTS,
    K_UPTIME
};

struct group {
    char *key; /* also the name of the rule */
    const struct healthy_series *first;
    const struct healthy_series **s;
    size_t n, cap;
};

struct stats {
    size_t n;
    double min, median, max;
    double least_mean;  /* over the series */
    unsigned k, of;     /* durations are slow when k points of so many are ... */
    double steady_peak; /* ... and the greatest value that they all reached in health */
};

static bool is_instance_label(const char *key)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(instance_labels); i++) {
        if (strcmp(key, instance_labels[i]) == 0)
            return true;
    }
    return false;
}

/* A tail of the requests of one second is their slowest few: it says nothing that lasts. */
static bool is_tail(const char *metric)
{
    return ac_str_ends(metric, ".p99") || ac_str_ends(metric, ".p999") ||
           ac_str_ends(metric, ".max");
}

static bool has(const char *s, const char *word)
{
    return strstr(s, word) != NULL;
}

static enum kind kind_of(const struct healthy_series *s)
{
    const char *m = s->metric;
    if (has(m, "error") || has(m, "failure"))
        return K_ERRORS;
    if (has(m, "duration") || has(m, "latency"))
        return is_tail(m) ? K_NONE : K_DURATION;
    if (has(m, "restart"))
        return K_RESTARTS;
    if (has(m, "ready") || has(m, "available") || has(m, "availability"))
        return K_READY;
    if (has(m, "uptime"))
        return K_UPTIME;
    if (has(m, "requests") || has(s->unit, "{request}"))
        return K_RATE;
    return K_NONE;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* What the rule's own let "x" is: the value, or the growth of a counter. */
static double observed(const struct healthy_series *s, size_t i)
{
    if (strcmp(s->kind, "counter") != 0)
        return s->values[i];
    if (i == 0)
        return __builtin_nan("");
    double d = s->values[i] - s->values[i - 1];
    return d < 0 ? s->values[i] : d;
}

/* A pause of the machine makes a few seconds slow, a fault makes nearly all of them slow: a
 * duration counts when it lasts for about this time. Points that are rarer are fewer. */
static void choose_window(struct stats *st, int64_t step_ns)
{
    int64_t n = step_ns > 0 ? 7000000000 / step_ns : 7;
    st->of = n >= 7 ? 7 : n >= 3 ? 5 : 3;
    st->k = st->of == 3 ? 3 : st->of - 1;
}

/* The greatest value that k points of some window reached. */
static double steady_peak(const struct healthy_series *s, const struct stats *st)
{
    double peak = 0, v[8];
    for (size_t end = st->k; end <= s->n; end++) {
        size_t n = 0;
        for (size_t i = end > st->of ? end - st->of : 0; i < end; i++) {
            if (isfinite(s->values[i]))
                v[n++] = s->values[i];
        }
        qsort(v, n, sizeof *v, by_value);
        if (n >= st->k)
            peak = AC_MAX(peak, v[n - st->k]);
    }
    return peak;
}

static struct stats measure(const struct group *g)
{
    struct stats st = {.least_mean = INFINITY};
    size_t total = 0;
    choose_window(&st, g->first->step_ns);
    for (size_t i = 0; i < g->n; i++)
        total += g->s[i]->n;
    double *v = ac_xmalloc((total + 1) * sizeof *v);
    for (size_t i = 0; i < g->n; i++) {
        size_t from = st.n;
        double sum = 0;
        for (size_t k = 0; k < g->s[i]->n; k++) {
            double x = observed(g->s[i], k);
            if (!isfinite(x))
                continue;
            v[st.n++] = x;
            sum += x;
        }
        st.steady_peak = AC_MAX(st.steady_peak, steady_peak(g->s[i], &st));
        if (st.n - from >= POINTS_MIN / 2)
            st.least_mean = AC_MIN(st.least_mean, sum / (double)(st.n - from));
    }
    if (st.n) {
        qsort(v, st.n, sizeof *v, by_value);
        st.median = v[st.n / 2];
        st.min = v[0];
        st.max = v[st.n - 1];
    }
    free(v);
    return st;
}

/* ---- clauses by kind; slack >= 1 widens a rule that spoke up on healthy data ---- */

/* Smallest growth of a duration worth an alarm, in the metric's unit. */
static double duration_floor(const char *unit)
{
    return strcmp(unit, "ms") == 0   ? 70
           : strcmp(unit, "us") == 0 ? 7e4
           : strcmp(unit, "ns") == 0 ? 7e7
                                     : 0.07;
}

static void put_duration(struct ac_buf *b, const struct stats *st, const char *unit, double slack)
{
    double limit = AC_MAX(3 * st->median, 1.5 * st->steady_peak) * slack + duration_floor(unit);
    ac_buf_printf(b,
                  "    let usual = %.6g\n    let limit = %.6g\n    let recent = median(x, 3)\n"
                  "    when x > limit for %u of %u\n    until x < limit for 3 of 3\n",
                  bank_round(st->median), bank_round(limit), st->k, st->of);
}

static void put_errors(struct ac_buf *b, const struct stats *st, const char *unit, bool counter,
                       double slack)
{
    bool ratio = !counter && strcmp(unit, "1") == 0 && st->max <= 1;
    double limit = ratio ? AC_MIN(AC_MAX(0.1, 1.5 * st->max + 0.02) * slack, 0.95)
                         : AC_MAX(1.0, 2 * st->max + 1) * slack;
    ac_buf_printf(b,
                  "    let usual = %.6g\n    let limit = %.6g\n    when x > limit for 2 of 3\n"
                  "    until x <= limit for 3 of 3\n",
                  bank_round(st->median), bank_round(limit));
}

/* Counts of independent requests scatter as their square root: the window is wide enough that six
 * deviations are less than the traffic itself. */
static bool put_rate(struct ac_buf *b, const struct stats *st, double slack)
{
    static const unsigned windows[] = {5, 10, 20, 40};
    double usual = isfinite(st->least_mean) ? st->least_mean : 0;
    for (size_t i = 0; i < AC_ARRAY_LEN(windows) && usual > 0; i++) {
        double expected = usual * windows[i];
        double limit = AC_MIN(0.5 * usual, (expected - 6 * sqrt(expected)) / windows[i]) / slack;
        if (!(limit > 0.1 * usual))
            continue;
        ac_buf_printf(b,
                      "    let usual = %.6g\n    let limit = %.6g\n    let recent = mean(x, %u)\n"
                      "    when recent < limit for 2 of 3\n    until recent > limit for 3 of 3\n",
                      bank_round(usual), bank_round(limit), windows[i]);
        return true;
    }
    return false;
}

static const char *reason_of(enum kind k)
{
    switch (k) {
    case K_DURATION:
        return "takes {recent}, usually {usual} (limit {limit})";
    case K_ERRORS:
        return "errors: {x}, usually {usual} (limit {limit})";
    case K_RATE:
        return "traffic fell to {recent}, usually {usual} (limit {limit})";
    case K_READY:
        return "only {x} ready, usually at least {usual}";
    case K_RESTARTS:
        return "restarted {more} times since the point before";
    default:
        return "the process was started anew, up for {x} s";
    }
}

static bool put_condition(struct ac_buf *b, enum kind k, const struct group *g,
                          const struct stats *st, double slack)
{
    bool counter = strcmp(g->first->kind, "counter") == 0;
    switch (k) {
    case K_DURATION:
        put_duration(b, st, g->first->unit, slack);
        return true;
    case K_ERRORS:
        put_errors(b, st, g->first->unit, counter, slack);
        return true;
    case K_RATE:
        return put_rate(b, st, slack);
    case K_READY:
        if (!(st->min > 0))
            return false;
        ac_buf_printf(b,
                      "    let usual = %.6g\n    when x < usual for 2 of 2\n    until x >= usual "
                      "for 2 of 2\n",
                      bank_round(st->min) * (1 - 1e-9));
        return true;
    case K_RESTARTS:
        ac_buf_puts(b, counter ? "    let more = x\n    when more >= 1\n"
                               : "    let more = diff(x, 1)\n    when more >= 1\n");
        return true;
    default:
        ac_buf_puts(b, "    when diff(x, 1) < 0\n");
        return true;
    }
}

static const char *severity_of(enum kind k, const char *metric)
{
    bool felt = ac_str_starts(metric, "load.") || ac_str_starts(metric, "client.");
    return k == K_ERRORS || k == K_READY || (felt && k != K_UPTIME) ? "critical"
           : k == K_UPTIME                                          ? "info"
                                                                    : "warning";
}

/* Selectors are globs: characters that have a meaning there match themselves by ?. */
static void put_exact(struct ac_buf *b, const char *s)
{
    char *t = ac_xstrdup(s);
    for (char *c = t; *c; c++)
        if (*c == '*' || (unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    ac_buf_putc(b, '"');
    for (const char *c = t; *c; c++) {
        if (*c == '"' || *c == '\\')
            ac_buf_putc(b, '\\');
        ac_buf_putc(b, *c);
    }
    ac_buf_putc(b, '"');
    free(t);
}

static bool put_rule(struct ac_buf *b, const struct group *g, enum kind k, const struct stats *st,
                     double slack)
{
    const struct healthy_series *f = g->first;
    bool counter = strcmp(f->kind, "counter") == 0;
    ac_buf_puts(b, "language 1\n");
    ac_buf_printf(b, "# learnt from %zu healthy points of %zu series: %.4g .. %.4g, median %.4g\n",
                  st->n, g->n, st->min, st->max, st->median);
    ac_buf_puts(b, "rule ");
    put_exact(b, g->key);
    ac_buf_puts(b, " {\n    on ");
    put_exact(b, f->metric);
    ac_buf_puts(b, " {component = ");
    put_exact(b, f->component);
    for (size_t i = 0; i < f->n_labels; i++) {
        if (is_instance_label(f->labels[i].key))
            continue;
        ac_buf_puts(b, ", ");
        put_exact(b, f->labels[i].key);
        ac_buf_puts(b, " = ");
        put_exact(b, f->labels[i].value);
    }
    ac_buf_puts(b, "}\n");
    if (f->step_ns > 0)
        ac_buf_printf(b, "    step %lldns\n", (long long)f->step_ns);
    ac_buf_printf(b, "    let x = %s\n", counter ? "increase(value)" : "value");
    if (!put_condition(b, k, g, st, slack))
        return false;
    ac_buf_printf(b, "    severity %s\n    reason \"%s\"\n}\n", severity_of(k, f->metric),
                  reason_of(k));
    return true;
}

/* ---- proof: silent on what it was learnt from ---- */

static bool silent(const struct ac_plan *p, const struct group *g)
{
    struct ac_eval *e = ac_eval_create(p, 64);
    bool ok = true;
    for (size_t i = 0; ok && i < g->n; i++) {
        uint8_t *flags = ac_xcalloc(g->s[i]->n + 1, 1);
        ac_eval_reset(e);
        struct ac_eval_batch b = {.values = g->s[i]->values, .n = g->s[i]->n, .flags = flags};
        ac_eval_run(e, &b);
        for (size_t k = 0; k < g->s[i]->n; k++)
            ok &= !flags[k];
        free(flags);
    }
    ac_eval_destroy(e);
    return ok;
}

/* 1: made, 0: this slack does not do, negative: an error. */
static int attempt(const struct group *g, enum kind k, const struct stats *st, double slack,
                   struct healthy_rule *ret, struct ac_err *err)
{
    struct ac_buf b;
    ac_buf_init(&b, 256 << 10);
    if (!put_rule(&b, g, k, st, slack)) {
        ac_buf_fini(&b);
        return 0;
    }
    struct ac_ruleset *set = NULL;
    struct ac_diags d;
    int rc = ac_ruleset_parse(ac_buf_str(&b), b.len, &set, &d);
    if (rc < 0) {
        rc = ac_err_set(err, AC_EINTERNAL, "%.60s: %d:%d: %.120s", g->key, d.v[0].line,
                        d.v[0].column, d.v[0].message);
        ac_buf_fini(&b);
        return rc;
    }
    const struct ac_rule *r = ac_ruleset_get(set, 0);
    struct ac_plan *p = NULL;
    rc = ac_plan_create(&r, 1, 0, &p, err);
    bool ok = rc == 0 && silent(p, g);
    if (ok) {
        ac_buf_reset(&b);
        (void)ac_ruleset_print(set, &b);
        *ret = (struct healthy_rule){ac_xstrdup(ac_rule_name(r)), ac_buf_take(&b), g->n,
                                     ac_plan_cost(p)};
    }
    ac_plan_destroy(p);
    ac_ruleset_destroy(set);
    ac_buf_fini(&b);
    return rc < 0 ? rc : ok;
}

static int train_group(const struct group *g, struct healthy_rule *ret, struct ac_err *err)
{
    static const double slacks[] = {1, 1.5, 2.5};
    enum kind k = kind_of(g->first);
    struct stats st = measure(g);
    if (k == K_NONE || st.n < POINTS_MIN)
        return 0;
    for (size_t i = 0; i < AC_ARRAY_LEN(slacks); i++) {
        int rc = attempt(g, k, &st, slacks[i], ret, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- groups ---- */

static char *group_key(const struct healthy_series *s)
{
    struct ac_buf b;
    ac_buf_init(&b, 16 << 10);
    ac_buf_printf(&b, "%s %s", s->component, s->metric);
    for (size_t i = 0; i < s->n_labels; i++) {
        if (!is_instance_label(s->labels[i].key))
            ac_buf_printf(&b, " %s=%s", s->labels[i].key, s->labels[i].value);
    }
    return ac_buf_take(&b);
}

struct keyed {
    char *key;
    const struct healthy_series *s;
    size_t at;
};

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int c = strcmp(x->key, y->key);
    return c ? c : x->at < y->at ? -1 : 1;
}

int healthy_train(const struct healthy_series *s, size_t n, struct healthy_rule **ret_rules,
                  size_t *ret_n, struct ac_err *err)
{
    struct keyed *k = ac_xcalloc(n + 1, sizeof *k);
    struct healthy_rule *out = ac_xcalloc(n + 1, sizeof *out);
    size_t made = 0;
    int rc = 0;
    for (size_t i = 0; i < n; i++)
        k[i] = (struct keyed){group_key(&s[i]), &s[i], i};
    qsort(k, n, sizeof *k, by_key);
    const struct healthy_series **members = ac_xcalloc(n + 1, sizeof *members);
    for (size_t i = 0; i < n && rc >= 0;) {
        struct group g = {.key = k[i].key, .first = k[i].s, .s = members};
        for (; i < n && strcmp(k[i].key, g.key) == 0; i++)
            members[g.n++] = k[i].s;
        rc = train_group(&g, &out[made], err);
        made += rc > 0;
    }
    for (size_t i = 0; i < n; i++)
        free(k[i].key);
    free(k);
    free(members);
    if (rc < 0) {
        healthy_rules_free(out, made);
        return rc;
    }
    *ret_rules = out;
    *ret_n = made;
    return 0;
}

void healthy_rules_free(struct healthy_rule *r, size_t n)
{
    for (size_t i = 0; r && i < n; i++) {
        free(r[i].name);
        free(r[i].text);
    }
    free(r);
}

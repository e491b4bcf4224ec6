#include "vote.h"

#include "bank.h"
#include "edit.h"
#include "evalrule.h"
#include "threshold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/rules.h>

#define QUIET_SPIKE 3 /* points: a spike's echo in the innovations */
#define QUIET_STEP  7
#define WEIGHT_MAX  3.0 /* logarithms: a single voter does not outweigh all others */

#define STEP_WEIGHT 3.0 /* of what a step atom gained on other series */
#define STEP_CAUGHT 3   /* events that only the step sees: fewer are accidents */

/* One prediction against several usual sizes: what is large against one of them by accident, after
 * a change of the series' noise above all, is not against the others. */
static const enum bank_scale voters[] = {SC_G, SC_DAY, SC_H, SC_TOD, SC_E7, SC_X7};
#define VOTERS AC_ARRAY_LEN(voters)

struct vote {
    const struct train_part *part;
    struct threshold_data data;
    struct bank_fit fit;
    struct bank_lets lets;
    char names[VOTERS][24];
    double theta[VOTERS], limit; /* limit: of the mean */
    size_t n;
    double *mean;                 /* over the part */
    const struct bank_atom *step; /* NULL: none */
    char step_name[24];
    double step_theta;
};

/* Columns of the named lets, one behind the other; the caller frees them. */
static int columns(const struct vote *v, const char *const *names, size_t n, double **ret,
                   struct ac_err *err)
{
    size_t len = v->part->n;
    double *block = ac_try_malloc(ac_mul_size(ac_mul_size(n + 1, len), sizeof *block));
    if (!block)
        return ac_err_set(err, AC_ENOMEM, "the series is too long to train on");
    double **cols = ac_xmalloc((n + 1) * sizeof *cols);
    for (size_t i = 0; i < n; i++)
        cols[i] = block + i * len;
    int rc =
        evalrule_columns(&v->lets, v->part->step_ns, v->part->values, len, names, n, cols, err);
    free(cols);
    if (rc < 0)
        free(block);
    else
        *ret = block;
    return rc;
}

/* Mean sizes of all residuals that a voter or a step may need. */
static int fit_sizes(struct vote *v, struct ac_err *err)
{
    const char *names[R_END];
    enum bank_resid of[R_END];
    size_t n = 0;
    double *block = NULL;
    for (int r = 0; r < R_END; r++) {
        if (v->fit.used[r]) {
            names[n] = bank_resid_name((enum bank_resid)r);
            of[n++] = (enum bank_resid)r;
        }
    }
    int rc = columns(v, names, n, &block, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        bank_fit_scale(&v->fit, of[i], block + i * v->part->n, v->part->n);
    free(block);
    return rc;
}

/* NaN stays NaN: comparisons with it are false. */
static double weight(double strength)
{
    double w = log(strength + 1e-9);
    return w > WEIGHT_MAX ? WEIGHT_MAX : w < -WEIGHT_MAX ? -WEIGHT_MAX : w;
}

/* Each voter's own threshold, then that of their mean. */
static int fit_limits(struct vote *v, struct ac_err *err)
{
    const char *names[VOTERS];
    double *block = NULL;
    size_t len = v->part->n;
    struct threshold t;
    if (!v->fit.used[R_AR10])
        return 0;
    for (size_t i = 0; i < VOTERS; i++) {
        bank_put_scaled(&v->lets, &v->fit, R_AR10, voters[i], v->names[i]);
        names[i] = v->names[i];
    }
    int rc = columns(v, names, VOTERS, &block, err);
    for (size_t i = 0; rc == 0 && i < VOTERS; i++) {
        const double *col = block + i * len;
        if (!threshold_fit(&v->data, col, 1, true, &t))
            continue;
        memmove(v->names[v->n], v->names[i], sizeof v->names[i]);
        v->theta[v->n++] = bank_round(t.theta);
        for (size_t k = 0; k < len; k++)
            v->mean[k] += weight(fabs(col[k]) / t.theta);
    }
    free(block);
    for (size_t k = 0; k < len; k++)
        v->mean[k] = exp(v->mean[k] / (double)v->n);
    if (rc == 0 && v->n && threshold_fit(&v->data, v->mean, 1, false, &t))
        v->limit = bank_round(t.theta);
    return rc;
}

/* What the vote says at its limit. */
struct said {
    uint8_t *flags;
    bool *hit;
    size_t hits, fp;
};

static struct said vote_says(const struct vote *v)
{
    const struct train_part *p = v->part;
    struct said s = {.flags = ac_xcalloc(p->n + 1, 1),
                     .hit = ac_xcalloc(v->data.n_events + 1, sizeof(bool))};
    for (size_t i = 0; i < p->n; i++) {
        bool first = v->mean[i] >= v->limit;
        for (size_t k = 1; first && k <= QUIET_SPIKE && k <= i; k++)
            first = !(v->mean[i - k] >= v->mean[i]);
        s.flags[i] = first;
        s.fp += first && !p->labels[i];
    }
    for (size_t e = 0; e < v->data.n_events; e++) {
        for (size_t i = v->data.events[e].a; i <= v->data.events[e].b; i++)
            s.hit[e] |= s.flags[i];
        s.hits += s.hit[e];
    }
    return s;
}

static double towards(double x, enum bank_dir d)
{
    return d == DIR_ABS ? fabs(x) : d == DIR_DOWN ? -x : x;
}

/* Events that the vote misses and the atom reaches. */
static size_t caught(const struct vote *v, const struct said *s, const double *col, enum bank_dir d,
                     double theta)
{
    size_t n = 0;
    for (size_t e = 0; e < v->data.n_events; e++) {
        bool c = false;
        for (size_t i = v->data.events[e].a; !s->hit[e] && i <= v->data.events[e].b; i++)
            c |= towards(col[i], d) >= theta;
        n += c;
    }
    return n;
}

/* Distinct scaled residuals of the step atoms. */
struct step_columns {
    char (*names)[24];
    size_t n, *of; /* of: atom -> column, SIZE_MAX: cannot be built */
    double *block;
};

static int step_columns(struct vote *v, struct step_columns *c, struct ac_err *err)
{
    c->names = ac_xcalloc(bank_n_steps, sizeof *c->names);
    c->of = ac_xcalloc(bank_n_steps, sizeof *c->of);
    const char **ptr = ac_xcalloc(bank_n_steps, sizeof *ptr);
    for (size_t i = 0; i < bank_n_steps; i++) {
        const struct bank_atom *a = &bank_steps[i];
        c->of[i] = SIZE_MAX;
        if (!v->fit.used[a->resid])
            continue;
        bank_put_scaled(&v->lets, &v->fit, a->resid, a->scale, c->names[c->n]);
        size_t k = 0;
        while (strcmp(c->names[k], c->names[c->n]) != 0)
            k++;
        c->of[i] = k;
        ptr[k] = c->names[k];
        c->n += k == c->n;
    }
    int rc = columns(v, ptr, c->n, &c->block, err);
    free(ptr);
    return rc;
}

static void weigh_steps(struct vote *v, const struct step_columns *c)
{
    struct said s = vote_says(v);
    double own = 2.0 * (double)s.hits / (double)(s.hits + s.fp + v->data.n_events);
    double best = -INFINITY;
    for (size_t i = 0; i < bank_n_steps; i++) {
        const struct bank_atom *a = &bank_steps[i];
        struct threshold t;
        if (c->of[i] == SIZE_MAX)
            continue;
        const double *col = c->block + c->of[i] * v->part->n;
        if (!threshold_fit_or(&v->data, col, a->dir == DIR_DOWN ? -1 : 1, a->dir == DIR_ABS,
                              s.flags, s.hit, s.fp, QUIET_STEP, &t))
            continue;
        double z = t.f - own + STEP_WEIGHT * a->prior;
        if (t.f < own || z <= best || caught(v, &s, col, a->dir, t.theta) < STEP_CAUGHT)
            continue;
        best = z;
        v->step = a;
        v->step_theta = bank_round(t.theta);
        memcpy(v->step_name, c->names[c->of[i]], sizeof v->step_name);
    }
    free(s.flags);
    free(s.hit);
}

/* The step atom that adds most to the vote, by what it gains here and gained elsewhere. */
static int choose_step(struct vote *v, struct ac_err *err)
{
    struct step_columns c = {0};
    int rc = step_columns(v, &c, err);
    if (rc == 0)
        weigh_steps(v, &c);
    free(c.names);
    free(c.of);
    free(c.block);
    return rc;
}

/* Lets of the library that the rule does not have yet; a comment goes with its let. */
static void put_missing(const struct vote *v, const char *rule, struct ac_buf *out)
{
    const char *names[VOTERS + 1];
    size_t n = 0;
    for (; n < v->n; n++)
        names[n] = v->names[n];
    if (v->step)
        names[n++] = v->step_name;
    struct ac_buf b;
    ac_buf_init(&b, AC_RULES_TEXT_MAX);
    bank_print_used(&v->lets, names, n, &b);
    const char *from = ac_buf_str(&b);
    for (const char *at = from, *end; *at && (end = strchr(at, '\n')); at = end + 1) {
        if (strncmp(at, "    let ", 8) != 0)
            continue;
        const char *eq = strchr(at, '=');
        char *let = ac_xasprintf("%.*s", (int)(eq - at + 1), at);
        if (!strstr(rule, let))
            ac_buf_printf(out, "%.*s\n", (int)(end - from), from);
        free(let);
        from = end + 1;
    }
    ac_buf_fini(&b);
}

/* x where it exceeds the n points before, else 0. */
static void put_once(struct ac_buf *b, const char *x, int n)
{
    ac_buf_printf(b, "coalesce(if(%s > coalesce(max(lag(%s, 1), %d), 0), %s, 0), 0)", x, x, n, x);
}

static char *print(const struct vote *v, const char *rule)
{
    struct ac_buf b;
    ac_buf_init(&b, AC_RULES_TEXT_MAX);
    put_missing(v, rule, &b);
    ac_buf_puts(&b, "    let alarm_vote = exp((");
    for (size_t i = 0; i < v->n; i++)
        ac_buf_printf(&b, "%sclip(log(abs(%s) / %.6g + 1e-9), %g, %g)", i ? " + " : "", v->names[i],
                      v->theta[i], -WEIGHT_MAX, WEIGHT_MAX);
    ac_buf_printf(&b, ") / %zu) / %.6g\n", v->n, v->limit);
    if (v->step) {
        enum bank_dir d = v->step->dir;
        ac_buf_printf(&b, "    let alarm_step = %s%s%s / %.6g\n",
                      d == DIR_ABS    ? "abs("
                      : d == DIR_DOWN ? "-"
                                      : "",
                      v->step_name, d == DIR_ABS ? ")" : "", v->step_theta);
    }
    ac_buf_printf(&b, "    let " VOTE_NAME " = %s", v->step ? "greatest(" : "");
    put_once(&b, "alarm_vote", QUIET_SPIKE);
    if (v->step) {
        ac_buf_puts(&b, ", ");
        put_once(&b, "alarm_step", QUIET_STEP);
        ac_buf_puts(&b, ")");
    }
    ac_buf_puts(&b, "\n");
    return ac_buf_take(&b);
}

int vote_add(const struct train_part *p, size_t delay, const char *rule, char **ret,
             struct ac_err *err)
{
    struct vote v = {.part = p};
    struct score_segment *events = NULL;
    v.data = (struct threshold_data){.labels = p->labels, .n = p->n, .delay = delay};
    v.data.n_events = score_segments(p->labels, p->n, &events);
    v.data.events = events;
    *ret = NULL;
    int rc =
        v.data.n_events ? bank_fit_residuals(&v.fit, p->values, p->n, p->step_ns, err) : AC_ENOTSUP;
    if (rc == 0) {
        bank_put_residuals(&v.lets, &v.fit);
        rc = fit_sizes(&v, err);
    }
    v.mean = ac_xcalloc(p->n + 1, sizeof *v.mean);
    if (rc == 0)
        rc = fit_limits(&v, err);
    if (rc == 0 && v.limit > 0)
        rc = choose_step(&v, err);
    free(v.mean);
    if (rc == 0 && v.limit > 0) {
        char *lets = print(&v, rule);
        *ret = edit_when(rule, lets, "", "");
        free(lets);
    }
    bank_lets_fini(&v.lets);
    free(events);
    return rc == AC_ENOTSUP ? 0 : rc;
}

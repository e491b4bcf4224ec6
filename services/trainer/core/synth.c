/* The embedded synthesiser: a best atom chosen with a prior, or a vote of the best, and a step atom
 * joined by OR. */
#include "bank.h"
#include "defaults.h"
#include "evalrule.h"
#include "practice.h"
#include "score.h"
#include "threshold.h"
#include "train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/rules.h>

#define PRIOR_WEIGHT      2.0
#define STEP_PRIOR_WEIGHT 3.0
#define STEP_GAIN_MIN     0.02
#define QUIET             7 /* points without it before a step atom fires again */
/* The same for the base atom of an hourly series, where the way back from an event is as far as the
 * way into it, and of a state-like one with few events: a level that is new and stays is one alarm.
 */
#define QUIET_BASE 3
/* An atom's weight in a vote is exp(score / TAU), its say the logarithm of what it is of its own
 * limit, within 1.5; the alarm is told from a sum of VOTE_ALARM on. */
#define TAU        0.02
#define VOTE_LOW   "0.22313" /* exp(-1.5) */
#define VOTE_HIGH  "4.48169"
#define VOTE_ALARM "-0.1"
#define VOTE_SHOWN 3 /* terms in the reason */

struct synth {
    const struct train_part *part;
    enum series_kind kind;
    struct threshold_data data;
    struct bank_fit fit;
    struct bank_lets lets;
    struct ac_err *err;
};

struct choice {
    const struct bank_atom *atom; /* NULL: none */
    struct threshold t;
    double score;  /* F1 and weighted prior */
    char name[24]; /* scaled residual in the rule text */
};

/* What the rule stands on: one atom, or several that vote, the best first. */
struct base {
    struct choice by[TRAIN_VOTE_MAX];
    double weight[TRAIN_VOTE_MAX]; /* they add up to 1 */
    size_t n, max;
    double prior_weight;
};

void train_result_fini(struct train_result *r)
{
    free(r->text);
    free(r->base_text);
    r->text = r->base_text = NULL;
}

static double sign_of(enum bank_dir d)
{
    return d == DIR_DOWN ? -1 : 1;
}

/* Columns of named lets; the caller frees the block that holds them. */
static int columns(struct synth *s, const char *const *names, size_t n, double **ret_block,
                   double ***ret_cols)
{
    size_t len = s->part->n;
    double *block = ac_try_malloc(ac_mul_size(ac_mul_size(n + 1, len), sizeof(double)));
    if (!block)
        return ac_err_set(s->err, AC_ENOMEM, "the series is too long to train on");
    double **cols = ac_xmalloc((n + 1) * sizeof *cols);
    for (size_t i = 0; i < n; i++)
        cols[i] = block + i * len;
    int rc =
        evalrule_columns(&s->lets, s->part->step_ns, s->part->values, len, names, n, cols, s->err);
    if (rc < 0) {
        free(block);
        free(cols);
        return rc;
    }
    *ret_block = block;
    *ret_cols = cols;
    return 0;
}

static int fit_scales(struct synth *s)
{
    const char *names[R_END];
    enum bank_resid ids[R_END];
    size_t n = 0;
    for (int r = 0; r < R_END; r++) {
        if (s->fit.used[r]) {
            names[n] = bank_resid_name((enum bank_resid)r);
            ids[n++] = (enum bank_resid)r;
        }
    }
    double *block = NULL, **cols = NULL;
    int rc = columns(s, names, n, &block, &cols);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        bank_fit_scale(&s->fit, ids[i], cols[i], s->part->n);
    free(block);
    free(cols);
    return 0;
}

/* Distinct scaled residuals that a list of atoms needs. */
struct need {
    char (*names)[24];
    const char **ptr;
    size_t n;
    size_t *of; /* atom -> column, SIZE_MAX: cannot be built */
};

static struct need needed(struct synth *s, const struct bank_atom *atoms, size_t n)
{
    struct need d = {.names = ac_xcalloc(n + 1, 24),
                     .ptr = ac_xcalloc(n + 1, sizeof(char *)),
                     .of = ac_xcalloc(n + 1, sizeof(size_t))};
    for (size_t i = 0; i < n; i++) {
        d.of[i] = SIZE_MAX;
        if (!s->fit.used[atoms[i].resid])
            continue;
        char name[24];
        bank_put_scaled(&s->lets, &s->fit, atoms[i].resid, atoms[i].scale, name);
        size_t k = 0;
        while (k < d.n && strcmp(d.names[k], name) != 0)
            k++;
        if (k == d.n)
            memcpy(d.names[d.n++], name, sizeof name);
        d.of[i] = k;
    }
    for (size_t k = 0; k < d.n; k++)
        d.ptr[k] = d.names[k];
    return d;
}

static void need_fini(struct need *d)
{
    free(d->names);
    free(d->ptr);
    free(d->of);
}

/* An F1 of few events says little: with one event the prior counts twice as much as with many. */
static double prior_weight(size_t events)
{
    return PRIOR_WEIGHT * (events < THRESHOLD_FEW ? 1 + 1 / (double)events : 1);
}

/* Keeps the best ones, in order; of equal ones the first comes first. */
static void keep_best(struct base *b, const struct choice *c)
{
    size_t at = b->n;
    while (at > 0 && c->score > b->by[at - 1].score)
        at--;
    if (at == b->max)
        return;
    b->n += b->n < b->max;
    memmove(&b->by[at + 1], &b->by[at], (b->n - at - 1) * sizeof b->by[0]);
    b->by[at] = *c;
}

static void weigh(struct base *b)
{
    double sum = 0;
    for (size_t i = 0; i < b->n; i++) {
        double behind = b->by[i].score - b->by[0].score;
        b->weight[i] = exp(behind / (TAU * (1 + b->prior_weight / 2)));
        sum += b->weight[i];
    }
    for (size_t i = 0; i < b->n; i++)
        b->weight[i] /= sum;
}

/* The largest smoothed F1 plus a weighted prior: what transferred elsewhere counts twice. */
static int choose_base(struct synth *s, struct base *ret)
{
    size_t n = 0;
    const struct bank_atom *atoms = bank_atoms_of(s->kind, &n);
    struct need d = needed(s, atoms, n);
    double *block = NULL, **cols = NULL;
    ret->prior_weight = prior_weight(s->data.n_events);
    int rc = columns(s, d.ptr, d.n, &block, &cols);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct bank_atom *a = &atoms[i];
        struct threshold_data data = s->data;
        struct choice c = {.atom = a};
        data.usual = s->part->injected ? 0 : a->theta; /* sizes of our own say nothing of places */
        if (d.of[i] == SIZE_MAX ||
            !threshold_fit(&data, cols[d.of[i]], sign_of(a->dir), a->dir == DIR_ABS, &c.t))
            continue;
        c.score = c.t.f + ret->prior_weight * a->prior;
        memcpy(c.name, d.names[d.of[i]], sizeof c.name);
        keep_best(ret, &c);
    }
    weigh(ret);
    free(block);
    free(cols);
    need_fini(&d);
    return rc;
}

static void condition(const struct choice *c, char *dst, size_t size)
{
    enum bank_dir d = c->atom->dir;
    (void)snprintf(dst, size, "%s%s%s",
                   d == DIR_ABS    ? "abs("
                   : d == DIR_DOWN ? "-"
                                   : "",
                   c->name, d == DIR_ABS ? ")" : "");
}

static void print_head(struct synth *s, const char *const *texts, size_t n, struct ac_buf *b)
{
    ac_buf_puts(b, "language 1\n\n");
    ac_buf_printf(b, "# learnt from %zu points with %zu labelled events", s->part->n,
                  s->data.n_events);
    if (s->part->injected)
        ac_buf_printf(b, ", %zu of them put in to practise on", s->part->injected);
    ac_buf_puts(b, "\n");
    ac_buf_puts(b, "rule ");
    ac_buf_put_json_str(b, s->part->name);
    ac_buf_puts(b, " {\n    on ");
    ac_buf_put_json_str(b, s->part->name);
    ac_buf_printf(b, "\n    step %lldns\n", (long long)s->part->step_ns);
    bank_print_used(&s->lets, texts, n, b);
}

static const char *const dirs[] = {"abs", "up", "down"};

/* One atom: its strength and limit. */
static void put_atom(const struct choice *c, struct ac_buf *b)
{
    char x[64];
    condition(c, x, sizeof x);
    ac_buf_printf(b, "    let strength = %s\n    let limit = %.6g\n", x, bank_round(c->t.theta));
}

static void put_vote_name(const struct choice *c, struct ac_buf *b)
{
    ac_buf_printf(b, "%s_%s", c->name, dirs[c->atom->dir]);
}

static void put_vote_names(const struct base *v, const char *sep, struct ac_buf *b)
{
    for (size_t i = 0; i < v->n; i++) {
        ac_buf_puts(b, i ? sep : "");
        put_vote_name(&v->by[i], b);
    }
}

/* Several: the say of each, and their sum. One that is not known yet speaks against. */
static void put_vote(const struct base *v, struct ac_buf *b)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct choice *c = &v->by[i];
        struct ac_buf name;
        char x[64];
        condition(c, x, sizeof x);
        ac_buf_init(&name, 128);
        put_vote_name(c, &name);
        ac_buf_printf(b, "    let %s_limit = %.6g\n", ac_buf_str(&name), bank_round(c->t.theta));
        ac_buf_printf(b, "    # say of the %s, %s\n", bank_resid_says(c->atom->resid),
                      dirs[c->atom->dir]);
        ac_buf_printf(b,
                      "    let %s = %.6g * log(clip(coalesce(%s / %s_limit, 0), " VOTE_LOW
                      ", " VOTE_HIGH "))\n",
                      ac_buf_str(&name), v->weight[i], x, ac_buf_str(&name));
        ac_buf_fini(&name);
    }
    ac_buf_puts(b, "    let margin = ");
    put_vote_names(v, " + ", b);
    ac_buf_puts(b, "\n");
}

static void put_base_reason(const struct base *base, struct ac_buf *b)
{
    if (base->n == 1) {
        ac_buf_printf(b, "%s: {strength} (limit {limit})",
                      bank_resid_says(base->by[0].atom->resid));
        return;
    }
    ac_buf_printf(b, "vote of %zu: {margin} (limit " VOTE_ALARM "), most by {largest %zu of ",
                  base->n, AC_MIN(base->n, (size_t)VOTE_SHOWN));
    put_vote_names(base, ", ", b);
    ac_buf_puts(b, "}");
}

/* The rule of a base and, where there is one, a step atom. Takes no step when step is NULL. */
static char *print_rule(struct synth *s, const struct base *base, const struct choice *step)
{
    const char *when = base->n > 1 ? "margin >= " VOTE_ALARM : "strength >= limit";
    const char *score = base->n > 1 ? "exp(margin - " VOTE_ALARM ")" : "strength / limit";
    const char *texts[TRAIN_VOTE_MAX + 1];
    size_t n = 0;
    struct ac_buf b;
    ac_buf_init(&b, AC_RULES_TEXT_MAX);
    for (size_t i = 0; i < base->n; i++)
        texts[n++] = base->by[i].name;
    if (step)
        texts[n++] = step->name;
    print_head(s, texts, n, &b);
    if (base->n > 1)
        put_vote(base, &b);
    else
        put_atom(&base->by[0], &b);
    if (step) {
        char y[64];
        condition(step, y, sizeof y);
        ac_buf_printf(&b,
                      "    let step_strength = %s\n    let step_limit = %.6g\n"
                      "    # the stronger one, in units of its limit\n    let score = "
                      "greatest(coalesce(%s, 0), coalesce(step_strength / step_limit, 0))\n",
                      y, bank_round(step->t.theta), score);
    } else {
        ac_buf_printf(&b, "    let score = %s\n", score);
    }
    ac_buf_puts(&b, "    when ");
    if (s->data.quiet)
        ac_buf_printf(&b, "edge(%s, %zu)", when, s->data.quiet);
    else
        ac_buf_puts(&b, when);
    if (step)
        ac_buf_printf(&b, " or edge(step_strength >= step_limit, %d)", QUIET);
    ac_buf_puts(&b, "\n    severity warning\n    reason \"");
    put_base_reason(base, &b);
    if (step)
        ac_buf_printf(&b, "; %s: {step_strength} (limit {step_limit})",
                      bank_resid_says(step->atom->resid));
    ac_buf_puts(&b, "\"\n}\n");
    return ac_buf_take(&b);
}

struct base_flags {
    uint8_t *flags;
    bool *hit;
    size_t fp, hits;
};

static int flag_base(struct synth *s, const struct base *base, struct base_flags *f)
{
    char *text = print_rule(s, base, NULL);
    f->flags = ac_xcalloc(s->part->n, 1);
    f->hit = ac_xcalloc(s->data.n_events + 1, sizeof(bool));
    int rc = evalrule_flags(text, s->part->values, s->part->n, f->flags, NULL, s->err);
    free(text);
    for (size_t i = 0; rc == 0 && i < s->part->n; i++)
        f->fp += f->flags[i] && !s->part->labels[i];
    for (size_t e = 0; rc == 0 && e < s->data.n_events; e++) {
        const struct score_segment *g = &s->data.events[e];
        for (size_t i = g->a; i <= AC_MIN(g->b, g->a + s->data.delay); i++)
            f->hit[e] |= f->flags[i];
        f->hits += f->hit[e];
    }
    return rc;
}

/* ret_own: event F1 of the base alone on the training part. */
static int choose_step(struct synth *s, const struct base *base, struct choice *ret,
                       double *ret_own)
{
    struct base_flags f = {0};
    struct need d = needed(s, bank_steps, bank_n_steps);
    double *block = NULL, **cols = NULL, best = -INFINITY;
    int rc = flag_base(s, base, &f);
    if (rc == 0)
        rc = columns(s, d.ptr, d.n, &block, &cols);
    double own = 2.0 * (double)f.hits / (double)(f.hits + f.fp + s->data.n_events);
    *ret_own = own;
    for (size_t i = 0; rc == 0 && i < bank_n_steps; i++) {
        const struct bank_atom *a = &bank_steps[i];
        struct threshold t;
        if (d.of[i] == SIZE_MAX ||
            !threshold_fit_or(&s->data, cols[d.of[i]], sign_of(a->dir), a->dir == DIR_ABS, f.flags,
                              f.hit, f.fp, QUIET, &t))
            continue;
        double gain = t.f - own, z = gain + STEP_PRIOR_WEIGHT * a->prior;
        if (gain > STEP_GAIN_MIN && z > best) {
            best = z;
            ret->atom = a;
            ret->t = t;
            memcpy(ret->name, d.names[d.of[i]], sizeof ret->name);
        }
    }
    free(block);
    free(cols);
    free(f.flags);
    free(f.hit);
    need_fini(&d);
    return rc;
}

/* No event to learn from, or too little to find it by: what was never seen is an alarm. */
static int fall_back(struct synth *s, struct train_result *ret)
{
    struct defaults_report rep;
    int rc = defaults_train(s->part, NULL, &ret->text, &rep, s->err);
    if (rc < 0)
        return rc;
    ret->base_text = ac_xstrdup(ret->text);
    (void)snprintf(ret->base, sizeof ret->base, "%s", series_kind_name(rep.kind));
    return 0;
}

static void name_choice(const struct choice *c, char *dst, size_t size)
{
    (void)snprintf(dst, size, "%s %s", c->name, dirs[c->atom->dir]);
}

static int synthesise(struct synth *s, size_t vote, struct train_result *ret)
{
    int rc = bank_fit_residuals(&s->fit, s->part->values, s->part->n, s->part->step_ns, s->err);
    if (rc < 0)
        return rc;
    bank_put_residuals(&s->lets, &s->fit);
    struct base base = {.max = AC_MAX(vote, (size_t)1)};
    struct choice step = {0};
    double own = 0;
    rc = fit_scales(s);
    if (rc == 0)
        rc = choose_base(s, &base);
    if (rc < 0)
        return rc;
    if (!base.n)
        return AC_ENOTSUP;
    rc = choose_step(s, &base, &step, &own);
    if (rc < 0)
        return rc;
    ret->text = print_rule(s, &base, step.atom ? &step : NULL);
    ret->base_text = print_rule(s, &base, NULL);
    ret->train_f = step.atom ? step.t.f : base.n > 1 ? own : base.by[0].t.f;
    if (base.n > 1)
        (void)snprintf(ret->base, sizeof ret->base, "vote of %zu", base.n);
    else
        name_choice(&base.by[0], ret->base, sizeof ret->base);
    if (step.atom) {
        name_choice(&step, ret->step, sizeof ret->step);
        ret->step_prior = s->kind == KIND_MINUTE ? step.atom->prior : 0;
    }
    return 0;
}

/* Points without it before the base atom speaks again; 0: it speaks at every point. */
static size_t quiet_of(enum series_kind k, size_t events)
{
    return k == KIND_HOURLY || (k == KIND_STATE && events < THRESHOLD_FEW) ? QUIET_BASE : 0;
}

int train_labelled(const struct train_part *p, const struct train_options *o,
                   struct train_result *ret, struct ac_err *err)
{
    struct synth s = {.part = p, .err = err};
    struct score_segment *events = NULL;
    memset(ret, 0, sizeof *ret);
    s.data = (struct threshold_data){.labels = p->labels, .n = p->n, .delay = o->delay};
    s.data.n_events = score_segments(p->labels, p->n, &events);
    s.kind = series_kind_of(p);
    s.data.quiet = quiet_of(s.kind, s.data.n_events);
    if (s.kind == KIND_HOURLY)
        s.data.stand = practice_events(s.kind, p->n);
    s.data.events = events;
    ret->events = s.data.n_events;
    int rc = s.data.n_events ? synthesise(&s, o->vote, ret) : AC_ENOTSUP;
    if (rc == AC_ENOTSUP)
        rc = fall_back(&s, ret);
    if (rc == 0 && ((rc = evalrule_canonical(&ret->text, err)) < 0 ||
                    (rc = evalrule_canonical(&ret->base_text, err)) < 0))
        train_result_fini(ret);
    bank_lets_fini(&s.lets);
    free(events);
    return rc;
}

#include "guard.h"

#include "deviation.h"
#include "evalrule.h"
#include "evolve.h"
#include "fuse.h"
#include "kind.h"
#include "practice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules.h>
#include <aceso/str.h>

#define TRACKS (GUARD_BLOCKS + 1)

struct track {
    struct train_part seen;
    double *values; /* owned copies of a track that must not see its block */
    uint8_t *labels;
    char *rule;
    struct score_events hidden; /* of the rule on the block it did not see */
};

struct guard {
    const struct train_part *part;
    size_t delay, n_blocks; /* 0: too short to be cut */
    struct track t[TRACKS];
};

static size_t block_start(const struct guard *g, size_t b)
{
    return g->part->n / GUARD_BLOCKS * b + (b == GUARD_BLOCKS ? g->part->n % GUARD_BLOCKS : 0);
}

struct guard *guard_create(const struct train_part *part, size_t delay)
{
    struct guard *g = ac_xcalloc(1, sizeof *g);
    g->part = part;
    g->delay = delay;
    g->n_blocks = part->n >= (size_t)GUARD_BLOCKS * 8 ? GUARD_BLOCKS : 0;
    g->t[GUARD_BLOCKS].seen = *part;
    for (size_t b = 0; b < g->n_blocks; b++) {
        struct track *t = &g->t[b];
        t->values = ac_xmalloc(part->n * sizeof *t->values);
        t->labels = ac_xmalloc(part->n);
        memcpy(t->values, part->values, part->n * sizeof *t->values);
        memcpy(t->labels, part->labels, part->n);
        for (size_t i = block_start(g, b); i < block_start(g, b + 1); i++) {
            t->values[i] = __builtin_nan("");
            t->labels[i] = 0;
        }
        t->seen = *part;
        t->seen.values = t->values;
        t->seen.labels = t->labels;
    }
    return g;
}

void guard_destroy(struct guard *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < TRACKS; i++) {
        free(g->t[i].values);
        free(g->t[i].labels);
        free(g->t[i].rule);
    }
    free(g);
}

static size_t track_at(const struct guard *g, size_t i)
{
    return i < g->n_blocks ? i : GUARD_BLOCKS;
}

/* The rule runs over everything, as it would later; only its block counts. */
static int judge(const struct guard *g, size_t b, const char *rule, struct score_events *ret,
                 struct ac_err *err)
{
    uint8_t *flags = ac_xcalloc(g->part->n + 1, 1);
    int rc = evalrule_flags(rule, g->part->values, g->part->n, flags, NULL, err);
    size_t a = block_start(g, b);
    if (rc == 0)
        *ret = score_events(g->part->labels + a, flags + a, block_start(g, b + 1) - a, g->delay);
    free(flags);
    return rc;
}

static double value_of(const struct score_events *s)
{
    return s->tp + s->fn > 0 ? s->f1 : 1.0 / (1.0 + (double)s->fp);
}

/* New rules of all tracks, judged; a track without a change keeps NULL and its old score. */
static int change_all(struct guard *g, guard_change *fn, void *arg, char *rules[TRACKS],
                      struct score_events hidden[TRACKS], struct ac_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i <= g->n_blocks; i++) {
        size_t k = track_at(g, i);
        hidden[k] = g->t[k].hidden;
        rc = fn(&g->t[k].seen, g->t[k].rule, k, arg, &rules[k], err);
        if (rc == 0 && rules[k] && k < GUARD_BLOCKS)
            rc = judge(g, k, rules[k], &hidden[k], err);
    }
    return rc;
}

static void take_all(struct guard *g, char *rules[TRACKS], const struct score_events hidden[TRACKS])
{
    for (size_t k = 0; k < TRACKS; k++) {
        if (!rules[k])
            continue;
        free(g->t[k].rule);
        g->t[k].rule = rules[k];
        g->t[k].hidden = hidden[k];
        rules[k] = NULL;
    }
}

int guard_start(struct guard *g, guard_change *fn, void *arg, struct ac_err *err)
{
    char *rules[TRACKS] = {0};
    struct score_events hidden[TRACKS] = {{0}};
    int rc = change_all(g, fn, arg, rules, hidden, err);
    if (rc == 0)
        take_all(g, rules, hidden);
    for (size_t k = 0; k < TRACKS; k++)
        free(rules[k]);
    return rc;
}

int guard_try(struct guard *g, guard_change *fn, void *arg, enum guard_need need, bool *ret_kept,
              double *ret_gain, struct ac_err *err)
{
    char *rules[TRACKS] = {0};
    struct score_events hidden[TRACKS] = {{0}};
    int rc = change_all(g, fn, arg, rules, hidden, err);
    double gain = 0;
    size_t hits = 0, before = 0;
    for (size_t b = 0; rc == 0 && b < g->n_blocks; b++) {
        gain += (value_of(&hidden[b]) - value_of(&g->t[b].hidden)) / (double)g->n_blocks;
        hits += hidden[b].tp;
        before += g->t[b].hidden.tp;
    }
    bool kept = rc == 0 && rules[GUARD_BLOCKS] && gain > (need == GUARD_HOLDS ? -1e-12 : 1e-12) &&
                (need != GUARD_CLEARS || hits >= before);
    if (kept)
        take_all(g, rules, hidden);
    for (size_t k = 0; k < TRACKS; k++)
        free(rules[k]);
    if (rc < 0)
        return rc;
    if (ret_gain)
        *ret_gain = gain;
    *ret_kept = kept;
    return 0;
}

double guard_value(const struct guard *g)
{
    double sum = 0;
    for (size_t b = 0; b < g->n_blocks; b++)
        sum += value_of(&g->t[b].hidden);
    return g->n_blocks ? sum / (double)g->n_blocks : 0;
}

struct score_events guard_counts(const struct guard *g)
{
    struct score_events s = {0};
    for (size_t b = 0; b < g->n_blocks; b++) {
        s.tp += g->t[b].hidden.tp;
        s.fp += g->t[b].hidden.fp;
        s.fn += g->t[b].hidden.fn;
    }
    size_t all = 2 * s.tp + s.fp + s.fn;
    s.f1 = all ? 2.0 * (double)s.tp / (double)all : 0;
    return s;
}

const char *guard_rule(const struct guard *g)
{
    return g->t[GUARD_BLOCKS].rule;
}

int guard_bounded(const char *rule, struct ac_err *err)
{
    struct ac_cost c;
    int rc = evalrule_cost(rule, &c, err);
    if (rc < 0)
        return rc;
    if (c.ops_per_point > GUARD_OPS_MAX)
        return ac_err_set(err, AC_ERANGE, "the rule needs %.0f steps a point, more than %.0f",
                          c.ops_per_point, GUARD_OPS_MAX);
    if (c.state_bytes > GUARD_STATE_MAX)
        return ac_err_set(err, AC_ERANGE, "the rule needs %zu bytes a series, more than %u",
                          c.state_bytes, GUARD_STATE_MAX);
    return 0;
}

/* ---- training ---- */

struct made {
    struct train_options o;
    struct train_result r[TRACKS];
};

static int make_base(const struct train_part *seen, const char *rule, size_t track, void *arg,
                     char **ret, struct ac_err *err)
{
    struct made *m = arg;
    (void)rule;
    int rc = train_labelled(seen, &m->o, &m->r[track], err);
    if (rc == 0)
        *ret = ac_xstrdup(m->r[track].base_text);
    return rc;
}

static int train_unlabelled(const struct train_part *part, const struct guard_options *o,
                            struct train_result *ret, struct guard_report *rep, struct ac_err *err);

/* As if nobody had labelled anything; what is known to be an event is not learnt from. */
static int make_unlabelled(const struct train_part *seen, const char *rule, size_t track, void *arg,
                           char **ret, struct ac_err *err)
{
    struct made *m = arg;
    (void)rule;
    struct guard_options o = {.train = m->o};
    struct guard_report rep = {0};
    struct train_part calm = *seen;
    double *v = ac_xmalloc((seen->n + 1) * sizeof *v);
    for (size_t i = 0; i < seen->n; i++)
        v[i] = seen->labels[i] ? __builtin_nan("") : seen->values[i];
    calm.values = v;
    calm.labels = ac_xcalloc(seen->n + 1, 1);
    int rc = train_unlabelled(&calm, &o, &m->r[track], &rep, err);
    if (rc == 0)
        *ret = ac_xstrdup(m->r[track].text);
    free((void *)(uintptr_t)calm.labels);
    free(v);
    return rc;
}

static int join_parts(const struct train_part *seen, const char *rule, size_t track, void *arg,
                      char **ret, struct ac_err *err)
{
    struct made *m = arg;
    (void)seen;
    (void)rule;
    (void)err;
    *ret = ac_xstrdup(m->r[track].text);
    return 0;
}

static void made_fini(struct made *m)
{
    for (size_t k = 0; k < TRACKS; k++)
        train_result_fini(&m->r[k]);
}

static struct guard_part *add_part(struct guard_report *rep, const char *name)
{
    AC_ASSERT(rep->n_parts < GUARD_PARTS_MAX);
    struct guard_part *p = &rep->parts[rep->n_parts++];
    ac_str_copy(p->name, sizeof p->name, name);
    return p;
}

/* A vote takes the place of the one atom when it is better; what joins is then made for it. */
static int try_vote(struct guard *g, struct made *m, struct guard_report *rep, struct ac_err *err)
{
    struct made vote = {.o = m->o};
    struct guard_part *p = add_part(rep, "vote");
    int rc = guard_try(g, make_base, &vote, GUARD_BETTER, &p->kept, &p->gain, err);
    for (size_t k = 0; rc == 0 && p->kept && k < TRACKS; k++) {
        struct train_result *a = &m->r[k], *v = &vote.r[k];
        char *alone = v->base_text;
        v->base_text = a->base_text; /* what the rule is measured by stays the one atom */
        a->base_text = alone;
        struct train_result other = *a;
        *a = *v;
        *v = other;
    }
    made_fini(&vote);
    return rc;
}

/* The second atom, where the part as a whole has one. */
static int try_catch(struct guard *g, struct made *m, struct guard_report *rep, struct ac_err *err)
{
    struct train_result *all = &m->r[GUARD_BLOCKS];
    if (!*all->step)
        return 0;
    struct guard_part *p = add_part(rep, "catch");
    enum guard_need need = all->step_prior > 0 ? GUARD_HOLDS : GUARD_BETTER;
    int rc = guard_try(g, join_parts, m, need, &p->kept, &p->gain, err);
    if (rc == 0 && !p->kept)
        all->step[0] = 0;
    return rc;
}

/* What joins the base detector, and changes of the whole. */
static int join_all(struct guard *g, struct made *m, const struct guard_options *o,
                    struct guard_report *rep, struct ac_err *err)
{
    int rc = 0;
    rep->base_value = guard_value(g);
    rep->base = guard_counts(g);
    m->o = o->train;
    if (m->o.vote)
        rc = try_vote(g, m, rep, err);
    if (rc == 0)
        rc = try_catch(g, m, rep, err);
    if (rc == 0)
        rc = fuse_all(g, g->part->step_ns, rep, err);
    if (rc == 0)
        rc = evolve(g, &o->evolve, &rep->evolve, err);
    return rc;
}

/* The rule of the labels, or of no labels where it is not better than that: an hourly series has
 * few of them, and what is learnt without is good there. */
static int labels_or_none(struct guard *g, struct made *m, struct guard_report *rep, bool *ret_kept,
                          struct ac_err *err)
{
    struct made none = {.o = m->o};
    struct guard_part *p = add_part(rep, "labels");
    int rc = guard_start(g, make_unlabelled, &none, err);
    if (rc == 0)
        rc = guard_try(g, make_base, m, GUARD_BETTER, &p->kept, &p->gain, err);
    if (rc == 0 && !p->kept) {
        struct train_result *all = &m->r[GUARD_BLOCKS];
        size_t events = all->events;
        train_result_fini(all);
        *all = none.r[GUARD_BLOCKS];
        all->events = events;
        none.r[GUARD_BLOCKS] = (struct train_result){0};
    }
    *ret_kept = p->kept;
    made_fini(&none);
    return rc;
}

static int learn(struct guard *g, struct made *m, const struct guard_options *o,
                 struct guard_report *rep, struct ac_err *err)
{
    bool labels = true;
    int rc;
    m->o = (struct train_options){.delay = o->train.delay};
    if (series_kind_of(g->part) == KIND_HOURLY && !g->part->injected)
        rc = labels_or_none(g, m, rep, &labels, err);
    else
        rc = guard_start(g, make_base, m, err);
    if (rc == 0 && labels)
        rc = join_all(g, m, o, rep, err);
    rep->value = guard_value(g);
    rep->rule = guard_counts(g);
    if (!labels) {
        rep->base_value = rep->value;
        rep->base = rep->rule;
    }
    return rc;
}

static int train_guarded(const struct train_part *part, const struct guard_options *o,
                         struct train_result *ret, struct guard_report *rep, struct ac_err *err)
{
    struct made m = {0};
    struct guard *g = guard_create(part, o->train.delay);
    int rc = learn(g, &m, o, rep, err);
    if (rc == 0) {
        *ret = m.r[GUARD_BLOCKS];
        m.r[GUARD_BLOCKS] = (struct train_result){0};
        free(ret->text);
        ret->text = ac_xstrdup(guard_rule(g));
    }
    made_fini(&m);
    guard_destroy(g);
    return rc;
}

/* The verdict is the same, and what was proven of it. */
static void put_deviation(const struct train_part *part, char **text)
{
    char *ranked = deviation_add(part, *text);
    if (!ranked)
        return;
    free(*text);
    *text = ranked;
}

/* Spikes are put into a copy of the part, and a rule is learnt and proven there. ret->text stays
 * NULL when nothing was put in. */
static int learn_injected(const struct train_part *part, const struct guard_options *o,
                          struct train_result *ret, struct guard_report *rep, struct ac_err *err)
{
    struct train_part copy = *part;
    double *v = ac_xmalloc((part->n + 1) * sizeof *v);
    uint8_t *labels = ac_xmalloc(part->n + 1);
    *ret = (struct train_result){0};
    copy.values = v;
    copy.labels = labels;
    int rc = practice_make(part, v, labels, &rep->injected, err);
    copy.injected = rep->injected;
    if (rc == 0 && rep->injected)
        rc = train_guarded(&copy, o, ret, rep, err);
    free(v);
    free(labels);
    return rc;
}

/* Without labelled events nothing can be proven but silence: defaults.h does. */
static int train_unlabelled(const struct train_part *part, const struct guard_options *o,
                            struct train_result *ret, struct guard_report *rep, struct ac_err *err)
{
    static const char *const names[] = {"spike", "range", "flat", "stuck"};
    *ret = (struct train_result){0};
    struct train_result learnt;
    int rc = learn_injected(part, o, &learnt, rep, err);
    if (rc == 0)
        rc = defaults_train(part, learnt.text, &ret->text, &rep->defaults, err);
    train_result_fini(&learnt);
    if (rc < 0)
        return rc;
    ret->base_text = ac_xstrdup(ret->text);
    (void)snprintf(ret->base, sizeof ret->base, "%s%s", series_kind_name(rep->defaults.kind),
                   rep->defaults.learnt ? " injected" : "");
    for (size_t k = 0; k < DEFAULT_END; k++) {
        size_t at = strlen(ret->step);
        if (rep->defaults.kept[k])
            (void)snprintf(ret->step + at, sizeof ret->step - at, "%s%s", at ? " " : "", names[k]);
    }
    return 0;
}

/* Few events are evidence beside what was put in, not in its place. */
static int train_events(const struct train_part *part, const struct guard_options *o,
                        struct train_result *ret, struct guard_report *rep, struct ac_err *err)
{
    int rc = learn_injected(part, o, ret, rep, err);
    if (rc == 0 && !ret->text)
        return train_guarded(part, o, ret, rep, err);
    if (rc == 0)
        ret->events -= AC_MIN(ret->events, rep->injected);
    return rc;
}

static bool any_event(const struct train_part *p)
{
    return memchr(p->labels, 1, p->n) != NULL;
}

int guard_train(const struct train_part *part, const struct guard_options *o,
                struct train_result *ret, struct guard_report *ret_report, struct ac_err *err)
{
    struct guard_report rep = {0};
    int rc = any_event(part) ? train_events(part, o, ret, &rep, err)
                             : train_unlabelled(part, o, ret, &rep, err);
    if (rc < 0)
        return rc;
    if (o->alarms_per_day > 0) {
        char *held = NULL;
        rc = budget_hold(part, ret->text, o->alarms_per_day, &held, &rep.budget, err);
        if (rc == 0) {
            free(ret->text);
            ret->text = held;
        }
    }
    if (rc == 0)
        rc = guard_bounded(ret->text, err);
    if (rc < 0) {
        train_result_fini(ret);
        return rc;
    }
    put_deviation(part, &ret->text);
    put_deviation(part, &ret->base_text);
    *ret_report = rep;
    return 0;
}

#include "feedback.h"

#include "edit.h"
#include "evalrule.h"
#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#define FACTORS 29  /* of the limits: exp(-1.2) to exp(1.6) in steps of .1 */
#define ASIS    12  /* the factor 1 */
#define FADE    0.9 /* a week counts so much less than the next */

struct counts {
    double tp, fp, fn;
};

struct state {
    const struct feedback *f;
    uint8_t *flags[FACTORS]; /* NULL: the limits cannot be set so */
    struct counts past[FACTORS];
};

static double f1(const struct counts *c)
{
    double all = 2 * c->tp + c->fp + c->fn;
    return all > 0 ? 2 * c->tp / all : 0;
}

static int evaluate(struct state *s, const char *rule, struct ac_err *err)
{
    int rc = 0;
    for (int k = 0; rc == 0 && k < FACTORS; k++) {
        char *text = k == ASIS ? ac_xstrdup(rule) : edit_limits(rule, exp((k - ASIS) * 0.1));
        if (!text)
            continue;
        s->flags[k] = ac_xcalloc(s->f->n + 1, 1);
        rc = evalrule_flags(text, s->f->values, s->f->n, s->flags[k], NULL, err);
        free(text);
    }
    return rc;
}

/* Adds rows [a, b), whose labels are known now. */
static void learn(struct state *s, size_t a, size_t b)
{
    for (int k = 0; k < FACTORS; k++) {
        if (!s->flags[k])
            continue;
        struct score_events e = score_events(s->f->labels + a, s->flags[k] + a, b - a, s->f->delay);
        struct counts *c = &s->past[k];
        c->tp = FADE * c->tp + (double)e.tp;
        c->fp = FADE * c->fp + (double)e.fp;
        c->fn = FADE * c->fn + (double)e.fn;
    }
}

/* The best so far, smoothed over its neighbours; a draw goes to the one nearest to the rule's. */
static int choose(const struct state *s)
{
    int best = ASIS;
    double best_f = -1;
    for (int i = 0; i < FACTORS; i++) {
        int k = ASIS + (i % 2 ? (i + 1) / 2 : -i / 2);
        if (k < 0 || k >= FACTORS || !s->flags[k])
            continue;
        double sum = 0, n = 0;
        for (int j = k > 0 ? k - 1 : 0; j <= k + 1 && j < FACTORS; j++) {
            double w = j == k ? 2 : 1;
            sum += s->flags[j] ? w * f1(&s->past[j]) : 0;
            n += s->flags[j] ? w : 0;
        }
        if (sum / n > best_f + 1e-12) {
            best_f = sum / n;
            best = k;
        }
    }
    return best;
}

int feedback_run(const char *rule, const struct feedback *f, uint8_t *ret_flags,
                 struct feedback_report *ret, struct ac_err *err)
{
    struct state s = {.f = f};
    struct feedback_report r = {0};
    int rc = evaluate(&s, rule, err), at = ASIS;
    for (size_t a = 0; rc == 0 && a < f->start; a += f->week)
        learn(&s, a, AC_MIN(a + f->week, f->start));
    for (size_t a = f->start; rc == 0 && a < f->n; a += f->week) {
        size_t b = AC_MIN(a + f->week, f->n);
        int k = choose(&s);
        r.changes += k != at && r.weeks > 0;
        at = k;
        r.weeks++;
        memcpy(ret_flags + a, s.flags[at] + a, b - a);
        learn(&s, a, b);
    }
    r.last = exp((at - ASIS) * 0.1);
    for (int k = 0; k < FACTORS; k++)
        free(s.flags[k]);
    if (rc == 0)
        *ret = r;
    return rc;
}

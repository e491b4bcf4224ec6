#include "nab.h"

#include <math.h>
#include <stdlib.h>

#include <aceso/base.h>

#define PROBATION_SHARE 0.15
#define PROBATION_ROWS  5000.0
#define FAR_BEHIND      3.0 /* widths behind a window: a false alarm costs all of its weight */

const struct nab_profile nab_profiles[NAB_PROFILES] = {
    {"standard", 1.0, 0.11, 1.0},
    {"reward_low_FP_rate", 1.0, 0.22, 1.0},
    {"reward_low_FN_rate", 1.0, 0.11, 2.0},
};

struct point {
    double score, gain; /* gain: before the weights */
    size_t window;      /* among all of all series; SIZE_MAX: outside */
};

struct sweep {
    struct point *points; /* scored ones, falling */
    size_t n, n_windows, all_windows;
    double *best; /* of each window that can be hit; -1: cannot (all of it unscored) */
};

size_t nab_probation(size_t n)
{
    double rows = (double)n < PROBATION_ROWS ? (double)n : PROBATION_ROWS;
    return (size_t)floor(PROBATION_SHARE * rows);
}

/* 1 far before the end of a window (-1), 0 at its end, -1 far behind. */
static double sigmoid(double place)
{
    return place >= FAR_BEHIND ? -1.0 : 2.0 / (1.0 + exp(5.0 * place)) - 1.0;
}

static int falling(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

static void add_series(struct sweep *w, const struct nab_series *s)
{
    size_t k = 0, probation = nab_probation(s->n);
    for (size_t i = 0; i < s->n; i++) {
        while (k < s->n_windows && i > s->windows[k].b)
            k++;
        const struct score_segment *in =
            k < s->n_windows && i >= s->windows[k].a ? &s->windows[k] : NULL;
        const struct score_segment *before = k ? &s->windows[k - 1] : NULL;
        if (i < probation)
            continue;
        struct point p = {.score = s->score[i], .window = SIZE_MAX};
        if (in) {
            double width = (double)(in->b - in->a + 1);
            p.window = w->all_windows + k;
            p.gain = sigmoid(-(double)(in->b - i + 1) / width) / sigmoid(-1.0);
            if (w->best[p.window] < 0)
                w->n_windows++;
            w->best[p.window] = 0;
        } else if (before && before->b > before->a) {
            p.gain = sigmoid((double)(i - before->b) / (double)(before->b - before->a));
        } else {
            p.gain = -1.0;
        }
        if (p.score == p.score)
            w->points[w->n++] = p;
    }
    w->all_windows += s->n_windows;
}

static void sweep_init(struct sweep *w, const struct nab_series *s, size_t n)
{
    size_t points = 0, windows = 0;
    for (size_t i = 0; i < n; i++) {
        points += s[i].n;
        windows += s[i].n_windows;
    }
    *w = (struct sweep){.points = ac_xmalloc((points + 1) * sizeof *w->points),
                        .best = ac_xmalloc((windows + 1) * sizeof *w->best)};
    for (size_t i = 0; i < windows; i++)
        w->best[i] = -1;
    for (size_t i = 0; i < n; i++)
        add_series(w, &s[i]);
    qsort(w->points, w->n, sizeof *w->points, falling);
}

/* A window's gain is above 0 from its first detection on: 0 tells that there is none yet. */
static void detect(struct sweep *w, const struct nab_profile *p, const struct point *x,
                   struct nab_score *now)
{
    if (x->window == SIZE_MAX) {
        now->raw += p->fp * x->gain;
        now->false_points++;
        return;
    }
    double *best = &w->best[x->window];
    if (x->gain <= *best)
        return;
    now->raw += *best > 0 ? p->tp * (x->gain - *best) : p->tp * x->gain + p->fn;
    now->hit += *best <= 0;
    *best = x->gain;
}

/* Walks the thresholds from above down to at_least; the best one passed, or the last. */
static void sweep_run(struct sweep *w, const struct nab_profile *p, double at_least, bool last,
                      struct nab_score *ret)
{
    double null = -p->fn * (double)w->n_windows;
    struct nab_score now = {.threshold = INFINITY, .raw = null, .windows = w->all_windows};
    *ret = now;
    for (size_t i = 0; i < w->n && w->points[i].score >= at_least;) {
        now.threshold = w->points[i].score;
        for (; i < w->n && w->points[i].score == now.threshold; i++)
            detect(w, p, &w->points[i], &now);
        if (last || now.raw > ret->raw)
            *ret = now;
    }
    double perfect = p->tp * (double)w->all_windows;
    ret->score = perfect > null ? 100.0 * (ret->raw - null) / (perfect - null) : 0;
    free(w->points);
    free(w->best);
}

void nab_score_at(const struct nab_series *s, size_t n, const struct nab_profile *p,
                  double threshold, struct nab_score *ret)
{
    struct sweep w;
    sweep_init(&w, s, n);
    sweep_run(&w, p, threshold, true, ret);
    ret->threshold = threshold;
}

void nab_score_best(const struct nab_series *s, size_t n, const struct nab_profile *p,
                    struct nab_score *ret)
{
    struct sweep w;
    sweep_init(&w, s, n);
    sweep_run(&w, p, -INFINITY, false, ret);
}

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#include "scorers/rca_scorers.h"

#define DAMPING   0.85
#define BACKWARD  0.1
#define STEPS     200
#define CONVERGED 1e-12
#define FLOOR     1e-3 /* even what does not resemble the symptom may be passed through */

/* Likeness of each column to the symptom in the rows around the incident: |r| over the incident and
 * as many normal rows before it; without a symptom how far it deviates. */
static void similarity(const struct ac_rca_frame *f, double *sim)
{
    size_t rows = f->normal + f->faulty, before = AC_MIN(f->normal, f->faulty + 2);
    size_t from = f->normal - before, n = rows - from;
    double top = 0;
    for (size_t j = 0; j < f->p; j++)
        top = fmax(top, log1p(ac_rca_frame_z(f, j)));
    for (size_t j = 0; j < f->p; j++) {
        double r = f->symptom < 0
                       ? log1p(ac_rca_frame_z(f, j)) / fmax(top, 1e-300)
                       : fabs(ac_stats_pearson(f->x + j * rows + from,
                                               f->x + (size_t)f->symptom * rows + from, n));
        sim[j] = FLOOR + (isnan(r) ? 0.0 : r);
    }
}

/* Where to go from each column, [from * p + to], rows sum to 1. */
static void transitions(const struct ac_rca_frame *f, const double *sim, double *t)
{
    size_t p = f->p;
    for (size_t j = 0; j < p; j++) {
        double *row = t + j * p, best = 0, sum = 0;
        for (size_t i = 0; i < p; i++) {
            if (f->drives[i * p + j]) {
                row[i] = sim[i];
                best = fmax(best, sim[i]);
            } else if (f->drives[j * p + i]) {
                row[i] = BACKWARD * sim[i];
            }
        }
        row[j] = fmax(0.0, sim[j] - best);
        for (size_t i = 0; i < p; i++)
            sum += row[i];
        for (size_t i = 0; i < p; i++)
            row[i] = sum > 0.0 ? row[i] / sum : i == j ? 1.0 : 0.0;
    }
}

void ac_rca_score_walk(const struct ac_rca_frame *f, double *score)
{
    size_t p = f->p;
    double *sim = ac_xcalloc(p + 1, sizeof(double)), *start = ac_xcalloc(p + 1, sizeof(double));
    double *next = ac_xcalloc(p + 1, sizeof(double)), *t = ac_xcalloc(p * p + 1, sizeof(double));
    double sum = 0;
    similarity(f, sim);
    transitions(f, sim, t);
    for (size_t j = 0; j < p; j++)
        sum += start[j] = log1p(ac_rca_frame_z(f, j));
    for (size_t j = 0; j < p; j++)
        score[j] = start[j] = sum > 0.0 ? start[j] / sum : 1.0 / (double)p;
    for (int step = 0; step < STEPS; step++) {
        double moved = 0;
        for (size_t j = 0; j < p; j++)
            next[j] = (1.0 - DAMPING) * start[j];
        for (size_t j = 0; j < p; j++)
            for (size_t i = 0; score[j] > 0.0 && i < p; i++)
                next[i] += DAMPING * score[j] * t[j * p + i];
        for (size_t j = 0; j < p; j++)
            moved += fabs(next[j] - score[j]);
        memcpy(score, next, p * sizeof(double));
        if (moved < CONVERGED)
            break;
    }
    free(sim);
    free(start);
    free(next);
    free(t);
}

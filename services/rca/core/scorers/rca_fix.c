#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#include "scorers/rca_scorers.h"

#define DRAWS 200

void ac_rca_score_fix(const struct ac_rca_frame *f, const struct ac_rca_sem *s, uint64_t seed,
                      double *score)
{
    size_t p = f->p, rows = f->normal + f->faulty, drawn[DRAWS];
    struct ac_rng rng;
    memset(score, 0, p * sizeof(double));
    if (f->symptom < 0)
        return;
    size_t row = ac_rca_worst_row(f, f->symptom);
    double *effect = ac_xcalloc(p + 1, sizeof(double));
    double seen = f->x[(size_t)f->symptom * rows + row];
    ac_rca_sem_effects(s, f->symptom, effect);
    ac_rng_seed(&rng, seed);
    for (int k = 0; k < DRAWS; k++)
        drawn[k] = (size_t)ac_rng_below(&rng, f->normal);
    for (size_t j = 0; j < p; j++) {
        double healed = 0, left = 0;
        if (effect[j] == 0.0 || !(fabs(seen) > 0.0) ||
            !(fabs(s->noise[j * rows + row]) > AC_RCA_FRAME_ANOMALY * s->sd[j]))
            continue; /* no effect on the symptom, or as its own causes say */
        for (int k = 0; k < DRAWS; k++) {
            double x = seen + effect[j] * (f->x[j * rows + drawn[k]] - f->x[j * rows + row]);
            healed += fabs(x) <= AC_RCA_FRAME_ANOMALY;
            left += fabs(x);
        }
        score[j] = healed / DRAWS + 0.01 * fmax(0.0, 1.0 - left / DRAWS / fabs(seen));
    }
    free(effect);
}

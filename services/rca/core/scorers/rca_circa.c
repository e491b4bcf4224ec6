#include <math.h>

#include <aceso/base.h>

#include "scorers/rca_scorers.h"

/* The largest score that lies behind a column's effects: normal ones are looked through. */
static double behind(const struct ac_rca_frame *f, const double *base, const double *largest,
                     size_t i)
{
    double best = 0;
    for (size_t j = 0; j < f->p; j++)
        if (f->drives[i * f->p + j])
            best = fmax(best, base[j] > AC_RCA_FRAME_ANOMALY ? base[j] : largest[j]);
    return best;
}

void ac_rca_score_circa(const struct ac_rca_frame *f, const struct ac_rca_sem *s, double *score)
{
    size_t p = f->p, rows = f->normal + f->faulty;
    double *base = ac_xcalloc(p + 1, sizeof(double)), *largest = ac_xcalloc(p + 1, sizeof(double));
    for (size_t j = 0; j < p; j++)
        for (size_t r = f->normal; r < rows; r++)
            base[j] = fmax(base[j], fabs(s->noise[j * rows + r]) / s->sd[j]);
    for (size_t k = p; k-- > 0;) { /* effects first */
        size_t i = (size_t)s->order[k];
        largest[i] = behind(f, base, largest, i);
        score[i] = base[i] > AC_RCA_FRAME_ANOMALY ? base[i] + largest[i] : base[i];
    }
    free(base);
    free(largest);
}

#include <aceso/base.h>

#include "scorers/rca_scorers.h"

/* Marks what reaches the symptom over anomalous columns. */
static void reach(const struct ac_rca_frame *f, const double *z, int from, bool *seen)
{
    int *stack = ac_xcalloc(f->p + 1, sizeof(int));
    size_t n = 0;
    stack[n++] = from;
    seen[from] = true;
    while (n > 0) {
        size_t j = (size_t)stack[--n];
        for (size_t i = 0; i < f->p; i++) {
            if (!f->drives[i * f->p + j] || seen[i] || !(z[i] > AC_RCA_FRAME_ANOMALY))
                continue;
            seen[i] = true;
            stack[n++] = (int)i;
        }
    }
    free(stack);
}

void ac_rca_score_traversal(const struct ac_rca_frame *f, double *score)
{
    double *z = ac_xcalloc(f->p + 1, sizeof(double));
    bool *seen = ac_xcalloc(f->p + 1, sizeof(bool));
    for (size_t j = 0; j < f->p; j++) {
        z[j] = ac_rca_frame_z(f, j);
        seen[j] = f->symptom < 0;
    }
    if (f->symptom >= 0)
        reach(f, z, f->symptom, seen);
    for (size_t j = 0; j < f->p; j++) {
        bool first = seen[j] && z[j] > AC_RCA_FRAME_ANOMALY;
        for (size_t i = 0; i < f->p && first; i++)
            first = !(f->drives[i * f->p + j] && z[i] > AC_RCA_FRAME_ANOMALY);
        score[j] = first ? z[j] : 0.0;
    }
    free(z);
    free(seen);
}

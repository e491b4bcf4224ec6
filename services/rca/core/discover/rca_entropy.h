/* Loops over the rows of a few columns that DirectLiNGAM spends its time in, by the best
 * instruction set of the machine. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct ac_rca_loops {
    /* u = (y - r x) / s over n values: means of ln cosh u + ln 2 and of u exp(-u^2 / 2), from which
     * the entropy of a residual is approximated. Both are off by less than 1e-9. */
    void (*shape)(const double *y, const double *x, double r, double s, size_t n,
                  double *ret_log_cosh, double *ret_gauss);
    /* The same in single precision, several times faster: both are off by less than
     * AC_RCA_ROUGH / s, where x and y have mean 0 and variance 1. */
    void (*rough)(const float *y, const float *x, double r, double s, size_t n,
                  double *ret_log_cosh, double *ret_gauss);
    double (*dot)(const double *x, const double *y, size_t n);
    /* To mean 0 and variance 1, in place; false where nothing varies. */
    bool (*standardise)(double *u, size_t n);
    /* y - r x, standardised, in place of y. */
    bool (*residual)(double *y, const double *x, double r, size_t n);
};

/* In units of 2^-24 the mean error of u is at most 9 / s + 2 (that of y and r x, rounded four
 * times, over s), both functions of u are no steeper than 1, their own error is below 8 and that of
 * the sums, 20 additions deep, below 26: 45 / s in all. */
#define AC_RCA_ROUGH 4e-6

/** Entropy of a standardised column from the means that shape or rough give (Hyvarinen's
 * approximation); by how much it is off at most where each of them is off by up to e. */
double ac_rca_entropy(double log_cosh, double gauss);
double ac_rca_entropy_error(double log_cosh, double gauss, double e);

enum ac_rca_wide {
    AC_RCA_PLAIN,
    AC_RCA_AVX2,
    AC_RCA_AVX512,
    AC_RCA_NWIDE
};

/** NULL where the machine has not got the instructions. All give the same values to the bit. */
const struct ac_rca_loops *ac_rca_loops_of(enum ac_rca_wide w);
const struct ac_rca_loops *ac_rca_loops(void); /* the widest */

/* Inside. */
extern const struct ac_rca_loops ac_rca_loops_plain, ac_rca_loops_avx2, ac_rca_loops_avx512;

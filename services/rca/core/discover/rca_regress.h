/* Least squares from covariances, and copies of a matrix at lags. Inside of discovery. Pure. */
#pragma once

#include "discover/rca_matrix.h"

/** y on s[0..k): coefficients, and t of each (either may be NULL); *ret_s2: variance of what is
 * left, with n - k - 1 degrees of freedom. cov: p x p, divided by n. False when the covariance of s
 * is singular or n is too small. */
bool ac_rca_regress(const double *cov, size_t p, size_t n, const int *s, size_t k, int y,
                    double *coef, double *t, double *ret_s2);

/** Columns lag by lag: column l * p + j of the result is column j l samples earlier; the first
 * max_lag rows fall away. Names are not set. AC_EINVAL when too few rows are left, AC_ERANGE. */
int ac_rca_lagged(const struct ac_rca_matrix *m, size_t max_lag, struct ac_rca_matrix *ret,
                  struct ac_err *err) AC_MUST_USE;

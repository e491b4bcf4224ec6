/* Bayesian online change points of several series at once: R. P. Adams and D. J. C. MacKay, 2007,
 * with the Student-t prediction of a normal-inverse-Wishart prior, as the detector of BARO uses it
 * (L. Pham et al., "BARO: Robust Root Cause Analysis for Microservices via Multivariate Bayesian
 * Online Change Point Detection", FSE 2024). Pure. */
#pragma once

#include <stddef.h>

#define AC_RCA_BOCPD_MAX_D 16

/** x: n rows of d <= AC_RCA_BOCPD_MAX_D columns, row by row, finite, of the order of 1. hazard: the
 * chance of a change at any row. Writes the rows where a new run begins (at most max), ascending,
 * and returns how many. A change is where the most likely run length falls. Runs less likely than
 * 1e-8 are forgotten, and beyond 256 the least likely: O(n d^2) times the runs under way. */
size_t ac_rca_bocpd(const double *x, size_t n, size_t d, double hazard, size_t *changes,
                    size_t max);

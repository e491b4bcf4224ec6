/* Robust statistics of small samples. Pure; the caller owns all memory; empty input gives 0. */
#pragma once

#include <stddef.h>

/** Sorts in place. */
void ac_rca_sort(double *v, size_t n);
/** Quantile of sorted values, linear between ranks; q in [0, 1]. */
double ac_rca_quantile_sorted(const double *sorted, size_t n, double q);
/** Median; the values are reordered. */
double ac_rca_median(double *v, size_t n);
double ac_rca_mean(const double *v, size_t n);

/** Largest sustained value: the largest median of w neighbours, w = max(2, n / 6), window moved by
 * w / 4; n <= w: the median of all. scratch holds n values. */
double ac_rca_sustained_peak(const double *v, size_t n, double *scratch);

/** Pearson's r, 0 when either side is constant or n < 3. */
double ac_rca_pearson(const double *a, const double *b, size_t n);

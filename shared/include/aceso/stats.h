/* Statistics of arrays and of sliding windows. Pure and deterministic; the caller owns all arrays.
 * Arrays must hold numbers (leave gaps out with ac_stats_compact) unless said; results that do not
 * exist (the mean of nothing) are NaN. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

/* ---- arrays ---- */

/** Copies the numbers of v (no NaN) to out, which may be v; returns how many. */
size_t ac_stats_compact(const double *v, size_t n, double *out);
void ac_stats_sort(double *v, size_t n);        /* ascending; no NaN */
double ac_stats_sum(const double *v, size_t n); /* compensated */
double ac_stats_mean(const double *v, size_t n);
/** Divides by n - ddof: 0 = population, 1 = sample. */
double ac_stats_var(const double *v, size_t n, unsigned ddof);
double ac_stats_std(const double *v, size_t n, unsigned ddof);
/** Linear between ranks, as numpy's default; q in [0, 1]. Reorders v: O(n). */
double ac_stats_quantile(double *v, size_t n, double q);
double ac_stats_quantile_sorted(const double *v, size_t n, double q);
double ac_stats_median(double *v, size_t n); /* reorders v */
/** Median of the distances to the median, not scaled; v is overwritten. */
double ac_stats_mad(double *v, size_t n);
#define AC_STATS_MAD_TO_STD 1.4826022185056018 /* for normal data */

/** Ranks from 1, ties share their mean rank. rank may not be v. */
void ac_stats_ranks(const double *v, size_t n, double *rank);
double ac_stats_pearson(const double *a, const double *b, size_t n); /* NaN when one is constant */
double ac_stats_spearman(const double *a, const double *b, size_t n);
double ac_stats_kendall(const double *a, const double *b, size_t n); /* tau-b, O(n log n) */
/** Correlation with itself lag points later. */
double ac_stats_autocorr(const double *v, size_t n, size_t lag);
/** How many independent points carry as much about a correlation of a and b as these n
 * autocorrelated ones do (Bartlett, up to max_lag): 1 to n. */
double ac_stats_effective_n(const double *a, const double *b, size_t n, size_t max_lag);

/* ---- distributions ---- */

double ac_stats_normal_cdf(double x);
double ac_stats_normal_quantile(double p);              /* -inf at 0, inf at 1 */
double ac_stats_chi2_sf(double x, double df);           /* P(X > x) */
double ac_stats_t_sf(double x, double df);              /* P(T > x) */
double ac_stats_f_sf(double x, double df1, double df2); /* P(F > x) */

/* ---- least squares ---- */

struct ac_ols {
    size_t rank;     /* below the number of columns when these depend on each other */
    double rss, tss; /* residual and total (about the mean if there is an intercept) squares */
    double sigma2;   /* rss / (n - rank); NaN when there are no degrees of freedom left */
    double r2;
};
/** y ~ x: x has n rows and p columns, row by row; with intercept a column of ones is put before
 * them. coef holds p (+ 1) values, the intercept first; of several solutions the shortest. resid
 * (n) may be NULL. AC_EINVAL when a value is no number or n is 0. */
int ac_stats_ols(const double *x, const double *y, size_t n, size_t p, bool intercept, double *coef,
                 double *resid, struct ac_ols *ret_fit, struct ac_err *err) AC_MUST_USE;

/* ---- a multiset with access by rank: O(log n) ---- */

struct ac_ostat;
struct ac_ostat *ac_ostat_create(uint32_t max_items);
void ac_ostat_destroy(struct ac_ostat *o); /* NULL is fine */
void ac_ostat_clear(struct ac_ostat *o);
void ac_ostat_insert(struct ac_ostat *o, double v); /* v is a number; fewer than max are in */
void ac_ostat_remove(struct ac_ostat *o, double v); /* v must be in */
/** remove(old) and insert(v) at once. */
void ac_ostat_replace(struct ac_ostat *o, double old, double v);
uint32_t ac_ostat_len(const struct ac_ostat *o);
double ac_ostat_at(const struct ac_ostat *o, uint32_t rank);  /* rank < len */
double ac_ostat_quantile(const struct ac_ostat *o, double q); /* NaN when empty */
double ac_ostat_mad(const struct ac_ostat *o);
size_t ac_ostat_bytes(uint32_t max_items);
#define AC_OSTAT_SORTED_MAX 256u
/** The numbers in order where max_items is at most that, else NULL. Eight places in front and those
 * up to the next multiple of eight behind are there to be written to, and one more to be read: a
 * caller with wide registers may put one number in another's place. */
double *ac_ostat_sorted(struct ac_ostat *o);

/* ---- a sliding window over a stream ---- */

/* The last w points; NaN takes a place and counts in nothing. Nothing is ever subtracted, so one
 * huge value leaves no trace once it is out. */
struct ac_window;
/** ordered: also quantiles and MAD, at O(log w) a point; else O(1), amortised. */
struct ac_window *ac_window_create(uint32_t w, bool ordered);
void ac_window_destroy(struct ac_window *win); /* NULL is fine */
void ac_window_clear(struct ac_window *win);
void ac_window_push(struct ac_window *win, double v);
uint32_t ac_window_points(const struct ac_window *win); /* places taken, at most w */
uint32_t ac_window_len(const struct ac_window *win);    /* numbers among them */
double ac_window_sum(const struct ac_window *win);      /* 0 when there are none */
double ac_window_mean(const struct ac_window *win);
double ac_window_var(const struct ac_window *win, unsigned ddof);
double ac_window_std(const struct ac_window *win, unsigned ddof);
double ac_window_min(const struct ac_window *win);
double ac_window_max(const struct ac_window *win);
/* Ordered windows only. */
double ac_window_quantile(const struct ac_window *win, double q);
double ac_window_median(const struct ac_window *win);
double ac_window_mad(const struct ac_window *win);

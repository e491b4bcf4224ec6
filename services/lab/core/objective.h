/* The user's objective, judged on what the load generator saw: error ratio and latency of each
 * class of requests. The same judgement serves the symptom gate, the oracle and the check after a
 * revert. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_CLASSES_MAX 8

/* One class in one second. */
struct lab_point {
    int64_t time_ns; /* end of the second, Unix */
    int cls;
    double requests; /* finished in it */
    double errors;   /* failed or past their deadline */
    double p90_s;    /* NaN when nothing finished */
};

struct lab_objective {
    int classes;
    double max_error_ratio[LAB_CLASSES_MAX];
    double max_p90_s[LAB_CLASSES_MAX];
};

/* From the healthy baseline: twice its error ratio and 2 % on top; three times its 90th percentile,
 * at least half a second. */
#define LAB_ERROR_RATIO_MARGIN 0.02
#define LAB_P90_FACTOR         3.0
#define LAB_P90_FLOOR_S        0.5

/** False when a class has no request in [from, to): no objective can be had. */
bool lab_objective_from_baseline(const struct lab_point *p, size_t n, int classes, int64_t from_ns,
                                 int64_t to_ns, struct lab_objective *ret);

/** A point that breaks the objective of its class. */
bool lab_point_bad(const struct lab_objective *o, const struct lab_point *p);

/** Time of the first bad point of the first class that has at least `need` bad points in [from,
 * to); 0 when no class has: no visible symptom. *ret_cls says which class. */
int64_t lab_first_symptom(const struct lab_objective *o, const struct lab_point *p, size_t n,
                          int64_t from_ns, int64_t to_ns, int need, int *ret_cls);

/** Does the objective hold over [from, to): every class has requests, its errors stay within the
 * ratio, and the median of its p90 within the limit. *ret_cls is the class that breaks it (-1:
 * none). */
bool lab_objective_holds(const struct lab_objective *o, const struct lab_point *p, size_t n,
                         int64_t from_ns, int64_t to_ns, int *ret_cls);

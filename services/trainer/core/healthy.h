/* Training without labels: from telemetry of a healthy time, some ten seconds of it or more, rules
 * that stay silent on it and fire within a few points when a kind of metric behaves as it must not:
 * durations grow, errors appear, readiness falls, traffic breaks down, a process starts anew.
 * Thresholds have floors by kind of metric, so that short and quiet samples make no nervous rules.
 * Series that differ only in which instance sent them share one rule. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>
#include <aceso/rules.h>

struct healthy_series {
    const char *component, *metric, *kind, *unit; /* kind: "gauge", "counter", "delta" */
    const struct ac_label *labels;
    size_t n_labels;
    const double *values; /* in time order; NaN: missing */
    size_t n;
    int64_t step_ns; /* between points, 0: not known */
};

struct healthy_rule {
    char *name, *text; /* canonical */
    size_t series;     /* that it was learnt from */
    struct ac_cost cost;
};

/** Rules for the series, in order of their names. Caller frees with healthy_rules_free. */
int healthy_train(const struct healthy_series *s, size_t n, struct healthy_rule **ret_rules,
                  size_t *ret_n, struct ac_err *err) AC_MUST_USE;
void healthy_rules_free(struct healthy_rule *r, size_t n);

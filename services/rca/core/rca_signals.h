/* Telemetry as services report it (OpenTelemetry names, labels, units) into a case: call counts,
 * errors and latencies of all routes are joined into one rate, one error share in percent and one
 * mean latency in seconds a component, and the same for each edge seen by the caller. Pure. */
#pragma once

#include "rca_model.h"

struct ac_rca_label {
    const char *key, *value;
};

enum ac_rca_temporality {
    AC_RCA_GAUGE,
    AC_RCA_CUMULATIVE,
    AC_RCA_DELTA
};

struct ac_rca_series {
    const char *component, *metric, *unit;
    const struct ac_rca_label *labels;
    size_t nlabels;
    enum ac_rca_temporality temporality;
    size_t n;
    const int64_t *t_ns; /* ascending */
    const double *v;
};

struct ac_rca_signals;

/** The range that samples are taken from, and the width of a bin (0: 1 s). AC_RCA_MAX_BINS. */
#define AC_RCA_MAX_BINS 100000
struct ac_rca_signals *ac_rca_signals_create(int64_t from_ns, int64_t to_ns, int64_t bin_ns);
void ac_rca_signals_destroy(struct ac_rca_signals *s);
/** Copies what it needs. Series that say nothing here are ignored. */
void ac_rca_signals_add(struct ac_rca_signals *s, const struct ac_rca_series *x);
/** Adds components, measurements and the edges that client measurements show. */
int ac_rca_signals_build(struct ac_rca_signals *s, struct ac_rca_case *c,
                         struct ac_err *err) AC_MUST_USE;

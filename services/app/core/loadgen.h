/* Open-loop load: which request is to be sent when. The whole sequence follows from the seed, not
 * from how fast the answers come. Also the counts of what became of the requests. */
#pragma once

#include "hist.h"
#include "spec.h"

#include <aceso/rng.h>

struct app_loadgen;

struct app_load_request {
    int64_t at_ns; /* after the start */
    size_t class_index;
    const char *path; /* in the arena */
};

/** rate in requests a second, > 0; shares: one a class, not all zero (NULL = the spec's). */
struct app_loadgen *app_loadgen_create(const struct app_load_spec *spec, uint64_t seed, double rate,
                                       const double *shares);
void app_loadgen_destroy(struct app_loadgen *g);
/** The next request; a is reset by the caller between requests. */
int app_loadgen_next(struct app_loadgen *g, struct ac_arena *a, struct app_load_request *ret,
                     struct ac_err *err) AC_MUST_USE;

/** "search=60,login=5": shares of the named classes, the others keep theirs. AC_EINVAL. */
int app_load_parse_mix(const struct app_load_spec *spec, const char *text, double *shares,
                       struct ac_err *err) AC_MUST_USE;

struct app_load_counts {
    uint64_t sent, ok, error, late;
    struct app_hist hist; /* of all that ended, from the intended start */
};

/** {"t":..,"final":..,"sent":..,"ok":..,"error":..,"late":..,"in_flight":..,"mean_ms":..,"p90_ms":..,
 * "p99_ms":..,"classes":{name:{...}}} without a line end. */
void app_load_report(const struct app_load_spec *spec, const struct app_load_counts *classes,
                     double t_s, bool final, uint64_t in_flight, struct ac_buf *out);

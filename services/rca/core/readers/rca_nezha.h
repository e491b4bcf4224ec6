/* Nezha's form: a CSV a pod with a row a minute (Time, TimeStamp, PodName, measurements), the calls
 * as Source,Target,Weight, the medians of each edge's latency as its caller (source) and its callee
 * (destination) see it, and the success rate of the entry from outside. Pure: text into a case. */
#pragma once

#include "readers/rca_csv.h"

/** A pod's or the entry's (ServiceName) file. The component is the pod's name without its two last
 * parts, or the service's name in lower case; of the entry only the success rate is taken, as
 * AC_RCA_SLI. The Time column counts: TimeStamp is wrong in places. */
int ac_rca_nezha_parse(const char *name, const char *text, size_t len, int64_t shift_ns,
                       struct ac_rca_case *c, struct ac_err *err) AC_MUST_USE;

/** Edge latencies: `time,timestamp,<caller>_<callee>,...`. The table's columns keep those names. */
int ac_rca_nezha_edges_parse(const char *name, const char *text, size_t len,
                             struct ac_rca_table *ret, struct ac_err *err) AC_MUST_USE;
/** Adds what callers see beyond what callees report as AC_RCA_GAP of the callee (peer: caller). */
int ac_rca_nezha_gaps(const struct ac_rca_table *source, const struct ac_rca_table *destination,
                      int64_t shift_ns, struct ac_rca_case *c, struct ac_err *err) AC_MUST_USE;

/** Service of a pod: "cartservice-579f59597d-wc2lz" to "cartservice"; caller frees. */
char *ac_rca_pod_service(const char *pod);

/* Protobuf messages into a case, and a result into a Diagnosis. Any thread. */
#pragma once

#include "rca_engine.h"
#include "rca_lines.h"
#include "rca_signals.h"
#include "rca_spans.h"

#include <aceso/arena.h>
#include <aceso/v1/rca.pb-c.h>

/** Series of a query's answer. */
void rca_convert_series(struct ac_rca_signals *s, const Aceso__V1__QueryMetricsResponse *r);
int rca_convert_graph(struct ac_rca_case *c, const Aceso__V1__ServiceGraphResponse *r,
                      struct ac_err *err) AC_MUST_USE;
/** Whom a record or a series says that it is about; NULL: nobody. */
const char *rca_convert_peer(Aceso__V1__Label *const *labels, size_t n);
/** Warnings and errors from a time on (0: the oldest that is there), events of those from another
 * on. After graph and spans. */
int rca_convert_logs(struct ac_rca_case *c, const Aceso__V1__QueryLogsResponse *r,
                     const int64_t range_ns[2], int64_t events_from_ns,
                     struct ac_err *err) AC_MUST_USE;
int rca_convert_spans(struct ac_rca_case *c, const Aceso__V1__QuerySpansResponse *r,
                      struct ac_err *err) AC_MUST_USE;
int rca_convert_findings(struct ac_rca_case *c, const Aceso__V1__DiagnoseRequest *r,
                         struct ac_err *err) AC_MUST_USE;
/** AC_EINVAL on times and sizes that make no sense. */
int rca_check_request(const Aceso__V1__DiagnoseRequest *r, struct ac_err *err) AC_MUST_USE;

/** The answer, in the arena; meta is left NULL. NULL when the arena's cap is passed. */
Aceso__V1__Diagnosis *rca_convert_result(const struct ac_rca_case *c, const struct ac_rca_result *r,
                                         struct ac_arena *a);

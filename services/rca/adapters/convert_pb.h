/* Protobuf messages into a case, and a result into a Diagnosis. Any thread. */
#pragma once

#include "rca_engine.h"
#include "rca_signals.h"

#include <aceso/arena.h>
#include <aceso/v1/rca.pb-c.h>

/** Series of a query's answer. */
void rca_convert_series(struct ac_rca_signals *s, const Aceso__V1__QueryMetricsResponse *r);
int rca_convert_graph(struct ac_rca_case *c, const Aceso__V1__ServiceGraphResponse *r,
                      struct ac_err *err) AC_MUST_USE;
int rca_convert_logs(struct ac_rca_case *c, const Aceso__V1__QueryLogsResponse *r,
                     struct ac_err *err) AC_MUST_USE;
int rca_convert_findings(struct ac_rca_case *c, const Aceso__V1__DiagnoseRequest *r,
                         struct ac_err *err) AC_MUST_USE;
/** AC_EINVAL on times and sizes that make no sense. */
int rca_check_request(const Aceso__V1__DiagnoseRequest *r, struct ac_err *err) AC_MUST_USE;

/** The answer, in the arena; meta is left NULL. NULL when the arena's cap is passed. */
Aceso__V1__Diagnosis *rca_convert_result(const struct ac_rca_case *c, const struct ac_rca_result *r,
                                         struct ac_arena *a);

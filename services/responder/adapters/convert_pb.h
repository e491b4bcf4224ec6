/* Incidents between the core's plain data and protobuf. Any thread. */
#pragma once

#include "responder.h"

#include <aceso/arena.h>
#include <aceso/v1/incidents.pb-c.h>

/** The message, in the arena; NULL when its cap is passed. */
Aceso__V1__Incident *resp_incident_to_pb(const struct ac_incident *i, const char *tenant,
                                         const char *source, struct ac_arena *a);
/** A stored message back into the core's form (new object). */
struct ac_incident *resp_incident_from_pb(const Aceso__V1__Incident *m, int64_t wake_ns,
                                          unsigned diagnoses);
/** AC_EINVAL on alerts that name neither id nor namespace. Strings are borrowed from m. */
int resp_alert_from_pb(const Aceso__V1__Alert *m, const void *raw, size_t raw_len,
                       struct ac_alert_in *ret, struct ac_err *err) AC_MUST_USE;
/** Candidates of a diagnosis; the strings are borrowed. Returns how many. */
size_t resp_causes_from_pb(const Aceso__V1__Diagnosis *d, struct ac_inc_cause *ret, size_t max);
/** AC_EINVAL on unknown action kinds. */
int resp_policy_from_pb(const Aceso__V1__MitigationPolicy *m, struct ac_policy *ret,
                        struct ac_err *err) AC_MUST_USE;

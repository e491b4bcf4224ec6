/* What a session asks of the world. All block; session threads only. */
#pragma once

#include "lab.h"

#include <aceso/v1/incidents.pb-c.h>

/* ---- application.c: the application and its load, by the Kubernetes API ---- */
/** Creates the session's namespaces and applies the application's manifests. May be repeated. */
int lab_app_deploy(struct lab_run *r, struct ac_err *err) AC_MUST_USE;
/** Waits until every deployment has all its replicas ready. AC_ETIMEOUT names those that have not.
 */
int lab_app_wait_ready(struct lab_run *r, int64_t timeout_ns, struct ac_err *err) AC_MUST_USE;
int lab_load_start(struct lab_run *r, struct ac_err *err) AC_MUST_USE;
int lab_app_delete(struct lab_run *r, struct ac_err *err) AC_MUST_USE;

/* ---- faults.c: injection and revert, through the journal ---- */
#define LAB_CHAOS_NAMESPACE "aceso-chaos"
int lab_faults_inject(struct lab_run *r, struct ac_err *err) AC_MUST_USE;
/** Takes out whatever the journal names; may be repeated. */
int lab_faults_revert(struct lab_run *r, struct ac_err *err) AC_MUST_USE;

/* ---- observe.c: telemetry of the load, learning, and the agent's incidents ---- */
extern const char *const lab_class_names[];
extern const int lab_n_classes;
/** Points of the load in [from, to), by time. Free with free. */
int lab_load_points(struct lab_run *r, int64_t from_ns, int64_t to_ns, struct lab_point **ret,
                    size_t *ret_n, struct ac_err *err) AC_MUST_USE;
/** Trains rules on the healthy telemetry and waits until the detector has them. */
int lab_learn(struct lab_run *r, int64_t from_ns, int64_t to_ns, struct ac_err *err) AC_MUST_USE;
/** Lets the responder act in the session's namespace, or not any more. */
int lab_set_policy(struct lab_run *r, bool act, struct ac_err *err) AC_MUST_USE;
/** Reads the namespace's incidents and moves what was seen into r->s; notes what is new. */
int lab_observe_agent(struct lab_run *r, struct ac_err *err) AC_MUST_USE;

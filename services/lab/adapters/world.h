/* What a session asks of the world. All block; session threads only. */
#pragma once

#include "lab.h"

#include <protobuf-c/protobuf-c.h>

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

/* ---- ask.c ---- */
/** One call to another service. Blocks until its answer or 5 s are over; *ret is freed with
 * protobuf_c_message_free_unpacked(ret, NULL). */
int lab_ask(struct ac_rpc_channel *ch, const char *method, const void *req,
            const ProtobufCMessageDescriptor *reply, ProtobufCMessage **ret,
            struct ac_err *err) AC_MUST_USE;

static inline void lab_message_p(ProtobufCMessage **m) /* ac_cleanup(lab_message_p) */
{
    if (*m)
        protobuf_c_message_free_unpacked(*m, NULL);
}

/* ---- observe.c: telemetry of the load, and the agent's incidents ---- */
/** Points of the load in [from, to), in no order. Classes that are new are taken up while the
 * baseline is gathered, and ignored later. Free with free. */
int lab_load_points(struct lab_run *r, int64_t from_ns, int64_t to_ns, struct lab_point **ret,
                    size_t *ret_n, struct ac_err *err) AC_MUST_USE;
/** Lets the responder act in the session's namespace, or not any more. */
int lab_set_policy(struct lab_run *r, bool act, struct ac_err *err) AC_MUST_USE;
/** Reads the namespace's incidents and moves what was seen into r->s; notes what is new. */
int lab_observe_agent(struct lab_run *r, struct ac_err *err) AC_MUST_USE;

/** Notes the incidents that there are although nothing is broken yet. */
int lab_note_false_alarms(struct lab_run *r, struct ac_err *err) AC_MUST_USE;

/* ---- learn.c ---- */
/** Trains rules on the healthy telemetry and waits until the detector has them. */
int lab_learn(struct lab_run *r, int64_t from_ns, int64_t to_ns, struct ac_err *err) AC_MUST_USE;
/** Removes the rules of the session's namespace. */
int lab_forget(struct lab_run *r, struct ac_err *err) AC_MUST_USE;

/* The controllers: each pass compares what objects ask for with what there is, and changes the
 * store. A pass is idempotent; run until nothing changes. Loop thread only. */
#pragma once

#include "defaults.h"
#include "store.h"

#include <stdint.h>

struct cl_ctl {
    struct cl_store *store;
    struct cl_net net;
    const char *node; /* name of the one node */
    uint64_t gc_rv;   /* how far the garbage collector has read the log */
    int64_t wake_ns;  /* when the next pass is due without a change; INT64_MAX = none */
};

/** One pass of all controllers, repeated until the store is at rest (at most 20 times). Sets
 * wake_ns. */
void cl_ctl_run(struct cl_ctl *c);
void cl_ctl_wake_at(struct cl_ctl *c, int64_t wall_ns);

void cl_ctl_deployments(struct cl_ctl *c);
void cl_ctl_replicasets(struct cl_ctl *c);
void cl_ctl_jobs(struct cl_ctl *c);
void cl_ctl_schedule(struct cl_ctl *c);
void cl_ctl_services(struct cl_ctl *c);
void cl_ctl_namespaces(struct cl_ctl *c);
void cl_ctl_gc(struct cl_ctl *c);
void cl_ctl_events(struct cl_ctl *c);

/** Gives a service without an address one of the instance's; checks one that was asked for. */
int cl_service_assign(struct cl_ctl *c, json_t *svc, struct ac_err *err) AC_MUST_USE;

/** Records an event about an object; the same event again counts up. type "Normal" or "Warning". */
struct cl_note {
    enum cl_kind_id kind;
    const json_t *object;
    const char *type, *reason, *component;
    const char *field; /* involvedObject.fieldPath, or NULL */
};
void cl_event_record(struct cl_store *s, const struct cl_note *n, const char *message);

/* Shared by controllers. */
/** New owner reference (controller) to an object. */
json_t *cl_owner_ref(enum cl_kind_id k, const json_t *owner);
const char *cl_owner_uid(const json_t *o); /* uid of the controlling owner; NULL = none */
bool cl_pod_ready(const json_t *pod);      /* condition Ready is True */
bool cl_pod_ended(const json_t *pod);      /* Succeeded or Failed */
/** Sets type in an array of conditions; the transition time moves when the status changes. */
void cl_condition_set(json_t *conditions, const char *type, const char *status, const char *reason,
                      const char *message, int64_t now_ns);
/** Pod of a template (spec.template of owner), ready to be added. */
json_t *cl_pod_from_template(enum cl_kind_id k, const json_t *owner);
/** Update that only logs nothing: conflicts cannot happen within a pass. */
void cl_ctl_update(struct cl_ctl *c, enum cl_kind_id k, const json_t *o);
void cl_ctl_status(struct cl_ctl *c, enum cl_kind_id k, const json_t *o, json_t *status_taken);
void cl_ctl_delete(struct cl_ctl *c, enum cl_kind_id k, const json_t *o);

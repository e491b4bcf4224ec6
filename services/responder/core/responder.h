/* The responder: alerts become incidents, incidents get a diagnosis and guarded repairs. A state
 * machine over plain data; the clock comes in as now_ns, the world is reached through ports.
 *
 * Durability is the caller's part of the contract: after every store effect the incident must be
 * stored before the effects that follow it for the same incident are carried out. Actions are
 * recorded as intended first, and are idempotent, so that running one again after a crash is safe.
 */
#pragma once

#include "plan.h"

struct ac_responder;

struct ac_responder_config {
    int64_t settle_ns;         /* from the first alert to the first diagnosis */
    int64_t retry_ns;          /* between diagnoses that gave nothing */
    int64_t diagnose_limit_ns; /* a diagnosis that takes longer is asked for again */
    int64_t verify_ns;         /* how long alerts may take to clear after an action */
    int64_t action_limit_ns;   /* an action that takes longer is run again */
    int64_t reopen_ns;         /* an alert this soon after resolution belongs to the incident */
    unsigned max_diagnoses;    /* in a row without an answer */
};
struct ac_responder_config ac_responder_config_default(void);

struct ac_responder_ports {
    void *self;
    void (*new_id)(void *self, char ret[27]);
    /* Effects, in order. inc and action belong to the core: copy what is needed later. */
    void (*store)(void *self, const struct ac_incident *inc);
    void (*diagnose)(void *self, const struct ac_incident *inc);
    void (*run)(void *self, const struct ac_incident *inc, const struct ac_inc_action *action);
};

struct ac_responder *ac_responder_create(const struct ac_responder_config *c,
                                         const struct ac_responder_ports *p);
void ac_responder_destroy(struct ac_responder *r);

struct ac_alert_in {
    const char *id, *namespace_, *component;
    uint64_t sequence;
    bool open; /* false: this message closes it */
    int64_t started_ns, ended_ns;
    const void *blob;
    size_t blob_len;
};
/** The incident that took the alert and was stored for it; NULL when the message says nothing new
 * (a duplicate, or the end of an alert that nobody knows): acknowledge it at once. */
const struct ac_incident *ac_responder_alert(struct ac_responder *r, int64_t now_ns,
                                             const struct ac_alert_in *a);

/** What is known of an alert; NULL when no incident in memory has it. */
const struct ac_inc_alert *ac_responder_find_alert(const struct ac_responder *r,
                                                   const char *alert_id);

struct ac_diagnosed_in {
    bool ok;             /* an answer with at least one cause and enough confidence */
    const char *problem; /* when not ok: why, for the record */
    const struct ac_inc_cause *causes;
    size_t ncauses;
    const void *blob;
    size_t blob_len;
    const struct ac_cluster_state *cluster;
};
/** Answer to the diagnose port. Ignored when the incident no longer waits for one. */
void ac_responder_diagnosed(struct ac_responder *r, int64_t now_ns, const char *incident_id,
                            const struct ac_diagnosed_in *d);
/** Answer to the run port. Ignored unless that action is the intended one. */
void ac_responder_action_done(struct ac_responder *r, int64_t now_ns, const char *incident_id,
                              const char *action_id, bool ok, const char *detail);
/** Carries out what is due; call it at least at ac_responder_next_wake. */
void ac_responder_tick(struct ac_responder *r, int64_t now_ns);
int64_t ac_responder_next_wake(const struct ac_responder *r); /* INT64_MAX: nothing is due */

/** Sets a namespace's policy. An incident that waited for a human for want of one is tried again.
 */
void ac_responder_set_policy(struct ac_responder *r, int64_t now_ns, const char *ns,
                             const struct ac_policy *p);
const struct ac_policy *ac_responder_policy(const struct ac_responder *r, const char *ns);

/** After a restart: takes a stored incident (ownership moves), then resume once for all. */
void ac_responder_load(struct ac_responder *r, struct ac_incident *inc);
void ac_responder_resume(struct ac_responder *r, int64_t now_ns);

const struct ac_incident *ac_responder_find(const struct ac_responder *r, const char *id);
/** The i-th incident in memory, oldest first; NULL after the last. */
const struct ac_incident *ac_responder_at(const struct ac_responder *r, size_t i);
/** When the open alerts began: what the diagnosis is asked about. */
int64_t ac_incident_symptom_start(const struct ac_incident *i);

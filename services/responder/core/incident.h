/* Incidents as plain data: alerts grouped, a diagnosis, the actions considered and taken. Owned by
 * the responder (responder.h); adapters read them. Pure. Times are Unix ns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(id, text): the text is what is stored and published. */
#define AC_INC_STATES(X)                                                                           \
    X(OPEN, "open")               /* alerts are collected, the diagnosis waits a moment */         \
    X(DIAGNOSING, "diagnosing")   /* the cluster is looked at, rca is asked */                     \
    X(MITIGATING, "mitigating")   /* an action is intended or runs */                              \
    X(VERIFYING, "verifying")     /* the action is done; the alerts must clear */                  \
    X(RESOLVED, "resolved")       /* all alerts closed */                                          \
    X(NEEDS_HUMAN, "needs_human") /* nothing is left that the policy permits */

enum ac_inc_state {
#define X(id, text) AC_INC_##id,
    AC_INC_STATES(X)
#undef X
    AC_INC_NSTATES
};
const char *ac_inc_state_name(enum ac_inc_state s);
bool ac_inc_state_parse(const char *s, enum ac_inc_state *ret);

#define AC_ACT_KINDS(X)                                                                            \
    X(REPLACE_POD, "replace_pod")                                                                  \
    X(ROLLOUT_RESTART, "rollout_restart")                                                          \
    X(SCALE, "scale")                                                                              \
    X(ROLLOUT_UNDO, "rollout_undo")                                                                \
    X(RESTORE, "restore")                                                                          \
    X(NONE, "none")
enum ac_act_kind {
#define X(id, text) AC_ACT_##id,
    AC_ACT_KINDS(X)
#undef X
    AC_ACT_NKINDS
};
const char *ac_act_kind_name(enum ac_act_kind k);
bool ac_act_kind_parse(const char *s, enum ac_act_kind *ret);

#define AC_ACT_STATES(X)                                                                           \
    X(CONSIDERED, "considered")                                                                    \
    X(DRY_RUN, "dry_run")                                                                          \
    X(REFUSED, "refused")                                                                          \
    X(INTENDED, "intended")                                                                        \
    X(DONE, "done")                                                                                \
    X(FAILED, "failed")
enum ac_act_state {
#define X(id, text) AC_ACTION_##id,
    AC_ACT_STATES(X)
#undef X
    AC_ACTION_NSTATES
};
const char *ac_act_state_name(enum ac_act_state s);
bool ac_act_state_parse(const char *s, enum ac_act_state *ret);

struct ac_inc_alert {
    char *id;
    uint64_t sequence;
    bool open;
    char *component;
    int64_t started_ns, ended_ns;
    void *blob; /* the alert as it came, for those who show it */
    size_t blob_len;
};

struct ac_inc_action {
    char *id;
    int64_t time_ns;
    enum ac_act_kind kind;
    enum ac_act_state state;
    char *target; /* "pod/user-5d9f", "deployment/user", "configmap/restore-geo" */
    char *pin;    /* what must still hold: uid of the pod, revision to go back to; or "" */
    char *component;
    char *reason, *detail;
};

struct ac_inc_cause { /* a candidate of the diagnosis */
    char *component;
    char *fault; /* "pod", "network", "store_auth", "latency", "errors", "resource", "change" */
    double score, confidence;
    char *text;
};

struct ac_incident {
    char *id, *namespace_;
    uint64_t revision;
    enum ac_inc_state state;
    int64_t created_ns, started_ns, detected_ns, diagnosed_ns, mitigated_ns, resolved_ns;
    int64_t wake_ns;    /* when the state's time is over; 0 none. Stored, so that it survives. */
    unsigned diagnoses; /* attempts so far */
    char *summary;
    struct ac_inc_alert *alerts;
    size_t nalerts, alerts_cap;
    struct ac_inc_action *actions;
    size_t nactions, actions_cap;
    struct ac_inc_cause *causes;
    size_t ncauses;
    void *diagnosis; /* as rca gave it */
    size_t diagnosis_len;
};

struct ac_incident *ac_incident_create(const char *id, const char *ns);
void ac_incident_destroy(struct ac_incident *i);
size_t ac_incident_open_alerts(const struct ac_incident *i);
/** Index of the alert, -1 when absent. */
int ac_incident_find_alert(const struct ac_incident *i, const char *alert_id);
struct ac_inc_alert *ac_incident_add_alert(struct ac_incident *i, const char *id);
struct ac_inc_action *ac_incident_add_action(struct ac_incident *i, const char *id);
/** The action that is intended but neither done nor failed; NULL when none. */
struct ac_inc_action *ac_incident_running(struct ac_incident *i);
/** Actions that were carried out or begun. */
size_t ac_incident_acted(const struct ac_incident *i);
void ac_incident_set_causes(struct ac_incident *i, const struct ac_inc_cause *causes, size_t n);
void ac_inc_set_str(char **dst, const char *src);

/* Which repair to try: explicit rules over the diagnosis, what the cluster shows, what was tried,
 * and the policy. Pure: every option that was weighed comes back with its reason. */
#pragma once

#include "incident.h"

struct ac_pod_state {
    char *name, *uid, *component, *phase, *reason;
    bool ready, deleting;
    int restarts;
    int64_t created_ns, ready_since_ns; /* of the Ready condition; 0 unknown */
};

struct ac_deploy_state {
    char *name, *component;
    int replicas, declared; /* declared: from the applied manifest, -1 unknown */
    int ready;
    bool stateful;      /* its pods keep data: replacing one loses what is not on a volume */
    int revision;       /* of the current template; 0 unknown */
    int previous;       /* the revision before it; 0 none */
    int64_t changed_ns; /* when the current revision was made; 0 unknown */
    bool is_statefulset;
};

struct ac_restore_state { /* a config map labelled aceso.dev/restores=<component> */
    char *name, *component;
};

struct ac_cluster_state { /* of one namespace */
    struct ac_pod_state *pods;
    size_t npods, pods_cap;
    struct ac_deploy_state *deploys;
    size_t ndeploys, deploys_cap;
    struct ac_restore_state *restores;
    size_t nrestores, restores_cap;
};
void ac_cluster_state_fini(struct ac_cluster_state *s);

#define AC_POLICY_MAX_ACTIONS 4
#define AC_POLICY_MAX_PODS    3

struct ac_policy {
    bool act;       /* false: dry run */
    unsigned allow; /* bit by ac_act_kind; 0 = all */
    unsigned max_actions, max_pods;
    int64_t expires_ns; /* 0 never */
};

struct ac_option {
    enum ac_act_kind kind;
    char target[160], pin[64], component[128];
    char reason[256];
    char refusal[160]; /* "" when the policy permits it */
};

#define AC_PLAN_MAX 24

struct ac_plan {
    struct ac_option options[AC_PLAN_MAX]; /* best first; what was tried is left out */
    size_t n;
    int chosen; /* the first that is permitted; -1 none */
};

/** policy NULL = dry run. now_ns decides whether a policy has expired. */
void ac_plan_make(const struct ac_incident *inc, const struct ac_cluster_state *cluster,
                  const struct ac_policy *policy, int64_t now_ns, struct ac_plan *ret);

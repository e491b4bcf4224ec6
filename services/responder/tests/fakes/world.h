/* A world for the responder's core: records its effects, has a small hotel namespace. */
#pragma once

#include "responder.h"

struct world {
    struct ac_responder *r;
    int64_t now_ns;
    unsigned ids;
    int stores, looks, runs;
    char look_id[32], run_incident[32], run_action[32];
    enum ac_act_kind run_kind;
    char run_target[160];
    enum ac_inc_state last_state;
    char incident[32];
    struct ac_cluster_state cluster;
};

void world_init(struct world *w);
/** Throws the core away and makes an empty one in the same world. */
void world_rebuild(struct world *w);
void world_fini(struct world *w);
void world_pod(struct world *w, const char *component, const char *name, bool ready);
void world_deploy(struct world *w, const char *component, int replicas, int declared);
void world_restore(struct world *w, const char *component, const char *name);
/** Moves time and lets the core work in steps of 100 ms. */
void world_run(struct world *w, double seconds);
void world_alert(struct world *w, const char *id, uint64_t sequence, bool open,
                 const char *component);
/** Answers the last diagnose effect with "component:fault" causes, NULL-ended; none = no answer. */
void world_diagnosed(struct world *w, const char *const *causes);
void world_policy(struct world *w, bool act);
const struct ac_incident *world_incident(struct world *w);
/** Number of actions of the incident in a state. */
int world_count(struct world *w, enum ac_act_state s);

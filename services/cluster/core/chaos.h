/* Chaos Mesh's PodChaos and NetworkChaos: which pods are hit, the records, and what the runtime and
 * the proxy have to do. A record binds to the pod (uid) chosen at injection. Loop thread only. */
#pragma once

#include "ctl.h"

#include <stdbool.h>
#include <stdint.h>

#define CL_CHAOS_FINALIZER "chaos-mesh/records"

/** Injects, recovers by duration, pause or deletion, keeps status. */
void cl_ctl_chaos(struct cl_ctl *c);
/** Whether a pod-failure is on this pod. */
bool cl_chaos_pod_failure(const struct cl_store *s, const char *pod_uid);

struct cl_net_fault {
    json_t *sources; /* array of pod uids; own reference */
    json_t *targets; /* array of pod uids, own reference; NULL = all the world */
    bool to, from;   /* packets that leave the sources (to targets), that come to them */
    bool partition;
    int64_t latency_ns, jitter_ns;
    double correlation, loss; /* 0..1 */
};
/** Faults that are in force; at most max are written. Returns how many. */
size_t cl_chaos_net_faults(const struct cl_store *s, struct cl_net_fault *dst, size_t max);
void cl_net_fault_fini(struct cl_net_fault *f);

/** Whether a Chaos Mesh selector takes this pod; own_ns is the chaos object's namespace. */
bool cl_chaos_selects(const json_t *selector, const json_t *pod, const char *own_ns);

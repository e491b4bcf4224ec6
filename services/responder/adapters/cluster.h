/* What the responder reads from and does to a Kubernetes cluster. Blocking: worker threads only. */
#pragma once

#include "plan.h"

#include <aceso/kube.h>

/** Pods, deployments, stateful sets and declared restores of a namespace. */
int resp_snapshot(struct ac_kube *k, const char *ns, struct ac_cluster_state *ret,
                  struct ac_err *err) AC_MUST_USE;
/** The component that an object's labels name; NULL when none does. Borrowed. */
const char *resp_component_of(const json_t *object);
bool resp_pod_ready(const json_t *pod);

struct resp_order { /* one action to carry out; owns its strings */
    enum ac_act_kind kind;
    char *ns, *id, *target, *pin, *component;
    int64_t limit_ns;
};
/** Carries it out and waits until it took effect. Running it again is harmless. detail (256 bytes)
 * says what was done or why not. */
int resp_carry_out(struct ac_kube *k, const struct resp_order *o, char *detail,
                   struct ac_err *err) AC_MUST_USE;

/* Lowering a rule into a plan: what compile.c says of expressions, plan_nodes.c keeps as operators.
 */
#pragma once

#include "rules_impl.h"

struct lowering {
    struct ac_plan *p;
    const struct ac_rule *r;
    struct ref *lets, *inputs;
    bool failed; /* too many operators or too far a look back */
};

/** The operator of the plan that is equal to n, added when there is none. Sets failed at the
 * limits. */
struct ref plan_add(struct lowering *l, struct node n);
struct ref plan_constant(struct lowering *l, double c);
struct ref plan_unary(struct lowering *l, enum node_op op, struct ref a);
struct ref plan_binary(struct lowering *l, enum node_op op, struct ref a, struct ref b);
struct ref plan_window(struct lowering *l, enum node_op op, struct ref a, uint32_t w, double c);
struct ref plan_order(struct lowering *l, enum node_op op, struct ref a, uint32_t w, double c);
/** k points before a; needs no operator. */
struct ref plan_lagged(struct lowering *l, struct ref a, uint32_t k);

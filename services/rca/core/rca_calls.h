/* Who calls whom, by component: what walks along calls looks at each of them once. Inside of the
 * engine. */
#pragma once

#include "rca_model.h"

struct rca_calls { /* numbers of edges, in their order; of component i: [at[i], at[i + 1]) */
    const struct ac_rca_case *c;
    size_t *out_at, *in_at;
    int *out, *in; /* where i calls, where i is called */
};

void rca_calls_init(struct rca_calls *k, const struct ac_rca_case *c);
void rca_calls_fini(struct rca_calls *k);
/** Marks what root reaches along calls (against: what reaches root), and root. */
void rca_calls_reach(const struct rca_calls *k, int root, bool against, bool *seen);
/** Keeps in `left` what lies on cycles of calls or between them. */
void rca_calls_round(const struct rca_calls *k, bool *left);

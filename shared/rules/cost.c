/* What a plan needs: bytes of state of a series, steps a point, how far back it looks. */
#include "rules_impl.h"

#include <aceso/base.h>

static double node_ops(const struct node *n)
{
    switch (n->op) {
    case N_CONST:
        return 0;
    case N_PREDICT:
    case N_AR:
        return 2.0 * n->n_vec + 1;
    case N_SUM:
    case N_MEAN:
        return 5;
    case N_STD:
    case N_SLOPE:
        return 12;
    case N_QUANTILE:
    case N_MAD:
        return 30 + 4.0 * __builtin_clz(1) - 4.0 * __builtin_clz(n->w | 1);
    case N_MIN:
    case N_MAX:
        return 6;
    case N_SEASON_MEAN:
        return 5.0 * n->m + 2;
    case N_SEASON_MEDIAN:
    case N_SEASON_MIN:
    case N_SEASON_MAX:
        return 25.0 * n->m + 4;
    case N_ZONED_MEAN:
        return 5.0 * n->m * (2 * n->h + 1);
    case N_ZONED_MEDIAN:
    case N_ZONED_MIN:
    case N_ZONED_MAX:
        return 25.0 * n->m * (2 * n->h + 1);
    case N_SPECTRAL:
        return (10.0 * (31 - __builtin_clz(n->w | 1)) + 60) * n->w;
    case N_POW:
        return 42;
    case N_LOG:
    case N_EXP:
        return 20;
    case N_ENVELOPE:
        return 4 + 8.0 * n->m / n->w;
    default:
        return n->n_args > 2 ? 3 : 1 + (n->op >= N_EWMA);
    }
}

static size_t node_bytes(const struct node *n)
{
    size_t b =
        sizeof(struct col) + sizeof(double) * (n->hist + AC_MAX(1u, n->hist / 4) + n->n_scalars);
    if (n->op == N_QUANTILE || n->op == N_MAD)
        b += ac_ostat_bytes(n->w);
    if (n->op == N_MIN || n->op == N_MAX)
        b += (size_t)n->w * 16;
    if (node_has_set(n) && n->op != N_QUANTILE && n->op != N_MAD)
        b += ac_ostat_bytes(n->m * (2 * n->h + 1));
    return b;
}

void plan_count_cost(struct ac_plan *p)
{
    struct ac_cost c = {.state_bytes = sizeof(struct ac_eval)};
    uint32_t *back = ac_xcalloc(p->n_nodes + 1, sizeof *back);
    for (size_t i = 0; i < p->n_nodes; i++) {
        const struct node *n = &p->nodes[i];
        c.state_bytes += node_bytes(n);
        c.ops_per_point += node_ops(n);
        for (uint32_t k = 0; k < n->n_args; k++) {
            uint64_t b = (uint64_t)back[n->args[k].node] + n->args[k].off + node_lookback(n, k);
            back[i] = (uint32_t)AC_MAX(back[i], AC_MIN(b, (uint64_t)UINT32_MAX));
        }
        if (n->op == N_ENVELOPE)
            back[i] = (uint32_t)AC_MIN(back[i] + (uint64_t)n->w * n->m, (uint64_t)UINT32_MAX);
        c.lookback = AC_MAX(c.lookback, (size_t)back[i]);
    }
    c.operators = p->n_nodes;
    free(back);
    p->cost = c;
}

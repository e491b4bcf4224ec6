/* What a plan needs: bytes of state of a series, steps a point, how far back it looks. */
#include "rules_impl.h"

#include <aceso/base.h>

static double log2_of(uint32_t n)
{
    return 32 - __builtin_clz(n | 1);
}

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
        return 50;
    case N_STD:
        return 200;
    case N_SLOPE:
        return 150;
    case N_SET:
        return 30 + 8 * log2_of(n->w);
    case N_QUANTILE:
        return node_is_small(n) ? 4 + n->w * log2_of(n->w) * log2_of(n->w) / 2 : 4;
    case N_MAD:
        return node_is_small(n) ? 8 + n->w * log2_of(n->w) * log2_of(n->w) : 10 * log2_of(n->w);
    case N_MIN:
    case N_MAX:
        return node_is_small(n) ? 2.0 * n->w : 10;
    case N_SEASON_MEAN:
        return 25.0 * n->m + 40;
    case N_SEASON_MIN:
    case N_SEASON_MAX:
        return node_is_small(n) ? 2.0 * node_points(n) : n->m * (30 + 8 * log2_of(node_points(n)));
    case N_SEASON_MEDIAN:
        return node_is_small(n)
                   ? 4 + node_points(n) * log2_of(node_points(n)) * log2_of(node_points(n)) / 2
                   : n->m * (30 + 8 * log2_of(node_points(n)));
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
        sizeof(struct col) + sizeof(double *) + sizeof(double) * (col_rows(n, 1, 1) + n->n_scalars);
    if (node_sees_ahead(n))
        b += AHEAD * sizeof(double);
    uint32_t in_order = node_keeps_order(n) ? n->w : node_set_size(n);
    if (in_order)
        b += sizeof(void *) + ac_ostat_bytes(in_order);
    if (node_has_queue(n))
        b += sizeof(struct deque) + n->w * sizeof(uint32_t);
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

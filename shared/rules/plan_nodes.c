/* The operators of a plan as they are added: equal ones become one, and each knows how far back it
 * is read. */
#include "lowering.h"

#include <string.h>

#include <aceso/base.h>

#define NODES_MAX 60000u

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
    h *= 0xff51afd7ed558ccdu;
    return h ^ (h >> 33);
}

static uint64_t bits(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static bool compares(enum node_op op)
{
    return op >= N_LT && op <= N_NE;
}

static bool makes_truth(enum node_op op)
{
    return compares(op) || op == N_NOT || op == N_OR || op == N_AND || op == N_MISSING;
}

/* hash speaks of the subterm alone, so that saved state finds its place in other plans. shape is
 * the same for terms that differ in thresholds only: a comparison leaves out the constants in the
 * arithmetic of its sides, for which they have a third hash, loose. */
static void set_hash(const struct ac_plan *p, struct node *n)
{
    uint64_t h = mix(0xace50, (uint64_t)n->op), shape = h, loose = h;
    for (uint32_t i = 0; i < n->n_args; i++) {
        const struct node *a = &p->nodes[n->args[i].node];
        h = mix(mix(h, a->hash), n->args[i].off);
        shape = mix(mix(shape, compares(n->op) ? a->loose : a->shape), n->args[i].off);
        loose = mix(mix(loose, a->loose), n->args[i].off);
    }
    uint64_t own = mix(mix(mix(mix(0, n->w), n->m), n->h), bits(n->c));
    if (n->op == N_INPUT) /* its place differs from plan to plan */
        own = p->inputs[n->m]->hash;
    for (uint32_t i = 0; i < n->n_vec; i++)
        own = mix(own, bits(n->vec[i]));
    n->hash = mix(h, own);
    n->shape = mix(shape, own);
    n->loose = n->op == N_CONST                                  ? 1
               : node_is_pointwise(n->op) && !makes_truth(n->op) ? loose
                                                                 : n->shape;
}

static bool same_node(const struct node *a, const struct node *b)
{
    return a->hash == b->hash && a->op == b->op && a->n_args == b->n_args && a->w == b->w &&
           a->m == b->m && a->h == b->h && bits(a->c) == bits(b->c) && a->n_vec == b->n_vec &&
           memcmp(a->args, b->args, sizeof a->args) == 0 &&
           (!a->n_vec || memcmp(a->vec, b->vec, a->n_vec * sizeof(double)) == 0);
}

static void reindex(struct ac_plan *p)
{
    p->n_index = p->n_index ? p->n_index * 2 : 64;
    free(p->index);
    p->index = ac_xcalloc(p->n_index, sizeof(p->index[0]));
    for (size_t i = 0; i < p->n_nodes; i++) {
        size_t at = p->nodes[i].hash & (p->n_index - 1);
        while (p->index[at])
            at = (at + 1) & (p->n_index - 1);
        p->index[at] = (uint32_t)i + 1;
    }
}

/* Points before the current one that an operator reads of its k-th argument. */
uint32_t node_lookback(const struct node *n, uint32_t k)
{
    if (node_is_zoned(n->op))
        return n->w * n->m + (k ? 0 : n->h + node_shift(n));
    if (k)
        return 0;
    switch (n->op) {
    case N_PREDICT:
    case N_AR:
        return n->n_vec;
    case N_INCREASE:
        return 1;
    case N_SUM:
    case N_MEAN:
    case N_STD:
    case N_SLOPE:
    case N_MIN:
    case N_MAX:
    case N_QUANTILE:
    case N_MAD:
    case N_SET:
    case N_COUNT:
    case N_PERSIST:
    case N_SPECTRAL:
        return n->w;
    default:
        return node_is_season(n->op) ? n->w * n->m + n->h + 1 : 0;
    }
}

static void need(struct lowering *l, struct ref r, uint32_t back)
{
    struct node *n = &l->p->nodes[r.node];
    uint32_t total = r.off + back;
    if (total > 2 * AC_RULES_WINDOW_MAX + 2)
        l->failed = true;
    else
        n->hist = AC_MAX(n->hist, total);
}

struct ref plan_add(struct lowering *l, struct node n)
{
    struct ac_plan *p = l->p;
    set_hash(p, &n);
    if (p->n_index < 2 * (p->n_nodes + 1))
        reindex(p);
    size_t at = n.hash & (p->n_index - 1);
    for (; p->index[at]; at = (at + 1) & (p->n_index - 1)) {
        if (same_node(&p->nodes[p->index[at] - 1], &n))
            return (struct ref){p->index[at] - 1, 0};
    }
    if (p->n_nodes == NODES_MAX) {
        l->failed = true;
        return (struct ref){0, 0};
    }
    n.n_scalars = node_scalars(&n);
    n.column = n.op != N_CONST && n.op != N_SET;
    n.pointwise = node_is_pointwise(n.op);
    for (uint32_t i = 0; i < n.n_args; i++) {
        need(l, n.args[i], node_lookback(&n, i));
        if (!n.pointwise)
            p->nodes[n.args[i].node].column = p->nodes[n.args[i].node].op != N_SET;
    }
    ac_grow(&p->nodes, &p->cap_nodes, p->n_nodes + 1, sizeof(p->nodes[0]));
    p->nodes[p->n_nodes] = n;
    p->index[at] = (uint32_t)p->n_nodes + 1;
    return (struct ref){(uint32_t)p->n_nodes++, 0};
}

struct ref plan_constant(struct lowering *l, double c)
{
    return plan_add(l, (struct node){.op = N_CONST, .c = c + 0.0});
}

struct ref plan_unary(struct lowering *l, enum node_op op, struct ref a)
{
    return plan_add(l, (struct node){.op = op, .n_args = 1, .args = {a}});
}

struct ref plan_binary(struct lowering *l, enum node_op op, struct ref a, struct ref b)
{
    return plan_add(l, (struct node){.op = op, .n_args = 2, .args = {a, b}});
}

struct ref plan_window(struct lowering *l, enum node_op op, struct ref a, uint32_t w, double c)
{
    return plan_add(l, (struct node){.op = op, .n_args = 1, .args = {a}, .w = w, .c = c});
}

/* Order statistics of a large window share one set, which gives all of them their values. */
struct ref plan_order(struct lowering *l, enum node_op op, struct ref a, uint32_t w, double c)
{
    struct node n = {.op = op, .n_args = 1, .args = {a}, .w = w, .c = c};
    if (node_is_small(&n))
        return plan_add(l, n);
    n.args[1] = plan_add(l, (struct node){.op = N_SET, .n_args = 1, .args = {a}, .w = w});
    n.n_args = 2;
    n.read = true;
    size_t before = l->p->n_nodes;
    struct ref r = plan_add(l, n);
    if (!l->failed && l->p->n_nodes > before) {
        struct node *set = &l->p->nodes[n.args[1].node];
        l->p->nodes[r.node].reader = set->reader;
        set->reader = r.node;
    }
    return r;
}

struct ref plan_lagged(struct lowering *l, struct ref a, uint32_t k)
{
    if (l->p->nodes[a.node].op == N_CONST)
        return a;
    if (a.off + k > AC_RULES_WINDOW_MAX)
        l->failed = true;
    else
        a.off += k;
    need(l, a, 0);
    return a;
}

/* Makes one node of several: biases, normalisation and activations move into what computes their
 * input. */
#include "graph_int.h"

#include <string.h>

static void count_uses(struct wk_graph *g)
{
    for (uint32_t i = 0; i < g->n_values; i++)
        g->values[i].uses = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; g->nodes[i].op != WK_DROPPED && k < g->nodes[i].n_in; k++)
            g->values[g->nodes[i].in[k]].uses++;
}

/* The bias that a constant summand is to a DENSE or CONV node: one value, or one a column or
 * channel in the place where those are. */
static bool as_bias(const struct wk_node *d, const struct wk_onnx_tensor *t, float *bias)
{
    uint32_t behind = d->op == WK_CONV ? d->window.n : 0;
    if (!t || t->dtype != WK_F32 || (t->elems != 1 && t->elems != d->n))
        return false;
    if (t->elems > 1 && (t->rank <= behind || t->dims[t->rank - 1 - behind] != (int64_t)d->n))
        return false;
    for (uint32_t i = 0; i < d->n; i++)
        bias[i] += gb_f32(t, t->elems == 1 ? 0 : i);
    return true;
}

/* Tries to make x part of p, which computes x's input and is used by x alone. */
static bool fuse(const struct wk_graph *g, struct wk_node *p, const struct wk_node *x)
{
    const struct wk_shape *from = &g->shapes[p->out], *to = &g->shapes[x->out];
    bool floats = g->values[p->out].dtype == WK_F32 && g->values[x->out].dtype == WK_F32;
    bool same = from->rank == to->rank &&
                memcmp(from->dims, to->dims, from->rank * sizeof(*from->dims)) == 0;
    if (p->act.kind != WK_KEEP || !same || !floats)
        return false;
    bool weighted = p->op == WK_DENSE || (p->op == WK_CONV && p->weights);
    if (x->op == WK_UNARY && (weighted || p->op == WK_AFFINE || p->op == WK_BINARY)) {
        p->act = x->act;
        return true;
    }
    /* AFFINE works along dimension 1, which is DENSE's last only when there are two. */
    if (x->op == WK_AFFINE && x->n == p->n && weighted && (p->op == WK_CONV || from->rank == 2)) {
        for (uint32_t i = 0; i < p->n; i++) {
            p->scale[i] *= x->scale[i];
            p->bias[i] = p->bias[i] * x->scale[i] + x->bias[i];
        }
        return true;
    }
    if (x->op == WK_BINARY && x->binary == WK_ADD && weighted) {
        uint32_t other = x->in[0] == p->out ? x->in[1] : x->in[0];
        return as_bias(p, g->values[other].constant, p->bias);
    }
    return false;
}

void gb_simplify(struct wk_graph *g, uint32_t *producer)
{
    for (uint32_t i = 0; i < g->n_values; i++)
        producer[i] = UINT32_MAX;
    count_uses(g);
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        struct wk_node *x = &g->nodes[i];
        if (x->op == WK_DROPPED)
            continue;
        producer[x->out] = i;
        for (uint32_t k = 0; k < x->n_in; k++) {
            uint32_t v = x->in[k], p = producer[v];
            if (p == UINT32_MAX || g->values[v].uses != 1 || g->values[v].output)
                continue;
            if (fuse(g, &g->nodes[p], x)) {
                g->nodes[p].out = x->out;
                producer[x->out] = p;
                x->op = WK_DROPPED;
                break;
            }
        }
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op != WK_DROPPED)
            g->nodes[n++] = g->nodes[i];
    g->n_nodes = n;
    count_uses(g);
}

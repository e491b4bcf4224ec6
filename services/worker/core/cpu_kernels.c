/* What of a model is left to a library's kernels, and in which layout images go from one to the
 * next. */
#include "cpu_int.h"

static bool is_window(const struct wk_node *x)
{
    return x->op == WK_CONV || x->op == WK_POOL_MAX || x->op == WK_POOL_MEAN;
}

/* A pooling window must see the image; a mean over pads is the library's only if no window hangs
 * over, for it would count that part, too. */
static bool pool_fits(const struct wk_node *x, const struct wk_geometry *g)
{
    for (uint32_t d = 0; d < 2; d++) {
        int64_t end = (g->out[d] - 1) * x->window.stride[d] + g->kernel[d];
        int64_t behind = end - g->in[d] - g->before[d];
        if (x->window.dilation[d] != 1 || g->before[d] >= g->kernel[d] || behind >= g->kernel[d] ||
            (x->window.count_pads && behind > g->behind[d]))
            return false;
    }
    return true;
}

bool cpu_kernel_fits(const struct wk_node *x, const struct wk_shape *in)
{
    struct wk_geometry g;
    if (x->op == WK_DENSE)
        return true;
    if (!is_window(x) || wk_geometry(x, in, &g, NULL) != 0)
        return false;
    return x->op == WK_CONV ? x->weights != NULL : pool_fits(x, &g);
}

static bool same_shape(const struct wk_shape *a, const struct wk_shape *b)
{
    bool same = a->rank == b->rank;
    for (uint32_t i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    return same;
}

/* Steps that go through elements one by one do not see the layout. */
static bool elementwise(const struct wk_node *x, const struct wk_shape *shapes)
{
    return x->op == WK_UNARY ||
           (x->op == WK_BINARY && same_shape(&shapes[x->in[0]], &shapes[x->out]) &&
            same_shape(&shapes[x->in[1]], &shapes[x->out]));
}

static uint32_t group_of(uint32_t *group, uint32_t v)
{
    while (group[v] != v)
        v = group[v] = group[group[v]];
    return v;
}

/* Values on both sides of an elementwise step lie in one layout, so each connected group of them
 * has one: channels last, unless a value of the group comes from or goes to what needs it plain. */
void cpu_channels_last(const struct wk_graph *g, const struct wk_shape *shapes, uint32_t *group,
                       bool *last)
{
    for (uint32_t v = 0; v < g->n_values; v++)
        group[v] = v;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct wk_node *x = &g->nodes[i];
        bool through = elementwise(x, shapes);
        last[x->out] = through || (is_window(x) && cpu_kernel_fits(x, &shapes[x->in[0]]));
        for (uint32_t k = 0; through && k < x->n_in; k++)
            group[group_of(group, x->in[k])] = group_of(group, x->out);
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct wk_node *x = &g->nodes[i];
        bool any =
            elementwise(x, shapes) || (is_window(x) && cpu_kernel_fits(x, &shapes[x->in[0]]));
        for (uint32_t k = 0; !any && k < x->n_in; k++)
            last[x->in[k]] = false;
    }
    for (uint32_t v = 0; v < g->n_values; v++)
        if (!last[v] || g->values[v].output)
            last[group_of(group, v)] = false;
    for (uint32_t v = 0; v < g->n_values; v++)
        last[v] = last[group_of(group, v)];
}

int cpu_bind(struct cpu_model *m, char *workspace, struct ac_err *err)
{
    int rc = 0;
    for (uint32_t b = 0; b < WK_BATCHES; b++) {
        const struct plan *p = &m->plans[b];
        for (uint32_t i = 0; rc == 0 && p->ok && i < p->n_steps; i++) {
            const struct step *s = &p->steps[i];
            struct wk_kernel_places at = {.in = (s->a.weight ? m->device : workspace) + s->a.offset,
                                          .out = workspace + s->out.offset,
                                          .weights = m->device + s->weights,
                                          .bias = m->device + s->bias,
                                          .scratch = workspace + s->scratch};
            if (s->kernel)
                rc = m->lib->bind(s->kernel, &at, err);
        }
    }
    return rc;
}

bool cpu_kernel_run(const struct cpu_model *m, const struct step *s, float *out)
{
    size_t area = s->op == WK_DENSE ? 1 : (size_t)(s->geometry.out[0] * s->geometry.out[1]);
    bool ok = m->lib->run(s->kernel);
    cpu_activate(&s->act, out, s->m * s->n * area);
    return ok;
}

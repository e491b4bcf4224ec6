/* From a graph to places in the workspace and a list of steps. */
#include "cpu_int.h"

#include <stdlib.h>
#include <string.h>

/* A run of workspace that is taken from one node to another. */
struct block {
    size_t at, bytes;
    uint32_t until; /* last node that reads it; UINT32_MAX for outputs and inputs */
};

struct planner {
    const struct wk_graph *g;
    const struct wk_shape *shapes;
    struct block *blocks; /* sorted by place */
    uint32_t n_blocks;
    uint32_t *last_use;
    struct place *place; /* per value */
    bool *last;          /* per value: an image with its channels last */
    size_t high;
};

static size_t value_bytes(const struct planner *p, uint32_t v)
{
    return wk_shape_elems(&p->shapes[v]) * wk_dtype_size(p->g->values[v].dtype);
}

/* First gap that is large enough among the blocks still in use at the node. */
static size_t take_bytes(struct planner *p, size_t bytes, uint32_t node, uint32_t until)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_blocks; i++)
        if (p->blocks[i].until >= node)
            p->blocks[n++] = p->blocks[i];
    p->n_blocks = n;
    size_t need = (bytes + CPU_ALIGN - 1) / CPU_ALIGN * CPU_ALIGN, at = 0;
    uint32_t i = 0;
    while (i < n && p->blocks[i].at - at < need) {
        at = p->blocks[i].at + p->blocks[i].bytes;
        i++;
    }
    memmove(p->blocks + i + 1, p->blocks + i, (n - i) * sizeof(*p->blocks));
    p->blocks[i] = (struct block){.at = at, .bytes = need, .until = until};
    p->n_blocks++;
    p->high = AC_MAX(p->high, at + need);
    return at;
}

static void take_space(struct planner *p, uint32_t v, uint32_t node)
{
    p->place[v] = (struct place){.offset = take_bytes(p, value_bytes(p, v), node, p->last_use[v])};
}

static void last_uses(struct planner *p)
{
    const struct wk_graph *g = p->g;
    for (uint32_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i].n_in; k++)
            p->last_use[g->nodes[i].in[k]] = i;
    /* Inputs are filled before the first node and outputs read after the last. */
    for (uint32_t i = 0; i < g->n_outputs; i++)
        p->last_use[g->outputs[i]] = UINT32_MAX;
    for (uint32_t i = g->n_nodes; i-- > 0;) {
        const struct wk_node *x = &g->nodes[i];
        /* A reshape shares its input's memory, which so lives as long as its result. */
        if (x->op == WK_RESHAPE)
            p->last_use[x->in[0]] = AC_MAX(p->last_use[x->in[0]], p->last_use[x->out]);
    }
}

/* Of s over the last `rank` dimensions of a result, `behind` of which are not s's to say; run: size
 * of what lies behind. */
static void strides(const struct wk_shape *s, uint32_t behind, size_t run, uint32_t rank,
                    size_t *ret)
{
    uint32_t own = s->rank - behind;
    for (uint32_t i = rank; i-- > 0;) {
        uint32_t skip = rank - own;
        size_t d = i < skip ? 1 : (size_t)s->dims[i - skip];
        ret[i] = d == 1 ? 0 : run;
        run *= d;
    }
}

/* Dimensions along which all operands go on in the same way become one. */
static void collapse(struct step *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->rank; i++) {
        size_t d = s->dims[i];
        bool on = n > 0 && s->sa[n - 1] == s->sa[i] * d && s->sb[n - 1] == s->sb[i] * d &&
                  s->sc[n - 1] == s->sc[i] * d;
        if (d == 1)
            continue;
        n -= on;
        s->dims[n] = on ? s->dims[n] * d : d;
        s->sa[n] = s->sa[i];
        s->sb[n] = s->sb[i];
        s->sc[n] = s->sc[i];
        n++;
    }
    s->rank = n;
}

static void fill_broadcast(const struct planner *p, const struct wk_node *x, struct step *s)
{
    const struct wk_shape *out = &p->shapes[x->out];
    s->rank = out->rank;
    for (uint32_t i = 0; i < out->rank; i++)
        s->dims[i] = (size_t)out->dims[i];
    strides(&p->shapes[x->in[0]], 0, 1, out->rank, s->sa);
    strides(&p->shapes[x->in[1]], 0, 1, out->rank, s->sb);
    if (x->op == WK_WHERE)
        strides(&p->shapes[x->in[2]], 0, 1, out->rank, s->sc);
    collapse(s);
}

static void fill_matmul(const struct planner *p, const struct wk_node *x, struct step *s)
{
    const struct wk_shape *a = &p->shapes[x->in[0]], *b = &p->shapes[x->in[1]];
    const struct wk_shape *out = &p->shapes[x->out];
    s->m = (size_t)out->dims[out->rank - 2];
    s->n = (size_t)out->dims[out->rank - 1];
    s->k = (size_t)a->dims[a->rank - 1 - x->turned];
    s->turned = x->turned;
    s->transposed = x->transposed;
    s->rank = out->rank - 2;
    for (uint32_t i = 0; i < s->rank; i++)
        s->dims[i] = (size_t)out->dims[i];
    strides(a, 2, s->m * s->k, s->rank, s->sa);
    strides(b, 2, s->k * s->n, s->rank, s->sb);
}

static void dense_strides(const struct wk_shape *s, size_t *ret)
{
    size_t run = 1;
    for (uint32_t i = s->rank; i-- > 0;) {
        ret[i] = run;
        run *= (size_t)s->dims[i];
    }
}

static int fill_window(struct planner *p, uint32_t node, bool own, struct step *s,
                       struct ac_err *err)
{
    const struct wk_node *x = &p->g->nodes[node];
    const struct wk_shape *in = &p->shapes[x->in[0]], *out = &p->shapes[x->out];
    int rc = wk_geometry(x, in, &s->geometry, err);
    if (rc)
        return rc;
    s->window = x->window;
    s->m = (size_t)in->dims[0];
    s->k = (size_t)in->dims[1];
    s->n = (size_t)out->dims[1];
    if (x->op != WK_CONV && x->op != WK_DECONV)
        return 0;
    size_t area = (size_t)(s->geometry.out[0] * s->geometry.out[1]);
    s->groups = x->groups;
    s->taps = x->k;
    s->dynamic = !x->weights;
    if (x->op == WK_DECONV) {
        s->scratch = take_bytes(p, ac_mul_size(s->taps * sizeof(float), area), node, node);
        return 0;
    }
    s->tile = AC_MIN(AC_MAX(CPU_TILE / s->taps, (size_t)8), area);
    if (own)
        s->scratch = take_bytes(p, s->taps * s->tile * sizeof(float), node, node);
    return 0;
}

static char *trouble(const struct wk_node *x, const char *what)
{
    return ac_xasprintf("node %.80s (operator %.40s): %s", x->name, x->onnx_op, what);
}

static int add_kernel(struct planner *p, struct layout *l, uint32_t node, struct step *s,
                      struct ac_err *err)
{
    const struct wk_node *x = &p->g->nodes[node];
    struct wk_kernel_spec spec = {.op = x->op,
                                  .m = s->m,
                                  .k = s->k,
                                  .n = s->n,
                                  .groups = s->groups,
                                  .geometry = s->geometry,
                                  .window = s->window,
                                  .in_last = p->last[x->in[0]],
                                  .out_last = p->last[x->out]};
    bool weighted = x->op == WK_DENSE || x->op == WK_CONV;
    size_t weights, scratch;
    if (weighted && (s->act.kind == WK_RELU || s->act.kind == WK_LEAKY_RELU ||
                     (s->act.kind == WK_CLIP && s->act.a <= s->act.b))) {
        spec.act = s->act;
        s->act.kind = WK_KEEP;
    }
    bool first = !l->kernels[node];
    const struct wk_kernel *like = l->kernels[first ? l->twin[node] : node];
    int rc = l->lib->make(l->lib->self, &spec, like, &s->kernel, err);
    if (first && like && rc == AC_ENOTSUP) { /* not as the twin has them, then */
        like = NULL;
        rc = l->lib->make(l->lib->self, &spec, NULL, &s->kernel, err);
    }
    l->refused = rc == AC_ENOTSUP;
    if (rc)
        return rc;
    s->trouble = trouble(x, "the library failed to run it");
    l->lib->sizes(s->kernel, &weights, &scratch);
    if (scratch)
        s->scratch = take_bytes(p, scratch, node, node);
    if (first) {
        l->kernels[node] = s->kernel;
        if (like)
            l->weights[node] = l->weights[l->twin[node]];
        else if (weighted)
            rc = cpu_pack_kernel(l, x, node, weights, err);
        if (weighted)
            l->bias[node] = cpu_pack_floats(&l->blob, x->bias, x->n);
        l->refused = rc == AC_ENOTSUP;
    }
    s->weights = l->weights[node];
    s->bias = l->bias[node];
    return rc;
}

static int fill_move(const struct planner *p, const struct wk_node *x, uint32_t input,
                     struct step *s, struct ac_err *err)
{
    const struct wk_shape *in = &p->shapes[x->in[input]], *out = &p->shapes[x->out];
    size_t size = wk_dtype_size(s->dtype), sa[WK_ONNX_MAX_RANK] = {0}, sb[WK_ONNX_MAX_RANK] = {0};
    int64_t first[WK_ONNX_MAX_RANK], step[WK_ONNX_MAX_RANK];
    struct wk_shape cut;
    dense_strides(in, sa);
    dense_strides(out, sb);
    s->a = p->place[x->in[input]];
    s->rank = in->rank;
    s->fill = x->fill;
    if (x->op == WK_EXPAND) {
        s->rank = out->rank;
        for (uint32_t i = 0; i < out->rank; i++)
            s->dims[i] = (size_t)out->dims[i];
        strides(in, 0, 1, out->rank, s->sa);
        memcpy(s->sb, sb, sizeof(sb));
        return 0;
    }
    int rc = x->op == WK_SLICE ? wk_slice(x, in, first, step, &cut, err) : 0;
    if (rc)
        return rc;
    int64_t axis = x->axis < 0 ? x->axis + in->rank : x->axis;
    for (uint32_t i = 0; x->op == WK_CONCAT && i < input; i++)
        s->to += (size_t)p->shapes[x->in[i]].dims[axis] * sb[axis] * size;
    for (uint32_t i = 0; i < in->rank; i++) {
        uint32_t from = i;
        if (x->op == WK_TRANSPOSE)
            from = x->n_axes ? (uint32_t)x->axes[i] : in->rank - 1 - i;
        s->dims[i] = (size_t)in->dims[from];
        s->sa[i] = sa[from];
        s->sb[i] = sb[i];
        if (x->op == WK_SLICE) {
            s->dims[i] = (size_t)cut.dims[i];
            s->from += (size_t)first[i] * sa[i] * size;
            s->sa[i] = sa[i] * (size_t)step[i];
        } else if (x->op == WK_PAD) {
            s->to += (size_t)x->first[i] * sb[i] * size;
        }
    }
    return 0;
}

static void fill_reduce(const struct wk_node *x, const struct wk_shape *in, struct step *s)
{
    size_t at[WK_ONNX_MAX_RANK] = {0};
    bool gone[WK_ONNX_MAX_RANK] = {0};
    dense_strides(in, at);
    for (uint32_t i = 0; i < x->n_axes; i++)
        gone[x->axes[i] < 0 ? x->axes[i] + in->rank : x->axes[i]] = true;
    s->reduce = x->reduce;
    s->rank = 0;
    s->m = 0;
    s->k = 1;
    uint32_t n = 0;
    for (int going = 0; going < 2; going++)
        for (uint32_t i = 0; i < in->rank; i++) {
            if ((gone[i] || x->n_axes == 0) != going)
                continue;
            s->dims[n] = (size_t)in->dims[i];
            s->sa[n++] = at[i];
            s->rank += !going;
            s->m += (size_t)going;
            s->k *= going ? (size_t)in->dims[i] : 1;
        }
}

/* Sizes before, along and behind the axis; rows: all from the axis on is one. */
static void fill_axis(const struct wk_node *x, const struct wk_shape *in, bool rows, struct step *s)
{
    int64_t axis = x->axis < 0 ? x->axis + in->rank : x->axis;
    s->m = s->k = s->n = 1;
    for (uint32_t i = 0; i < in->rank; i++) {
        size_t *d = (int64_t)i < axis ? &s->m : (int64_t)i == axis || rows ? &s->k : &s->n;
        *d *= (size_t)in->dims[i];
    }
}

static void fill_gather(const struct planner *p, const struct wk_node *x, struct step *s)
{
    const struct wk_shape *in = &p->shapes[x->in[0]], *index = &p->shapes[x->in[1]];
    int64_t axis = x->axis < 0 ? x->axis + in->rank : x->axis;
    s->index_dtype = p->g->values[x->in[1]].dtype;
    s->trouble = trouble(x, "an index is out of range");
    int rows = p->g->row_axis ? p->g->row_axis[x->in[1]] : -1;
    if (rows >= 0) {
        s->rows = (size_t)index->dims[rows];
        s->row_run = 1;
        for (uint32_t i = (uint32_t)rows + 1; i < index->rank; i++)
            s->row_run *= (size_t)index->dims[i];
    }
    if (x->op == WK_GATHER) {
        fill_axis(x, in, false, s);
        s->taps = wk_shape_elems(index);
        return;
    }
    s->rank = index->rank;
    s->k = (size_t)in->dims[axis];
    dense_strides(in, s->sa);
    s->sc[0] = s->sa[axis];
    s->sa[axis] = 0;
    for (uint32_t i = 0; i < index->rank; i++)
        s->dims[i] = (size_t)index->dims[i];
}

static void fill_step(const struct planner *p, const struct layout *l, uint32_t node,
                      struct step *s)
{
    const struct wk_node *x = &p->g->nodes[node];
    const struct wk_shape *in = &p->shapes[x->in[0]], *out = &p->shapes[x->out];
    *s = (struct step){.op = x->op,
                       .binary = x->binary,
                       .act = x->act,
                       .log = x->log,
                       .last_one = x->last_one,
                       .dtype = p->g->values[x->out].dtype,
                       .in_dtype = p->g->values[x->in[0]].dtype,
                       .a = p->place[x->in[0]],
                       .out = p->place[x->out],
                       .weights = l->weights[node],
                       .bias = l->bias[node],
                       .n = wk_shape_elems(out)};
    if (x->n_in > 1)
        s->b = p->place[x->in[1]];
    if (x->n_in > 2)
        s->c = p->place[x->in[2]];
    switch (x->op) {
    case WK_DENSE:
        s->k = x->k;
        s->n = x->n;
        s->m = wk_shape_elems(in) / x->k;
        break;
    case WK_AFFINE:
        s->m = (size_t)in->dims[0];
        s->k = x->n;
        s->n = wk_shape_elems(in) / (s->m * s->k);
        break;
    case WK_BINARY:
    case WK_WHERE:
        fill_broadcast(p, x, s);
        break;
    case WK_MATMUL:
        fill_matmul(p, x, s);
        break;
    case WK_REDUCE:
        fill_reduce(x, in, s);
        break;
    case WK_SOFTMAX:
        fill_axis(x, in, x->reshape == WK_FLATTEN, s);
        break;
    case WK_MIX:
        fill_axis(x, in, false, s);
        s->groups = x->n;
        s->taps = x->k;
        break;
    case WK_GATHER:
    case WK_GATHER_EACH:
        fill_gather(p, x, s);
        break;
    default: /* the rest is in fill_window and fill_move */
        break;
    }
}

static int fill_rest(struct planner *p, uint32_t node, uint32_t input, bool own, struct step *s,
                     struct ac_err *err)
{
    const struct wk_node *x = &p->g->nodes[node];
    switch (x->op) {
    case WK_CONV:
    case WK_DECONV:
    case WK_POOL_MAX:
    case WK_POOL_MEAN:
        return fill_window(p, node, own, s, err);
    case WK_TRANSPOSE:
    case WK_SLICE:
    case WK_CONCAT:
    case WK_PAD:
    case WK_EXPAND:
        return fill_move(p, x, input, s, err);
    default:
        return 0;
    }
}

/* A concatenation is one step for each of its inputs, anything else one. */
static int add_steps(struct planner *p, struct layout *l, uint32_t node, struct plan *plan,
                     struct ac_err *err)
{
    const struct wk_node *x = &p->g->nodes[node];
    int rc = 0;
    bool kernel = l->lib && cpu_kernel_fits(x, &p->shapes[x->in[0]]);
    take_space(p, x->out, node);
    for (uint32_t i = 0; rc == 0 && i < (x->op == WK_CONCAT ? x->n_in : 1); i++) {
        struct step *s = &plan->steps[plan->n_steps++];
        fill_step(p, l, node, s);
        rc = fill_rest(p, node, i, !kernel, s, err);
        if (rc == 0 && kernel)
            rc = add_kernel(p, l, node, s, err);
    }
    return rc;
}

static int make_steps(struct planner *p, struct layout *l, struct plan *plan, struct ac_err *err)
{
    const struct wk_graph *g = p->g;
    size_t steps = 1;
    for (uint32_t v = 0; v < g->n_values; v++)
        if (g->values[v].constant)
            p->place[v] = (struct place){.weight = true, .offset = l->constant[v]};
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        take_space(p, g->inputs[i], 0);
        plan->inputs[i] = p->place[g->inputs[i]].offset;
    }
    for (uint32_t i = 0; i < g->n_nodes; i++)
        steps += g->nodes[i].op == WK_CONCAT ? g->nodes[i].n_in : 1;
    if (steps > CPU_STEPS_MAX)
        return ac_err_set(err, AC_ERANGE, "the model needs %zu steps; at most %zu are allowed",
                          steps, CPU_STEPS_MAX);
    plan->steps = ac_xcalloc(steps, sizeof(*plan->steps));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct wk_node *x = &g->nodes[i];
        if (x->op == WK_RESHAPE && !(g->values[x->out].output && p->place[x->in[0]].weight)) {
            p->place[x->out] = p->place[x->in[0]];
            continue;
        }
        int rc = add_steps(p, l, i, plan, err);
        if (rc)
            return rc;
    }
    for (uint32_t i = 0; i < g->n_outputs; i++)
        plan->outputs[i] = p->place[g->outputs[i]].offset;
    return 0;
}

int cpu_make_plan(const struct wk_graph *g, struct layout *l, struct ac_arena *arena,
                  struct plan *plan, size_t *workspace, struct ac_err *err)
{
    const struct wk_shape *shapes = g->shapes;
    struct planner p = {.g = g,
                        .shapes = shapes,
                        .blocks = ac_arena_calloc(arena, g->n_values + 2u, sizeof(*p.blocks)),
                        .last_use = ac_arena_calloc(arena, g->n_values, sizeof(*p.last_use)),
                        .place = ac_arena_calloc(arena, g->n_values, sizeof(*p.place)),
                        .last = ac_arena_calloc(arena, g->n_values, sizeof(*p.last))};
    uint32_t *group = ac_arena_calloc(arena, g->n_values, sizeof(*group));
    if (!p.blocks || !p.last_use || !p.place || !p.last || !group)
        return ac_err_set(err, AC_ENOMEM,
                          "the model needs more memory than is allowed for its description");
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        const struct wk_shape *s = &shapes[g->outputs[i]];
        if (g->batched && (s->rank == 0 || s->dims[0] != g->batch))
            return ac_err_set(err, AC_ENOTSUP,
                              "output %.80s does not have the batch as its first dimension",
                              g->values[g->outputs[i]].name);
    }
    if (l->lib)
        cpu_channels_last(g, shapes, group, p.last);
    last_uses(&p);
    int rc = make_steps(&p, l, plan, err);
    if (rc)
        return rc;
    *workspace = AC_MAX(*workspace, p.high);
    plan->ok = true;
    return 0;
}

static bool can_fold(const struct wk_node *x)
{
    bool weighted =
        x->op == WK_DENSE || x->op == WK_CONV || x->op == WK_DECONV || x->op == WK_AFFINE;
    return !weighted && x->n_in <= WK_MAX_IO;
}

/* A graph of the one node, whose inputs are given. */
bool wk_fold(const struct wk_graph *g, const struct wk_node *x, void *out)
{
    struct wk_value values[WK_MAX_IO + 1] = {{0}};
    struct wk_shape shapes[WK_MAX_IO + 1] = {{0}};
    struct block blocks[WK_MAX_IO + 3];
    struct place place[WK_MAX_IO + 1] = {{0}};
    uint32_t numbers[WK_MAX_IO + 1] = {0}, last_use[WK_MAX_IO + 1] = {0};
    size_t none[WK_MAX_IO + 1] = {0};
    bool last[WK_MAX_IO + 1] = {false};
    struct wk_node node = *x;
    if (!can_fold(x))
        return false;
    for (uint32_t i = 0; i <= x->n_in; i++) {
        uint32_t v = i < x->n_in ? x->in[i] : x->out;
        numbers[i] = i;
        last_use[i] = UINT32_MAX;
        values[i] = (struct wk_value){.name = "", .dtype = g->values[v].dtype};
        shapes[i] = g->shapes[v];
    }
    node.in = numbers;
    node.out = x->n_in;
    const struct wk_graph one = {.values = values,
                                 .n_values = x->n_in + 1,
                                 .nodes = &node,
                                 .n_nodes = 1,
                                 .inputs = numbers,
                                 .n_inputs = x->n_in,
                                 .outputs = &node.out,
                                 .n_outputs = 1,
                                 .shapes = shapes};
    struct planner p = {.g = &one,
                        .shapes = shapes,
                        .blocks = blocks,
                        .last_use = last_use,
                        .place = place,
                        .last = last};
    struct layout l = {.weights = none, .bias = none, .constant = none};
    struct plan plan = {0};
    bool ok = make_steps(&p, &l, &plan, NULL) == 0;
    char *workspace = ok ? ac_xcalloc(1, p.high) : NULL;
    for (uint32_t i = 0; ok && i < x->n_in; i++)
        if (value_bytes(&p, i))
            memcpy(workspace + plan.inputs[i], g->values[x->in[i]].constant->data,
                   value_bytes(&p, i));
    for (uint32_t i = 0; ok && i < plan.n_steps; i++)
        ok = cpu_step_run(&plan.steps[i], workspace, workspace) == 0;
    if (ok)
        memcpy(out, workspace + plan.outputs[0], value_bytes(&p, x->n_in));
    free(workspace);
    cpu_plan_free(&plan, NULL);
    return ok;
}

/* Evaluation of a plan over one series, or several side by side. Each operator has a column: as
 * much of its past as others read, then room for the points being taken; the past is moved to the
 * front when the room is used up, so a point costs amortised O(1) however far windows look back. */
#include "pointwise.h"

#include <string.h>

#include <aceso/base.h>

#define NS_PER_DAY   86400000000000LL
#define OFFSET_MAX_S 172800 /* of a zone from UTC */
#define BLOCK_BYTES  32768u /* of all columns in a block: what the fastest cache holds */

/* ---- memory ---- */

/* Blocks that do not fit into the cache would be slower than smaller ones. */
static size_t block_size(const struct ac_plan *p, size_t wanted)
{
    size_t columns = 1;
    for (size_t i = 0; i < p->n_nodes; i++)
        columns += p->nodes[i].column;
    size_t fits = AC_MAX(BLOCK_BYTES / sizeof(double) / columns, (size_t)64);
    return AC_MIN(AC_MAX(wanted, (size_t)1), fits / 8 * 8);
}

static void col_init(struct col *c, const struct node *n, size_t block, size_t lanes)
{
    c->cap = col_rows(n, block, lanes);
    c->data = ac_xmalloc(c->cap * lanes * sizeof(double));
    if (lanes == 1 && node_sees_ahead(n))
        c->ahead = ac_xcalloc(AHEAD, sizeof(double));
    if (n->n_scalars)
        c->scalars = ac_xcalloc(n->n_scalars * lanes, sizeof(double));
    uint32_t in_order = lanes == 1 && node_keeps_order(n) ? n->w : node_set_size(n);
    if (in_order) {
        c->sets = ac_xcalloc(lanes, sizeof(struct ac_ostat *));
        for (size_t k = 0; k < lanes; k++)
            c->sets[k] = ac_ostat_create(in_order);
    }
    if (node_has_queue(n)) {
        c->queues = ac_xcalloc(lanes, sizeof(struct deque));
        for (size_t k = 0; k < lanes; k++)
            c->queues[k] = (struct deque){ac_xcalloc(n->w, sizeof(uint32_t)), n->w, 0, 0};
    }
}

static void col_fini(struct col *c, size_t lanes)
{
    for (size_t k = 0; k < lanes; k++) {
        if (c->sets)
            ac_ostat_destroy(c->sets[k]);
        if (c->queues)
            free(c->queues[k].t);
    }
    free(c->data);
    free(c->scalars);
    free(c->ahead);
    free(c->sets);
    free(c->queues);
}

static struct ac_eval *create(const struct ac_plan *p, size_t block, size_t lanes)
{
    struct ac_eval *e = ac_xcalloc(1, sizeof *e);
    e->plan = p;
    e->block = block;
    e->lanes = lanes;
    e->simd = simd_best();
    e->points = ac_xcalloc(lanes, sizeof *e->points);
    e->fresh = ac_xcalloc(lanes, 1);
    e->cols = ac_xcalloc(p->n_nodes + 1, sizeof(e->cols[0]));
    e->at = ac_xcalloc(p->n_nodes + 1, sizeof(e->at[0]));
    for (size_t i = 0; i < p->n_nodes; i++) {
        col_init(&e->cols[i], &p->nodes[i], block, lanes);
        e->at[i] = e->cols[i].data + (p->nodes[i].column ? p->nodes[i].hist * lanes : 0);
    }
    for (e->lane = lanes; e->lane-- > 0;) {
        ac_eval_reset(e);
        if (!e->lane)
            break;
    }
    return e;
}

struct ac_eval *ac_eval_create(const struct ac_plan *p, size_t block)
{
    return create(p, block_size(p, block), 1);
}

struct ac_eval *ac_eval_create_lanes(const struct ac_plan *p, size_t lanes)
{
    return create(p, 1, AC_MAX(lanes, (size_t)1));
}

void ac_eval_destroy(struct ac_eval *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->plan->n_nodes; i++)
        col_fini(&e->cols[i], e->lanes);
    free(e->cols);
    free(e->at);
    free(e->points);
    free(e->fresh);
    free(e);
}

size_t ac_eval_lanes(const struct ac_eval *e)
{
    return e->lanes;
}

void ac_eval_lane(struct ac_eval *e, size_t lane)
{
    AC_ASSERT(lane < e->lanes);
    e->lane = lane;
}

/* ---- state ---- */

static const double *arg(const struct ac_eval *e, struct ref r)
{
    return e->at[r.node] - (size_t)r.off * e->lanes;
}

/* Room for the next n rows of a column with a past; one without begins anew at every block. */
static double *advance(const struct ac_eval *e, uint32_t node, size_t n)
{
    const struct col *c = &e->cols[node];
    size_t hist = e->plan->nodes[node].hist * e->lanes;
    double *next = eval_next(e, node);
    if ((size_t)(next - c->data) + n * e->lanes > c->cap * e->lanes) {
        memmove(c->data, next - hist, hist * sizeof(double));
        next = c->data + hist;
    }
    return e->at[node] = next;
}

/* All pasts are where the next point goes, with room for it and some more. */
static void make_room(struct ac_eval *e)
{
    const struct ac_plan *p = e->plan;
    e->room = UINT32_MAX;
    for (size_t i = 0; i < p->n_pasts; i++) {
        const struct col *c = &e->cols[p->pasts[i]];
        double *next = advance(e, p->pasts[i], 1);
        e->room = AC_MIN(e->room, c->cap - (uint32_t)(next - c->data));
    }
    e->rows = 0;
}

/* Brings what is derived from histories in line with them. */
void eval_rebuild(struct ac_eval *e, size_t lane)
{
    for (size_t i = 0; i < e->plan->n_nodes; i++) {
        const struct node *n = &e->plan->nodes[i];
        struct step s = {.node = n, .col = &e->cols[i], .lanes = e->lanes, .tick = e->tick};
        if (!n->n_args || n->pointwise)
            continue;
        struct ref a = n->args[0]; /* where no past is read, any row does */
        double *first = e->cols[a.node].data, *next = eval_next(e, a.node);
        size_t back = (a.off + (size_t)1) * e->lanes;
        s.a[0] = (size_t)(next - first) >= back ? next - back : first;
        kernel_rebuild(&s, lane);
    }
}

void ac_eval_reset(struct ac_eval *e)
{
    e->points[e->lane] = 0;
    e->fresh[e->lane] = 0;
    e->ahead = 0;
    e->ordered = e->pushed = false;
    for (size_t i = 0; i < e->plan->n_nodes; i++) {
        const struct node *n = &e->plan->nodes[i];
        const struct col *c = &e->cols[i];
        double fill = n->op == N_CONST ? n->c : NAN_;
        for (uint32_t k = 0; k < c->cap; k++)
            c->data[k * e->lanes + e->lane] = fill;
        if (n->n_scalars)
            kernel_reset(n, c, e->lanes, e->lane);
    }
    eval_rebuild(e, e->lane);
}

uint64_t ac_eval_points(const struct ac_eval *e)
{
    return e->points[e->lane];
}

/* ---- points ---- */

/* n rows. inputs has a column for each input of the plan; NULL: all are missing. */
struct points {
    const double *values;
    const double *const *inputs;
    size_t from, n;         /* of the columns */
    const int64_t *time_ns; /* of each lane, or NULL: t0, t0 + step ... */
    int64_t t0_ns, step_ns;
};

/* The offset of a zone is in seconds and added to the time first. */
static double time_value(enum node_op op, int64_t t, double offset)
{
    if (!(offset >= -OFFSET_MAX_S && offset <= OFFSET_MAX_S) ||
        __builtin_add_overflow(t, (int64_t)(offset * 1e9), &t))
        return NAN_;
    int64_t in_day = t % NS_PER_DAY, day = t / NS_PER_DAY - (in_day < 0);
    in_day += in_day < 0 ? NS_PER_DAY : 0;
    int64_t week_day = (day + 3) % 7; /* 1970-01-01 was a Thursday */
    week_day += week_day < 0 ? 7 : 0;
    return op == N_TIME_OF_DAY   ? (double)in_day / 1e9
           : op == N_DAY_OF_WEEK ? (double)week_day
                                 : (double)(week_day * NS_PER_DAY + in_day) / 1e9;
}

double eval_source(const struct ac_eval *e, const struct plan_step *st, const struct point *p)
{
    const struct node *n = &e->plan->nodes[st->node];
    if (n->op == N_INPUT)
        return p->inputs ? rule_canon(p->inputs[n->m]) : NAN_;
    return time_value(n->op, p->time_ns, n->n_args ? *arg(e, n->args[0]) : 0);
}

/* Operators that read the point itself. */
static void source(const struct ac_eval *e, const struct node *n, const struct points *p,
                   double *out)
{
    size_t count = p->n * e->lanes;
    if (n->op == N_VALUE || n->op == N_INPUT) {
        const double *from = n->op == N_VALUE ? p->values : p->inputs ? p->inputs[n->m] : NULL;
        for (size_t k = 0; k < count; k++)
            out[k] = from ? rule_canon(from[p->from + k]) : NAN_;
        return;
    }
    const double *offsets = n->n_args ? arg(e, n->args[0]) : NULL;
    for (size_t k = 0; k < count; k++)
        out[k] = time_value(n->op, p->time_ns ? p->time_ns[k] : p->t0_ns + (int64_t)k * p->step_ns,
                            offsets ? offsets[k] : 0);
}

void eval_step(const struct ac_eval *e, const struct plan_step *st, size_t n)
{
    struct step s = {.node = &e->plan->nodes[st->node],
                     .col = &e->cols[st->node],
                     .out = e->at[st->node],
                     .n = n,
                     .lanes = e->lanes,
                     .tick = e->tick,
                     .e = e};
    for (uint32_t k = 0; k < st->n_args; k++) {
        const struct node *a = &e->plan->nodes[st->args[k].node];
        if (a->column)
            s.a[k] = arg(e, st->args[k]);
        s.c[k] = a->c;
    }
    if (st->kind == STEP_OTHER)
        kernel_run(&s);
    else
        e->simd->many(&s);
}

/* Takes p->n <= block rows. */
static void take(struct ac_eval *e, const struct points *p)
{
    const struct plan_step *st = e->plan->steps, *end = st + e->plan->n_steps;
    for (size_t i = 0; i < e->plan->n_pasts; i++)
        (void)advance(e, e->plan->pasts[i], p->n);
    for (; st < end; st++) {
        if (st->kind == STEP_SOURCE)
            source(e, &e->plan->nodes[st->node], p, e->at[st->node]);
        else
            eval_step(e, st, p->n);
    }
    for (size_t k = 0; k < e->lanes; k++) {
        e->points[k] += p->n;
        e->fresh[k] = 1;
    }
    e->tick += (uint32_t)p->n;
    e->rows = p->n;
    e->row = p->n - 1;
    e->room = e->ahead = 0;
    e->ordered = e->pushed = false;
}

void eval_late(const struct ac_eval *e)
{
    const struct ac_plan *p = e->plan;
    if (e->pushed)
        e->simd->one(e, p->steps + p->n_now, p->n_steps - p->n_now, NULL);
}

/* A column's number at the point that is spoken of. */
double eval_value(const struct ac_eval *e, struct ref r)
{
    const struct node *n = &e->plan->nodes[r.node];
    if (n->op == N_CONST)
        return n->c;
    if (n->late)
        eval_late(e);
    return arg(e, r)[e->row * e->lanes + e->lane];
}

bool ac_eval_flag(const struct ac_eval *e, size_t rule)
{
    AC_ASSERT(rule < e->plan->n_rules);
    return e->fresh[e->lane] && eval_value(e, e->plan->rules[rule].verdict) == 1;
}

uint64_t ac_eval_push(struct ac_eval *e, int64_t time_ns, double value)
{
    return ac_eval_push_with(e, time_ns, value, NULL);
}

uint64_t ac_eval_push_with(struct ac_eval *e, int64_t time_ns, double value, const double *inputs)
{
    const struct ac_plan *p = e->plan;
    const struct plan_rule *r = p->rules;
    AC_ASSERT(e->lanes == 1);
    if (!e->room)
        make_room(e);
    for (size_t i = 0; i < p->n_pasts; i++)
        e->at[p->pasts[i]] += e->rows;
    e->simd->one(e, p->steps, p->n_now, &(struct point){time_ns, value, inputs});
    e->room--;
    e->ahead = (e->ahead + 1) % AHEAD;
    e->ordered = e->pushed = true;
    e->points[0]++;
    e->fresh[0] = 1;
    e->tick++;
    e->rows = 1;
    e->row = 0;
    uint64_t m = 0;
    for (size_t i = 0; i < p->n_rules && i < 64; i++)
        m |= (uint64_t)(*arg(e, r[i].verdict) == 1) << i;
    return m;
}

void ac_eval_push_lanes(struct ac_eval *e, const int64_t *time_ns, const double *values,
                        const double *const *inputs, uint64_t *ret_flags)
{
    take(e, &(struct points){.values = values, .inputs = inputs, .n = 1, .time_ns = time_ns});
    for (size_t k = 0; k < e->lanes; k++)
        ret_flags[k] = 0;
    for (size_t r = 0; r < e->plan->n_rules && r < 64; r++) {
        struct ref verdict = e->plan->rules[r].verdict;
        const struct node *n = &e->plan->nodes[verdict.node];
        const double *v = n->op == N_CONST ? NULL : arg(e, verdict);
        for (size_t k = 0; k < e->lanes; k++)
            ret_flags[k] |= (uint64_t)((v ? v[k] : n->c) == 1) << r;
    }
}

struct ref eval_term_ref(const struct ac_eval *e, size_t rule, const char *name)
{
    const struct plan_rule *pr = &e->plan->rules[rule];
    if (strcmp(name, "value") == 0)
        return (struct ref){0, 0}; /* the first node of every plan */
    for (size_t i = 0; i < pr->rule->n_lets; i++) {
        if (strcmp(pr->rule->lets[i].name, name) == 0)
            return pr->lets[i];
    }
    for (size_t i = 0; *name && i < pr->rule->n_inputs; i++) {
        if (strcmp(pr->rule->inputs[i].in.name, name) == 0)
            return pr->inputs[i];
    }
    return (struct ref){NO_NODE, 0};
}

/* Flags of a block; whether there is one. */
static bool collect_flags(const struct ac_eval *e, struct ref verdict, uint8_t *flags, size_t n)
{
    const struct node *nd = &e->plan->nodes[verdict.node];
    const double *v = nd->op == N_CONST ? NULL : arg(e, verdict);
    size_t any = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t flag = (v ? v[i] : nd->c) == 1;
        any += flag;
        if (flags)
            flags[i] = flag;
    }
    return any > 0;
}

static void collect(struct ac_eval *e, const struct ac_eval_batch *b, size_t done, size_t n,
                    const struct ref *terms)
{
    const struct ac_plan *p = e->plan;
    bool any = false;
    for (size_t r = 0; r < p->n_rules && (b->flags || b->on_flag); r++) {
        uint8_t *flags = b->flags ? b->flags + r * b->n + done : NULL;
        any |= collect_flags(e, p->rules[r].verdict, flags, n);
    }
    for (size_t i = 0; any && b->on_flag && i < n; i++) {
        for (size_t r = 0; r < p->n_rules; r++) {
            e->row = i;
            if (ac_eval_flag(e, r))
                b->on_flag(e, r, done + i, b->arg);
        }
    }
    for (size_t t = 0; t < b->n_terms; t++) {
        const struct node *nd = &p->nodes[terms[t].node];
        for (size_t i = 0; i < n; i++)
            b->terms[t][done + i] = nd->op == N_CONST ? nd->c : arg(e, terms[t])[i];
    }
    e->row = n - 1;
}

void ac_eval_run(struct ac_eval *e, const struct ac_eval_batch *b)
{
    AC_ASSERT(e->lanes == 1);
    ac_cleanup(ac_free_p) struct ref *terms = ac_xcalloc(b->n_terms + 1, sizeof *terms);
    for (size_t t = 0; t < b->n_terms; t++) {
        terms[t] = eval_term_ref(e, 0, b->term_names[t]);
        AC_ASSERT(terms[t].node != NO_NODE);
    }
    for (size_t done = 0; done < b->n;) {
        size_t n = AC_MIN(e->block, b->n - done);
        take(e, &(struct points){.values = b->values,
                                 .inputs = b->inputs,
                                 .from = done,
                                 .t0_ns = b->t0_ns + (int64_t)done * b->step_ns,
                                 .step_ns = b->step_ns,
                                 .n = n});
        collect(e, b, done, n, terms);
        done += n;
    }
}

bool ac_eval_has_term(const struct ac_eval *e, size_t rule, const char *name)
{
    AC_ASSERT(rule < e->plan->n_rules);
    return eval_term_ref(e, rule, name).node != NO_NODE;
}

double ac_eval_term(const struct ac_eval *e, size_t rule, const char *name)
{
    AC_ASSERT(rule < e->plan->n_rules);
    struct ref r = eval_term_ref(e, rule, name);
    return r.node == NO_NODE || !e->fresh[e->lane] ? NAN_ : eval_value(e, r);
}

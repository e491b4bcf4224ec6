/* Evaluation of a plan over one series. Each operator has a column: as much of its past as others
 * read, then room for the points being taken; the past is moved to the front when the room is used
 * up, so a point costs amortised O(1) however far windows look back. */
#include "rules_impl.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>

#define NS_PER_DAY   86400000000000LL
#define OFFSET_MAX_S 172800 /* of a zone from UTC */

bool node_has_set(const struct node *n)
{
    return n->op == N_QUANTILE || n->op == N_MAD || n->op == N_SEASON_MEDIAN ||
           n->op == N_SEASON_MIN || n->op == N_SEASON_MAX ||
           (node_is_zoned(n->op) && n->op != N_ZONED_MEAN);
}

struct ac_eval *ac_eval_create(const struct ac_plan *p, size_t block)
{
    struct ac_eval *e = ac_xcalloc(1, sizeof *e);
    e->plan = p;
    e->block = AC_MIN(AC_MAX(block, (size_t)1), (size_t)65536);
    e->cols = ac_xcalloc(p->n_nodes + 1, sizeof(e->cols[0]));
    size_t scalars = 0;
    for (size_t i = 0; i < p->n_nodes; i++)
        scalars += p->nodes[i].n_scalars;
    double *s = e->scalar_mem = ac_xcalloc(scalars + 1, sizeof(double));
    for (size_t i = 0; i < p->n_nodes; i++) {
        const struct node *n = &p->nodes[i];
        struct col *c = &e->cols[i];
        c->cap = n->hist + (uint32_t)AC_MAX(e->block, (size_t)n->hist / 4);
        c->data = ac_xmalloc(c->cap * sizeof(double));
        c->scalars = s;
        s += n->n_scalars;
        if (node_has_set(n))
            c->os = ac_ostat_create(
                node_is_season(n->op) || node_is_zoned(n->op) ? n->m * (2 * n->h + 1) : n->w);
        if (n->op == N_MIN || n->op == N_MAX) {
            c->dq.cap = n->w;
            c->dq.v = ac_xmalloc(n->w * sizeof(double));
            c->dq.t = ac_xmalloc(n->w * sizeof(uint64_t));
        }
    }
    ac_eval_reset(e);
    return e;
}

void ac_eval_destroy(struct ac_eval *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->plan->n_nodes; i++) {
        free(e->cols[i].data);
        free(e->cols[i].dq.v);
        free(e->cols[i].dq.t);
        ac_ostat_destroy(e->cols[i].os);
    }
    free(e->cols);
    free(e->scalar_mem);
    free(e);
}

const double *eval_arg(const struct ac_eval *e, struct ref r)
{
    return e->cols[r.node].data + (ptrdiff_t)e->cols[r.node].cur - (ptrdiff_t)r.off;
}

/* Brings what is derived from histories in line with them. */
void eval_rebuild(struct ac_eval *e)
{
    for (size_t i = 0; i < e->plan->n_nodes; i++) {
        const struct node *n = &e->plan->nodes[i];
        struct step s = {.node = n, .col = &e->cols[i], .t = e->points + RULE_TIME_BASE};
        if (!n->n_args)
            continue;
        const struct col *a = &e->cols[n->args[0].node];
        uint32_t off = n->args[0].off;
        s.a[0] = a->pos > off ? a->data + (a->pos - 1 - off) : a->data; /* else no past is read */
        if (s.col->os)
            ac_ostat_clear(s.col->os);
        s.col->dq.head = s.col->dq.len = 0;
        kernel_rebuild(&s);
    }
}

void ac_eval_reset(struct ac_eval *e)
{
    e->points = 0;
    e->taken = e->at = 0;
    for (size_t i = 0; i < e->plan->n_nodes; i++) {
        const struct node *n = &e->plan->nodes[i];
        struct col *c = &e->cols[i];
        double fill = n->op == N_CONST ? n->c : __builtin_nan("");
        for (uint32_t k = 0; k < c->cap; k++)
            c->data[k] = fill;
        c->pos = c->cur = n->hist;
        kernel_reset(n, c);
    }
    eval_rebuild(e);
}

uint64_t ac_eval_points(const struct ac_eval *e)
{
    return e->points;
}

/* The offsets of a zone are seconds that are added to the time first; NULL for UTC. */
static void fill_time(enum node_op op, const double *offsets, double *out, size_t n, int64_t t_ns,
                      int64_t step_ns)
{
    for (size_t i = 0; i < n; i++) {
        int64_t t = t_ns + (int64_t)i * step_ns;
        double offset = offsets ? offsets[i] : 0;
        if (!(offset >= -OFFSET_MAX_S && offset <= OFFSET_MAX_S)) {
            out[i] = __builtin_nan("");
            continue;
        }
        t += (int64_t)(offset * 1e9);
        int64_t day = t / NS_PER_DAY - (t % NS_PER_DAY < 0), in_day = t - day * NS_PER_DAY;
        int64_t week_day = (day + 3) % 7; /* 1970-01-01 was a Thursday */
        week_day += week_day < 0 ? 7 : 0;
        out[i] = op == N_TIME_OF_DAY   ? (double)in_day / 1e9
                 : op == N_DAY_OF_WEEK ? (double)week_day
                                       : (double)(week_day * NS_PER_DAY + in_day) / 1e9;
    }
}

static void fill_input(const double *from, double *out, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = from ? rule_canon(from[k]) : __builtin_nan("");
}

/* n <= block points: inputs has a column for each input of the plan; NULL: all are missing. */
struct points {
    const double *values;
    const double *const *inputs;
    size_t from, n; /* of the columns */
    int64_t t_ns, step_ns;
};

static void take(struct ac_eval *e, const struct points *pt)
{
    size_t n = pt->n;
    const struct ac_plan *p = e->plan;
    for (size_t i = 0; i < p->n_nodes; i++) {
        const struct node *nd = &p->nodes[i];
        struct col *c = &e->cols[i];
        if (nd->op == N_CONST)
            continue;
        if (c->pos + n > c->cap) {
            memmove(c->data, c->data + c->pos - nd->hist, nd->hist * sizeof(double));
            c->pos = nd->hist;
        }
        double *out = c->data + c->pos;
        c->cur = c->pos;
        c->pos += (uint32_t)n;
        if (nd->op == N_VALUE) {
            fill_input(pt->values + pt->from, out, n);
        } else if (nd->op == N_INPUT) {
            fill_input(pt->inputs ? pt->inputs[nd->m] + pt->from : NULL, out, n);
        } else if (nd->op >= N_TIME_OF_DAY && nd->op <= N_TIME_OF_WEEK) {
            fill_time(nd->op, nd->n_args ? eval_arg(e, nd->args[0]) : NULL, out, n, pt->t_ns,
                      pt->step_ns);
        } else {
            struct step s = {.node = nd, .col = c, .out = out, .n = n};
            s.t = e->points + RULE_TIME_BASE;
            for (uint32_t k = 0; k < nd->n_args; k++)
                s.a[k] = eval_arg(e, nd->args[k]);
            kernel_run(&s);
        }
    }
    e->points += n;
    e->taken = n;
    e->at = n - 1;
}

bool ac_eval_flag(const struct ac_eval *e, size_t rule)
{
    AC_ASSERT(rule < e->plan->n_rules);
    return e->taken && eval_arg(e, e->plan->rules[rule].verdict)[e->at] == 1;
}

uint64_t ac_eval_push(struct ac_eval *e, int64_t time_ns, double value)
{
    return ac_eval_push_with(e, time_ns, value, NULL);
}

uint64_t ac_eval_push_with(struct ac_eval *e, int64_t time_ns, double value, const double *inputs)
{
    const double *columns[64];
    size_t n = e->plan->n_inputs;
    const double **c = n <= AC_ARRAY_LEN(columns) ? columns : ac_xcalloc(n, sizeof *c);
    for (size_t i = 0; inputs && i < n; i++)
        c[i] = inputs + i;
    take(e,
         &(struct points){.values = &value, .inputs = inputs ? c : NULL, .n = 1, .t_ns = time_ns});
    if (c != columns)
        free(c);
    uint64_t m = 0;
    for (size_t r = 0; r < e->plan->n_rules && r < 64; r++)
        m |= (uint64_t)ac_eval_flag(e, r) << r;
    return m;
}

static struct ref term_ref(const struct ac_eval *e, size_t rule, const char *name)
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

static void collect(struct ac_eval *e, const struct ac_eval_batch *b, size_t done, size_t n,
                    const struct ref *terms)
{
    const struct ac_plan *p = e->plan;
    bool any = false;
    for (size_t r = 0; r < p->n_rules; r++) {
        const double *v = eval_arg(e, p->rules[r].verdict);
        for (size_t i = 0; i < n; i++)
            any |= v[i] == 1;
        for (size_t i = 0; b->flags && i < n; i++)
            b->flags[r * b->n + done + i] = v[i] == 1;
    }
    for (size_t i = 0; any && b->on_flag && i < n; i++) {
        for (size_t r = 0; r < p->n_rules; r++) {
            e->at = i;
            if (ac_eval_flag(e, r))
                b->on_flag(e, r, done + i, b->arg);
        }
    }
    for (size_t t = 0; t < b->n_terms; t++)
        memcpy(b->terms[t] + done, eval_arg(e, terms[t]), n * sizeof(double));
    e->at = n - 1;
}

void ac_eval_run(struct ac_eval *e, const struct ac_eval_batch *b)
{
    ac_cleanup(ac_free_p) struct ref *terms = ac_xcalloc(b->n_terms + 1, sizeof *terms);
    for (size_t t = 0; t < b->n_terms; t++) {
        terms[t] = term_ref(e, 0, b->term_names[t]);
        AC_ASSERT(terms[t].node != NO_NODE);
    }
    for (size_t done = 0; done < b->n;) {
        size_t n = AC_MIN(e->block, b->n - done);
        take(e, &(struct points){.values = b->values,
                                 .inputs = b->inputs,
                                 .from = done,
                                 .n = n,
                                 .t_ns = b->t0_ns + (int64_t)done * b->step_ns,
                                 .step_ns = b->step_ns});
        collect(e, b, done, n, terms);
        done += n;
    }
}

double ac_eval_term(const struct ac_eval *e, size_t rule, const char *name)
{
    AC_ASSERT(rule < e->plan->n_rules);
    struct ref r = term_ref(e, rule, name);
    return r.node == NO_NODE || !e->taken ? __builtin_nan("") : eval_arg(e, r)[e->at];
}

/* ---- reasons ---- */

static void put_value(struct ac_buf *b, double v, bool truth)
{
    if (v != v)
        ac_buf_puts(b, "unknown");
    else if (truth)
        ac_buf_puts(b, v == 1 ? "true" : "false");
    else if (fabs(v) >= 1e4 && fabs(v) < 1e15)
        ac_buf_printf(b, "%.0f", v);
    else
        ac_buf_printf(b, "%.4g", v);
}

bool ac_eval_reason(const struct ac_eval *e, size_t rule, struct ac_buf *b)
{
    AC_ASSERT(rule < e->plan->n_rules);
    const struct plan_rule *pr = &e->plan->rules[rule];
    if (!pr->rule->reason) {
        ac_buf_puts(b, "value ");
        put_value(b, ac_eval_term(e, rule, "value"), false);
    }
    for (size_t i = 0; i < pr->rule->n_parts; i++) {
        const struct reason_part *part = &pr->rule->parts[i];
        if (part->text) {
            ac_buf_puts(b, part->text);
            continue;
        }
        bool truth = part->let >= 0 && pr->rule->lets[part->let].expr->type == TY_BOOL;
        put_value(b, ac_eval_term(e, rule, part->name), truth);
    }
    return !b->failed;
}

size_t ac_rule_reason_names(const struct ac_rule *r, const char **names, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_parts; i++) {
        bool seen = !r->parts[i].name;
        for (size_t k = 0; k < n && !seen; k++)
            seen = strcmp(names[k], r->parts[i].name) == 0;
        if (!seen && n < max)
            names[n++] = r->parts[i].name;
    }
    return n;
}

#include "scorers/rca_frame.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#include "discover/rca_class.h"
#include "discover/rca_discover.h"
#include "graph/rca_library.h"

#define MIN_NORMAL 8
#define FEW_NORMAL 30
#define MAX_ROWS   ((int64_t)1 << 20)
#define PC_ALPHA   0.01

int ac_rca_frame_init(struct ac_rca_frame *f, size_t p, size_t normal, size_t faulty,
                      struct ac_err *err)
{
    *f = (struct ac_rca_frame){
        .p = p, .normal = normal, .faulty = faulty, .before = normal, .symptom = -1};
    size_t cells = ac_mul_size(p, normal + faulty);
    if (p > AC_RCA_MAX_VARIABLES || cells > AC_RCA_MAX_CELLS)
        return ac_err_set(err, AC_ERANGE, "%zu measurements of %zu rows are too many", p,
                          normal + faulty);
    f->x = ac_try_calloc(cells + 1, sizeof(double));
    f->drives = ac_try_calloc(p * p + 1, sizeof(bool));
    f->metric = ac_xcalloc(p + 1, sizeof(int));
    f->t_ns = ac_try_calloc(normal + faulty + 1, sizeof(int64_t));
    if (!f->x || !f->drives || !f->t_ns) {
        ac_rca_frame_fini(f);
        return ac_err_set(err, AC_ENOMEM, "no memory for %zu measurements of %zu rows", p,
                          normal + faulty);
    }
    return 0;
}

void ac_rca_frame_fini(struct ac_rca_frame *f)
{
    free(f->x);
    free(f->drives);
    free(f->metric);
    free(f->t_ns);
    memset(f, 0, sizeof(*f));
}

double ac_rca_frame_z(const struct ac_rca_frame *f, size_t column)
{
    const double *x = f->x + column * (f->normal + f->faulty) + f->normal;
    double z = 0;
    for (size_t i = 0; i < f->faulty; i++)
        z = fmax(z, fabs(x[i]));
    return z;
}

/* ---- rows ---- */

struct grid {
    const struct ac_rca_params *p;
    int64_t step, first, n; /* number of the first row relative to t0; rows in between */
    int32_t *row;           /* by number less first; -1 where no series has a sample */
    size_t before;          /* normal rows that lie before the incident */
    bool after;             /* rows behind the incident are normal, too */
};

static int64_t row_number(const struct grid *g, int64_t t_ns)
{
    int64_t d = t_ns - g->p->t0_ns;
    return d >= 0 ? d / g->step : -((-d + g->step - 1) / g->step);
}

static bool takes_part(const struct ac_rca_metric *m)
{
    return m->kind != AC_RCA_OTHER && m->n > 0;
}

/* Times of the incident have row numbers of 0 and more; what is neither normal nor faulty is out.
 */
static bool is_faulty(const struct grid *g, int64_t t_ns)
{
    return t_ns >= g->p->t0_ns && t_ns < g->p->t0_ns + g->p->incident_ns;
}

static bool counts(const struct grid *g, int64_t t_ns)
{
    return t_ns < g->p->t0_ns || is_faulty(g, t_ns) ||
           (g->after && t_ns >= g->p->t0_ns + g->p->incident_ns + AC_MAX(g->p->margin_ns, g->step));
}

static int64_t row_time(const struct grid *g, int64_t number)
{
    return g->p->t0_ns + number * g->step;
}

static void mark_rows(const struct ac_rca_case *c, struct grid *g)
{
    memset(g->row, 0xff, (size_t)g->n * sizeof(g->row[0]));
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        for (size_t k = 0; takes_part(m) && k < m->n; k++)
            if (counts(g, m->t_ns[k]))
                g->row[row_number(g, m->t_ns[k]) - g->first] = 0;
    }
}

/* Normal rows first, those of the incident behind them. */
static void number_rows(struct grid *g, struct ac_rca_frame *f)
{
    int32_t rows = 0;
    f->normal = f->faulty = g->before = 0;
    for (int faulty = 0; faulty < 2; faulty++)
        for (int64_t i = 0; i < g->n; i++) {
            int64_t t = row_time(g, i + g->first);
            if (g->row[i] < 0 || is_faulty(g, t) != (faulty == 1))
                continue;
            g->row[i] = rows++;
            *(faulty ? &f->faulty : &f->normal) += 1;
            g->before += t < g->p->t0_ns;
        }
}

/* Numbers the rows in which any series has a sample. */
static int make_grid(const struct ac_rca_case *c, struct grid *g, struct ac_rca_frame *f,
                     struct ac_err *err)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (!takes_part(m))
            continue;
        first = AC_MIN(first, m->t_ns[0]);
        last = AC_MAX(last, m->t_ns[m->n - 1]);
    }
    if (first > last)
        return ac_err_set(err, AC_EINVAL, "no samples");
    g->step = AC_MAX(g->step, (last - first) / MAX_ROWS + 1);
    g->first = row_number(g, first);
    g->n = row_number(g, last) - g->first + 1;
    g->row = ac_xcalloc((size_t)g->n, sizeof(g->row[0]));
    mark_rows(c, g);
    number_rows(g, f);
    g->after = g->before < FEW_NORMAL;
    if (g->after) {
        mark_rows(c, g);
        number_rows(g, f);
    }
    if (f->normal < MIN_NORMAL || f->faulty == 0)
        return ac_err_set(
            err, AC_EINVAL,
            "%zu rows outside the incident and %zu in it are too few: %d and 1 needed", f->normal,
            f->faulty, MIN_NORMAL);
    return 0;
}

/* One series on the rows; false when it says too little. */
static bool lay(const struct grid *g, const struct ac_rca_metric *m, size_t normal, size_t rows,
                double *to, uint32_t *count)
{
    size_t seen_normal = 0, seen_faulty = 0;
    memset(count, 0, rows * sizeof(count[0]));
    for (size_t k = 0; k < m->n; k++) {
        if (!counts(g, m->t_ns[k]))
            continue;
        size_t r = (size_t)g->row[row_number(g, m->t_ns[k]) - g->first];
        to[r] = count[r] ? to[r] + (m->v[k] - to[r]) / (double)(count[r] + 1) : m->v[k];
        if (count[r]++ == 0)
            *(r < normal ? &seen_normal : &seen_faulty) += 1;
    }
    if (2 * seen_normal < normal || seen_faulty == 0)
        return false;
    size_t first = 0;
    while (count[first] == 0)
        first++;
    for (size_t r = 0; r < rows; r++)
        if (count[r] == 0) /* the incident follows what lies before it */
            to[r] = r < first                      ? to[first]
                    : r == normal && g->before > 0 ? to[g->before - 1]
                                                   : to[r - 1];
    return true;
}

/* In deviations of the normal rows; false for a constant. */
static bool standardise(double *x, size_t normal, size_t rows)
{
    double mean = ac_stats_mean(x, normal), sd = ac_stats_std(x, normal, 0);
    double lo = x[0], hi = x[0];
    for (size_t r = 0; r < rows; r++) {
        lo = fmin(lo, x[r]);
        hi = fmax(hi, x[r]);
    }
    if (!(hi - lo > 1e-12 * fmax(fabs(lo), fabs(hi))))
        return false;
    if (!(sd > 1e-9 * fabs(mean)))
        sd = fabs(mean) > 0.0 ? fabs(mean) : 1.0; /* normally constant */
    for (size_t r = 0; r < rows; r++)
        x[r] = fmax(-AC_RCA_FRAME_MAX, fmin(AC_RCA_FRAME_MAX, (x[r] - mean) / sd));
    return true;
}

static void fill(const struct ac_rca_case *c, const struct grid *g, struct ac_rca_frame *f)
{
    size_t rows = f->normal + f->faulty;
    uint32_t *count = ac_xcalloc(rows, sizeof(*count));
    f->p = 0;
    for (size_t i = 0; i < c->nmetrics; i++) {
        double *to = f->x + f->p * rows;
        if (!takes_part(&c->metrics[i]) || !lay(g, &c->metrics[i], f->normal, rows, to, count) ||
            !standardise(to, f->normal, rows))
            continue;
        f->metric[f->p++] = (int)i;
    }
    free(count);
}

/* ---- what drives what ---- */

/* The library's typed edges over the calls of a case. */
static int graph_of_calls(const struct ac_rca_case *c, struct ac_rca_graph **ret,
                          struct ac_err *err)
{
    struct ac_rca_graph *g = ac_rca_graph_create();
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < c->ncomponents; i++)
        rc = ac_rca_graph_node(g, c->components[i], AC_RCA_OTHER);
    for (size_t i = 0; rc >= 0 && i < c->nmetrics; i++)
        if (takes_part(&c->metrics[i]))
            rc = ac_rca_graph_node(g, c->components[c->metrics[i].component], c->metrics[i].kind);
    for (size_t i = 0; rc >= 0 && i < c->nedges; i++)
        rc = ac_rca_graph_edge(g, ac_rca_graph_find(g, c->components[c->edges[i].from]),
                               ac_rca_graph_find(g, c->components[c->edges[i].to]), AC_RCA_CALLS,
                               0.98, NULL);
    rc = rc < 0 ? ac_err_set(err, rc, "too many measurements or calls")
                : ac_rca_library_apply(g, err);
    if (rc) {
        ac_rca_graph_destroy(g);
        return rc;
    }
    (void)ac_rca_graph_break_cycles(g, NULL, NULL);
    *ret = g;
    return 0;
}

static int node_of_column(const struct ac_rca_case *c, const struct ac_rca_frame *f,
                          const struct ac_rca_graph *g, size_t j)
{
    const struct ac_rca_metric *m = &c->metrics[f->metric[j]];
    ac_cleanup(ac_free_p) char *id =
        ac_xasprintf("%s.%s", c->components[m->component], ac_rca_kind_name(m->kind));
    return ac_rca_graph_find(g, id);
}

/* Each edge between two nodes holds between all measurements of those kinds. */
static void drives_of_graph(const struct ac_rca_case *c, const struct ac_rca_graph *g,
                            struct ac_rca_frame *f)
{
    int *node = ac_xcalloc(f->p + 1, sizeof(int));
    int *first = ac_xcalloc(g->nnodes + 1, sizeof(int)), *next = ac_xcalloc(f->p + 1, sizeof(int));
    memset(first, 0xff, g->nnodes * sizeof(int));
    for (size_t j = f->p; j-- > 0;) {
        node[j] = node_of_column(c, f, g, j);
        if (node[j] < 0)
            continue;
        next[j] = first[node[j]];
        first[node[j]] = (int)j;
    }
    for (size_t e = 0; e < g->nedges; e++) {
        if (g->edges[e].kind != AC_RCA_CAUSES || g->edges[e].state == AC_RCA_CONTRADICTED)
            continue;
        for (int i = first[g->edges[e].from]; i >= 0; i = next[i])
            for (int j = first[g->edges[e].to]; j >= 0; j = next[j])
                f->drives[(size_t)i * f->p + (size_t)j] = true;
    }
    free(node);
    free(first);
    free(next);
}

/* PC on the normal rows; what it leaves open is directed without new colliders. */
static int drives_by_pc(struct ac_rca_frame *f, int max_given, struct ac_err *err)
{
    struct ac_rca_matrix m = {.n = f->normal, .p = f->p};
    struct ac_rca_discovery d;
    struct ac_rca_discover_params params = ac_rca_discover_default(AC_RCA_PC);
    params.alpha = PC_ALPHA;
    params.max_given = max_given;
    m.names = ac_xcalloc(f->p + 1, sizeof(m.names[0]));
    m.x = ac_try_malloc(ac_mul_size(f->p * f->normal + 1, sizeof(double)));
    int rc = m.x ? 0 : ac_err_set(err, AC_ENOMEM, "no memory for %zu x %zu values", m.n, m.p);
    for (size_t j = 0; !rc && j < f->p; j++)
        memcpy(m.x + j * m.n, f->x + j * (f->normal + f->faulty), m.n * sizeof(double));
    struct ac_err why = AC_ERR_INIT;
    if (!rc && (rc = ac_rca_discover(&m, &params, &d, &why)) == 0) {
        struct ac_rca_pdag g;
        ac_rca_pdag_init(&g, f->p);
        ac_rca_pdag_copy(&g, &d.g);
        bool ok = ac_rca_pdag_extend(&g);
        for (int i = 0; i < (int)f->p; i++)
            for (int j = 0; j < (int)f->p; j++)
                f->drives[(size_t)i * f->p + (size_t)j] =
                    ok ? ac_rca_directed(&g, i, j) : i < j && ac_rca_adjacent(&d.g, i, j);
        ac_rca_pdag_fini(&g);
        ac_rca_discovery_fini(&d);
    } else if (rc == AC_EINVAL) {
        rc = 0; /* nothing varies normally: nothing drives anything that could be seen */
    } else if (err && why.code) {
        *err = why;
    }
    free(m.names);
    free(m.x);
    return rc;
}

/* Drops what would close a cycle: edges are taken in order, as long as the order can be kept. */
static void break_cycles(struct ac_rca_frame *f)
{
    size_t p = f->p;
    int *state = ac_xcalloc(p + 1, sizeof(int)), *stack = ac_xcalloc(p + 1, sizeof(int));
    int *at = ac_xcalloc(p + 1, sizeof(int));
    for (size_t root = 0; root < p; root++) {
        int depth = 0;
        if (state[root])
            continue;
        stack[0] = (int)root;
        state[root] = 1; /* on the stack */
        at[root] = 0;
        while (depth >= 0) {
            int v = stack[depth];
            if (at[v] == (int)p) {
                state[v] = 2;
                depth--;
                continue;
            }
            int w = at[v]++;
            bool *edge = &f->drives[(size_t)v * p + (size_t)w];
            if (!*edge || state[w] == 2)
                continue;
            if (state[w] == 1) {
                *edge = false;
                continue;
            }
            state[w] = 1;
            at[w] = 0;
            stack[++depth] = w;
        }
    }
    free(state);
    free(stack);
    free(at);
}

void ac_rca_frame_order(const struct ac_rca_frame *f, int *ret_order)
{
    size_t p = f->p, n = 0;
    size_t *open = ac_xcalloc(p + 1, sizeof(*open));
    for (size_t i = 0; i < p; i++)
        for (size_t j = 0; j < p; j++)
            open[j] += f->drives[i * p + j];
    for (size_t j = 0; j < p; j++)
        if (open[j] == 0)
            ret_order[n++] = (int)j;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < p; j++)
            if (f->drives[(size_t)ret_order[i] * p + j] && --open[j] == 0)
                ret_order[n++] = (int)j;
    AC_ASSERT(n == p);
    free(open);
}

void ac_rca_frame_find_symptom(struct ac_rca_frame *f)
{
    double best = AC_RCA_FRAME_ANOMALY;
    double *z = ac_xcalloc(f->p + 1, sizeof(double));
    f->symptom = -1;
    for (size_t j = 0; j < f->p; j++)
        z[j] = ac_rca_frame_z(f, j);
    for (size_t i = 0; i < f->p; i++) {
        bool passes_on = false;
        for (size_t j = 0; j < f->p && !passes_on; j++)
            passes_on = f->drives[i * f->p + j] && z[j] > AC_RCA_FRAME_ANOMALY;
        if (!passes_on && z[i] > best) {
            best = z[i];
            f->symptom = (int)i;
        }
    }
    free(z);
}

/* The target's own symptom where the case names one. */
static void find_target(const struct ac_rca_case *c, const struct ac_rca_params *p,
                        struct ac_rca_frame *f)
{
    for (size_t j = 0; p->target >= 0 && j < f->p; j++) {
        const struct ac_rca_metric *m = &c->metrics[f->metric[j]];
        if (m->component == p->target && m->kind == p->target_kind) {
            f->symptom = (int)j;
            return;
        }
    }
    ac_rca_frame_find_symptom(f);
}

int ac_rca_frame_make(const struct ac_rca_case *c, const struct ac_rca_params *p,
                      const struct ac_rca_graph *graph, int max_given, struct ac_rca_frame *ret,
                      struct ac_err *err)
{
    struct ac_rca_frame f = {.symptom = -1}, shape = {0};
    struct grid g = {.p = p, .step = ac_rca_step_ns(c)};
    struct ac_rca_graph *own = NULL;
    size_t columns = 0;
    for (size_t i = 0; i < c->nmetrics; i++)
        columns += takes_part(&c->metrics[i]);
    int rc = make_grid(c, &g, &shape, err);
    if (!rc)
        rc = ac_rca_frame_init(&f, columns, shape.normal, shape.faulty, err);
    if (!rc) {
        fill(c, &g, &f);
        for (int64_t i = 0; i < g.n; i++)
            if (g.row[i] >= 0)
                f.t_ns[g.row[i]] = row_time(&g, i + g.first);
        f.before = g.before;
    }
    free(g.row);
    if (!rc && !graph && c->nedges > 0)
        rc = graph_of_calls(c, &own, err);
    if (!rc && (graph || own))
        drives_of_graph(c, graph ? graph : own, &f);
    else if (!rc)
        rc = drives_by_pc(&f, max_given, err);
    ac_rca_graph_destroy(own);
    if (rc) {
        ac_rca_frame_fini(&f);
        return rc;
    }
    break_cycles(&f);
    find_target(c, p, &f);
    *ret = f;
    return 0;
}

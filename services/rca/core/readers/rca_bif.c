#include "readers/rca_bif.h"

#include <math.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/str.h>

struct parser {
    const char *name, *p, *end;
    size_t line;
    struct ac_rca_bif b;
    struct ac_err *err;
    char token[256];
};

static int complain(struct parser *q, const char *what)
{
    return ac_err_set(q->err, AC_EINVAL, "%s:%zu: expected %s, not '%.40s'", q->name, q->line, what,
                      q->token);
}

static bool is_mark(char c)
{
    return strchr("{}()[],;|", c) != NULL && c != '\0';
}

/* Next mark or word into token; "" at the end. A word too long is cut and will match nothing. */
static void next(struct parser *q)
{
    size_t n = 0;
    for (; q->p < q->end && isspace((unsigned char)*q->p); q->p++)
        q->line += *q->p == '\n';
    if (q->p < q->end && is_mark(*q->p)) {
        q->token[n++] = *q->p++;
    } else {
        while (q->p < q->end && !isspace((unsigned char)*q->p) && !is_mark(*q->p)) {
            if (n + 1 < sizeof(q->token))
                q->token[n++] = *q->p;
            q->p++;
        }
    }
    q->token[n] = '\0';
}

static bool accept(struct parser *q, const char *word)
{
    if (!ac_streq(q->token, word))
        return false;
    next(q);
    return true;
}

static int need(struct parser *q, const char *word)
{
    return accept(q, word) ? 0 : complain(q, word);
}

static int find(const struct ac_rca_bif *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++)
        if (ac_streq(b->v[i].name, name))
            return (int)i;
    return -1;
}

static int state_of(const struct ac_rca_bif_variable *v, const char *name)
{
    for (size_t i = 0; i < v->nstates; i++)
        if (ac_streq(v->states[i], name))
            return (int)i;
    return -1;
}

/* variable NAME { type discrete [ N ] { a, b }; } */
static int parse_variable(struct parser *q)
{
    struct ac_rca_bif *b = &q->b;
    if (!*q->token || is_mark(q->token[0]) || find(b, q->token) >= 0)
        return complain(q, "the name of a new variable");
    if (b->n >= AC_RCA_MAX_VARIABLES)
        return complain(q, "no more variables");
    ac_grow(&b->v, &b->cap, b->n + 1, sizeof(b->v[0]));
    struct ac_rca_bif_variable *v = &b->v[b->n++];
    *v = (struct ac_rca_bif_variable){.name = ac_xstrdup(q->token)};
    next(q);
    int rc = need(q, "{");
    if (!rc)
        rc = need(q, "type");
    if (!rc)
        rc = need(q, "discrete");
    if (!rc)
        rc = need(q, "[");
    next(q); /* the number: the list says it too */
    if (!rc)
        rc = need(q, "]");
    if (!rc)
        rc = need(q, "{");
    v->states = ac_xcalloc(AC_RCA_BIF_MAX_STATES, sizeof(v->states[0]));
    while (!rc && !accept(q, "}")) {
        if (!*q->token || is_mark(q->token[0]) || v->nstates == AC_RCA_BIF_MAX_STATES)
            return complain(q, "a state");
        v->states[v->nstates++] = ac_xstrdup(q->token);
        next(q);
        (void)accept(q, ",");
    }
    if (!rc && v->nstates == 0)
        rc = complain(q, "a state");
    if (!rc)
        rc = need(q, ";");
    return rc ? rc : need(q, "}");
}

static int parse_row(struct parser *q, struct ac_rca_bif_variable *v, size_t row)
{
    double sum = 0;
    for (size_t i = 0; i < v->nstates; i++) {
        double x;
        if (!ac_str_to_f64(q->token, &x) || !(x >= 0.0 && x <= 1.0 + 1e-6))
            return complain(q, "a probability");
        next(q);
        v->table[row * v->nstates + i] = x;
        sum += x;
        if (i + 1 < v->nstates && need(q, ","))
            return AC_EINVAL;
    }
    if (!(fabs(sum - 1.0) < 0.02)) {
        ac_str_copy(q->token, sizeof(q->token), "another sum");
        return complain(q, "probabilities that add up to 1");
    }
    for (size_t i = 0; i < v->nstates; i++)
        v->table[row * v->nstates + i] /= sum;
    return need(q, ";");
}

/* ( states of the parents ) row */
static int parse_key(struct parser *q, struct ac_rca_bif_variable *v, size_t *ret_row)
{
    size_t row = 0;
    for (size_t i = 0; i < v->nparents; i++) {
        const struct ac_rca_bif_variable *parent = &q->b.v[v->parents[i]];
        int s = state_of(parent, q->token);
        if (s < 0)
            return complain(q, "a state of a parent");
        next(q);
        row = row * parent->nstates + (size_t)s;
        if (i + 1 < v->nparents && need(q, ","))
            return AC_EINVAL;
    }
    *ret_row = row;
    return need(q, ")");
}

static int parse_parents(struct parser *q, struct ac_rca_bif_variable *v)
{
    v->parents = ac_xcalloc(AC_RCA_BIF_MAX_PARENTS, sizeof(int));
    v->rows = 1;
    if (accept(q, "|")) {
        do {
            int parent = find(&q->b, q->token);
            if (parent < 0 || v->nparents == AC_RCA_BIF_MAX_PARENTS)
                return complain(q, "a parent");
            v->parents[v->nparents++] = parent;
            v->rows = ac_mul_size(v->rows, q->b.v[parent].nstates);
            next(q);
        } while (accept(q, ","));
    }
    if (ac_mul_size(v->rows, v->nstates) > AC_RCA_BIF_MAX_ROWS)
        return complain(q, "a smaller table");
    v->table = ac_xcalloc(v->rows * v->nstates, sizeof(double));
    for (size_t i = 0; i < v->rows; i++)
        v->table[i * v->nstates] = -1.0; /* not given yet */
    return need(q, ")");
}

/* probability ( NAME | PARENTS ) { rows } */
static int parse_probability(struct parser *q)
{
    int rc = need(q, "("), at = rc ? -1 : find(&q->b, q->token);
    if (rc)
        return rc;
    if (at < 0 || !q->b.v || q->b.v[at].table)
        return complain(q, "a variable without a table");
    struct ac_rca_bif_variable *v = &q->b.v[at];
    next(q);
    rc = parse_parents(q, v);
    if (!rc)
        rc = need(q, "{");
    while (!rc && !accept(q, "}")) {
        size_t row = 0;
        if (accept(q, "("))
            rc = parse_key(q, v, &row);
        else if (v->nparents > 0 || !accept(q, "table"))
            return complain(q, "the row of a table");
        if (!rc)
            rc = parse_row(q, v, row);
    }
    return rc;
}

/* Everything has a table, and there is an order of causes before effects. */
static int check(struct parser *q)
{
    struct ac_rca_bif *b = &q->b;
    size_t placed = 0;
    bool *done = ac_xcalloc(b->n + 1, sizeof(*done));
    b->order = ac_xcalloc(b->n + 1, sizeof(b->order[0]));
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < b->n; i++) {
            bool ready = !done[i];
            for (size_t k = 0; k < b->v[i].nparents && ready; k++)
                ready = done[b->v[i].parents[k]];
            if (!ready)
                continue;
            done[i] = moved = true;
            b->order[placed++] = (int)i;
        }
    }
    free(done);
    if (placed < b->n)
        return ac_err_set(q->err, AC_EINVAL, "%s: the network has a cycle", q->name);
    for (size_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < AC_MAX(b->v[i].rows, 1); k++)
            if (!b->v[i].table || b->v[i].table[k * b->v[i].nstates] < 0.0)
                return ac_err_set(q->err, AC_EINVAL, "%s: the table of %.80s is not whole", q->name,
                                  b->v[i].name);
    return b->n ? 0 : ac_err_set(q->err, AC_EINVAL, "%s: no variable", q->name);
}

static int skip_block(struct parser *q)
{
    while (*q->token && !accept(q, "{"))
        next(q);
    while (*q->token && !ac_streq(q->token, "}"))
        next(q);
    return need(q, "}");
}

int ac_rca_bif_parse(const char *name, const char *text, size_t len, struct ac_rca_bif *ret,
                     struct ac_err *err)
{
    struct parser q = {.name = name, .p = text, .end = text + len, .line = 1, .err = err};
    int rc = 0;
    next(&q);
    while (!rc && *q.token) {
        if (accept(&q, "variable"))
            rc = parse_variable(&q);
        else if (accept(&q, "probability"))
            rc = parse_probability(&q);
        else if (accept(&q, "network"))
            rc = skip_block(&q);
        else
            rc = complain(&q, "network, variable or probability");
    }
    if (!rc)
        rc = check(&q);
    if (rc) {
        ac_rca_bif_fini(&q.b);
        return rc;
    }
    *ret = q.b;
    return 0;
}

void ac_rca_bif_fini(struct ac_rca_bif *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct ac_rca_bif_variable *v = &b->v[i];
        for (size_t k = 0; k < v->nstates; k++)
            free(v->states[k]);
        free(v->states);
        free(v->name);
        free(v->parents);
        free(v->table);
    }
    free(b->v);
    free(b->order);
    memset(b, 0, sizeof(*b));
}

int ac_rca_bif_sample(const struct ac_rca_bif *b, size_t n, struct ac_rng *r,
                      struct ac_rca_matrix *ret, struct ac_err *err)
{
    struct ac_rca_matrix m;
    int rc = ac_rca_matrix_make(n, b->n, &m, err);
    if (rc)
        return rc;
    for (size_t j = 0; j < b->n; j++) {
        free(m.names[j]);
        m.names[j] = ac_xstrdup(b->v[j].name);
    }
    for (size_t t = 0; t < n; t++)
        for (size_t k = 0; k < b->n; k++) {
            const struct ac_rca_bif_variable *v = &b->v[b->order[k]];
            size_t row = 0, state = 0;
            for (size_t i = 0; i < v->nparents; i++)
                row =
                    row * b->v[v->parents[i]].nstates + (size_t)m.x[(size_t)v->parents[i] * n + t];
            double u = ac_rng_uniform(r);
            const double *p = v->table + row * v->nstates;
            while (state + 1 < v->nstates && u >= p[state])
                u -= p[state++];
            m.x[(size_t)b->order[k] * n + t] = (double)state;
        }
    *ret = m;
    return 0;
}

void ac_rca_bif_dag(const struct ac_rca_bif *b, struct ac_rca_pdag *g)
{
    for (size_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < b->v[i].nparents; k++)
            ac_rca_put(g, b->v[i].parents[k], (int)i, AC_RCA_TAIL, AC_RCA_ARROW);
}

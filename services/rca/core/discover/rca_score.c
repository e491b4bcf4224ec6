#include "discover/rca_score.h"

#include <math.h>
#include <string.h>

#include <float.h>

#include <aceso/base.h>
#include <aceso/stats.h>
#include <aceso/str.h>

struct remembered {
    uint64_t hash; /* 0: free */
    int32_t *key;  /* node, parents */
    uint32_t n;
    double score;
};

struct ac_rca_scorer {
    size_t p, n, max_parents;
    double penalty;      /* of one parameter */
    double worth;        /* of BIC: a residual variance above this share of before gains nothing */
    const double *prior; /* or NULL */
    enum ac_rca_score_kind kind;
    double *cov;
    uint16_t **code; /* BDEU */
    uint32_t *classes, *stratum;
    uint32_t *table, *count;
    size_t table_cap, count_cap;
    struct remembered *r;
    size_t used, cap;
};

static int encode_all(struct ac_rca_scorer *s, const struct ac_rca_matrix *m, struct ac_err *err)
{
    s->code = ac_xcalloc(m->p, sizeof(s->code[0]));
    s->classes = ac_xcalloc(m->p, sizeof(s->classes[0]));
    s->stratum = ac_xcalloc(m->n, sizeof(s->stratum[0]));
    for (size_t j = 0; j < m->p; j++) {
        s->code[j] = ac_xcalloc(m->n, sizeof(uint16_t));
        if (!ac_rca_encode(m->x + j * m->n, m->n, s->code[j], &s->classes[j]))
            return ac_err_set(err, AC_EINVAL, "variable %s has too many values to count",
                              m->names[j]);
    }
    return 0;
}

int ac_rca_scorer_create(const struct ac_rca_matrix *m, const struct ac_rca_ges_params *params,
                         struct ac_rca_scorer **ret, struct ac_err *err)
{
    struct ac_rca_scorer *s = ac_xcalloc(1, sizeof(*s));
    s->p = m->p;
    s->n = m->n;
    s->kind = params->score;
    s->penalty = (params->penalty > 0.0 ? params->penalty : 0.5) * log((double)m->n);
    s->worth = exp(-2.0 * s->penalty / (double)m->n) * (1.0 + 1e-9);
    s->prior = params->prior;
    s->max_parents = params->max_parents >= 0
                         ? AC_MIN((size_t)params->max_parents, AC_RCA_MAX_GIVEN)
                         : AC_RCA_MAX_GIVEN;
    s->cap = 1024;
    s->r = ac_xcalloc(s->cap, sizeof(s->r[0]));
    int rc = s->kind == AC_RCA_BDEU ? encode_all(s, m, err) : ac_rca_covariances(m, &s->cov, err);
    if (rc) {
        ac_rca_scorer_destroy(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void ac_rca_scorer_destroy(struct ac_rca_scorer *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->cap; i++)
        free(s->r[i].key);
    for (size_t j = 0; s->code && j < s->p; j++)
        free(s->code[j]);
    free(s->r);
    free(s->cov);
    free(s->code);
    free(s->classes);
    free(s->stratum);
    free(s->table);
    free(s->count);
    free(s);
}

static void stratify(struct ac_rca_scorer *s, const int *parents, size_t k, size_t *ret_strata)
{
    size_t strata = 1;
    memset(s->stratum, 0, s->n * sizeof(s->stratum[0]));
    for (size_t j = 0; j < k; j++) {
        size_t c = s->classes[parents[j]], next = 0;
        const uint16_t *code = s->code[parents[j]];
        ac_grow(&s->table, &s->table_cap, strata * c, sizeof(s->table[0]));
        memset(s->table, 0, strata * c * sizeof(s->table[0]));
        for (size_t i = 0; i < s->n; i++) {
            uint32_t *slot = &s->table[s->stratum[i] * c + code[i]];
            if (*slot == 0)
                *slot = (uint32_t)++next;
            s->stratum[i] = *slot - 1;
        }
        strata = next;
    }
    *ret_strata = strata;
}

/* Uniform joint prior of equivalent size 1, and one expected parent a node. */
static double bdeu(struct ac_rca_scorer *s, int node, const int *parents, size_t k)
{
    size_t strata, c = s->classes[node];
    double q = 1.0, others = (double)s->p - 1.0, score = 0.0;
    for (size_t j = 0; j < k; j++)
        q *= s->classes[parents[j]];
    if (others > 1.0)
        score = (double)k * log(1.0 / others) + (others - (double)k) * log(1.0 - 1.0 / others);
    stratify(s, parents, k, &strata);
    ac_grow(&s->count, &s->count_cap, strata * c, sizeof(s->count[0]));
    memset(s->count, 0, strata * c * sizeof(s->count[0]));
    for (size_t i = 0; i < s->n; i++)
        s->count[s->stratum[i] * c + s->code[node][i]]++;
    double prior = 1.0 / q, cell = prior / (double)c;
    double lg_prior = lgamma(prior), lg_cell = lgamma(cell);
    for (size_t j = 0; j < strata; j++) {
        double total = 0.0;
        for (size_t i = 0; i < c; i++) {
            double v = s->count[j * c + i];
            total += v;
            if (v > 0.0)
                score += lgamma(v + cell) - lg_cell;
        }
        score += lg_prior - lgamma(total + prior);
    }
    return score;
}

static struct remembered *slot_of(struct remembered *r, size_t cap, uint64_t hash,
                                  const int32_t *key, size_t n)
{
    size_t i = hash & (cap - 1);
    while (r[i].hash &&
           !(r[i].hash == hash && r[i].n == n && memcmp(r[i].key, key, n * sizeof(key[0])) == 0))
        i = (i + 1) & (cap - 1);
    return &r[i];
}

static void rehash(struct ac_rca_scorer *s)
{
    size_t cap = s->cap * 2;
    struct remembered *r = ac_xcalloc(cap, sizeof(*r));
    for (size_t i = 0; i < s->cap; i++)
        if (s->r[i].hash)
            *slot_of(r, cap, s->r[i].hash, s->r[i].key, s->r[i].n) = s->r[i];
    free(s->r);
    s->r = r;
    s->cap = cap;
}

static double remembered_bdeu(struct ac_rca_scorer *s, int node, const int *parents, size_t n)
{
    int32_t key[AC_RCA_MAX_GIVEN + 2];
    AC_ASSERT(n <= AC_RCA_MAX_GIVEN);
    key[0] = node;
    for (size_t i = 0; i < n; i++)
        key[i + 1] = parents[i];
    uint64_t hash = ac_hash_bytes(key, (n + 1) * sizeof(key[0])) | 1;
    struct remembered *r = slot_of(s->r, s->cap, hash, key, n + 1);
    if (r->hash)
        return r->score;
    double score = bdeu(s, node, parents, n);
    if (2 * (s->used + 1) > s->cap) {
        rehash(s);
        r = slot_of(s->r, s->cap, hash, key, n + 1);
    }
    r->hash = hash;
    r->n = (uint32_t)(n + 1);
    r->key = ac_xcalloc(n + 1, sizeof(key[0]));
    memcpy(r->key, key, (n + 1) * sizeof(key[0]));
    r->score = score;
    s->used++;
    return score;
}

/* ---- what one more parent adds ---- */

/* One set of parents. BIC is -n/2 (1 + ln of the residual variance) - penalty (parents + 1), hence
 * what another parent adds follows from the variances and the covariance of it and the node once
 * the parents' part is taken out of both: from a Cholesky factor of the parents' covariance. */
struct set {
    uint64_t with;
    size_t k; /* parents */
    int node[AC_RCA_MAX_GIVEN];
    size_t l;    /* where its factor begins: row by row, then the node's row */
    double left; /* variance of the node that its parents leave */
};

#define SETS 4096 /* remembered of one node; a power of two. More are worked out again. */

struct ac_rca_basis {
    struct ac_rca_scorer *s;
    int node;
    size_t np, nc;
    int *parents, *candidates;
    struct set *set;
    size_t nsets, sets_cap;
    uint16_t slot[SETS]; /* number of a set + 1 */
    double *l;
    size_t nl, l_cap;
    uint64_t computed;
};

struct ac_rca_basis *ac_rca_basis_create(struct ac_rca_scorer *s)
{
    struct ac_rca_basis *b = ac_xcalloc(1, sizeof(*b));
    b->s = s;
    b->parents = ac_xcalloc(s->p + 1, sizeof(int));
    b->candidates = ac_xcalloc(64, sizeof(int));
    return b;
}

void ac_rca_basis_destroy(struct ac_rca_basis *b)
{
    if (!b)
        return;
    free(b->parents);
    free(b->candidates);
    free(b->set);
    free(b->l);
    free(b);
}

static void forget(struct ac_rca_basis *b)
{
    memset(b->slot, 0, sizeof(b->slot));
    b->nsets = b->nl = 0;
}

void ac_rca_basis_begin(struct ac_rca_basis *b, int node, const int *parents, size_t np,
                        const int *candidates, size_t nc)
{
    AC_ASSERT(np <= b->s->p && nc <= 64);
    b->node = node;
    b->np = np;
    b->nc = nc;
    if (np > 0)
        memcpy(b->parents, parents, np * sizeof(parents[0]));
    if (nc > 0)
        memcpy(b->candidates, candidates, nc * sizeof(candidates[0]));
    forget(b);
}

/* Row of v beside the k that the factor at l has: its part in their directions. Returns what they
 * leave of v's variance. */
static double row_of(const struct ac_rca_scorer *s, const struct set *set, const double *l,
                     size_t k, int v, double *row)
{
    const double *cov = s->cov + (size_t)v * s->p;
    double own = cov[v], left = own;
    for (size_t j = 0; j < k; j++) {
        double x = cov[set->node[j]];
        for (size_t q = 0; q < j; q++)
            x -= row[q] * l[q];
        row[j] = x * l[j]; /* 1 / pivot; 0: a parent that others determine adds nothing */
        left -= row[j] * row[j];
        l += j + 1;
    }
    return left > 1e-12 * own ? left : 0.0;
}

static void factorise(struct ac_rca_basis *b, struct set *set)
{
    const struct ac_rca_scorer *s = b->s;
    size_t k = set->k;
    set->l = b->nl;
    ac_grow(&b->l, &b->l_cap, b->nl + k * (k + 1) / 2 + k + 1, sizeof(double));
    double *l = b->l + set->l, *row = l;
    for (size_t j = 0; j < k; j++) {
        double left = row_of(s, set, l, j, set->node[j], row);
        row[j] = left > 0.0 ? 1.0 / sqrt(left) : 0.0;
        row += j + 1;
    }
    set->left = row_of(s, set, l, k, b->node, row);
    b->nl += k * (k + 1) / 2 + k;
}

/* Parents and candidates in one ascending list; false when there are more than AC_RCA_MAX_GIVEN. */
static bool list(const struct ac_rca_basis *b, uint64_t with, struct set *set)
{
    size_t a = 0;
    set->with = with;
    set->k = 0;
    for (; with || a < b->np; set->k++) {
        int c = with ? b->candidates[__builtin_ctzll(with)] : INT32_MAX;
        if (set->k == AC_RCA_MAX_GIVEN)
            return false;
        if (a < b->np && b->parents[a] < c) {
            set->node[set->k] = b->parents[a++];
        } else {
            set->node[set->k] = c;
            with &= with - 1;
        }
    }
    return true;
}

static const struct set *set_of(struct ac_rca_basis *b, uint64_t with)
{
    if (b->nsets >= SETS / 2)
        forget(b);
    size_t at = (with * UINT64_C(0x9e3779b97f4a7c15)) >> 52;
    while (b->slot[at] && b->set[b->slot[at] - 1].with != with)
        at = (at + 1) % SETS;
    if (b->slot[at])
        return &b->set[b->slot[at] - 1];
    ac_grow(&b->set, &b->sets_cap, b->nsets + 1, sizeof(b->set[0]));
    struct set *set = &b->set[b->nsets++];
    if (!list(b, with, set))
        set->k = SIZE_MAX;
    else if (b->s->kind == AC_RCA_BIC)
        factorise(b, set);
    b->slot[at] = (uint16_t)b->nsets;
    return set;
}

static double bic_gain(const struct ac_rca_basis *b, const struct set *set, int i, bool if_any)
{
    const struct ac_rca_scorer *s = b->s;
    const double *l = b->l + set->l, *node = l + set->k * (set->k + 1) / 2;
    double row[AC_RCA_MAX_GIVEN], left = row_of(s, set, l, set->k, i, row);
    double both = s->cov[(size_t)i * s->p + (size_t)b->node];
    for (size_t j = 0; j < set->k; j++)
        both -= row[j] * node[j];
    double was = fmax(set->left, DBL_EPSILON), is = set->left;
    if (left > 0.0)
        is -= both * both / left;
    if (if_any && is > was * s->worth)
        return 0.0;
    return 0.5 * (double)s->n * (log(was) - log(fmax(is, DBL_EPSILON))) - s->penalty;
}

double ac_rca_basis_gain(struct ac_rca_basis *b, int i, uint64_t with, bool if_any)
{
    struct ac_rca_scorer *s = b->s;
    const struct set *set = set_of(b, with);
    if (set->k >= AC_RCA_MAX_GIVEN || set->k + 1 > s->max_parents)
        return -INFINITY;
    double gain;
    b->computed++;
    if (s->kind == AC_RCA_BIC) {
        gain = bic_gain(b, set, i, if_any && !s->prior);
    } else {
        int more[AC_RCA_MAX_GIVEN];
        size_t n = 0;
        for (size_t a = 0; a < set->k; a++) {
            if (n == a && set->node[a] > i)
                more[n++] = i;
            more[n++] = set->node[a];
        }
        if (n == set->k)
            more[n++] = i;
        gain =
            remembered_bdeu(s, b->node, more, n) - remembered_bdeu(s, b->node, set->node, set->k);
    }
    return s->prior ? gain + s->prior[(size_t)i * s->p + (size_t)b->node] : gain;
}

uint64_t ac_rca_basis_count(const struct ac_rca_basis *b)
{
    return b->computed;
}

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
    size_t p, n;
    double penalty;
    enum ac_rca_score_kind kind;
    double *cov;
    double *l, *w; /* Cholesky factor of the parents' covariance; scratch */
    size_t l_cap;
    uint16_t **code; /* BDEU */
    uint32_t *classes, *stratum;
    uint32_t *table, *count;
    size_t table_cap, count_cap;
    struct remembered *r;
    size_t used, cap;
    uint64_t computed;
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
    s->penalty = params->penalty > 0.0 ? params->penalty : 0.5;
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
    free(s->l);
    free(s->w);
    free(s->code);
    free(s->classes);
    free(s->stratum);
    free(s->table);
    free(s->count);
    free(s);
}

/* -n/2 (1 + ln of the residual variance) - penalty (parents + 1) ln n */
static double bic(struct ac_rca_scorer *s, int node, const int *parents, size_t k)
{
    double rest = s->cov[(size_t)node * s->p + (size_t)node], n = (double)s->n;
    size_t cap = s->l_cap;
    ac_grow(&s->l, &s->l_cap, (k + 1) * (k + 1), sizeof(double));
    if (s->l_cap != cap)
        s->w = ac_xrealloc(s->w, ac_mul_size(s->l_cap, sizeof(double)));
    for (size_t i = 0; i <= k; i++) { /* row k is the node itself */
        int v = i < k ? parents[i] : node;
        double *row = s->l + i * (k + 1), own = s->cov[(size_t)v * s->p + (size_t)v], left = own;
        for (size_t j = 0; j < i; j++) {
            double x = s->cov[(size_t)v * s->p + (size_t)parents[j]];
            for (size_t q = 0; q < j; q++)
                x -= row[q] * s->l[j * (k + 1) + q];
            double pivot = s->l[j * (k + 1) + j];
            row[j] =
                pivot > 0.0 ? x / pivot : 0.0; /* a parent that others determine adds nothing */
            left -= row[j] * row[j];
        }
        row[i] = left > 1e-12 * own ? sqrt(left) : 0.0;
        rest = left;
    }
    if (!(rest > DBL_EPSILON))
        rest = DBL_EPSILON;
    return -0.5 * n * (1.0 + log(rest)) - s->penalty * (double)(k + 1) * log(n);
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

double ac_rca_local_score(struct ac_rca_scorer *s, int node, const int *parents, size_t n)
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
    double score = s->kind == AC_RCA_BDEU ? bdeu(s, node, parents, n) : bic(s, node, parents, n);
    s->computed++;
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

uint64_t ac_rca_scorer_count(const struct ac_rca_scorer *s)
{
    return s->computed;
}

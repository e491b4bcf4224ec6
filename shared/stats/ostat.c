/* A multiset of numbers with access by rank. Small ones are a sorted array (moving 256 numbers is
 * cheaper than walking a tree), large ones a treap over an array of items: O(log n) a step. */
#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#define SORTED_MAX AC_OSTAT_SORTED_MAX
#define BLOCK                                                                                      \
    8u /* a sorted array has room for whole blocks and one number more, and a block in front */
#define NIL 0u

struct item {
    double v;
    uint32_t left, right, count, prio;
};

struct ac_ostat {
    uint32_t max, n;
    double *sorted;    /* or */
    struct item *item; /* item[0] is NIL */
    uint32_t root, free_head, used, salt;
};

static size_t sorted_room(uint32_t max_items)
{
    return ((size_t)max_items / BLOCK + 2) * BLOCK + 1;
}

struct ac_ostat *ac_ostat_create(uint32_t max_items)
{
    struct ac_ostat *o = ac_xcalloc(1, sizeof *o);
    o->max = max_items;
    if (max_items <= SORTED_MAX)
        o->sorted = (double *)ac_xcalloc(sorted_room(max_items), sizeof(double)) + BLOCK;
    else
        o->item = ac_xcalloc((size_t)max_items + 2, sizeof(struct item));
    ac_ostat_clear(o);
    return o;
}

size_t ac_ostat_bytes(uint32_t max_items)
{
    return sizeof(struct ac_ostat) + (max_items <= SORTED_MAX
                                          ? sorted_room(max_items) * sizeof(double)
                                          : ((size_t)max_items + 2) * sizeof(struct item));
}

void ac_ostat_destroy(struct ac_ostat *o)
{
    if (!o)
        return;
    if (o->sorted)
        free(o->sorted - BLOCK);
    free(o->item);
    free(o);
}

void ac_ostat_clear(struct ac_ostat *o)
{
    o->n = o->root = o->free_head = 0;
    o->used = 1;
    o->salt = 0x9e3779b9u;
}

double *ac_ostat_sorted(struct ac_ostat *o)
{
    return o->sorted;
}

uint32_t ac_ostat_len(const struct ac_ostat *o)
{
    return o->n;
}

/* First position whose number is not less than v. A branch that depends on the numbers cannot be
 * foreseen: the comparison is made a mask instead. */
static uint32_t lower(const double *s, uint32_t n, double v)
{
    const double *at = s;
    for (size_t half = n / 2; n > 1; n -= (uint32_t)half, half = n / 2)
        at += half & ((size_t)0 - (at[half - 1] < v));
    return (uint32_t)(at - s) + (n && *at < v ? 1 : 0);
}

/* The same for two numbers at once: neither waits for the other. */
static void lower_both(const double *s, uint32_t n, const double v[2], uint32_t ret[2])
{
    const double *a = s, *b = s;
    for (size_t half = n / 2; n > 1; n -= (uint32_t)half, half = n / 2) {
        a += half & ((size_t)0 - (a[half - 1] < v[0]));
        b += half & ((size_t)0 - (b[half - 1] < v[1]));
    }
    ret[0] = (uint32_t)(a - s) + (n && *a < v[0] ? 1 : 0);
    ret[1] = (uint32_t)(b - s) + (n && *b < v[1] ? 1 : 0);
}

static void recount(struct ac_ostat *o, uint32_t i)
{
    o->item[i].count = o->item[o->item[i].left].count + o->item[o->item[i].right].count + 1;
}

/* Left part: numbers < v (or <= v with equal); walks down once, fixing the counts on the way back.
 */
static void split(struct ac_ostat *o, uint32_t root, double v, bool equal, uint32_t out[2])
{
    uint32_t path[128];
    uint32_t depth = 0;
    uint32_t *l = &out[0], *r = &out[1];
    while (root != NIL && depth < 128) {
        struct item *x = &o->item[root];
        path[depth++] = root;
        if (x->v < v || (equal && x->v == v)) {
            *l = root;
            l = &x->right;
            root = x->right;
        } else {
            *r = root;
            r = &x->left;
            root = x->left;
        }
    }
    AC_ASSERT(root == NIL); /* depth of a treap with hashed priorities */
    *l = *r = NIL;
    while (depth)
        recount(o, path[--depth]);
}

static uint32_t merge(struct ac_ostat *o, uint32_t a, uint32_t b)
{
    uint32_t path[256];
    uint32_t depth = 0, root = NIL;
    uint32_t *at = &root;
    while (a != NIL && b != NIL) {
        AC_ASSERT(depth < 256);
        if (o->item[a].prio > o->item[b].prio) {
            path[depth++] = *at = a;
            at = &o->item[a].right;
            a = o->item[a].right;
        } else {
            path[depth++] = *at = b;
            at = &o->item[b].left;
            b = o->item[b].left;
        }
    }
    *at = a != NIL ? a : b;
    while (depth)
        recount(o, path[--depth]);
    return root;
}

void ac_ostat_insert(struct ac_ostat *o, double v)
{
    AC_ASSERT(o->n < o->max);
    v += 0.0; /* -0 becomes 0: equal numbers must be the same bits, whatever order they came in */
    if (o->sorted) {
        uint32_t i = lower(o->sorted, o->n, v);
        memmove(o->sorted + i + 1, o->sorted + i, (o->n - i) * sizeof(double));
        o->sorted[i] = v;
        o->n++;
        return;
    }
    uint32_t i = o->free_head;
    if (i)
        o->free_head = o->item[i].left;
    else
        i = o->used++;
    o->salt = o->salt * 1664525u + 1013904223u;
    uint32_t prio = o->salt ^ (o->salt >> 15);
    o->item[i] = (struct item){v, NIL, NIL, 1, prio * 2654435761u};
    uint32_t part[2];
    split(o, o->root, v, false, part);
    o->root = merge(o, merge(o, part[0], i), part[1]);
    o->n++;
}

void ac_ostat_remove(struct ac_ostat *o, double v)
{
    if (o->sorted) {
        uint32_t i = lower(o->sorted, o->n, v);
        AC_ASSERT(i < o->n && o->sorted[i] == v);
        memmove(o->sorted + i, o->sorted + i + 1, (o->n - i - 1) * sizeof(double));
        o->n--;
        return;
    }
    uint32_t path[128];
    uint32_t depth = 0, root = o->root;
    uint32_t *at = &o->root;
    while (root != NIL && o->item[root].v != v) {
        AC_ASSERT(depth < 128);
        path[depth++] = root;
        at = o->item[root].v < v ? &o->item[root].right : &o->item[root].left;
        root = *at;
    }
    AC_ASSERT(root != NIL);
    *at = merge(o, o->item[root].left, o->item[root].right);
    o->item[root].left = o->free_head;
    o->item[root].count = 0;
    o->free_head = root;
    while (depth)
        recount(o, path[--depth]);
    o->n--;
}

void ac_ostat_replace(struct ac_ostat *o, double old, double v)
{
    if (!o->sorted) {
        ac_ostat_remove(o, old);
        ac_ostat_insert(o, v);
        return;
    }
    v += 0.0;
    uint32_t at[2];
    lower_both(o->sorted, o->n, (const double[2]){old, v}, at);
    uint32_t from = at[0], to = at[1];
    AC_ASSERT(from < o->n && o->sorted[from] == old);
    if (from < to) /* old itself was counted among the lesser ones */
        memmove(o->sorted + from, o->sorted + from + 1, (--to - from) * sizeof(double));
    else
        memmove(o->sorted + to + 1, o->sorted + to, (from - to) * sizeof(double));
    o->sorted[to] = v;
}

double ac_ostat_at(const struct ac_ostat *o, uint32_t rank)
{
    if (o->sorted)
        return o->sorted[rank];
    uint32_t i = o->root;
    while (i != NIL) {
        uint32_t left = o->item[o->item[i].left].count;
        if (rank == left)
            return o->item[i].v;
        if (rank < left) {
            i = o->item[i].left;
        } else {
            rank -= left + 1;
            i = o->item[i].right;
        }
    }
    return nan("");
}

double ac_ostat_quantile(const struct ac_ostat *o, double q)
{
    if (!o->n)
        return nan("");
    double pos = q * (double)(o->n - 1);
    uint32_t i = (uint32_t)pos;
    double lo = ac_ostat_at(o, i), f = pos - (double)i;
    return f > 0 ? lo + f * (ac_ostat_at(o, i + 1) - lo) : lo;
}

/* Distances to m: the numbers left of it, read backwards, and those right of it are two sorted
 * lists. Finds how many of the k + 1 smallest come from the left one. */
static uint32_t from_left(const struct ac_ostat *o, double m, uint32_t n_left, uint32_t k)
{
    uint32_t n_right = o->n - n_left;
    uint32_t lo = k + 1 > n_right ? k + 1 - n_right : 0, hi = k + 1 < n_left ? k + 1 : n_left;
    while (lo < hi) { /* least count i from the left so that left[i] >= right[k - i] */
        uint32_t i = lo + (hi - lo) / 2;
        double left = m - ac_ostat_at(o, n_left - 1 - i);
        double right = ac_ostat_at(o, n_left + (k - i)) - m;
        if (left < right)
            lo = i + 1;
        else
            hi = i;
    }
    return lo;
}

/* How many numbers are less than m, their median: about half. */
static uint32_t count_less(const struct ac_ostat *o, double m)
{
    if (o->sorted)
        return lower(o->sorted, o->n, m);
    uint32_t less = 0;
    for (uint32_t i = o->root; i != NIL;) {
        const struct item *x = &o->item[i];
        if (x->v < m) {
            less += o->item[x->left].count + 1;
            i = x->right;
        } else {
            i = x->left;
        }
    }
    return less;
}

double ac_ostat_mad(const struct ac_ostat *o)
{
    if (!o->n)
        return nan("");
    double m = ac_ostat_quantile(o, 0.5);
    uint32_t n_left = count_less(o, m), k = (o->n - 1) / 2;
    uint32_t left = from_left(o, m, n_left, k), right = k + 1 - left;
    double a = left ? m - ac_ostat_at(o, n_left - left) : -1;
    double b = right ? ac_ostat_at(o, n_left + right - 1) - m : -1;
    double d = a > b ? a : b;
    if (o->n % 2)
        return d;
    double next_a = left < n_left ? m - ac_ostat_at(o, n_left - 1 - left) : INFINITY;
    double next_b = n_left + right < o->n ? ac_ostat_at(o, n_left + right) - m : INFINITY;
    return d + ((next_a < next_b ? next_a : next_b) - d) * 0.5;
}

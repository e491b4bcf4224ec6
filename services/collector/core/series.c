#include "series.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define TEXT_MAX (32u << 10)

static void column_free(struct col_column *c)
{
    free(c->t);
    free(c->v);
    free(c);
}

static void batch_free(struct col_batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n_columns; i++)
        column_free(b->columns[i]);
    free(b->columns);
    free(b);
}

static void series_free(void *p)
{
    struct col_series *x = p;
    free(x->text);
    free(x->unit);
    free(x->owned);
    free(x->t);
    free(x->v);
    free(x);
}

static void space_free(void *p)
{
    struct col_space *n = p;
    free(n->name);
    free(n->series);
    free(n);
}

void col_store_init(struct col_store *s, size_t max_series)
{
    memset(s, 0, sizeof(*s));
    s->by_text = ac_map_create(series_free);
    s->spaces = ac_map_create(space_free);
    s->open = ac_xcalloc(1, sizeof(*s->open));
    s->next_id = 1;
    s->max_series = max_series;
    ac_buf_init(&s->text, TEXT_MAX);
}

void col_store_fini(struct col_store *s)
{
    batch_free(s->open);
    batch_free(s->sealed);
    ac_map_destroy(s->by_text);
    ac_map_destroy(s->spaces);
    ac_buf_fini(&s->text);
}

/* The key's strings and labels in one piece of memory. */
static void own_key(struct col_series *x, const struct col_key *k)
{
    size_t bytes = k->n_labels * sizeof(struct col_label), at = bytes;
    const char *names[] = {k->ns, k->component, k->metric};
    const char **to[] = {&x->key.ns, &x->key.component, &x->key.metric};
    for (size_t i = 0; i < 3; i++)
        bytes += strlen(names[i]) + 1;
    for (size_t i = 0; i < k->n_labels; i++)
        bytes += strlen(k->labels[i].key) + strlen(k->labels[i].value) + 2;
    char *p = ac_xmalloc(bytes);
    struct col_label *labels = (struct col_label *)(void *)p;
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(names[i]) + 1;
        *to[i] = memcpy(p + at, names[i], n);
        at += n;
    }
    for (size_t i = 0; i < k->n_labels; i++) {
        size_t n = strlen(k->labels[i].key) + 1, m = strlen(k->labels[i].value) + 1;
        labels[i].key = memcpy(p + at, k->labels[i].key, n);
        labels[i].value = memcpy(p + at + n, k->labels[i].value, m);
        at += n + m;
    }
    x->key.labels = labels;
    x->key.n_labels = k->n_labels;
    x->owned = p;
}

static struct col_space *space_get(struct col_store *s, const char *name)
{
    struct col_space *n = ac_map_get(s->spaces, name);
    if (n)
        return n;
    n = ac_xcalloc(1, sizeof(*n));
    n->name = ac_xstrdup(name);
    ac_map_set(s->spaces, name, n);
    return n;
}

struct col_series *col_series_get(struct col_store *s, const struct col_key *k, enum col_kind kind,
                                  const char *unit, int64_t id)
{
    col_key_text(k, &s->text);
    if (s->text.failed)
        return NULL;
    struct col_series *x = ac_map_get(s->by_text, ac_buf_str(&s->text));
    if (x)
        return x;
    if (ac_map_len(s->by_text) >= s->max_series)
        return NULL;
    x = ac_xcalloc(1, sizeof(*x));
    x->id = id ? id : s->next_id;
    s->next_id = AC_MAX(s->next_id, x->id + 1);
    x->stored = id != 0;
    x->kind = kind;
    x->unit = ac_xstrdup(unit);
    x->text = ac_xstrdup(ac_buf_str(&s->text));
    x->first_ns = INT64_MAX;
    x->last_ns = INT64_MIN;
    own_key(x, k);
    ac_map_set(s->by_text, x->text, x);
    struct col_space *n = space_get(s, k->ns);
    ac_grow(&n->series, &n->cap, n->n + 1, sizeof(*n->series));
    n->series[n->n++] = x;
    return x;
}

size_t col_series_seek(const struct col_series *x, int64_t t_ns)
{
    const int64_t *t = x->t + x->head;
    size_t lo = 0, hi = x->n;
    if (x->n == 0)
        return 0;
    if (t[x->n - 1] < t_ns)
        return x->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t[mid] < t_ns)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void make_room(struct col_series *x)
{
    if (x->head + x->n < x->cap)
        return;
    if (x->head > x->cap / 2) {
        memmove(x->t, x->t + x->head, x->n * sizeof(*x->t));
        memmove(x->v, x->v + x->head, x->n * sizeof(*x->v));
        x->head = 0;
        return;
    }
    x->cap = x->cap ? 2 * x->cap : 16;
    x->t = ac_xrealloc(x->t, ac_mul_size(x->cap, sizeof(*x->t)));
    x->v = ac_xrealloc(x->v, ac_mul_size(x->cap, sizeof(*x->v)));
}

static void window_put(struct col_store *s, struct col_series *x, int64_t t_ns, double v)
{
    if (t_ns < s->memory_from_ns)
        return;
    make_room(x);
    int64_t *t = x->t + x->head;
    double *w = x->v + x->head;
    size_t at = col_series_seek(x, t_ns);
    if (at < x->n && t[at] == t_ns) {
        w[at] = v;
        return;
    }
    if (at < x->n) {
        memmove(t + at + 1, t + at, (x->n - at) * sizeof(*t));
        memmove(w + at + 1, w + at, (x->n - at) * sizeof(*w));
    }
    t[at] = t_ns;
    w[at] = v;
    x->n++;
    s->in_memory++;
}

void col_series_load(struct col_store *s, struct col_series *x, int64_t t_ns, double v)
{
    x->first_ns = AC_MIN(x->first_ns, t_ns);
    x->last_ns = AC_MAX(x->last_ns, t_ns);
    window_put(s, x, t_ns, v);
}

void col_series_add(struct col_store *s, struct col_series *x, int64_t t_ns, double v)
{
    struct col_batch *b = s->open;
    struct col_column *c = x->open;
    col_series_load(s, x, t_ns, v);
    if (!c) {
        c = x->open = ac_xcalloc(1, sizeof(*c));
        c->series = x;
        ac_grow(&b->columns, &b->cap_columns, b->n_columns + 1, sizeof(struct col_column *));
        b->columns[b->n_columns++] = c;
    }
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 8;
        c->t = ac_xrealloc(c->t, ac_mul_size(c->cap, sizeof(*c->t)));
        c->v = ac_xrealloc(c->v, ac_mul_size(c->cap, sizeof(*c->v)));
    }
    c->t[c->n] = t_ns;
    c->v[c->n++] = v;
    b->samples++;
}

struct col_batch *col_store_seal(struct col_store *s)
{
    AC_ASSERT(!s->sealed);
    struct col_batch *b = s->sealed = s->open;
    s->open = ac_xcalloc(1, sizeof(*s->open));
    for (size_t i = 0; i < b->n_columns; i++) {
        struct col_series *x = b->columns[i]->series;
        x->sealed = x->open;
        x->open = NULL;
    }
    return b;
}

void col_store_release(struct col_store *s)
{
    struct col_batch *b = s->sealed;
    for (size_t i = 0; i < b->n_columns; i++) {
        b->columns[i]->series->sealed = NULL;
        b->columns[i]->series->stored = true;
    }
    batch_free(b);
    s->sealed = NULL;
}

void col_store_trim(struct col_store *s, int64_t from_ns)
{
    const char *key = NULL;
    void *value = NULL;
    if (from_ns <= s->memory_from_ns)
        return;
    s->memory_from_ns = from_ns;
    for (size_t it = 0; ac_map_next(s->by_text, &it, &key, &value);) {
        struct col_series *x = value;
        size_t gone = col_series_seek(x, from_ns);
        x->head += gone;
        x->n -= gone;
        s->in_memory -= gone;
        if (x->n == 0 && x->cap > 64) { /* a series that went quiet keeps no memory */
            free(x->t);
            free(x->v);
            x->t = NULL;
            x->v = NULL;
            x->head = x->cap = 0;
        }
    }
}

static void space_remove(struct col_store *s, const struct col_series *x)
{
    struct col_space *n = ac_map_get(s->spaces, x->key.ns);
    for (size_t i = 0; i < n->n; i++) {
        if (n->series[i] == x) {
            n->series[i] = n->series[--n->n];
            break;
        }
    }
    if (n->n == 0)
        (void)ac_map_remove(s->spaces, x->key.ns);
}

void col_store_forget(struct col_store *s, int64_t older_ns,
                      void (*fn)(const struct col_series *x, void *arg), void *arg)
{
    const char *key = NULL;
    void *value = NULL;
    AC_ASSERT(!s->sealed);
    for (size_t it = 0; ac_map_next(s->by_text, &it, &key, &value);) {
        struct col_series *x = value;
        if (x->open || x->last_ns >= older_ns)
            continue;
        fn(x, arg);
        s->in_memory -= x->n;
        space_remove(s, x);
        (void)ac_map_remove(s->by_text, key);
    }
}

static bool has_labels(const struct col_series *x, const struct col_select *q)
{
    for (size_t i = 0; i < q->n_labels; i++) {
        bool found = false;
        for (size_t k = 0; !found && k < x->key.n_labels; k++)
            found = strcmp(x->key.labels[k].key, q->labels[i].key) == 0 &&
                    strcmp(x->key.labels[k].value, q->labels[i].value) == 0;
        if (!found)
            return false;
    }
    return true;
}

static void select_in(const struct col_space *n, const struct col_select *q,
                      void (*fn)(struct col_series *x, void *arg), void *arg)
{
    for (size_t i = 0; i < n->n; i++) {
        struct col_series *x = n->series[i];
        if ((!q->component[0] || ac_str_glob(q->component, x->key.component)) &&
            (!q->metric[0] || ac_str_glob(q->metric, x->key.metric)) && has_labels(x, q))
            fn(x, arg);
    }
}

void col_store_select(const struct col_store *s, const struct col_select *q,
                      void (*fn)(struct col_series *x, void *arg), void *arg)
{
    const char *key = NULL;
    void *value = NULL;
    if (q->ns[0]) {
        const struct col_space *n = ac_map_get(s->spaces, q->ns);
        if (n)
            select_in(n, q, fn, arg);
        return;
    }
    for (size_t it = 0; ac_map_next(s->spaces, &it, &key, &value);)
        select_in(value, q, fn, arg);
}

struct sample {
    int64_t t;
    double v;
    size_t order;
};

static int by_time(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

size_t col_sort_samples(int64_t *t, double *v, size_t n)
{
    size_t sorted = 1, m = 0;
    while (sorted < n && t[sorted - 1] < t[sorted])
        sorted++;
    if (sorted >= n)
        return n;
    struct sample *s = ac_xmalloc(ac_mul_size(n, sizeof(*s)));
    for (size_t i = 0; i < n; i++)
        s[i] = (struct sample){t[i], v[i], i};
    qsort(s, n, sizeof(*s), by_time);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && s[i + 1].t == s[i].t)
            continue;
        t[m] = s[i].t;
        v[m++] = s[i].v;
    }
    free(s);
    return m;
}

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>
#include <aceso/metrics.h>
#include <aceso/str.h>

#define FAMILY_CHILDREN_MAX 10000
#define LABEL_VALUE_MAX     512

struct family;

struct ac_metric {
    const struct family *family;
    char *labels;              /* as printed between the braces, "" when there are none */
    _Atomic double value;      /* counter, gauge; the sum of a histogram */
    _Atomic uint64_t *buckets; /* histogram: one a bound and one above all, not cumulated */
};

struct family {
    char *name, *help;
    enum ac_metric_kind kind;
    double *bounds;
    size_t n_bounds;
    struct ac_map *children; /* by labels */
};

struct hook {
    void (*fn)(void *);
    void *arg;
};

struct ac_metrics {
    pthread_mutex_t lock; /* families, their children, hooks */
    struct ac_map *families;
    struct hook *hooks;
    size_t n_hooks, cap_hooks;
};

const double ac_metric_seconds_buckets[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                            0.25,   0.5,   1,      2.5,   5,    10,    NAN};

static void free_metric(void *p)
{
    struct ac_metric *c = p;
    free(c->labels);
    free(c->buckets);
    free(c);
}

static void free_family(void *p)
{
    struct family *f = p;
    ac_map_destroy(f->children);
    free(f->name);
    free(f->help);
    free(f->bounds);
    free(f);
}

struct ac_metrics *ac_metrics_create(void)
{
    struct ac_metrics *m = ac_xcalloc(1, sizeof(*m));
    pthread_mutex_init(&m->lock, NULL);
    m->families = ac_map_create(free_family);
    return m;
}

void ac_metrics_destroy(struct ac_metrics *m)
{
    if (!m)
        return;
    ac_map_destroy(m->families);
    free(m->hooks);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct family *new_family(enum ac_metric_kind kind, const char *name, const char *help,
                                 const double *bounds)
{
    struct family *f = ac_xcalloc(1, sizeof(*f));
    f->name = ac_xstrdup(name);
    f->help = ac_xstrdup(help ? help : "");
    f->kind = kind;
    f->children = ac_map_create(free_metric);
    if (kind == AC_METRIC_HISTOGRAM) {
        AC_ASSERT(bounds);
        while (!isnan(bounds[f->n_bounds])) {
            AC_ASSERT(f->n_bounds == 0 || bounds[f->n_bounds] > bounds[f->n_bounds - 1]);
            f->n_bounds++;
        }
        f->bounds = ac_xcalloc(f->n_bounds, sizeof(double));
        if (f->n_bounds)
            memcpy(f->bounds, bounds, f->n_bounds * sizeof(double));
    }
    return f;
}

static void put_escaped(struct ac_buf *b, const char *s, bool quote)
{
    for (size_t n = 0; *s && n < LABEL_VALUE_MAX; s++, n++) {
        if (*s == '\\')
            ac_buf_puts(b, "\\\\");
        else if (*s == '\n')
            ac_buf_puts(b, "\\n");
        else if (*s == '"' && quote)
            ac_buf_puts(b, "\\\"");
        else
            ac_buf_putc(b, *s);
    }
}

/* k1="v1",k2="v2" */
static char *labels_text(const char *const *labels)
{
    struct ac_buf b;
    ac_buf_init(&b, 64 * 1024);
    for (; labels && labels[0]; labels += 2) {
        ac_buf_printf(&b, "%s%s=\"", b.len ? "," : "", labels[0]);
        put_escaped(&b, labels[1] ? labels[1] : "", true);
        ac_buf_putc(&b, '"');
    }
    return ac_buf_take(&b);
}

static struct ac_metric *new_metric(const struct family *f, char *labels)
{
    struct ac_metric *c = ac_xcalloc(1, sizeof(*c));
    c->family = f;
    c->labels = labels;
    if (f->kind == AC_METRIC_HISTOGRAM)
        c->buckets = ac_xcalloc(f->n_bounds + 1, sizeof(*c->buckets));
    return c;
}

struct ac_metric *ac_metrics_get(struct ac_metrics *m, enum ac_metric_kind kind, const char *name,
                                 const char *help, const char *const *labels, const double *bounds)
{
    char *text = labels_text(labels);
    pthread_mutex_lock(&m->lock);
    struct family *f = ac_map_get(m->families, name);
    if (!f) {
        f = new_family(kind, name, help, bounds);
        ac_map_set(m->families, name, f);
    }
    AC_ASSERT(f->kind == kind);
    struct ac_metric *c = ac_map_get(f->children, text);
    if (!c && ac_map_len(f->children) >= FAMILY_CHILDREN_MAX) {
        free(text);
        text = ac_xstrdup("overflow=\"true\"");
        c = ac_map_get(f->children, text);
    }
    if (!c) {
        c = new_metric(f, text);
        ac_map_set(f->children, text, c);
        text = NULL;
    }
    pthread_mutex_unlock(&m->lock);
    free(text);
    return c;
}

static void add_atomic(_Atomic double *p, double v)
{
    double old = atomic_load_explicit(p, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(p, &old, old + v, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

void ac_metric_add(struct ac_metric *c, double v)
{
    if (!c)
        return;
    AC_ASSERT(c->family->kind == AC_METRIC_GAUGE ||
              (c->family->kind == AC_METRIC_COUNTER && !(v < 0)));
    add_atomic(&c->value, v);
}

void ac_metric_set(struct ac_metric *c, double v)
{
    if (!c)
        return;
    AC_ASSERT(c->family->kind == AC_METRIC_GAUGE);
    atomic_store_explicit(&c->value, v, memory_order_relaxed);
}

void ac_metric_observe(struct ac_metric *c, double v)
{
    if (!c)
        return;
    const struct family *f = c->family;
    AC_ASSERT(f->kind == AC_METRIC_HISTOGRAM);
    size_t lo = 0, hi = f->n_bounds;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (v <= f->bounds[mid])
            hi = mid;
        else
            lo = mid + 1;
    }
    atomic_fetch_add_explicit(&c->buckets[lo], 1, memory_order_relaxed);
    add_atomic(&c->value, v);
}

double ac_metric_value(const struct ac_metric *c)
{
    return c ? atomic_load_explicit(&c->value, memory_order_relaxed) : 0;
}

void ac_metrics_on_collect(struct ac_metrics *m, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&m->lock);
    ac_grow(&m->hooks, &m->cap_hooks, m->n_hooks + 1, sizeof(struct hook));
    m->hooks[m->n_hooks++] = (struct hook){fn, arg};
    pthread_mutex_unlock(&m->lock);
}

static void put_number(struct ac_buf *b, double v)
{
    char num[32];
    if (isnan(v))
        ac_str_copy(num, sizeof(num), "NaN");
    else if (isinf(v))
        ac_str_copy(num, sizeof(num), v < 0 ? "-Inf" : "+Inf");
    else
        ac_str_from_f64(num, sizeof(num), v);
    ac_buf_puts(b, num);
}

static void put_sample(struct ac_buf *b, const struct ac_metric *c, const char *suffix, double v)
{
    ac_buf_printf(b, *c->labels ? "%s%s{%s} " : "%s%s%s ", c->family->name, suffix, c->labels);
    put_number(b, v);
    ac_buf_putc(b, '\n');
}

static void put_histogram(struct ac_buf *b, const struct ac_metric *c)
{
    const struct family *f = c->family;
    uint64_t total = 0;
    for (size_t i = 0; i <= f->n_bounds; i++) {
        total += atomic_load_explicit(&c->buckets[i], memory_order_relaxed);
        ac_buf_printf(b, "%s_bucket{%s%sle=\"", f->name, c->labels, *c->labels ? "," : "");
        put_number(b, i < f->n_bounds ? f->bounds[i] : INFINITY);
        ac_buf_puts(b, "\"} ");
        put_number(b, (double)total);
        ac_buf_putc(b, '\n');
    }
    put_sample(b, c, "_sum", ac_metric_value(c));
    put_sample(b, c, "_count", (double)total); /* of the same reading: equal to the last bucket */
}

static void put_family(struct ac_buf *b, const struct family *f)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    ac_buf_printf(b, "# HELP %s ", f->name);
    put_escaped(b, f->help, false);
    ac_buf_printf(b, "\n# TYPE %s %s\n", f->name, kinds[f->kind]);
    void *c;
    for (size_t it = 0; ac_map_next(f->children, &it, NULL, &c);) {
        if (f->kind == AC_METRIC_HISTOGRAM)
            put_histogram(b, c);
        else
            put_sample(b, c, "", ac_metric_value(c));
    }
}

void ac_metrics_render(struct ac_metrics *m, struct ac_buf *out)
{
    /* Hooks look up and set metrics, so they run without the lock. */
    for (size_t i = 0;; i++) {
        pthread_mutex_lock(&m->lock);
        bool more = i < m->n_hooks;
        struct hook h = more ? m->hooks[i] : (struct hook){0};
        pthread_mutex_unlock(&m->lock);
        if (!more)
            break;
        h.fn(h.arg);
    }
    pthread_mutex_lock(&m->lock);
    void *f;
    for (size_t it = 0; ac_map_next(m->families, &it, NULL, &f);)
        put_family(out, f);
    pthread_mutex_unlock(&m->lock);
}

#include "engine_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define CLOSE_AFTER  3  /* points in a row without the flag */
#define UPDATE_EVERY 30 /* flagged points */
#define STATE_MAX    (64u << 20)

static void watch_fini(struct engine *e, struct watch *w)
{
    e->counts.state_bytes -= w->bytes;
    e->counts.unwatched -= w->unwatched;
    ac_eval_destroy(w->eval);
    ac_plan_destroy(w->plan);
    free(w->zones);
    free(w->rules);
    free(w->alerts);
    *w = (struct watch){0};
}

static void free_text(const char *s)
{
    free((char *)(uintptr_t)s);
}

static void series_free(struct engine *e, struct series *s)
{
    watch_fini(e, &s->w);
    for (size_t i = 0; i < s->key.n_labels; i++) {
        free_text(s->key.labels[i].key);
        free_text(s->key.labels[i].value);
    }
    free((struct ac_label *)(uintptr_t)s->key.labels);
    free_text(s->key.ns);
    free_text(s->key.component);
    free_text(s->key.metric);
    free(s->id);
    free(s);
}

struct engine *engine_create(const struct engine_opts *o, engine_emit emit, void *arg)
{
    struct engine *e = ac_xcalloc(1, sizeof *e);
    e->opts = *o;
    e->emit = emit;
    e->arg = arg;
    e->series = ac_map_create(NULL);
    return e;
}

void engine_destroy(struct engine *e)
{
    const char *key;
    void *v;
    if (!e)
        return;
    for (size_t it = 0; ac_map_next(e->series, &it, &key, &v);)
        series_free(e, v);
    ac_map_destroy(e->series);
    engine_books_destroy_(e->books);
    free(e);
}

/* ---- alerts ---- */

static void send(struct engine *e, struct series *s, size_t i, const char *state)
{
    struct alert *a = &s->w.alerts[i];
    struct engine_alert m = {.state = state,
                             .series = &s->key,
                             .rule = s->w.rules[i]->name,
                             .rule_text = s->w.rules[i]->text,
                             .rule_version = s->w.rules[i]->version,
                             .started_ns = a->started_ns,
                             .updated_ns = s->last_ns,
                             .value = s->last};
    const struct ac_rule *r = ac_ruleset_get(s->w.rules[i]->set, 0);
    const char *names[AC_ARRAY_LEN(m.values)];
    struct ac_buf b;
    ac_buf_init(&b, 64 << 10);
    a->updated_ns = s->last_ns;
    m.sequence = ++a->sequence;
    m.severity = ac_severity_name(ac_rule_severity(r));
    m.ended_ns = strcmp(state, "closed") == 0 ? s->last_ns : 0;
    (void)ac_eval_reason(s->w.eval, i, &b);
    m.reason = ac_buf_str(&b);
    m.n_values = ac_rule_reason_names(r, names, AC_ARRAY_LEN(names));
    for (size_t k = 0; k < m.n_values; k++)
        m.values[k] = (struct engine_value){names[k], ac_eval_term(s->w.eval, i, names[k])};
    (void)snprintf(m.id, sizeof m.id, "%016llx%016llx",
                   (unsigned long long)(ac_hash_str(s->id) ^ (ac_hash_str(m.rule) * 31)),
                   (unsigned long long)a->started_ns);
    e->emit(&m, e->arg);
    ac_buf_fini(&b);
}

static void close_alert(struct engine *e, struct series *s, size_t i)
{
    send(e, s, i, "closed");
    s->w.alerts[i] = (struct alert){0};
    e->counts.open--;
    s->dirty = true;
}

static void close_all(struct engine *e, struct series *s)
{
    for (size_t i = 0; i < s->w.n; i++) {
        if (s->w.alerts[i].open)
            close_alert(e, s, i);
    }
}

/* ---- series ---- */

static bool matches(const struct rule *r, const struct engine_series *k)
{
    struct ac_label l[ENGINE_LABELS_MAX + 2];
    if (k->n_labels)
        memcpy(l, k->labels, k->n_labels * sizeof *l);
    l[k->n_labels] = (struct ac_label){"component", k->component};
    l[k->n_labels + 1] = (struct ac_label){"namespace", k->ns};
    return ac_rule_matches(ac_ruleset_get(r->set, 0), k->metric, l, k->n_labels + 2);
}

static bool fits(const struct engine *e, const struct ac_plan *p)
{
    return ac_plan_cost(p).state_bytes <= e->opts.state_max - e->counts.state_bytes;
}

/* Chooses the rules of a series and makes its plan. Rules that would need more state than there is
 * room for are left out from the end. */
static struct watch choose(struct engine *e, const struct engine_series *k)
{
    const struct ac_rule *r[ENGINE_RULES_MAX];
    struct rule *found[ENGINE_RULES_MAX];
    struct watch w = {0};
    const struct book *b = e->books ? ac_map_get(e->books, k->ns) : NULL;
    for (size_t i = 0; b && i < b->n && w.n < ENGINE_RULES_MAX; i++) {
        if (!matches(b->r[i], k))
            continue;
        r[w.n] = ac_ruleset_get(b->r[i]->set, 0);
        found[w.n++] = b->r[i];
    }
    for (; w.n; w.n--, w.unwatched++) {
        if (ac_plan_create(r, w.n, 0, &w.plan, NULL) == 0 && fits(e, w.plan))
            break;
        ac_plan_destroy(w.plan);
        w.plan = NULL;
    }
    e->counts.unwatched += w.unwatched;
    if (!w.n)
        return w;
    w.bytes = ac_plan_cost(w.plan).state_bytes;
    e->counts.state_bytes += w.bytes;
    w.eval = ac_eval_create(w.plan, 1);
    size_t n_inputs = ac_plan_n_inputs(w.plan); /* zones that were found when the rules came */
    w.zones = ac_xcalloc(n_inputs + 1, sizeof *w.zones);
    for (size_t i = 0; i < n_inputs; i++)
        w.zones[i] = e->opts.zone(ac_plan_input(w.plan, i)->of, e->opts.zone_arg);
    w.rules = ac_xcalloc(w.n, sizeof *w.rules);
    memcpy(w.rules, found, w.n * sizeof *w.rules);
    w.alerts = ac_xcalloc(w.n, sizeof *w.alerts);
    return w;
}

void engine_reset_(struct series *s)
{
    s->last_ns = INT64_MIN;
    s->last = __builtin_nan("");
    if (s->w.eval)
        ac_eval_reset(s->w.eval);
}

struct series *engine_series_(struct engine *e, const struct engine_series *k)
{
    char *id = engine_key_(k);
    struct series *s = id ? ac_map_get(e->series, id) : NULL;
    if (s || !id || ac_map_len(e->series) >= ENGINE_SERIES_MAX) {
        free(id);
        return s;
    }
    s = ac_xcalloc(1, sizeof *s);
    struct ac_label *l = ac_xcalloc(k->n_labels + 1, sizeof *l);
    for (size_t i = 0; i < k->n_labels; i++)
        l[i] = (struct ac_label){ac_xstrdup(k->labels[i].key), ac_xstrdup(k->labels[i].value)};
    s->key = (struct engine_series){ac_xstrdup(k->ns), ac_xstrdup(k->component),
                                    ac_xstrdup(k->metric), l, k->n_labels};
    s->id = id;
    engine_reset_(s);
    s->w = choose(e, &s->key);
    ac_map_set(e->series, id, s);
    return s;
}

/* ---- points ---- */

static uint64_t push(struct watch *w, int64_t time_ns, double value)
{
    double offsets[ENGINE_RULES_MAX];
    size_t n = ac_plan_n_inputs(w->plan);
    if (!n)
        return ac_eval_push(w->eval, time_ns, value);
    double *in = n <= AC_ARRAY_LEN(offsets) ? offsets : ac_xcalloc(n, sizeof *in);
    for (size_t i = 0; i < n; i++)
        in[i] = ac_zone_offset_s(w->zones[i], time_ns);
    uint64_t flags = ac_eval_push_with(w->eval, time_ns, value, in);
    if (in != offsets)
        free(in);
    return flags;
}

static void take(struct engine *e, struct series *s, int64_t time_ns, double value)
{
    s->last_ns = time_ns;
    s->last = value;
    e->counts.points++;
    if (!s->w.eval)
        return;
    uint64_t flags = push(&s->w, time_ns, value);
    for (size_t i = 0; i < s->w.n; i++) {
        struct alert *a = &s->w.alerts[i];
        bool flag = flags >> i & 1;
        if (flag && !a->open) {
            *a = (struct alert){.started_ns = time_ns, .open = 1};
            e->counts.open++;
            send(e, s, i, "open");
        } else if (flag) {
            a->quiet = 0;
            if (++a->flagged % UPDATE_EVERY == 0)
                send(e, s, i, "update");
        } else if (a->open && ++a->quiet >= CLOSE_AFTER) {
            close_alert(e, s, i);
        }
    }
}

struct timed {
    int64_t time_ns;
    double value;
    size_t at;
};

static int by_time(const void *a, const void *b)
{
    const struct timed *x = a, *y = b;
    return x->time_ns != y->time_ns ? (x->time_ns < y->time_ns ? -1 : 1) : x->at < y->at ? -1 : 1;
}

static bool ordered(const int64_t *t, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (t[i] < t[i - 1])
            return false;
    }
    return true;
}

static size_t take_all(struct engine *e, struct series *s, const struct timed *p, size_t n)
{
    size_t taken = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i].time_ns <= s->last_ns) {
            e->counts.late++;
            continue;
        }
        take(e, s, p[i].time_ns, p[i].value);
        taken++;
    }
    return taken;
}

size_t engine_points(struct engine *e, const struct engine_series *k, int64_t at_ns,
                     const int64_t *time_ns, const double *value, size_t n)
{
    struct series *s = n ? engine_series_(e, k) : NULL;
    if (!s) {
        e->counts.refused += n;
        return 0;
    }
    /* The same that engine_expire and engine_forget do when they come first. */
    if (s->seen_ns && at_ns - s->seen_ns > e->opts.silence_ns)
        close_all(e, s);
    if (s->seen_ns && at_ns - s->seen_ns > e->opts.forget_ns)
        engine_reset_(s);
    s->seen_ns = AC_MAX(s->seen_ns, at_ns);
    s->dirty = true;
    struct timed small[16], *p = n <= AC_ARRAY_LEN(small) ? small : ac_xcalloc(n, sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (struct timed){time_ns[i], value[i], i};
    if (!ordered(time_ns, n))
        qsort(p, n, sizeof *p, by_time);
    size_t taken = take_all(e, s, p, n);
    if (p != small)
        free(p);
    return taken;
}

void engine_expire(struct engine *e, int64_t before_ns)
{
    const char *key;
    void *v;
    for (size_t it = 0; e->counts.open && ac_map_next(e->series, &it, &key, &v);) {
        struct series *s = v;
        if (s->seen_ns < before_ns)
            close_all(e, s);
    }
}

void engine_forget(struct engine *e, int64_t before_ns, void (*fn)(const char *key, void *arg),
                   void *arg)
{
    const char *key;
    void *v;
    for (size_t it = 0; ac_map_next(e->series, &it, &key, &v);) {
        struct series *s = v;
        if (s->seen_ns >= before_ns)
            continue;
        close_all(e, s);
        fn(key, arg);
        (void)ac_map_take(e->series, s->id);
        series_free(e, s);
    }
}

/* ---- rules ---- */

/* Alerts end with their rule: none of that name watches the series from now on. */
static void close_orphans(struct engine *e, struct series *s, const struct watch *next)
{
    for (size_t i = 0; i < s->w.n; i++) {
        bool stays = !s->w.alerts[i].open;
        for (size_t j = 0; j < next->n && !stays; j++)
            stays = strcmp(next->rules[j]->name, s->w.rules[i]->name) == 0;
        if (!stays)
            close_alert(e, s, i);
    }
}

/* A plan points into its rules: the state is saved, the plan exchanged, and what both know of the
 * state taken over. */
static void rebuild(struct engine *e, struct series *s, struct ac_buf *b)
{
    e->counts.state_bytes -= s->w.bytes; /* makes room for its own successor */
    s->w.bytes = 0;
    struct watch next = choose(e, &s->key);
    close_orphans(e, s, &next);
    for (size_t i = 0; i < s->w.n; i++)
        e->counts.open -= s->w.alerts[i].open != 0;
    ac_buf_reset(b);
    engine_save_(s, b);
    watch_fini(e, &s->w);
    s->w = next;
    (void)engine_load_(e, s, b->data, b->len);
    s->dirty = true;
}

size_t engine_set_rules(struct engine *e, const struct engine_rule_in *in, size_t n)
{
    struct ac_map *old = e->books;
    const char *key;
    void *v;
    struct ac_buf b;
    ac_buf_init(&b, STATE_MAX + (1u << 20));
    e->books = engine_books_create_(&e->opts, in, n, old, &e->counts.rules);
    for (size_t it = 0; ac_map_next(e->series, &it, &key, &v);) {
        struct series *s = v;
        const char *ns = s->key.ns;
        if (s->w.unwatched || !old ||
            !engine_book_same_(ac_map_get(old, ns), ac_map_get(e->books, ns)))
            rebuild(e, s, &b);
    }
    ac_buf_fini(&b);
    engine_books_destroy_(old);
    return n - e->counts.rules;
}

struct engine_counts engine_counts(const struct engine *e)
{
    struct engine_counts c = e->counts;
    c.series = ac_map_len(e->series);
    return c;
}

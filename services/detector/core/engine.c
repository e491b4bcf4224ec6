#include "engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>
#include <aceso/str.h>

#define CLOSE_AFTER  3  /* points in a row without the flag */
#define UPDATE_EVERY 30 /* flagged points */
#define STATE_MAX    (64u << 20)
#define MAGIC        0x31444341u

struct rule {
    char *ns, *name, *text;
    uint64_t version;
    struct ac_ruleset *set;
};

struct alert {
    int64_t started_ns, updated_ns;
    uint64_t sequence;
    uint32_t open, quiet, flagged, pad;
};

struct series {
    struct engine_series key;
    char *id; /* of the map */
    struct ac_plan *plan;
    struct ac_eval *eval;
    struct rule **rules; /* that match */
    struct alert *alerts;
    size_t n;
    int64_t last_ns;
    double last;
    bool dirty;
};

struct offer {
    size_t len;
    unsigned char bytes[];
};

struct engine {
    engine_emit emit;
    void *arg;
    struct rule *rules;
    size_t n_rules;
    struct ac_map *series, *offers;
    struct engine_counts counts;
};

/* In a snapshot: head, then an entry a rule, then the bytes of ac_eval_save. */
struct head {
    uint32_t magic, n;
    int64_t last_ns;
    double last;
};
struct entry {
    uint64_t rule; /* hash of its name */
    struct alert a;
};

static void detach(struct series *s)
{
    ac_eval_destroy(s->eval);
    ac_plan_destroy(s->plan);
    free(s->rules);
    free(s->alerts);
    s->eval = NULL;
    s->plan = NULL;
    s->rules = NULL;
    s->alerts = NULL;
    s->n = 0;
}

static void series_free(void *p)
{
    struct series *s = p;
    detach(s);
    union {
        const void *in;
        void *out;
    } u;
    for (size_t i = 0; i < s->key.n_labels; i++) {
        u.in = s->key.labels[i].key, free(u.out);
        u.in = s->key.labels[i].value, free(u.out);
    }
    u.in = s->key.labels, free(u.out);
    u.in = s->key.ns, free(u.out);
    u.in = s->key.component, free(u.out);
    u.in = s->key.metric, free(u.out);
    free(s->id);
    free(s);
}

struct engine *engine_create(engine_emit emit, void *arg)
{
    struct engine *e = ac_xcalloc(1, sizeof *e);
    e->emit = emit;
    e->arg = arg;
    e->series = ac_map_create(series_free);
    e->offers = ac_map_create(free);
    return e;
}

static void rules_free(struct rule *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(r[i].ns);
        free(r[i].name);
        free(r[i].text);
        ac_ruleset_destroy(r[i].set);
    }
    free(r);
}

void engine_destroy(struct engine *e)
{
    if (!e)
        return;
    ac_map_destroy(e->series);
    ac_map_destroy(e->offers);
    rules_free(e->rules, e->n_rules);
    free(e);
}

static void put_part(struct ac_buf *b, const char *s)
{
    ac_buf_printf(b, "%zu:", strlen(s)); /* lengths make the joined key unambiguous */
    ac_buf_puts(b, s);
}

static char *key_of(const struct engine_series *s)
{
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    put_part(&b, s->ns);
    put_part(&b, s->component);
    put_part(&b, s->metric);
    for (size_t i = 0; i < s->n_labels; i++) {
        put_part(&b, s->labels[i].key);
        put_part(&b, s->labels[i].value);
    }
    return ac_buf_take(&b);
}

static void send(struct engine *e, struct series *s, size_t i, const char *state)
{
    struct alert *a = &s->alerts[i];
    struct engine_alert m = {.state = state,
                             .series = &s->key,
                             .rule = s->rules[i]->name,
                             .rule_text = s->rules[i]->text,
                             .rule_version = s->rules[i]->version,
                             .started_ns = a->started_ns,
                             .updated_ns = s->last_ns,
                             .value = s->last};
    const struct ac_rule *r = ac_ruleset_get(s->rules[i]->set, 0);
    const char *names[16];
    struct ac_buf b;
    ac_buf_init(&b, 64 * 1024);
    a->updated_ns = s->last_ns;
    m.sequence = ++a->sequence;
    m.severity = ac_severity_name(ac_rule_severity(r));
    m.ended_ns = strcmp(state, "closed") == 0 ? s->last_ns : 0;
    (void)ac_eval_reason(s->eval, i, &b);
    m.reason = ac_buf_str(&b);
    m.n_values = ac_rule_reason_names(r, names, AC_ARRAY_LEN(names));
    for (size_t k = 0; k < m.n_values; k++)
        m.values[k] = (struct engine_value){names[k], ac_eval_term(s->eval, i, names[k])};
    (void)snprintf(m.id, sizeof m.id, "%016llx%016llx",
                   (unsigned long long)(ac_hash_str(s->id) ^ (ac_hash_str(m.rule) * 31)),
                   (unsigned long long)a->started_ns);
    e->emit(&m, e->arg);
    ac_buf_fini(&b);
}

static void close_alert(struct engine *e, struct series *s, size_t i)
{
    send(e, s, i, "closed");
    s->alerts[i] = (struct alert){0};
    e->counts.open--;
    s->dirty = true;
}

/* Chooses the rules of a series and makes its plan. */
static void attach(struct engine *e, struct series *s)
{
    struct ac_label *l = ac_xcalloc(s->key.n_labels + 2, sizeof *l);
    memcpy(l, s->key.labels, s->key.n_labels * sizeof *l);
    l[s->key.n_labels] = (struct ac_label){"component", s->key.component};
    l[s->key.n_labels + 1] = (struct ac_label){"namespace", s->key.ns};
    const struct ac_rule **r = ac_xcalloc(e->n_rules + 1, sizeof *r);
    s->rules = ac_xcalloc(e->n_rules + 1, sizeof *s->rules);
    for (size_t i = 0; i < e->n_rules && s->n < 64; i++) {
        const struct ac_rule *x = ac_ruleset_get(e->rules[i].set, 0);
        if (strcmp(e->rules[i].ns, s->key.ns) != 0 ||
            !ac_rule_matches(x, s->key.metric, l, s->key.n_labels + 2))
            continue;
        r[s->n] = x;
        s->rules[s->n++] = &e->rules[i];
    }
    free(l);
    s->alerts = ac_xcalloc(s->n + 1, sizeof *s->alerts);
    if (s->n && ac_plan_create(r, s->n, 0, &s->plan, NULL) == 0)
        s->eval = ac_eval_create(s->plan, 1);
    else
        s->n = 0;
    free(r);
}

static void save(const struct series *s, struct ac_buf *b)
{
    struct head h = {MAGIC, (uint32_t)s->n, s->last_ns, s->last};
    ac_buf_append(b, &h, sizeof h);
    for (size_t i = 0; i < s->n; i++) {
        struct entry x = {ac_hash_str(s->rules[i]->name), s->alerts[i]};
        ac_buf_append(b, &x, sizeof x);
    }
    if (s->eval)
        (void)ac_eval_save(s->eval, b);
}

static void load(struct engine *e, struct series *s, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    struct head h;
    struct entry x;
    if (len < sizeof h)
        return;
    memcpy(&h, p, sizeof h);
    size_t at = sizeof h + (size_t)h.n * sizeof x;
    if (h.magic != MAGIC || at > len)
        return;
    s->last_ns = h.last_ns;
    s->last = h.last;
    for (uint32_t k = 0; k < h.n; k++) {
        memcpy(&x, p + sizeof h + k * sizeof x, sizeof x);
        for (size_t i = 0; i < s->n; i++) {
            if (ac_hash_str(s->rules[i]->name) != x.rule || s->alerts[i].sequence)
                continue;
            s->alerts[i] = x.a;
            e->counts.open += x.a.open != 0;
        }
    }
    if (s->eval && at < len && ac_eval_restore(s->eval, p + at, len - at, NULL, NULL) < 0)
        ac_eval_reset(s->eval);
}

static struct series *find(struct engine *e, const struct engine_series *k)
{
    char *id = key_of(k);
    struct series *s = ac_map_get(e->series, id);
    if (s || ac_map_len(e->series) >= ENGINE_SERIES_MAX) {
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
    s->last_ns = INT64_MIN;
    attach(e, s);
    ac_map_set(e->series, id, s);
    struct offer *o = ac_map_take(e->offers, id);
    if (o)
        load(e, s, o->bytes, o->len);
    free(o);
    return s;
}

bool engine_point(struct engine *e, const struct engine_series *k, int64_t time_ns, double value)
{
    struct series *s = find(e, k);
    if (!s || time_ns <= s->last_ns) {
        e->counts.late++;
        return false;
    }
    s->last_ns = time_ns;
    s->last = value;
    s->dirty = true;
    e->counts.points++;
    if (!s->eval)
        return true;
    uint64_t flags = ac_eval_push(s->eval, time_ns, value);
    for (size_t i = 0; i < s->n; i++) {
        struct alert *a = &s->alerts[i];
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
    return true;
}

void engine_expire(struct engine *e, int64_t before_ns)
{
    const char *key;
    void *v;
    for (size_t it = 0; ac_map_next(e->series, &it, &key, &v);) {
        struct series *s = v;
        for (size_t i = 0; s->last_ns < before_ns && i < s->n; i++) {
            if (s->alerts[i].open)
                close_alert(e, s, i);
        }
    }
}

/* A plan points into its rules: states are saved, plans dropped, rules exchanged, plans made anew.
 */
size_t engine_set_rules(struct engine *e, const struct engine_rule_in *in, size_t n)
{
    struct rule *r = ac_xcalloc(n + 1, sizeof *r), *old = e->rules;
    size_t k = 0, n_old = e->n_rules;
    for (size_t i = 0; i < n; i++) {
        struct ac_ruleset *set = NULL;
        if (ac_ruleset_parse(in[i].text, strlen(in[i].text), &set, NULL) < 0)
            continue;
        if (ac_ruleset_len(set) != 1) {
            ac_ruleset_destroy(set);
            continue;
        }
        r[k++] = (struct rule){ac_xstrdup(in[i].ns), ac_xstrdup(in[i].name), ac_xstrdup(in[i].text),
                               in[i].version, set};
    }
    const char *key;
    void *v;
    for (size_t it = 0; ac_map_next(e->series, &it, &key, &v);) {
        struct series *s = v;
        struct ac_buf b;
        ac_buf_init(&b, STATE_MAX);
        for (size_t i = 0; i < s->n; i++) {
            bool stays = false;
            for (size_t j = 0; j < k; j++)
                stays |=
                    strcmp(r[j].name, s->rules[i]->name) == 0 && strcmp(r[j].ns, s->key.ns) == 0;
            if (s->alerts[i].open && !stays)
                close_alert(e, s, i);
            e->counts.open -= s->alerts[i].open != 0;
        }
        save(s, &b);
        detach(s);
        e->rules = r;
        e->n_rules = k;
        attach(e, s);
        load(e, s, b.data, b.len);
        s->dirty = true;
        ac_buf_fini(&b);
    }
    e->rules = r;
    e->n_rules = k;
    rules_free(old, n_old);
    return n - k;
}

struct engine_counts engine_counts(const struct engine *e)
{
    struct engine_counts c = e->counts;
    c.series = ac_map_len(e->series);
    c.rules = e->n_rules;
    return c;
}

void engine_snapshot(struct engine *e, engine_snapshot_fn fn, void *arg)
{
    const char *key;
    void *v;
    struct ac_buf b;
    ac_buf_init(&b, STATE_MAX);
    for (size_t it = 0; ac_map_next(e->series, &it, &key, &v);) {
        struct series *s = v;
        if (!s->dirty)
            continue;
        ac_buf_reset(&b);
        save(s, &b);
        if (!b.failed)
            fn(key, b.data, b.len, arg);
        s->dirty = false;
    }
    ac_buf_fini(&b);
}

void engine_offer(struct engine *e, const char *key, const void *state, size_t len)
{
    struct offer *o = ac_xmalloc(sizeof *o + len);
    o->len = len;
    memcpy(o->bytes, state, len);
    ac_map_set(e->offers, key, o);
}

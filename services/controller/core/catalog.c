#include "catalog.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

struct ctl_catalog {
    struct ctl_catalog_ports ports;
    struct ctl_model **models; /* live ones, by name and version */
    size_t n, cap;
    struct ctl_model **numbered; /* by number; retired ones stay until the end */
    size_t n_numbered, cap_numbered;
};

struct ctl_catalog *ctl_catalog_create(const struct ctl_catalog_ports *ports)
{
    struct ctl_catalog *c = ac_xcalloc(1, sizeof(*c));
    c->ports = *ports;
    return c;
}

void ctl_found_fini(struct ctl_found *f)
{
    free(f->path);
    f->path = NULL;
}

static void model_free(struct ctl_model *m)
{
    ctl_found_fini(&m->what);
    free(m->metrics);
    free(m);
}

void ctl_catalog_destroy(struct ctl_catalog *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        if (c->models[i]->number == CTL_NO_NUMBER)
            model_free(c->models[i]);
    for (size_t i = 0; i < c->n_numbered; i++)
        if (c->numbered[i])
            model_free(c->numbered[i]);
    free(c->models);
    free(c->numbered);
    free(c);
}

static int by_version(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    return na != nb ? (na > nb) - (na < nb) : strcmp(a, b);
}

static int by_name(const void *a, const void *b)
{
    const struct ctl_found *x = &(*(struct ctl_model *const *)a)->what;
    const struct ctl_found *y = &(*(struct ctl_model *const *)b)->what;
    int d = strcmp(x->name, y->name);
    return d ? d : by_version(x->version, y->version);
}

static struct ctl_model *exact(const struct ctl_catalog *c, const char *name, const char *version)
{
    for (size_t i = 0; i < c->n; i++)
        if (ac_streq(c->models[i]->what.name, name) &&
            ac_streq(c->models[i]->what.version, version))
            return c->models[i];
    return NULL;
}

static void drop(struct ctl_catalog *c, size_t at)
{
    struct ctl_model *m = c->models[at];
    memmove(c->models + at, c->models + at + 1, (c->n - at - 1) * sizeof(struct ctl_model *));
    c->n--;
    m->retired = true;
    if (m->number == CTL_NO_NUMBER)
        model_free(m);
    else
        c->ports.retire(c->ports.self, m);
}

static void add(struct ctl_catalog *c, struct ctl_found *f)
{
    struct ctl_model *m = ac_xcalloc(1, sizeof(*m));
    m->what = *f;
    m->seen = true;
    m->number = CTL_NO_NUMBER;
    f->path = NULL;
    ac_grow(&c->models, &c->cap, c->n + 1, sizeof(struct ctl_model *));
    c->models[c->n++] = m;
    if (m->what.error[0])
        return;
    m->number = c->ports.add(c->ports.self, m);
    ac_grow(&c->numbered, &c->cap_numbered, (size_t)m->number + 1, sizeof(struct ctl_model *));
    while (c->n_numbered <= m->number)
        c->numbered[c->n_numbered++] = NULL;
    c->numbered[m->number] = m;
}

void ctl_catalog_merge(struct ctl_catalog *c, struct ctl_found *found, size_t n)
{
    for (size_t i = 0; i < c->n; i++)
        c->models[i]->seen = false;
    for (size_t i = 0; i < n; i++) {
        struct ctl_model *m = exact(c, found[i].name, found[i].version);
        if (m && ac_streq(m->what.sha256, found[i].sha256) &&
            m->what.max_rows == found[i].max_rows && ac_streq(m->what.error, found[i].error)) {
            m->seen = true;
            free(m->what.path); /* the same bytes may lie elsewhere now */
            m->what.path = found[i].path;
            found[i].path = NULL;
            continue;
        }
        /* The old one goes first, so that its waiting requests do not look for the new one. */
        for (size_t k = 0; m && k < c->n; k++)
            if (c->models[k] == m) {
                drop(c, k);
                break;
            }
        add(c, &found[i]);
    }
    for (size_t i = c->n; i-- > 0;)
        if (!c->models[i]->seen)
            drop(c, i);
    if (c->n)
        qsort(c->models, c->n, sizeof(struct ctl_model *), by_name);
}

struct ctl_model *ctl_catalog_find(const struct ctl_catalog *c, const char *name,
                                   const char *version)
{
    size_t lo = 0, hi = c->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (strcmp(c->models[mid]->what.name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    struct ctl_model *best = NULL;
    for (; lo < c->n && ac_streq(c->models[lo]->what.name, name); lo++) {
        struct ctl_model *m = c->models[lo];
        if (ac_str_empty(version)) {
            if (!best || m->number != CTL_NO_NUMBER)
                best = m;
        } else if (ac_streq(m->what.version, version)) {
            return m;
        }
    }
    return best;
}

struct ctl_model *ctl_catalog_by_number(const struct ctl_catalog *c, uint32_t number)
{
    return number < c->n_numbered ? c->numbered[number] : NULL;
}

uint32_t ctl_catalog_numbers(const struct ctl_catalog *c)
{
    return (uint32_t)c->n_numbered;
}

struct ctl_model *ctl_catalog_at(const struct ctl_catalog *c, size_t k)
{
    return k < c->n ? c->models[k] : NULL;
}

enum ctl_model_state ctl_model_state(const struct ctl_model *m, uint64_t up)
{
    if (m->number == CTL_NO_NUMBER || m->retired)
        return CTL_MODEL_UNAVAILABLE;
    if (m->able & up)
        return CTL_MODEL_READY;
    return up && (m->failed & up) == up ? CTL_MODEL_UNAVAILABLE : CTL_MODEL_LOADING;
}

const char *ctl_model_state_name(enum ctl_model_state s)
{
    return s == CTL_MODEL_READY ? "READY" : s == CTL_MODEL_LOADING ? "LOADING" : "UNAVAILABLE";
}

const char *ctl_model_reason(const struct ctl_model *m, uint64_t up)
{
    if (m->number == CTL_NO_NUMBER)
        return m->what.error;
    switch (ctl_model_state(m, up)) {
    case CTL_MODEL_READY:
        return "";
    case CTL_MODEL_LOADING:
        return up ? "being prepared by the workers" : "no worker is connected";
    case CTL_MODEL_UNAVAILABLE:
        break;
    }
    return m->retired ? "retired" : m->reason;
}

bool ctl_name_ok(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n >= CTL_NAME_MAX || name[0] == '.')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

bool ctl_version_ok(const char *version)
{
    size_t n = strlen(version);
    return n > 0 && n < CTL_VERSION_MAX && strspn(version, "0123456789") == n && version[0] != '0';
}

/* ---- config.pbtxt: text format, of which one top-level number is wanted ---- */

static const char *skip_string(const char *p)
{
    char quote = *p++;
    while (*p && *p != quote && *p != '\n')
        p += *p == '\\' && p[1] ? 2 : 1;
    return *p == quote ? p + 1 : NULL;
}

static int config_fail(int line, const char *what, struct ac_err *err)
{
    return ac_err_set(err, AC_EINVAL, "config.pbtxt:%d: %s", line, what);
}

/* The value of max_batch_size from behind its name; where it ends. */
static const char *read_number(const char *p, int *ret_v)
{
    p += strspn(p, " \t");
    if (*p++ != ':')
        return NULL;
    p += strspn(p, " \t");
    size_t n = strspn(p, "0123456789");
    if (n == 0 || n > 6)
        return NULL;
    int v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (p[i] - '0');
    *ret_v = v;
    return p + n;
}

int ctl_config_max_batch(const char *text, int *ret_max_batch, struct ac_err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    int depth = 0, line = 1, found = -1;
    for (const char *p = text; *p;) {
        size_t word = strspn(p, letters);
        if (*p == '\n') {
            line++;
            p++;
        } else if (*p == '#') {
            p += strcspn(p, "\n");
        } else if (*p == '"' || *p == '\'') {
            if (!(p = skip_string(p)))
                return config_fail(line, "a string does not end", err);
        } else if (*p == '{' || *p == '[' || *p == '}' || *p == ']') {
            depth += *p == '{' || *p == '[' ? 1 : -1;
            if (depth < 0)
                return config_fail(line, "a bracket too many", err);
            p++;
        } else if (word == 14 && depth == 0 && memcmp(p, "max_batch_size", word) == 0) {
            if (!(p = read_number(p + word, &found)))
                return config_fail(line, "max_batch_size needs a whole number", err);
        } else {
            p += word ? word : 1;
        }
    }
    if (depth != 0)
        return config_fail(line, "a bracket is not closed", err);
    *ret_max_batch = found;
    return 0;
}

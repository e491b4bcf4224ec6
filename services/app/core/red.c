#include "red.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>

struct cell {
    struct app_hist hist;
    uint64_t errors;
};

struct app_red {
    char *names[5]; /* requests, errors.ratio, duration.mean, .p90, .p99 */
    const char *label;
    bool p99;
    struct ac_map *cells;
};

enum {
    REQUESTS,
    ERRORS,
    MEAN,
    P90,
    P99
};

struct app_red *app_red_create(const char *prefix, const char *label, bool p99)
{
    static const char *const suffix[] = {"requests", "errors.ratio", "duration.mean",
                                         "duration.p90", "duration.p99"};
    struct app_red *r = ac_xcalloc(1, sizeof(*r));
    for (size_t i = 0; i < AC_ARRAY_LEN(suffix); i++)
        r->names[i] = ac_xasprintf("%s.%s", prefix, suffix[i]);
    r->label = label;
    r->p99 = p99;
    r->cells = ac_map_create(free);
    return r;
}

void app_red_destroy(struct app_red *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < AC_ARRAY_LEN(r->names); i++)
        free(r->names[i]);
    ac_map_destroy(r->cells);
    free(r);
}

static struct cell *cell_of(struct app_red *r, const char *key)
{
    struct cell *c = ac_map_get(r->cells, key);
    if (c)
        return c;
    if (ac_map_len(r->cells) >= APP_RED_MAX) {
        key = "other";
        if ((c = ac_map_get(r->cells, key)))
            return c;
    }
    c = ac_xcalloc(1, sizeof(*c));
    ac_map_set(r->cells, key, c);
    return c;
}

void app_red_declare(struct app_red *r, const char *key)
{
    (void)cell_of(r, key);
}

void app_red_add(struct app_red *r, const char *key, int64_t duration_ns, bool error)
{
    struct cell *c = cell_of(r, key);
    app_hist_add(&c->hist, duration_ns);
    c->errors += error ? 1 : 0;
}

void app_red_flush(struct app_red *r, double seconds,
                   void (*fn)(const struct app_sample *s, void *arg), void *arg)
{
    const char *key = NULL;
    void *value = NULL;
    for (size_t it = 0; ac_map_next(r->cells, &it, &key, &value);) {
        struct cell *c = value;
        double n = (double)c->hist.count;
        struct app_sample s = {r->names[REQUESTS], "{request}/s", r->label, key, n / seconds};
        fn(&s, arg);
        if (c->hist.count == 0)
            continue;
        s = (struct app_sample){r->names[ERRORS], "1", r->label, key, (double)c->errors / n};
        fn(&s, arg);
        s = (struct app_sample){r->names[MEAN], "s", r->label, key,
                                app_hist_mean_ns(&c->hist) / 1e9};
        fn(&s, arg);
        s = (struct app_sample){r->names[P90], "s", r->label, key,
                                app_hist_quantile_ns(&c->hist, .90) / 1e9};
        fn(&s, arg);
        if (r->p99) {
            s = (struct app_sample){r->names[P99], "s", r->label, key,
                                    app_hist_quantile_ns(&c->hist, .99) / 1e9};
            fn(&s, arg);
        }
        app_hist_reset(&c->hist);
        c->errors = 0;
    }
}

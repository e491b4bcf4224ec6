#include "loadgen.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

struct app_loadgen {
    const struct app_load_spec *spec;
    struct ac_rng arrivals, choices;
    double rate, total;
    double *shares;
    double at_s;
    /* the draws of the request being made */
    const struct app_load_class *cls;
    const struct app_value **values;
};

struct app_loadgen *app_loadgen_create(const struct app_load_spec *spec, uint64_t seed, double rate,
                                       const double *shares)
{
    struct app_loadgen *g = ac_xcalloc(1, sizeof(*g));
    struct ac_rng root;
    ac_rng_seed(&root, seed);
    g->spec = spec;
    g->arrivals = ac_rng_split(&root, 1);
    g->choices = ac_rng_split(&root, 2);
    g->rate = rate;
    g->shares = ac_xcalloc(spec->n_classes, sizeof(*g->shares));
    for (size_t i = 0; i < spec->n_classes; i++) {
        g->shares[i] = shares ? shares[i] : spec->classes[i].share;
        g->total += g->shares[i];
    }
    return g;
}

void app_loadgen_destroy(struct app_loadgen *g)
{
    if (!g)
        return;
    free(g->shares);
    free(g);
}

static const struct app_value *lookup(const struct app_scope *s, const char *name)
{
    const struct app_loadgen *g = s->arg;
    for (size_t i = 0; i < g->cls->n_draws; i++) {
        if (strcmp(g->cls->draws[i].name, name) == 0)
            return g->values[i];
    }
    return &app_null;
}

static size_t choose(struct app_loadgen *g)
{
    double u = ac_rng_uniform(&g->choices) * g->total;
    size_t last = 0;
    for (size_t i = 0; i < g->spec->n_classes; i++) {
        if (g->shares[i] <= 0)
            continue;
        last = i;
        if (u < g->shares[i])
            break;
        u -= g->shares[i];
    }
    return last;
}

static double draw(struct ac_rng *rng, const struct app_draw *d)
{
    if (d->whole)
        return d->lo + (double)ac_rng_below(rng, (uint64_t)(d->hi - d->lo) + 1);
    return round((d->lo + ac_rng_uniform(rng) * (d->hi - d->lo)) * 1e6) / 1e6;
}

int app_loadgen_next(struct app_loadgen *g, struct ac_arena *a, struct app_load_request *ret,
                     struct ac_err *err)
{
    struct app_scope scope = {.lookup = lookup, .arg = g};
    const struct app_value *v = NULL;
    size_t c = choose(g);
    g->at_s += ac_rng_exponential(&g->arrivals) / g->rate;
    g->cls = &g->spec->classes[c];
    g->values = ac_arena_calloc(a, g->cls->n_draws + 1, sizeof(*g->values));
    for (size_t i = 0; g->values && i < g->cls->n_draws; i++) {
        g->values[i] = app_num(a, draw(&g->choices, &g->cls->draws[i]));
        if (!g->values[i])
            g->values = NULL;
    }
    if (!g->values)
        return ac_err_set(err, AC_EAGAIN, "class '%s': request too large", g->cls->name);
    int rc = app_tmpl_eval(g->cls->path, &scope, a, &v, err);
    if (rc) {
        (void)ac_err_wrap(err, "class '%s'", g->cls->name);
        return rc;
    }
    ret->path = app_text(a, v, NULL);
    if (!ret->path || ret->path[0] != '/' || strpbrk(ret->path, " \r\n"))
        return ac_err_set(err, AC_EINVAL,
                          "class '%s' gives no path: it must begin with / and hold "
                          "no spaces",
                          g->cls->name);
    ret->class_index = c;
    ret->at_ns = (int64_t)(g->at_s * 1e9);
    return 0;
}

int app_load_parse_mix(const struct app_load_spec *spec, const char *text, double *shares,
                       struct ac_err *err)
{
    char copy[512];
    double total = 0;
    if (!ac_str_copy(copy, sizeof(copy), text))
        return ac_err_set(err, AC_EINVAL, "mix: text too long");
    for (size_t i = 0; i < spec->n_classes; i++)
        shares[i] = spec->classes[i].share;
    for (char *rest = copy[0] ? copy : NULL, *part; rest && (part = ac_str_next(&rest, ','));) {
        char *eq = strchr(part, '=');
        size_t i = 0;
        double v = 0;
        if (eq)
            *eq = '\0';
        part = ac_str_trim(part);
        while (i < spec->n_classes && !ac_streq(spec->classes[i].name, part))
            i++;
        if (i == spec->n_classes)
            return ac_err_set(err, AC_EINVAL, "mix: no class '%.40s'", part);
        if (!eq || !ac_str_to_f64(eq + 1, &v) || !(v >= 0 && v <= 1e6))
            return ac_err_set(err, AC_EINVAL, "mix: class '%s' needs a share such as %s=0.5", part,
                              part);
        shares[i] = v;
    }
    for (size_t i = 0; i < spec->n_classes; i++)
        total += shares[i];
    return total > 0 ? 0 : ac_err_set(err, AC_EINVAL, "mix: all shares are zero");
}

static void put_counts(struct ac_buf *out, const struct app_load_counts *c)
{
    ac_buf_printf(out,
                  "\"sent\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"error\":%" PRIu64 ",\"late\":%" PRIu64,
                  c->sent, c->ok, c->error, c->late);
    if (c->hist.count)
        ac_buf_printf(out, ",\"mean_ms\":%.3f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f",
                      app_hist_mean_ns(&c->hist) / 1e6, app_hist_quantile_ns(&c->hist, .5) / 1e6,
                      app_hist_quantile_ns(&c->hist, .9) / 1e6,
                      app_hist_quantile_ns(&c->hist, .99) / 1e6);
}

void app_load_report(const struct app_load_spec *spec, const struct app_load_counts *classes,
                     double t_s, bool final, uint64_t in_flight, struct ac_buf *out)
{
    struct app_load_counts all;
    memset(&all, 0, sizeof(all));
    for (size_t i = 0; i < spec->n_classes; i++) {
        all.sent += classes[i].sent;
        all.ok += classes[i].ok;
        all.error += classes[i].error;
        all.late += classes[i].late;
        app_hist_merge(&all.hist, &classes[i].hist);
    }
    ac_buf_printf(out, "{\"t\":%.3f,\"final\":%s,\"in_flight\":%" PRIu64 ",", t_s,
                  final ? "true" : "false", in_flight);
    put_counts(out, &all);
    ac_buf_puts(out, ",\"classes\":{");
    for (size_t i = 0; i < spec->n_classes; i++) {
        if (i)
            ac_buf_putc(out, ',');
        ac_buf_put_json_str(out, spec->classes[i].name);
        ac_buf_puts(out, ":{");
        put_counts(out, &classes[i]);
        ac_buf_putc(out, '}');
    }
    ac_buf_puts(out, "}}");
}

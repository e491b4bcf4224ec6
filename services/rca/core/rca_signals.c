#include "rca_signals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/map.h>
#include <aceso/str.h>

enum quantity {
    Q_NONE,
    Q_CALLS,
    Q_ERRORS,
    Q_ERROR_SHARE,
    Q_LATENCY,
    Q_LATENCY_SUM,
    Q_PLAIN
};

struct binned { /* one series, a value a bin, NaN where there is none */
    char *component, *peer, *route, *name;
    char unit[AC_RCA_UNIT_SIZE]; /* Q_PLAIN */
    enum quantity q;
    enum ac_rca_kind kind; /* Q_PLAIN */
    bool failed;           /* calls of a status that is no success */
    double *v;
};

struct ac_rca_signals {
    int64_t from_ns, bin_ns;
    size_t bins;
    struct binned *s;
    size_t n, cap;
};

struct ac_rca_signals *ac_rca_signals_create(int64_t from_ns, int64_t to_ns, int64_t bin_ns)
{
    struct ac_rca_signals *s = ac_xcalloc(1, sizeof(*s));
    s->bin_ns = bin_ns > 0 ? bin_ns : AC_NS_PER_S;
    s->from_ns = from_ns - from_ns % s->bin_ns;
    int64_t bins = to_ns > from_ns ? (to_ns - s->from_ns) / s->bin_ns + 1 : 1;
    s->bins = (size_t)AC_MIN(bins, AC_RCA_MAX_BINS);
    return s;
}

void ac_rca_signals_destroy(struct ac_rca_signals *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        free(s->s[i].component);
        free(s->s[i].peer);
        free(s->s[i].route);
        free(s->s[i].name);
        free(s->s[i].v);
    }
    free(s->s);
    free(s);
}

static const char *label(const struct ac_rca_series *x, const char *const *keys)
{
    for (; *keys; keys++)
        for (size_t i = 0; i < x->nlabels; i++)
            if (ac_streq(x->labels[i].key, *keys) && x->labels[i].value[0])
                return x->labels[i].value;
    return NULL;
}

static bool has(const char *s, const char *word)
{
    return strstr(s, word) != NULL;
}

/* Is the status that a series is split by a failure? */
static bool failed_status(const struct ac_rca_series *x)
{
    static const char *const keys[] = {
        "status", "outcome",    "code", "rpc.grpc.status_code", "grpc.status", "status_code",
        "error",  "error.type", NULL};
    static const char *const fine[] = {"ok", "OK", "0", "success", "false", "200", "2xx", NULL};
    const char *v = label(x, keys);
    if (!v)
        return false;
    for (size_t i = 0; fine[i]; i++)
        if (ac_streq(v, fine[i]))
            return false;
    return true;
}

/* What a series measures. Names are lower-cased before. */
static enum quantity quantity_of(const char *name, const char *unit, enum ac_rca_kind *ret_kind)
{
    bool duration = has(name, "duration") || has(name, "latency");
    *ret_kind = AC_RCA_OTHER;
    if (has(name, "restart")) {
        *ret_kind = AC_RCA_RESTART;
        return Q_PLAIN;
    }
    if (has(name, "ready")) {
        *ret_kind = AC_RCA_UNREADY;
        return Q_PLAIN;
    }
    if (has(name, "error") || has(name, "fail"))
        return has(name, "ratio") || has(name, "share") || ac_rca_unit_factor(unit, "%") > 0.0
                   ? Q_ERROR_SHARE
                   : Q_ERRORS;
    if (duration && (ac_str_ends(name, ".count") || ac_str_ends(name, "_count")))
        return Q_CALLS;
    if (duration && (ac_str_ends(name, ".sum") || ac_str_ends(name, "_sum")))
        return Q_LATENCY_SUM;
    if (duration && (ac_str_ends(name, ".mean") || ac_str_ends(name, ".avg") ||
                     ac_str_ends(name, "duration") || ac_str_ends(name, "latency")))
        return Q_LATENCY;
    if (duration)
        return Q_NONE; /* further statistics of the same distribution */
    if (has(name, "cpu")) {
        *ret_kind = AC_RCA_CPU;
        return Q_PLAIN;
    }
    if (has(name, "mem")) {
        *ret_kind = has(name, "limit") ? AC_RCA_OTHER : AC_RCA_MEM;
        return has(name, "limit") ? Q_NONE : Q_PLAIN;
    }
    if (has(name, "request") || has(name, "call") || has(name, "rate") || has(name, "queries"))
        return Q_CALLS;
    return Q_NONE;
}

/* Of what is counted up the rate is taken: seconds of a processor a second are processors. */
static void make_rate(char unit[AC_RCA_UNIT_SIZE])
{
    (void)snprintf(unit, AC_RCA_UNIT_SIZE, "%s",
                   ac_streq(unit, "s")       ? "cores"
                   : ac_streq(unit, "bytes") ? "bytes/s"
                                             : "");
}

/* Latencies are joined in seconds, shares in percent. */
static double unit_scale(enum quantity q, const char *unit)
{
    if (q == Q_ERROR_SHARE)
        return ac_streq(unit, "%") ? 1.0 : 100.0;
    double factor = q == Q_LATENCY || q == Q_LATENCY_SUM ? ac_rca_unit_factor(unit, "s") : 0.0;
    return factor > 0.0 ? factor : 1.0;
}

/* Samples into bins; cumulative and delta ones become rates a second. */
static void fill(const struct ac_rca_signals *s, const struct ac_rca_series *x, double scale,
                 double *v)
{
    for (size_t i = 0; i < s->bins; i++)
        v[i] = NAN;
    for (size_t i = 0; i < x->n; i++) {
        double y = x->v[i];
        if (x->temporality != AC_RCA_GAUGE) {
            double before = x->temporality == AC_RCA_CUMULATIVE && i > 0 ? x->v[i - 1] : 0.0;
            if (i == 0)
                continue;
            double dt = (double)(x->t_ns[i] - x->t_ns[i - 1]) / 1e9;
            if (!(dt > 0.0))
                continue;
            y = (y >= before ? y - before : y) / dt;
        }
        int64_t at = (x->t_ns[i] - s->from_ns) / s->bin_ns;
        if (x->t_ns[i] >= s->from_ns && at >= 0 && (size_t)at < s->bins && isfinite(y))
            v[at] = y * scale;
    }
}

static char *route_key(const struct ac_rca_series *x)
{
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    for (size_t i = 0; i < x->nlabels; i++)
        if (has(x->labels[i].key, "route") || has(x->labels[i].key, "method") ||
            has(x->labels[i].key, "operation") || has(x->labels[i].key, "pod"))
            ac_buf_printf(&b, "%s=%s;", x->labels[i].key, x->labels[i].value);
    return ac_buf_take(&b);
}

void ac_rca_signals_add(struct ac_rca_signals *s, const struct ac_rca_series *x)
{
    static const char *const peers[] = {"peer",           "peer.service",  "callee", "rpc.peer",
                                        "server.address", "net.peer.name", NULL};
    char name[128];
    enum ac_rca_kind kind;
    size_t i = 0;
    for (; x->metric[i] && i + 1 < sizeof(name); i++)
        name[i] = (char)tolower((unsigned char)x->metric[i]);
    name[i] = '\0';
    if (s->n >= AC_RCA_MAX_METRICS || x->n == 0 || !x->component[0] || has(name, "otel") ||
        ac_str_starts(name, "node") || ac_str_starts(name, "load."))
        return; /* load.*: what the generator of load sees of the entry, not a component's */
    char unit[AC_RCA_UNIT_SIZE];
    const char *peer = label(x, peers);
    ac_rca_unit_spell(x->unit ? x->unit : "", unit);
    if (!*unit)
        ac_rca_unit_of_name(x->metric, unit);
    enum quantity q = quantity_of(name, unit, &kind);
    if (q == Q_NONE || (has(name, "client") && !peer && q != Q_PLAIN))
        return;
    ac_grow(&s->s, &s->cap, s->n + 1, sizeof(s->s[0]));
    struct binned *b = &s->s[s->n++];
    *b = (struct binned){
        .component = ac_xstrdup(x->component),
        .peer = ac_xstrdup(q != Q_PLAIN && peer ? peer : ""),
        .route = route_key(x),
        .name = ac_xstrdup(x->metric),
        .q = q,
        .kind = kind,
        .failed = q == Q_CALLS && failed_status(x),
        .v = ac_xcalloc(s->bins, sizeof(double)),
    };
    if (q == Q_PLAIN && x->temporality != AC_RCA_GAUGE)
        make_rate(unit);
    if (kind != AC_RCA_UNREADY)
        memcpy(b->unit, unit, sizeof(b->unit));
    fill(s, x, unit_scale(q, unit), b->v);
    for (size_t k = 0; kind == AC_RCA_UNREADY && k < s->bins; k++)
        b->v[k] =
            has(name, "unready") || has(name, "not_ready") ? b->v[k] : 1.0 - fmin(1.0, b->v[k]);
}

struct sums { /* of one component, or of one edge seen by the caller */
    double *calls, *errors, *lat, *lat_calls, *share, *share_calls;
    bool has_calls, has_errors, has_lat, has_share;
};

static void sums_init(struct sums *u, size_t bins)
{
    double **all[] = {&u->calls, &u->errors, &u->lat, &u->lat_calls, &u->share, &u->share_calls};
    memset(u, 0, sizeof(*u));
    for (size_t i = 0; i < AC_ARRAY_LEN(all); i++)
        *all[i] = ac_xcalloc(bins, sizeof(double));
    for (size_t i = 0; i < bins; i++)
        u->calls[i] = NAN; /* nothing reported is a gap, not zero calls */
}

static void sums_fini(struct sums *u)
{
    free(u->calls);
    free(u->errors);
    free(u->lat);
    free(u->lat_calls);
    free(u->share);
    free(u->share_calls);
}

static bool same_group(const struct binned *a, const struct binned *b)
{
    return strcmp(a->component, b->component) == 0 && strcmp(a->peer, b->peer) == 0;
}

/* The calls that a latency or a share belongs to: same group and route. */
static const struct binned *weight_of(const struct ac_rca_signals *s, const struct binned *b)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->s[i].q == Q_CALLS && same_group(&s->s[i], b) && strcmp(s->s[i].route, b->route) == 0)
            return &s->s[i];
    return NULL;
}

static void add_series(const struct ac_rca_signals *s, const struct binned *b, struct sums *u)
{
    const struct binned *w = b->q == Q_LATENCY || b->q == Q_ERROR_SHARE ? weight_of(s, b) : NULL;
    for (size_t i = 0; i < s->bins; i++) {
        double v = b->v[i], n = w ? w->v[i] : 1.0;
        if (!isfinite(v))
            continue;
        switch (b->q) {
        case Q_CALLS:
            u->calls[i] = isnan(u->calls[i]) ? v : u->calls[i] + v;
            u->errors[i] += b->failed ? v : 0.0;
            u->has_calls = true;
            u->has_errors |= b->failed;
            break;
        case Q_ERRORS:
            u->errors[i] += v;
            u->has_errors = true;
            break;
        case Q_LATENCY:
        case Q_ERROR_SHARE:
            if (!(n > 0.0))
                continue;
            (b->q == Q_LATENCY ? u->lat : u->share)[i] += v * n;
            (b->q == Q_LATENCY ? u->lat_calls : u->share_calls)[i] += n;
            u->has_lat |= b->q == Q_LATENCY;
            u->has_share |= b->q == Q_ERROR_SHARE;
            break;
        case Q_LATENCY_SUM: /* seconds a second; divided by the calls below */
            u->lat[i] += v;
            u->lat_calls[i] = NAN;
            u->has_lat = true;
            break;
        default:
            break;
        }
    }
}

static int emit(struct ac_rca_case *c, const struct ac_rca_signals *s, const struct binned *g,
                enum ac_rca_kind kind, const char *name, const double *v, struct ac_err *err)
{
    int comp = ac_rca_component(c, g->component);
    int peer = comp >= 0 && g->peer[0] ? ac_rca_component(c, g->peer) : -1;
    if (comp < 0 || (g->peer[0] && peer < 0))
        return ac_err_set(err, AC_ERANGE, "more than %d components", AC_RCA_MAX_COMPONENTS);
    if (comp == peer)
        return 0;
    int at = ac_rca_metric_add(c, comp, peer, kind, AC_RCA_MEAN, name);
    if (at < 0)
        return ac_err_set(err, at, "more than %d measurements", AC_RCA_MAX_METRICS);
    struct ac_rca_metric *m = &c->metrics[at];
    struct ac_rca_name said = ac_rca_name_parse(name);
    if (g->q == Q_PLAIN)
        ac_rca_metric_means(m, g->unit, said.kind == kind ? said.bad : ac_rca_kind_bad(kind));
    for (size_t i = 0; i < s->bins; i++)
        ac_rca_metric_push(m, s->from_ns + (int64_t)i * s->bin_ns, ac_rca_held(m, v[i]));
    return peer >= 0 ? ac_rca_edge_add(c, comp, peer, "") : 0;
}

/* Calls, error share and mean latency of a group; bins without calls say nothing on the latter. */
static int emit_group(struct ac_rca_case *c, const struct ac_rca_signals *s, const struct binned *g,
                      struct sums *u, struct ac_err *err)
{
    bool edge = g->peer[0] != '\0';
    int rc = 0;
    for (size_t i = 0; i < s->bins; i++) {
        double calls = u->has_calls ? u->calls[i] : 1.0;
        double lat_calls = isnan(u->lat_calls[i]) ? calls : u->lat_calls[i];
        u->lat[i] = lat_calls > 0.0 ? u->lat[i] / lat_calls : NAN;
        if (u->has_share)
            u->errors[i] = u->share_calls[i] > 0.0 ? u->share[i] / u->share_calls[i] : NAN;
        else if (u->has_calls)
            u->errors[i] = calls > 0.0 ? fmin(100.0, 100.0 * u->errors[i] / calls) : NAN;
    }
    if (u->has_calls)
        rc = emit(c, s, g, edge ? AC_RCA_CLOAD : AC_RCA_LOAD, edge ? "client.rate" : "rate",
                  u->calls, err);
    if (!rc && (u->has_errors || u->has_share))
        rc = emit(c, s, g, edge ? AC_RCA_CERR : AC_RCA_ERR,
                  edge ? "client.error_percent" : "error_percent", u->errors, err);
    if (!rc && u->has_lat)
        rc = emit(c, s, g, edge ? AC_RCA_CLAT : AC_RCA_LAT, edge ? "client.latency_s" : "latency_s",
                  u->lat, err);
    return rc;
}

int ac_rca_signals_build(struct ac_rca_signals *s, struct ac_rca_case *c, struct ac_err *err)
{
    bool *done = ac_xcalloc(s->n + 1, sizeof(*done));
    int rc = 0;
    for (size_t i = 0; !rc && i < s->n; i++) {
        const struct binned *g = &s->s[i];
        if (g->q == Q_PLAIN) {
            rc = emit(c, s, g, g->kind, g->name, g->v, err);
            continue;
        }
        if (done[i])
            continue;
        struct sums u;
        sums_init(&u, s->bins);
        for (size_t j = i; j < s->n; j++) {
            if (s->s[j].q != Q_PLAIN && same_group(&s->s[j], g)) {
                add_series(s, &s->s[j], &u);
                done[j] = true;
            }
        }
        rc = emit_group(c, s, g, &u, err);
        sums_fini(&u);
    }
    free(done);
    return rc;
}

/* Metrics: gauges and sums as they are; a histogram as its count and sum, and of what was counted
 * since the export before as mean, p50, p90 and p99; a summary as its count, sum and quantiles. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>
#include <aceso/v1/telemetry.pb-c.h>

#include "adapters/convert.h"

typedef Opentelemetry__Proto__Metrics__V1__Metric otlp_metric;
typedef Opentelemetry__Proto__Metrics__V1__NumberDataPoint otlp_number;
typedef Opentelemetry__Proto__Metrics__V1__HistogramDataPoint otlp_histogram_point;
typedef Opentelemetry__Proto__Metrics__V1__SummaryDataPoint otlp_summary_point;

#define NO_VALUE 1u /* flag of a point */

#define DELTA                                                                                      \
    OPENTELEMETRY__PROTO__METRICS__V1__AGGREGATION_TEMPORALITY__AGGREGATION_TEMPORALITY_DELTA
#define CUMULATIVE                                                                                 \
    OPENTELEMETRY__PROTO__METRICS__V1__AGGREGATION_TEMPORALITY__AGGREGATION_TEMPORALITY_CUMULATIVE

/* One metric of one source while its points are converted. */
struct walk {
    struct collector *c;
    struct col_out *o;
    struct col_source source;
    const otlp_metric *metric;
    struct col_label labels[COL_MAX_LABELS];
    size_t n_labels;
    int64_t t_ns;
};

/* Says which metric it is about. */
static void reject(struct walk *w, size_t n, struct ac_err *err)
{
    (void)ac_err_wrap(err, "metric %.60s of %.60s", w->metric->name, w->source.component);
    col_out_reject(w->o, n, err);
}

static int put(struct walk *w, const char *suffix, enum col_kind kind, const char *unit, double v,
               struct ac_err *err)
{
    char name[COL_MAX_NAME + 16];
    Aceso__V1__SeriesPoints p = ACESO__V1__SERIES_POINTS__INIT;
    Aceso__V1__SeriesKey key = ACESO__V1__SERIES_KEY__INIT;
    Aceso__V1__Label labels[COL_MAX_LABELS], *list[COL_MAX_LABELS];
    if (!ac_str_copy(name, sizeof(name), w->metric->name))
        return ac_err_set(err, AC_EINVAL, "its name is longer than %d bytes", COL_MAX_NAME);
    size_t n = strlen(name);
    (void)ac_str_copy(name + n, sizeof(name) - n, suffix);
    const struct col_key k = {.ns = w->source.ns,
                              .component = w->source.component,
                              .metric = name,
                              .labels = w->labels,
                              .n_labels = w->n_labels};
    int rc = col_key_check(&k, err);
    if (rc)
        return rc;
    if (!col_series_get(&w->c->series, &k, kind, unit, 0))
        return ac_err_set(err, AC_EAGAIN, "%zu series are the most that are kept",
                          w->c->series.max_series);
    for (size_t i = 0; i < w->n_labels; i++) {
        aceso__v1__label__init(&labels[i]);
        labels[i].key = (char *)(uintptr_t)w->labels[i].key;
        labels[i].value = (char *)(uintptr_t)w->labels[i].value;
        list[i] = &labels[i];
    }
    key.namespace_ = (char *)(uintptr_t)k.ns;
    key.component = (char *)(uintptr_t)k.component;
    key.metric = name;
    key.labels = list;
    key.n_labels = w->n_labels;
    p.key = &key;
    p.kind = (char *)(uintptr_t)col_kind_name(kind);
    p.unit = (char *)(uintptr_t)unit;
    p.time_ns = &w->t_ns;
    p.value = &v;
    p.n_time_ns = p.n_value = 1;
    col_out_put(w->o, k.ns, &p.base);
    return 0;
}

/* Time and labels of a point. */
static int point(struct walk *w, uint64_t time_ns, otlp_kv *const *attributes, size_t n,
                 struct ac_err *err)
{
    struct col_label raw[COL_MAX_LABELS];
    int rc = col_out_time(w->o, time_ns, &w->t_ns, err);
    if (rc)
        return rc;
    if (n >= COL_MAX_LABELS)
        return ac_err_set(err, AC_EINVAL, "%zu attributes; a point may have %d", n,
                          COL_MAX_LABELS - 1);
    size_t m = col_attributes(w->o, attributes, n, raw, AC_ARRAY_LEN(raw));
    if (m < n)
        return ac_err_set(err, AC_EAGAIN, "the export is too large");
    return col_labels(raw, m, &w->source, w->labels, &w->n_labels, err);
}

static void done(struct walk *w, int rc, struct ac_err *err)
{
    if (rc)
        reject(w, 1, err);
    else
        w->o->accepted++;
}

static void convert_numbers(struct walk *w, otlp_number *const *points, size_t n,
                            enum col_kind kind)
{
    for (size_t i = 0; i < n; i++) {
        const otlp_number *p = points[i];
        struct ac_err err = AC_ERR_INIT;
        if (p->flags & NO_VALUE)
            continue; /* the series has ended: there is nothing to keep */
        int rc = point(w, p->time_unix_nano, p->attributes, p->n_attributes, &err);
        if (!rc && p->value_case == 0)
            rc = ac_err_set(&err, AC_EINVAL, "a point without a value");
        double v =
            p->value_case == OPENTELEMETRY__PROTO__METRICS__V1__NUMBER_DATA_POINT__VALUE_AS_INT
                ? (double)p->as_int
                : p->as_double;
        if (!rc)
            rc = put(w, "", kind, w->metric->unit, v, &err);
        done(w, rc, &err);
    }
}

static void convert_sum(struct walk *w)
{
    const Opentelemetry__Proto__Metrics__V1__Sum *s = w->metric->sum;
    struct ac_err err = AC_ERR_INIT;
    if (s->aggregation_temporality != DELTA && s->aggregation_temporality != CUMULATIVE) {
        (void)ac_err_set(&err, AC_EINVAL, "a sum that is neither delta nor cumulative");
        reject(w, s->n_data_points, &err);
        return;
    }
    convert_numbers(w, s->data_points, s->n_data_points,
                    s->aggregation_temporality == DELTA ? COL_DELTA
                    : s->is_monotonic                   ? COL_COUNTER
                                                        : COL_GAUGE);
}

static int put_interval(struct walk *w, const struct col_hist *h, struct ac_err *err)
{
    static const struct {
        const char *suffix;
        double q;
    } quantiles[] = {{".p50", .5}, {".p90", .9}, {".p99", .99}};
    int rc = 0;
    if (h->count == 0)
        return 0;
    if (!isnan(h->sum))
        rc = put(w, ".mean", COL_GAUGE, w->metric->unit, h->sum / (double)h->count, err);
    for (size_t i = 0; !rc && i < AC_ARRAY_LEN(quantiles); i++) {
        double v = col_hist_quantile(h, quantiles[i].q);
        if (!isnan(v))
            rc = put(w, quantiles[i].suffix, COL_GAUGE, w->metric->unit, v, err);
    }
    return rc;
}

static int convert_histogram_point(struct walk *w, const otlp_histogram_point *p, bool delta,
                                   struct ac_err *err)
{
    enum col_kind kind = delta ? COL_DELTA : COL_COUNTER;
    struct col_hist interval;
    const struct col_hist h = {
        .counts = p->n_bucket_counts ? p->bucket_counts : NULL,
        .bounds = p->explicit_bounds,
        .n_bounds = p->n_explicit_bounds,
        .count = p->count,
        .sum = p->has_sum_case ? p->sum : NAN,
        .min = p->has_min_case ? p->min : NAN,
        .max = p->has_max_case ? p->max : NAN,
        .start_ns = p->start_time_unix_nano <= p->time_unix_nano ? (int64_t)p->start_time_unix_nano
                                                                 : 0, /* makes no sense */
        .time_ns = (int64_t)p->time_unix_nano,
    };
    int rc = point(w, p->time_unix_nano, p->attributes, p->n_attributes, err);
    if (rc)
        return rc;
    if (!col_hist_valid(&h, p->n_bucket_counts))
        return ac_err_set(err, AC_EINVAL,
                          "a histogram whose buckets do not fit its bounds or count"
                          " (at most %d bounds)",
                          COL_MAX_BOUNDS);
    rc = put(w, ".count", kind, "1", (double)h.count, err);
    if (!rc && !isnan(h.sum))
        rc = put(w, ".sum", kind, w->metric->unit, h.sum, err);
    if (rc)
        return rc;
    if (delta)
        return put_interval(w, &h, err);
    const struct col_key k = {w->source.ns, w->source.component, w->metric->name, w->labels,
                              w->n_labels};
    col_key_text(&k, &w->o->text);
    if (!col_hists_interval(w->c->hists, ac_buf_str(&w->o->text), &h, &interval))
        return 0;
    return put_interval(w, &interval, err);
}

static void convert_histogram(struct walk *w)
{
    const Opentelemetry__Proto__Metrics__V1__Histogram *g = w->metric->histogram;
    bool delta = g->aggregation_temporality == DELTA;
    struct ac_err err = AC_ERR_INIT;
    if (!delta && g->aggregation_temporality != CUMULATIVE) {
        (void)ac_err_set(&err, AC_EINVAL, "a histogram that is neither delta nor cumulative");
        reject(w, g->n_data_points, &err);
        return;
    }
    for (size_t i = 0; i < g->n_data_points; i++) {
        err.code = 0;
        if (!(g->data_points[i]->flags & NO_VALUE))
            done(w, convert_histogram_point(w, g->data_points[i], delta, &err), &err);
    }
}

static int convert_summary_point(struct walk *w, const otlp_summary_point *p, struct ac_err *err)
{
    int rc = point(w, p->time_unix_nano, p->attributes, p->n_attributes, err);
    if (!rc && p->n_quantile_values > COL_MAX_LABELS)
        return ac_err_set(err, AC_EINVAL, "%zu quantiles; %d are the most", p->n_quantile_values,
                          COL_MAX_LABELS);
    if (!rc)
        rc = put(w, ".count", COL_COUNTER, "1", (double)p->count, err);
    if (!rc)
        rc = put(w, ".sum", COL_COUNTER, w->metric->unit, p->sum, err);
    for (size_t i = 0; !rc && i < p->n_quantile_values; i++) {
        char suffix[16];
        double q = p->quantile_values[i]->quantile;
        if (!(q >= 0 && q <= 1))
            return ac_err_set(err, AC_EINVAL, "a quantile that is not within 0 and 1");
        (void)snprintf(suffix, sizeof(suffix), ".p%.6g", 100 * q);
        rc = put(w, suffix, COL_GAUGE, w->metric->unit, p->quantile_values[i]->value, err);
    }
    return rc;
}

static void convert_summary(struct walk *w)
{
    const Opentelemetry__Proto__Metrics__V1__Summary *s = w->metric->summary;
    for (size_t i = 0; i < s->n_data_points; i++) {
        struct ac_err err = AC_ERR_INIT;
        if (!(s->data_points[i]->flags & NO_VALUE))
            done(w, convert_summary_point(w, s->data_points[i], &err), &err);
    }
}

static void convert_metric(struct walk *w)
{
    const otlp_metric *m = w->metric;
    struct ac_err err = AC_ERR_INIT;
    if (strlen(m->unit) > COL_MAX_UNIT ||
        !ac_streq(col_clean(w->o, m->unit, COL_MAX_UNIT), m->unit))
        (void)ac_err_set(&err, AC_EINVAL, "its unit is no UTF-8 text of at most %d bytes",
                         COL_MAX_UNIT);
    switch (m->data_case) {
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_GAUGE:
        if (err.code)
            reject(w, m->gauge->n_data_points, &err);
        else
            convert_numbers(w, m->gauge->data_points, m->gauge->n_data_points, COL_GAUGE);
        break;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_SUM:
        if (err.code)
            reject(w, m->sum->n_data_points, &err);
        else
            convert_sum(w);
        break;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_HISTOGRAM:
        if (err.code)
            reject(w, m->histogram->n_data_points, &err);
        else
            convert_histogram(w);
        break;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_SUMMARY:
        if (err.code)
            reject(w, m->summary->n_data_points, &err);
        else
            convert_summary(w);
        break;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_EXPONENTIAL_HISTOGRAM:
        (void)ac_err_set(&err, AC_ENOTSUP,
                         "exponential histograms are not taken: use explicit buckets");
        reject(w, m->exponential_histogram->n_data_points, &err);
        break;
    default:
        (void)ac_err_set(&err, AC_EINVAL, "without points, or of a kind that is not known");
        reject(w, 0, &err);
    }
}

void col_convert_metrics(struct collector *c, const otlp_metrics *m, struct col_out *o)
{
    struct walk w = {.c = c, .o = o};
    for (size_t i = 0; i < m->n_resource_metrics; i++) {
        const Opentelemetry__Proto__Metrics__V1__ResourceMetrics *r = m->resource_metrics[i];
        col_source(o, r->resource, &w.source);
        for (size_t k = 0; k < r->n_scope_metrics; k++) {
            const Opentelemetry__Proto__Metrics__V1__ScopeMetrics *s = r->scope_metrics[k];
            for (size_t j = 0; j < s->n_metrics; j++) {
                w.metric = s->metrics[j];
                convert_metric(&w);
            }
        }
    }
}

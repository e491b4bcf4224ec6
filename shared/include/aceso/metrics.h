/* Counters, gauges and histograms with labels, and their Prometheus text. Updates from any thread
 * (atomics); creation and rendering take a lock. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>

struct ac_metrics;
struct ac_metric; /* one labelled child */

enum ac_metric_kind {
    AC_METRIC_COUNTER,
    AC_METRIC_GAUGE,
    AC_METRIC_HISTOGRAM
};

struct ac_metrics *ac_metrics_create(void);
void ac_metrics_destroy(struct ac_metrics *m);

/** Finds or makes the child of family name with these labels: "k1", "v1", ..., NULL-ended array
 * (NULL = none). Help and kind come from the first call; bounds (ascending, NaN-ended) only for
 * histograms. The child lives as long as m. At most 10,000 children a family: then the child with
 * label overflow="true" is returned. */
struct ac_metric *ac_metrics_get(struct ac_metrics *m, enum ac_metric_kind kind, const char *name,
                                 const char *help, const char *const *labels, const double *bounds);
void ac_metric_add(struct ac_metric *c, double v);     /* counter (v >= 0) or gauge; NULL is fine */
void ac_metric_set(struct ac_metric *c, double v);     /* gauge */
void ac_metric_observe(struct ac_metric *c, double v); /* histogram */
double ac_metric_value(const struct ac_metric *c);     /* for tests */

/** Called before each rendering, to set gauges from plain fields. */
void ac_metrics_on_collect(struct ac_metrics *m, void (*fn)(void *arg), void *arg);
/** Prometheus text format 0.0.4. */
void ac_metrics_render(struct ac_metrics *m, struct ac_buf *out);

extern const double ac_metric_seconds_buckets[]; /* 0.5 ms .. 10 s, NaN-ended */

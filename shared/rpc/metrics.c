/* Rate, errors and duration of each method. */
#include "rpc_impl.h"

static const char *method_label(const struct ac_rpc_entry *e)
{
    return e->path ? e->path : "unknown"; /* one label for whatever peers make up */
}

static struct ac_metric *handled_child(struct ac_rpc *r, struct ac_rpc_entry *e, int code)
{
    struct ac_metric *m = atomic_load_explicit(&e->handled[code], memory_order_acquire);
    if (m)
        return m;
    const char *labels[] = {"method", method_label(e), "code", ac_rpc_status_name(code), NULL};
    m = ac_metrics_get(r->metrics, AC_METRIC_COUNTER, "aceso_rpc_server_handled_total",
                       "Calls that ended, by method and status.", labels, NULL);
    atomic_store_explicit(&e->handled[code], m, memory_order_release);
    return m;
}

static struct ac_metric *seconds_child(struct ac_rpc *r, struct ac_rpc_entry *e)
{
    struct ac_metric *m = atomic_load_explicit(&e->seconds, memory_order_acquire);
    if (m)
        return m;
    const char *labels[] = {"method", method_label(e), NULL};
    m = ac_metrics_get(r->metrics, AC_METRIC_HISTOGRAM, "aceso_rpc_server_seconds",
                       "Time from a call's arrival to its end.", labels, ac_metric_seconds_buckets);
    atomic_store_explicit(&e->seconds, m, memory_order_release);
    return m;
}

void ac_rpc_entry_handled(struct ac_rpc *r, struct ac_rpc_entry *e, int code, int64_t took_ns)
{
    if (!r->metrics)
        return;
    if (code < 0 || code >= (int)AC_ARRAY_LEN(e->handled))
        code = GRPC_STATUS_UNKNOWN;
    ac_metric_add(handled_child(r, e, code), 1);
    ac_metric_observe(seconds_child(r, e), (double)took_ns / 1e9);
}

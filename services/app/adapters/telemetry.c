#include "telemetry.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define MAX_SPANS     4096
#define MAX_LOGS      64
#define MAX_GROUPS    4
#define MAX_MESSAGE   (4u << 20)
#define EXPORT_NS     (2 * AC_NS_PER_S)
#define MAX_UNDER_WAY 6

struct app_telemetry {
    struct ac_loop *loop;
    struct ac_rpc_channel *channel;
    struct app_resource resource;
    char *strings[4];
    double ratio;
    int64_t interval_ns;
    struct ac_timer *tick;
    struct app_red *groups[MAX_GROUPS];
    size_t n_groups;
    struct app_span *spans;
    size_t n_spans;
    struct app_log_record logs[MAX_LOGS];
    size_t n_logs;
    struct app_budget error_spans, lines;
    size_t under_way;
    bool failing;
    uint64_t lost;
    int64_t started_ns, last_ns, last_cpu_ns;
    struct app_otlp otlp;
    struct ac_metric *exported, *dropped;
};

static void on_exported(const struct ac_rpc_result *res, void *arg)
{
    struct app_telemetry *t = arg;
    t->under_way--;
    if (res->code == AC_ECANCELED)
        return;
    ac_metric_add(res->code ? t->dropped : t->exported, 1);
    if (res->code && !t->failing)
        AC_LOGW("telemetry", "export_failed", AC_KS("err", ac_err_name(res->code)),
                AC_KS("msg", res->message));
    else if (!res->code && t->failing)
        AC_LOGI("telemetry", "export_works_again");
    t->failing = res->code != 0;
}

static void export(struct app_telemetry *t, const char *method, const struct ac_buf *b)
{
    const struct ac_rpc_call_opts o = {.timeout_ns = EXPORT_NS};
    if (b->failed || t->under_way >= MAX_UNDER_WAY) {
        ac_metric_add(t->dropped, 1);
        return;
    }
    t->under_way++;
    (void)ac_rpc_unary_raw(t->channel, method, b->data, b->len, &o, on_exported, t);
}

static void put_sample(const struct app_sample *s, void *arg)
{
    app_otlp_gauge(arg, s);
}

static int64_t cpu_ns(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * AC_NS_PER_S +
           ((int64_t)u.ru_utime.tv_usec + u.ru_stime.tv_usec) * AC_NS_PER_US;
}

static double resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    int n = fscanf(f, "%lu %lu", &size, &resident);
    (void)fclose(f);
    return n == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

static void put_process(struct app_telemetry *t, int64_t now, double seconds)
{
    int64_t cpu = cpu_ns();
    const struct app_sample s[] = {
        {"process.cpu.utilization", "1", NULL, NULL,
         (double)(cpu - t->last_cpu_ns) / 1e9 / seconds},
        {"process.memory.usage", "By", NULL, NULL, resident_bytes()},
        {"process.uptime", "s", NULL, NULL, (double)(now - t->started_ns) / 1e9},
    };
    t->last_cpu_ns = cpu;
    for (size_t i = 0; t->channel && i < AC_ARRAY_LEN(s); i++)
        app_otlp_gauge(&t->otlp, &s[i]);
}

static void ignore(const struct app_sample *s, void *arg)
{
    (void)s;
    (void)arg;
}

static void export_events(struct app_telemetry *t, struct ac_buf *b)
{
    if (t->n_spans) {
        ac_buf_reset(b);
        app_otlp_spans(b, &t->resource, t->spans, t->n_spans);
        export(t, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", b);
    }
    if (t->n_logs) {
        ac_buf_reset(b);
        app_otlp_logs(b, &t->resource, t->logs, t->n_logs);
        export(t, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", b);
    }
}

static void on_tick(void *arg)
{
    struct app_telemetry *t = arg;
    int64_t now = ac_now_ns();
    double seconds = (double)(now - t->last_ns) / 1e9;
    struct ac_buf b;
    t->last_ns = now;
    ac_buf_init(&b, MAX_MESSAGE);
    if (t->channel)
        app_otlp_metrics_begin(&t->otlp, &b, &t->resource, ac_wall_ns());
    for (size_t i = 0; i < t->n_groups; i++)
        app_red_flush(t->groups[i], seconds, t->channel ? put_sample : ignore, &t->otlp);
    put_process(t, now, seconds);
    if (t->channel) {
        app_otlp_metrics_end(&t->otlp);
        export(t, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", &b);
        export_events(t, &b);
    }
    ac_buf_fini(&b);
    t->n_spans = t->n_logs = 0;
    app_budget_refill(&t->error_spans);
    app_budget_refill(&t->lines);
}

static const char *keep(struct app_telemetry *t, size_t i, const char *s)
{
    t->strings[i] = ac_xstrdup(s ? s : "");
    return t->strings[i];
}

struct app_telemetry *app_telemetry_create(struct ac_svc *svc, const struct app_telemetry_opts *o)
{
    struct app_telemetry *t = ac_xcalloc(1, sizeof(*t));
    const char *const ok[] = {"result", "ok", NULL}, *const lost[] = {"result", "lost", NULL};
    static const char help[] = "OTLP exports";
    t->loop = svc->loop;
    t->resource.service = keep(t, 0, o->service);
    t->resource.ns = keep(t, 1, o->ns);
    t->resource.pod = keep(t, 2, o->pod);
    t->resource.application = keep(t, 3, o->application);
    t->ratio = o->sample_ratio;
    t->interval_ns = o->interval_ns;
    t->error_spans.per_interval = t->error_spans.left = o->error_spans_per_s;
    t->lines.per_interval = t->lines.left = 10;
    t->spans = ac_xcalloc(MAX_SPANS, sizeof(*t->spans));
    t->started_ns = t->last_ns = ac_now_ns();
    t->last_cpu_ns = cpu_ns();
    t->exported =
        ac_metrics_get(svc->metrics, AC_METRIC_COUNTER, "aceso_app_exports_total", help, ok, NULL);
    t->dropped = ac_metrics_get(svc->metrics, AC_METRIC_COUNTER, "aceso_app_exports_total", help,
                                lost, NULL);
    /* "${...}": a manifest whose placeholder nobody has filled in. */
    if (!ac_str_empty(o->endpoint) && !strchr(o->endpoint, '$')) {
        const char *scheme = strstr(o->endpoint, "://");
        char *target = ac_xstrdup(scheme ? scheme + 3 : o->endpoint);
        target[strcspn(target, "/")] = '\0';
        if (target[0])
            t->channel = ac_svc_channel(svc, target);
        free(target);
    }
    t->tick = ac_timer_create(svc->loop, on_tick, t);
    ac_timer_start(t->tick, o->interval_ns, o->interval_ns);
    return t;
}

void app_telemetry_destroy(struct app_telemetry *t)
{
    if (!t)
        return;
    ac_timer_destroy(t->tick);
    if (t->channel)
        ac_rpc_channel_destroy(t->channel);
    for (size_t i = 0; i < t->n_groups; i++)
        app_red_destroy(t->groups[i]);
    for (size_t i = 0; i < AC_ARRAY_LEN(t->strings); i++)
        free(t->strings[i]);
    free(t->spans);
    free(t);
}

void app_telemetry_group(struct app_telemetry *t, struct app_red *red)
{
    AC_ASSERT(t->n_groups < MAX_GROUPS);
    t->groups[t->n_groups++] = red;
}

double app_telemetry_ratio(const struct app_telemetry *t)
{
    return t->ratio;
}

void app_telemetry_spans(struct app_telemetry *t, bool sampled, const struct app_span *spans,
                         size_t n)
{
    for (size_t i = 0; t->channel && i < n; i++) {
        if (!sampled && (!spans[i].error || !app_budget_take(&t->error_spans)))
            continue;
        if (t->n_spans == MAX_SPANS) {
            t->lost++;
            continue;
        }
        t->spans[t->n_spans++] = spans[i];
    }
}

void app_telemetry_log(struct app_telemetry *t, const struct app_log_record *rec)
{
    if (t->n_logs < MAX_LOGS && t->channel)
        t->logs[t->n_logs++] = *rec;
    if (app_budget_take(&t->lines))
        AC_LOG(rec->severity >= 17 ? AC_LOG_ERROR : AC_LOG_WARN, "app", "failed",
               AC_KS("route", rec->route), AC_KS("peer", rec->peer), AC_KS("msg", rec->body));
}

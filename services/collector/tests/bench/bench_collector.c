/* Samples a second from an OTLP sender through aceso-collector into PostgreSQL: exported over gRPC,
 * confirmed by the stream, read from it, stored in chunks. Beside it, in the same run and on the
 * same servers: COPY of a row a sample into a table with an index on series and time, which is what
 * a store without chunks would do, with no sender, stream or protobuf before it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <opentelemetry/proto/collector/metrics/v1/metrics_service.pb-c.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/kit_servers.h>
#include <aceso/pbx.h>
#include <aceso/pg.h>
#include <aceso/rpc.h>
#include <aceso/str.h>

#define SERIES      2000 /* of one export: all of one service */
#define EXPORTS     1000
#define SAMPLES     ((uint64_t)SERIES * EXPORTS)
#define OUTSTANDING 8
#define EXPORT      "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

static void must(int rc, const struct ac_err *err)
{
    if (!rc)
        return;
    (void)fprintf(stderr, "bench_collector: %s\n", err->msg);
    exit(1);
}

static void nap(void)
{
    const struct timespec t = {0, 20000000};
    (void)nanosleep(&t, NULL);
}

/* ---- one export, and its times and values for those that follow ---- */

struct sender {
    struct ac_loop *loop;
    struct ac_rpc_channel *channel;
    struct ac_buf request;
    size_t at[SERIES]; /* where the time of a point is; its value follows after one byte */
    int64_t t0_ns;
    unsigned sent, done;
};

static void set_point(struct sender *s, size_t i, int64_t t_ns, double v)
{
    memcpy(s->request.data + s->at[i], &t_ns, 8);
    memcpy(s->request.data + s->at[i] + 9, &v, 8);
}

/* Points carry a mark for a time, by which they are found in the packed bytes. */
static void make_request(struct sender *s)
{
    static const int64_t mark = 0x5a5a5a5a5a5a5a5a;
    typedef Opentelemetry__Proto__Metrics__V1__NumberDataPoint point_t;
    static Opentelemetry__Proto__Common__V1__AnyValue any[SERIES + 1];
    static Opentelemetry__Proto__Common__V1__KeyValue kv[SERIES + 1], *kvs[SERIES + 1];
    static point_t points[SERIES], *list[SERIES];
    static char routes[SERIES][16];
    Opentelemetry__Proto__Metrics__V1__Gauge g = OPENTELEMETRY__PROTO__METRICS__V1__GAUGE__INIT;
    Opentelemetry__Proto__Metrics__V1__Metric m = OPENTELEMETRY__PROTO__METRICS__V1__METRIC__INIT;
    Opentelemetry__Proto__Metrics__V1__ScopeMetrics sm =
        OPENTELEMETRY__PROTO__METRICS__V1__SCOPE_METRICS__INIT;
    Opentelemetry__Proto__Resource__V1__Resource res =
        OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
    Opentelemetry__Proto__Metrics__V1__ResourceMetrics rm =
        OPENTELEMETRY__PROTO__METRICS__V1__RESOURCE_METRICS__INIT;
    Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest req =
        OPENTELEMETRY__PROTO__COLLECTOR__METRICS__V1__EXPORT_METRICS_SERVICE_REQUEST__INIT;
    for (size_t i = 0; i <= SERIES; i++) {
        opentelemetry__proto__common__v1__any_value__init(&any[i]);
        opentelemetry__proto__common__v1__key_value__init(&kv[i]);
        any[i].value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        any[i].string_value = i < SERIES ? routes[i] : (char[]){"bench"};
        kv[i].key = i < SERIES ? (char[]){"route"} : (char[]){"service.name"};
        kv[i].value = &any[i];
        kvs[i] = &kv[i];
        if (i == SERIES)
            break;
        (void)snprintf(routes[i], sizeof(routes[i]), "/r/%zu", i);
        opentelemetry__proto__metrics__v1__number_data_point__init(&points[i]);
        points[i].time_unix_nano = (uint64_t)mark;
        points[i].value_case =
            OPENTELEMETRY__PROTO__METRICS__V1__NUMBER_DATA_POINT__VALUE_AS_DOUBLE;
        points[i].n_attributes = 1;
        points[i].attributes = &kvs[i];
        list[i] = &points[i];
    }
    g.data_points = list;
    g.n_data_points = SERIES;
    m.name = (char[]){"rpc.server.duration.mean"};
    m.unit = (char[]){"s"};
    m.data_case = OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_GAUGE;
    m.gauge = &g;
    sm.metrics = &(Opentelemetry__Proto__Metrics__V1__Metric *){&m};
    sm.n_metrics = 1;
    res.attributes = &kvs[SERIES];
    res.n_attributes = 1;
    rm.resource = &res;
    rm.scope_metrics = &(Opentelemetry__Proto__Metrics__V1__ScopeMetrics *){&sm};
    rm.n_scope_metrics = 1;
    req.resource_metrics = &(Opentelemetry__Proto__Metrics__V1__ResourceMetrics *){&rm};
    req.n_resource_metrics = 1;
    ac_buf_init(&s->request, 4u << 20);
    struct ac_err err = AC_ERR_INIT;
    must(ac_pb_pack(&req.base, &s->request, &err), &err);
    const char *p = s->request.data, *end = p + s->request.len;
    for (size_t i = 0; i < SERIES; i++) {
        p = memmem(p, (size_t)(end - p), &mark, 8);
        AC_ASSERT(p);
        s->at[i] = (size_t)(p - s->request.data);
        p += 8;
    }
}

/* A latency that wanders, as one does. */
static double value(unsigned round, size_t series)
{
    return .02 + .001 * (double)((round * 7919u + series * 104729u) % 1000u) / 1000.0;
}

static void send_next(struct sender *s);

static void on_done(const struct ac_rpc_result *res, void *arg)
{
    struct sender *s = arg;
    struct ac_err err = AC_ERR_INIT;
    if (res->code)
        must(ac_err_set(&err, res->code, "export: %s", res->message), &err);
    if (++s->done == EXPORTS)
        ac_loop_stop(s->loop);
    else
        send_next(s);
}

static void send_next(struct sender *s)
{
    const struct ac_rpc_call_opts o = {.timeout_ns = 60 * AC_NS_PER_S, .wait_for_ready = true};
    if (s->sent == EXPORTS)
        return;
    for (size_t i = 0; i < SERIES; i++)
        set_point(s, i, s->t0_ns + s->sent * AC_NS_PER_S, value(s->sent, i));
    s->sent++;
    (void)ac_rpc_unary_raw(s->channel, EXPORT, s->request.data, s->request.len, &o, on_done, s);
}

static void begin(void *arg)
{
    for (int i = 0; i < OUTSTANDING; i++)
        send_next(arg);
}

/* ---- the collector ---- */

static char *program(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    int dir = slash ? (int)(slash - argv0) : 1;
    return ac_xasprintf("%.*s/../bin/aceso-collector", dir, slash ? argv0 : ".");
}

static pid_t start(const char *path, const char *pg, const char *nats, const char *chunk, int port)
{
    char *args[] = {ac_xstrdup(path),
                    ac_xasprintf("--pg-url=%s", pg),
                    ac_xasprintf("--nats-url=%s", nats),
                    ac_xasprintf("--flush-samples=%s", chunk),
                    ac_xasprintf("--listen=127.0.0.1:%d", port),
                    ac_xstrdup("--log=warn"),
                    NULL};
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        (void)execv(path, args);
        (void)fprintf(stderr, "bench_collector: cannot start %s: build it with make all\n", path);
        _exit(127);
    }
    for (size_t i = 0; args[i]; i++)
        free(args[i]);
    return pid;
}

/* ---- what is in PostgreSQL ---- */

struct count {
    const char *sql;
    int64_t n;
};

static int count_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct count *k = arg;
    struct ac_pg_result *r = NULL;
    int rc = ac_pg_exec(c, k->sql, NULL, 0, &r, err);
    if (rc)
        return rc;
    k->n = ac_pg_int(r, 0, 0);
    ac_pg_result_free(r);
    return 0;
}

static int64_t ask(struct ac_pg *pg, const char *sql)
{
    struct count k = {.sql = sql};
    struct ac_err err = AC_ERR_INIT;
    must(ac_pg_run(pg, count_job, &k, &err), &err);
    return k.n;
}

static int rows_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    const int64_t t0 = *(const int64_t *)arg;
    struct ac_pg_copy *k;
    int rc = ac_pg_exec(c,
                        "CREATE TABLE rows (series_id bigint NOT NULL, t bigint NOT NULL,"
                        " v double precision NOT NULL)",
                        NULL, 0, NULL, err);
    if (!rc)
        rc = ac_pg_exec(c, "CREATE INDEX rows_by ON rows (series_id, t)", NULL, 0, NULL, err);
    /* as many at a time as the collector stores in one transaction */
    for (unsigned i = 0; !rc && i < EXPORTS; i++) {
        if (i % 250 == 0)
            rc = ac_pg_copy_begin(c, "rows (series_id, t, v)", &k, err);
        for (size_t j = 0; !rc && j < SERIES; j++) {
            ac_pg_copy_row(k, 3);
            ac_pg_copy_i64(k, (int64_t)j);
            ac_pg_copy_i64(k, t0 + i * AC_NS_PER_S);
            ac_pg_copy_f64(k, value(i, j));
        }
        if (!rc && i % 250 == 249)
            rc = ac_pg_copy_end(k, err);
    }
    return rc;
}

static void report(const char *what, int64_t begin_ns, int64_t bytes)
{
    double s = (double)(ac_now_ns() - begin_ns) / 1e9;
    printf("collector %-22s %8.0f samples/s  %5.1f bytes a sample in PostgreSQL\n", what,
           (double)SAMPLES / s, (double)bytes / (double)SAMPLES);
    (void)fflush(stdout);
}

#define STORED "SELECT coalesce(sum(n), 0)::bigint FROM telemetry.samples"

static void through(const char *path, struct ac_kit_pg *pg, const char *chunk, const char *what)
{
    struct ac_kit_nats *nats = ac_kit_nats_start(NULL);
    struct sender s = {.t0_ns = ac_wall_ns() - 2 * EXPORTS * AC_NS_PER_S};
    struct ac_pg *db = NULL;
    struct ac_err err = AC_ERR_INIT;
    char target[64];
    int port = ac_kit_free_port();
    pid_t pid = start(path, ac_kit_pg_url(pg), ac_kit_nats_url(nats), chunk, port);
    s.loop = ac_loop_create();
    struct ac_rpc *rpc = ac_rpc_create(s.loop, NULL);
    const struct ac_pg_opts o = {.url = ac_kit_pg_url(pg), .schema = "bench"};
    must(ac_pg_open(s.loop, NULL, &o, NULL, 0, &db, &err), &err);
    make_request(&s);
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    s.channel = ac_rpc_channel_create(rpc, target, NULL);
    int64_t begin_ns = ac_now_ns();
    ac_loop_post(s.loop, begin, &s);
    ac_loop_run(s.loop);
    printf("collector %-22s %8.0f samples/s confirmed\n", what,
           (double)SAMPLES / ((double)(ac_now_ns() - begin_ns) / 1e9));
    while ((uint64_t)ask(db, STORED) < SAMPLES)
        nap();
    report(what, begin_ns, ask(db, "SELECT pg_total_relation_size('telemetry.samples')::bigint"));
    (void)kill(pid, SIGTERM);
    int status = 0;
    (void)waitpid(pid, &status, 0);
    (void)ask(db, "WITH x AS (DELETE FROM telemetry.samples), y AS (DELETE FROM telemetry.series),"
                  " z AS (DELETE FROM telemetry.position) SELECT 0::bigint");
    ac_rpc_channel_destroy(s.channel);
    ac_pg_close(db);
    ac_rpc_destroy(rpc);
    ac_loop_destroy(s.loop);
    ac_buf_fini(&s.request);
    ac_kit_nats_stop(nats);
}

static void rows(struct ac_kit_pg *pg)
{
    struct ac_loop *l = ac_loop_create();
    struct ac_pg *db = NULL;
    struct ac_err err = AC_ERR_INIT;
    const struct ac_pg_opts o = {
        .url = ac_kit_pg_url(pg), .schema = "bench", .statement_timeout_ns = 300 * AC_NS_PER_S};
    int64_t t0 = ac_wall_ns();
    must(ac_pg_open(l, NULL, &o, NULL, 0, &db, &err), &err);
    int64_t begin_ns = ac_now_ns();
    must(ac_pg_run(db, rows_job, &t0, &err), &err);
    report("a row a sample, COPY", begin_ns,
           ask(db, "SELECT pg_total_relation_size('bench.rows')::bigint"));
    ac_pg_close(db);
    ac_loop_destroy(l);
}

int main(int argc, char **argv)
{
    (void)argc;
    ac_cleanup(ac_free_p) char *path = program(argv[0]);
    struct ac_kit_pg *pg = ac_kit_pg_start();
    through(path, pg, "500000", "chunks of 250");
    through(path, pg, "30000", "chunks of 15");
    rows(pg);
    ac_kit_pg_stop(pg);
    return 0;
}

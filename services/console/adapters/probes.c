/* Asks each service for its health (gRPC, or HTTP where it has no gRPC), and now and then for what
 * it says of its process. One question to a service at a time. */
#include "console_service.h"
#include "scrape.h"

#include <stdio.h>
#include <string.h>

#include <grpc/health/v1/health.pb-c.h>
#include <libpq-fe.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#define CHECK_TIMEOUT_NS (1500 * AC_NS_PER_MS)
#define SCRAPE_MAX_BYTES (4u << 20)
#define SCRAPE_ROUNDS    5u /* of the probes; and after each change of state */

struct check {
    struct console_service *s;
    unsigned row;
    int64_t begun_ns;
    char conninfo[512]; /* PostgreSQL only */
    PGPing ping;
};

static void scrape(struct console_service *s, unsigned row);

static struct check *check_begin(struct console_service *s, unsigned row)
{
    struct check *c = ac_xcalloc(1, sizeof(*c));
    c->s = s;
    c->row = row;
    c->begun_ns = ac_now_ns();
    s->asked[row] = true;
    return c;
}

static void check_end(struct check *c, enum console_state state, bool measured, const char *detail)
{
    struct console_service *s = c->s;
    const struct console_probe p = {
        .state = state, .latency_ns = measured ? ac_now_ns() - c->begun_ns : -1, .detail = detail};
    unsigned row = c->row;
    s->asked[row] = false;
    free(c);
    if (!s->probe_timer) /* stopping: what was asked is cancelled, which says nothing */
        return;
    if (console_fleet_probed(&s->fleet, row, &p, ac_wall_ns())) {
        console_live_fleet(s);
        scrape(s, row);
    }
}

/* ---- services ---- */

static void rpc_answered(const struct ac_rpc_result *res, void *arg)
{
    const Grpc__Health__V1__HealthCheckResponse *m = res->reply;
    if (res->code == AC_OK &&
        m->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING)
        check_end(arg, CONSOLE_HEALTHY, true, NULL);
    else if (res->code == AC_OK)
        check_end(arg, CONSOLE_NOT_READY, true, "it is starting or stopping");
    else if (res->code == AC_ETIMEOUT)
        check_end(arg, CONSOLE_DOWN, false, "no answer within 1.5 s");
    else if (res->code == AC_ENET)
        check_end(arg, CONSOLE_DOWN, false, "nobody answers at its address");
    else
        check_end(arg, CONSOLE_DOWN, false, res->message);
}

static void check_rpc(struct console_service *s, unsigned row)
{
    Grpc__Health__V1__HealthCheckRequest m = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    const struct ac_rpc_call_opts o = {.timeout_ns = CHECK_TIMEOUT_NS};
    (void)ac_rpc_unary(s->channel[row], "/grpc.health.v1.Health/Check", &m,
                       &grpc__health__v1__health_check_response__descriptor, &o, rpc_answered,
                       check_begin(s, row));
}

static void http_answered(int code, const struct ac_err *err, const struct ac_http_response *res,
                          void *arg)
{
    (void)err;
    if (code == AC_OK && res->status == 200)
        check_end(arg, CONSOLE_HEALTHY, true, NULL);
    else if (code == AC_OK)
        check_end(arg, CONSOLE_NOT_READY, true, "it is starting or stopping");
    else
        check_end(arg, CONSOLE_DOWN, false,
                  code == AC_ETIMEOUT ? "no answer within 1.5 s" : "nobody answers at its address");
}

static int get(struct console_service *s, unsigned row, const char *path,
               void (*done)(int, const struct ac_err *, const struct ac_http_response *, void *),
               void *arg)
{
    char url[320];
    struct ac_http_call call = {.method = "GET",
                                .url = url,
                                .timeout_ns = CHECK_TIMEOUT_NS,
                                .max_response_bytes = SCRAPE_MAX_BYTES};
    struct ac_rpc_tls tls;
    /* Where this service speaks HTTPS the others do too. */
    bool secure = s->svc->conf.http_tls && ac_svc_tls(s->svc, &tls);
    if (secure) {
        call.ca = tls.ca;
        call.client_cert = tls.cert;
        call.client_key = tls.key;
    }
    (void)snprintf(url, sizeof(url), "http%s://%s%s", secure ? "s" : "", s->conf->at[row].http,
                   path);
    return ac_http_client_call(s->client, &call, done, arg);
}

static void check_http(struct console_service *s, unsigned row)
{
    struct check *c = check_begin(s, row);
    if (get(s, row, "/healthz", http_answered, c) < 0)
        check_end(c, CONSOLE_DOWN, false, "its HTTP address is wrong");
}

static void scraped(int code, const struct ac_err *err, const struct ac_http_response *res,
                    void *arg)
{
    struct check *c = arg;
    struct console_scrape got;
    (void)err;
    if (code == AC_OK && res->status == 200 && c->s->probe_timer) {
        console_scrape_parse(res->body, res->len, &got);
        if (console_fleet_process(&c->s->fleet, c->row, got.started_ns, got.version))
            console_live_fleet(c->s);
    }
    free(c);
}

static void scrape(struct console_service *s, unsigned row)
{
    if (row >= CONSOLE_NSERVICES || ac_str_empty(s->conf->at[row].http) ||
        s->fleet.row[row].state != CONSOLE_HEALTHY)
        return;
    struct check *c = ac_xcalloc(1, sizeof(*c));
    c->s = s;
    c->row = row;
    if (get(s, row, "/metrics", scraped, c) < 0)
        free(c); /* too many at once: the next round */
}

/* ---- what they stand on ---- */

static void ping_work(void *arg)
{
    struct check *c = arg;
    c->ping = PQping(c->conninfo);
}

static void ping_done(void *arg)
{
    struct check *c = arg;
    switch (c->ping) {
    case PQPING_OK:
        check_end(c, CONSOLE_HEALTHY, true, NULL);
        break;
    case PQPING_REJECT:
        check_end(c, CONSOLE_NOT_READY, true, "it is starting, stopping or full");
        break;
    default:
        check_end(c, CONSOLE_DOWN, false, "nobody answers at its address");
        break;
    }
}

static void check_postgres(struct console_service *s)
{
    struct check *c = check_begin(s, CONSOLE_ROW_POSTGRES);
    (void)ac_str_copy(c->conninfo, sizeof(c->conninfo), s->svc->conf.pg_url);
    if (ac_worker_submit(s->pg, ping_work, ping_done, c) < 0) {
        s->asked[CONSOLE_ROW_POSTGRES] = false; /* the last one still waits for its time-out */
        free(c);
    }
}

static void check_nats(struct console_service *s)
{
    bool up = ac_bus_connected(s->svc->bus);
    check_end(check_begin(s, CONSOLE_ROW_NATS), up ? CONSOLE_HEALTHY : CONSOLE_DOWN, false,
              "the connection is lost; it is tried again");
}

/* ---- rounds ---- */

static void next_round(void *arg)
{
    struct console_service *s = arg;
    bool look = s->round++ % SCRAPE_ROUNDS == 0;
    for (unsigned i = 0; i < CONSOLE_NSERVICES; i++) {
        if (!s->fleet.row[i].configured)
            continue;
        if (look)
            scrape(s, i);
        if (s->asked[i])
            continue;
        if (s->channel[i])
            check_rpc(s, i);
        else
            check_http(s, i);
    }
    check_nats(s);
    if (s->pg && !s->asked[CONSOLE_ROW_POSTGRES])
        check_postgres(s);
    const struct console_probe self = {.state = CONSOLE_HEALTHY, .latency_ns = -1};
    (void)console_fleet_probed(&s->fleet, CONSOLE_ROW_SELF, &self, ac_wall_ns());
}

/* The server of a connection string, without its password. */
static void postgres_address(const char *conninfo, char *dst, size_t size)
{
    PQconninfoOption *o = PQconninfoParse(conninfo, NULL);
    const char *host = "localhost", *port = NULL;
    for (PQconninfoOption *i = o; i && i->keyword; i++) {
        if (ac_streq(i->keyword, "host") && !ac_str_empty(i->val))
            host = i->val;
        if (ac_streq(i->keyword, "port") && !ac_str_empty(i->val))
            port = i->val;
    }
    (void)snprintf(dst, size, "%s%s%s", host, port ? ":" : "", port ? port : "");
    PQconninfoFree(o);
}

void console_probes_start(struct console_service *s)
{
    char address[128];
    for (unsigned i = 0; i < CONSOLE_NSERVICES; i++) {
        const char *grpc = s->conf->at[i].grpc, *http = s->conf->at[i].http;
        console_fleet_configure(&s->fleet, i, ac_str_empty(grpc) ? http : grpc);
        if (!ac_str_empty(grpc))
            s->channel[i] = ac_svc_channel(s->svc, grpc);
    }
    console_address_show(s->svc->conf.nats_url, address, sizeof(address));
    console_fleet_configure(&s->fleet, CONSOLE_ROW_NATS, address);
    if (!ac_str_empty(s->svc->conf.pg_url)) {
        postgres_address(s->svc->conf.pg_url, address, sizeof(address));
        console_fleet_configure(&s->fleet, CONSOLE_ROW_POSTGRES, address);
        s->pg = ac_worker_create(s->svc->loop, "ping", 1, 1);
    }
    console_fleet_configure(&s->fleet, CONSOLE_ROW_SELF, s->svc->conf.http_listen);
    (void)console_fleet_process(&s->fleet, CONSOLE_ROW_SELF, ac_wall_ns(), ACESO_VERSION);
    s->client = ac_http_client_create(s->svc->loop, 1);
    s->probe_timer = ac_timer_create(s->svc->loop, next_round, s);
    ac_timer_start(s->probe_timer, 0, s->conf->probe_ns);
}

void console_probes_stop(struct console_service *s)
{
    ac_timer_destroy(s->probe_timer);
    s->probe_timer = NULL;
    if (s->client)
        ac_http_client_destroy(s->client);
    s->client = NULL;
    if (s->pg)
        ac_worker_destroy(s->pg);
    s->pg = NULL;
}

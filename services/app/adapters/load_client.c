#include "load_client.h"

#include "httpc.h"
#include "tcp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/list.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define MAX_CONNS    2048 /* more requests under way than this: the next ones fail at once */
#define IDLE_NS      (20 * AC_NS_PER_S)
#define REPORT_NS    AC_NS_PER_S
#define SWEEP_NS     (50 * AC_NS_PER_MS)
#define CATCH_UP_MAX 100000

struct conn {
    struct ac_list node; /* in idle or busy */
    struct app_load_client *c;
    struct app_tcp *tcp;
    struct app_httpc parser;
    bool used; /* has answered at least once: a loss now may be the server's idle timeout */
    bool busy;
    int64_t idle_since_ns;
    /* the request under way */
    size_t class_index;
    int64_t due_ns, sent_ns;
    struct app_trace trace;
    unsigned char span_id[8];
    char *head;
};

struct app_load_client {
    struct ac_svc *svc;
    struct app_load_opts o;
    struct app_telemetry *t;
    struct app_red *red; /* owned by t */
    struct app_loadgen *gen;
    struct ac_arena *arena;
    struct app_load_request next;
    struct ac_timer *timer, *sweep, *report, *grace;
    struct ac_list idle, busy;
    size_t n_conns, n_busy;
    int64_t start_ns, last_report_ns, wall_offset_ns;
    struct app_load_counts *second, *total;
    struct ac_rng rng;
    bool sending, ended;
    ac_loop_fn over;
    void *over_arg;
    char last_error[160];
};

static void put_report(struct app_load_client *c, const struct app_load_counts *counts, bool final)
{
    struct ac_buf b;
    ac_buf_init(&b, 1u << 20);
    app_load_report(c->o.spec, counts, (double)(ac_now_ns() - c->start_ns) / 1e9, final, c->n_busy,
                    &b);
    (void)printf("%s\n", ac_buf_str(&b));
    (void)fflush(stdout);
    ac_buf_fini(&b);
}

static void on_report(void *arg)
{
    struct app_load_client *c = arg;
    if (!c->o.quiet)
        put_report(c, c->second, false);
    memset(c->second, 0, c->o.spec->n_classes * sizeof(*c->second));
}

static void check_over(struct app_load_client *c)
{
    if (c->sending || c->n_busy || c->ended)
        return;
    c->ended = true;
    ac_timer_stop(c->timer);
    ac_timer_stop(c->report);
    put_report(c, c->total, true);
    ac_loop_post(c->svc->loop, c->over, c->over_arg);
}

/* ---- the end of a request ---- */

static void record(struct app_load_client *c, size_t class_index, int64_t due_ns, bool ok)
{
    int64_t latency = ac_now_ns() - due_ns;
    struct app_load_counts *both[] = {&c->second[class_index], &c->total[class_index]};
    for (size_t i = 0; i < AC_ARRAY_LEN(both); i++) {
        both[i]->ok += ok ? 1 : 0;
        both[i]->error += ok ? 0 : 1;
        both[i]->late += ok && latency > c->o.late_ns ? 1 : 0;
        app_hist_add(&both[i]->hist, latency);
    }
    app_red_add(c->red, c->o.spec->classes[class_index].name, latency, !ok);
}

static void span(struct conn *k, bool ok, const char *why)
{
    struct app_load_client *c = k->c;
    struct app_span s = {.kind = APP_SPAN_CLIENT, .error = !ok};
    memcpy(s.trace_id, k->trace.trace_id, sizeof(s.trace_id));
    memcpy(s.span_id, k->span_id, sizeof(s.span_id));
    (void)ac_str_copy(s.name, sizeof(s.name), c->o.spec->classes[k->class_index].name);
    (void)ac_str_copy(s.peer, sizeof(s.peer), c->o.spec->service->name);
    (void)ac_str_copy(s.system, sizeof(s.system), "http");
    s.start_ns = k->sent_ns + c->wall_offset_ns;
    s.end_ns = ac_now_ns() + c->wall_offset_ns;
    if (!ok)
        (void)ac_str_copy(s.message, sizeof(s.message), why);
    app_telemetry_spans(c->t, k->trace.sampled, &s, 1);
}

static void log_error(struct app_load_client *c, const struct conn *k, const char *why)
{
    struct app_log_record rec = {.time_ns = ac_wall_ns(), .severity = 17, .has_trace = true};
    memcpy(rec.trace_id, k->trace.trace_id, sizeof(rec.trace_id));
    memcpy(rec.span_id, k->span_id, sizeof(rec.span_id));
    (void)ac_str_copy(rec.route, sizeof(rec.route), c->o.spec->classes[k->class_index].name);
    (void)ac_str_copy(rec.peer, sizeof(rec.peer), c->o.spec->service->name);
    (void)snprintf(rec.body, sizeof(rec.body), "%s failed: %s", rec.route, why);
    app_telemetry_log(c->t, &rec);
}

static void request_over(struct conn *k, bool ok, const char *why)
{
    struct app_load_client *c = k->c;
    k->busy = false;
    c->n_busy--;
    free(k->head);
    k->head = NULL;
    record(c, k->class_index, k->due_ns, ok);
    span(k, ok, why);
    if (!ok)
        log_error(c, k, why);
}

static void drop_conn(struct conn *k)
{
    app_tcp_close(k->tcp);
    ac_list_remove(&k->node);
    k->c->n_conns--;
    free(k->head);
    free(k);
}

static bool good(const struct conn *k)
{
    const char *expect = k->c->o.spec->classes[k->class_index].expect;
    return k->parser.status / 100 == 2 && (!expect || strstr(k->parser.kept, expect));
}

static void answered(struct conn *k)
{
    struct app_load_client *c = k->c;
    char why[96];
    bool ok = good(k);
    (void)snprintf(why, sizeof(why), "HTTP %d%s", k->parser.status,
                   k->parser.status / 100 == 2 ? ", but not the answer that was expected" : "");
    request_over(k, ok, why);
    if (k->parser.keep_alive) {
        ac_list_remove(&k->node);
        ac_list_push_front(&c->idle, &k->node);
        k->idle_since_ns = ac_now_ns();
        k->used = true;
    } else {
        drop_conn(k);
    }
    check_over(c);
}

static void on_connected(void *arg)
{
    (void)arg;
}

static void on_data(void *arg, const char *data, size_t len)
{
    struct conn *k = arg;
    size_t used = 0;
    int rc = k->busy ? app_httpc_feed(&k->parser, data, len, &used) : AC_EPROTO;
    if (!rc && k->parser.state != APP_HTTPC_DONE)
        return;
    if (!rc && used == len) {
        answered(k);
        return;
    }
    struct app_load_client *c = k->c;
    if (k->busy)
        request_over(k, false, "the answer is no HTTP");
    drop_conn(k);
    check_over(c);
}

static void send_on(struct conn *k);
static struct conn *new_conn(struct app_load_client *c);

static void on_closed(void *arg, int code, const char *why)
{
    struct conn *k = arg;
    struct app_load_client *c = k->c;
    (void)code;
    k->tcp = NULL;
    if (k->busy && app_httpc_eof(&k->parser) == 0) {
        answered(k);
        return;
    }
    /* An idle connection that the server closed just when we wrote: ask again on a new one. */
    if (k->busy && k->used && k->parser.head_bytes == 0 && c->n_conns < MAX_CONNS) {
        struct conn *fresh = new_conn(c);
        fresh->busy = true;
        fresh->class_index = k->class_index;
        fresh->due_ns = k->due_ns;
        fresh->sent_ns = k->sent_ns;
        fresh->trace = k->trace;
        memcpy(fresh->span_id, k->span_id, sizeof(k->span_id));
        fresh->head = k->head;
        k->head = NULL;
        drop_conn(k);
        send_on(fresh);
        return;
    }
    if (k->busy)
        request_over(k, false, why);
    drop_conn(k);
    check_over(c);
}

static const struct app_tcp_fns tcp_fns = {on_connected, on_data, on_closed};

/* ---- sending ---- */

static struct conn *new_conn(struct app_load_client *c)
{
    struct conn *k = ac_xcalloc(1, sizeof(*k));
    k->c = c;
    ac_list_init(&k->node);
    k->tcp = app_tcp_connect(c->svc->loop, c->o.host, c->o.port, &tcp_fns, k);
    c->n_conns++;
    return k;
}

static void send_on(struct conn *k)
{
    app_httpc_init(&k->parser);
    ac_list_remove(&k->node);
    ac_list_push_back(&k->c->busy, &k->node);
    app_tcp_write(k->tcp, k->head, strlen(k->head));
}

static void send_request(struct app_load_client *c, const struct app_load_request *q)
{
    char traceparent[APP_TRACEPARENT_LEN + 1];
    int64_t due = c->start_ns + q->at_ns;
    struct conn *k = NULL;
    c->second[q->class_index].sent++;
    c->total[q->class_index].sent++;
    if (!ac_list_empty(&c->idle))
        k = AC_LIST_ENTRY(ac_list_pop_front(&c->idle), struct conn, node);
    else if (c->n_conns < MAX_CONNS)
        k = new_conn(c);
    if (!k) {
        record(c, q->class_index, due, false);
        return;
    }
    k->busy = true;
    c->n_busy++;
    k->class_index = q->class_index;
    k->due_ns = due;
    k->sent_ns = ac_now_ns();
    app_trace_root(&k->trace, &c->rng, app_telemetry_ratio(c->t));
    app_trace_span_id(&c->rng, k->span_id);
    app_trace_format(&k->trace, k->span_id, traceparent);
    k->head = ac_xasprintf(
        "%s %s HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: aceso-load\r\n"
        "traceparent: %s\r\n%s\r\n",
        c->o.spec->classes[q->class_index].method, q->path, c->o.host, c->o.port, traceparent,
        ac_streq(c->o.spec->classes[q->class_index].method, "POST") ? "Content-Length: 0\r\n" : "");
    send_on(k);
}

/* Makes the request after the one just sent; false when the load is over. */
static bool advance(struct app_load_client *c)
{
    struct ac_err err = AC_ERR_INIT;
    ac_arena_reset(c->arena);
    if (app_loadgen_next(c->gen, c->arena, &c->next, &err)) {
        AC_LOGE("load", "no_request", AC_KERR(&err));
        ac_svc_quit(c->svc, 1);
        return false;
    }
    return !c->o.duration_ns || c->next.at_ns <= c->o.duration_ns;
}

static void on_due(void *arg)
{
    struct app_load_client *c = arg;
    int64_t wait = 0;
    for (int i = 0; c->sending && i < CATCH_UP_MAX; i++) {
        wait = c->start_ns + c->next.at_ns - ac_now_ns();
        if (wait > 0)
            break;
        send_request(c, &c->next);
        c->sending = advance(c);
    }
    if (c->sending)
        ac_timer_start(c->timer, AC_MAX(wait, 1), 0);
    else
        check_over(c);
}

static void on_sweep(void *arg)
{
    struct app_load_client *c = arg;
    int64_t now = ac_now_ns();
    AC_LIST_FOREACH(n, &c->busy)
    {
        struct conn *k = AC_LIST_ENTRY(n, struct conn, node);
        if (now - k->due_ns > c->o.timeout_ns) {
            request_over(k, false, "no answer in time");
            drop_conn(k);
        }
    }
    AC_LIST_FOREACH(n, &c->idle)
    {
        struct conn *k = AC_LIST_ENTRY(n, struct conn, node);
        if (now - k->idle_since_ns > IDLE_NS)
            drop_conn(k);
    }
    check_over(c);
}

struct app_load_client *app_load_start(struct ac_svc *svc, const struct app_load_opts *o,
                                       struct app_telemetry *t, ac_loop_fn over, void *arg)
{
    struct app_load_client *c = ac_xcalloc(1, sizeof(*c));
    size_t n = o->spec->n_classes;
    c->svc = svc;
    c->o = *o;
    c->t = t;
    c->over = over;
    c->over_arg = arg;
    c->red = app_red_create("load", "class", true);
    app_telemetry_group(t, c->red);
    for (size_t i = 0; i < n; i++)
        app_red_declare(c->red, o->spec->classes[i].name);
    c->gen = app_loadgen_create(o->spec, o->seed, o->rate, o->shares);
    c->arena = ac_arena_create(1u << 20);
    c->second = ac_xcalloc(n, sizeof(*c->second));
    c->total = ac_xcalloc(n, sizeof(*c->total));
    ac_rng_seed(&c->rng, ac_random_seed());
    ac_list_init(&c->idle);
    ac_list_init(&c->busy);
    c->start_ns = ac_now_ns();
    c->wall_offset_ns = ac_wall_ns() - c->start_ns;
    c->timer = ac_timer_create(svc->loop, on_due, c);
    c->sweep = ac_timer_create(svc->loop, on_sweep, c);
    c->report = ac_timer_create(svc->loop, on_report, c);
    ac_timer_start(c->sweep, SWEEP_NS, SWEEP_NS);
    ac_timer_start(c->report, REPORT_NS, REPORT_NS);
    c->sending = advance(c);
    ac_timer_start(c->timer, 1, 0);
    return c;
}

static void on_grace(void *arg)
{
    struct app_load_client *c = arg;
    AC_LIST_FOREACH(n, &c->busy)
    {
        struct conn *k = AC_LIST_ENTRY(n, struct conn, node);
        k->busy = false; /* neither good nor bad: it was us who went */
        c->n_busy--;
        drop_conn(k);
    }
    check_over(c);
}

void app_load_stop(struct app_load_client *c, int64_t grace_ns)
{
    c->sending = false;
    ac_timer_stop(c->timer);
    c->grace = ac_timer_create(c->svc->loop, on_grace, c);
    ac_timer_start(c->grace, AC_MAX(grace_ns, 1), 0);
    check_over(c);
}

void app_load_destroy(struct app_load_client *c)
{
    if (!c)
        return;
    AC_LIST_FOREACH(n, &c->busy)
    drop_conn(AC_LIST_ENTRY(n, struct conn, node));
    AC_LIST_FOREACH(n, &c->idle)
    drop_conn(AC_LIST_ENTRY(n, struct conn, node));
    ac_timer_destroy(c->timer);
    ac_timer_destroy(c->sweep);
    ac_timer_destroy(c->report);
    ac_timer_destroy(c->grace);
    app_loadgen_destroy(c->gen);
    ac_arena_destroy(c->arena);
    free(c->second);
    free(c->total);
    free(c);
}

/* PostgreSQL without threads: libpq's non-blocking calls on the loop. A query waits for a free
 * connection no longer than its time, and one that gets no answer gives up its connection. */
#include "pg_result.h"
#include "stores.h"
#include "tcp.h"

#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>
#include <uv.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/list.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define MAX_QUEUED     1024
#define MAX_STATEMENTS 64
#define SWEEP_NS       (20 * AC_NS_PER_MS)
#define RETRY_NS       (100 * AC_NS_PER_MS)
#define CONNECT_NS     (3 * AC_NS_PER_S)

enum state {
    CONNECTING,
    IDLE,
    PREPARING,
    RUNNING
};

struct conn {
    struct ac_list node;
    struct app_pg *p;
    PGconn *pg;
    uv_poll_t *poll;
    int fd;
    enum state state;
    int64_t since_ns;
    struct job *job;
    PGresult *result; /* the first of the running query */
    const char *prepared[MAX_STATEMENTS];
    size_t n_prepared;
};

struct job {
    struct ac_list node;
    struct app_op *op;
};

struct app_pg {
    struct ac_loop *loop;
    struct app_store_conf c;
    struct ac_list conns, queue;
    size_t n_conns, n_queued;
    int64_t failed_ns;
    char failure[AC_ERR_MSG_MAX];
    struct ac_timer *sweep;
    bool sweeping;
};

static void pump(struct app_pg *p);

static void answer(struct job *j, int code, const struct app_value *v, const char *msg)
{
    struct app_op *op = j->op;
    struct ac_err e = AC_ERR_INIT;
    free(j);
    if (code)
        ac_err_set(&e, code, "%s", msg);
    app_op_done(op, code, v, &e);
}

static void on_poll_closed(uv_handle_t *h)
{
    free(h);
}

static void stop_poll(struct conn *c)
{
    if (!c->poll)
        return;
    uv_poll_stop(c->poll);
    uv_close((uv_handle_t *)c->poll, on_poll_closed);
    c->poll = NULL;
    c->fd = -1;
}

/* Takes the connection away; its job, if any, is the caller's. */
static struct job *discard(struct conn *c)
{
    struct job *j = c->job;
    stop_poll(c);
    PQclear(c->result);
    PQfinish(c->pg);
    ac_list_remove(&c->node);
    c->p->n_conns--;
    free(c);
    return j;
}

static void first_line(char *dst, size_t n, const char *text)
{
    /* libpq's texts have several lines and a long prefix: keep what says why. */
    const char *at = strstr(text, "FATAL:");
    ac_str_copy(dst, n, at ? at + 6 : text);
    dst[strcspn(dst, "\n")] = '\0';
    memmove(dst, dst + strspn(dst, " "), strlen(dst + strspn(dst, " ")) + 1);
}

/* A connection that could not be made, or was lost. */
static void broken(struct conn *c)
{
    struct app_pg *p = c->p;
    bool connecting = c->state == CONNECTING;
    char why[AC_ERR_MSG_MAX];
    first_line(why, sizeof(why), PQerrorMessage(c->pg));
    if (why[0] == '\0')
        (void)ac_str_copy(why, sizeof(why), "connection lost");
    struct job *j = discard(c);
    if (connecting) {
        p->failed_ns = ac_now_ns();
        ac_str_copy(p->failure, sizeof(p->failure), why);
    }
    if (j)
        answer(j, AC_ENET, NULL, why);
    pump(p);
}

static void on_event(uv_poll_t *h, int status, int events);

/* libpq may change its socket while it connects. */
static void watch(struct conn *c, int events)
{
    int fd = PQsocket(c->pg);
    if (fd < 0) {
        stop_poll(c);
        return;
    }
    if (!c->poll || fd != c->fd) {
        stop_poll(c);
        c->poll = ac_xcalloc(1, sizeof(*c->poll));
        c->fd = fd;
        AC_ASSERT(uv_poll_init(ac_loop_uv(c->p->loop), c->poll, fd) == 0);
        c->poll->data = c;
    }
    AC_ASSERT(uv_poll_start(c->poll, events, on_event) == 0);
}

static void flush(struct conn *c)
{
    int left = PQflush(c->pg);
    watch(c, UV_READABLE | (left > 0 ? UV_WRITABLE : 0));
}

/* ---- a query on a connection ---- */

static ssize_t statement_of(const struct conn *c, const char *sql)
{
    for (size_t i = 0; i < c->n_prepared; i++) {
        if (c->prepared[i] == sql) /* the spec's own text: the address says which */
            return (ssize_t)i;
    }
    return -1;
}

static bool send_run(struct conn *c)
{
    const struct app_op *op = c->job->op;
    char name[16];
    ssize_t i = statement_of(c, op->step->sql);
    c->state = RUNNING;
    if (i < 0)
        return PQsendQueryParams(c->pg, op->step->sql, (int)op->n_params, NULL, op->params, NULL,
                                 NULL, 0);
    (void)snprintf(name, sizeof(name), "s%zd", i);
    return PQsendQueryPrepared(c->pg, name, (int)op->n_params, op->params, NULL, NULL, 0);
}

static void begin(struct conn *c, struct job *j)
{
    char name[16];
    bool known = statement_of(c, j->op->step->sql) >= 0 || c->n_prepared == MAX_STATEMENTS;
    c->job = j;
    c->since_ns = ac_now_ns();
    c->state = PREPARING;
    (void)snprintf(name, sizeof(name), "s%zu", c->n_prepared);
    if (known ? send_run(c) : PQsendPrepare(c->pg, name, j->op->step->sql, 0, NULL))
        flush(c);
    else
        broken(c);
}

static void finish_query(struct conn *c)
{
    struct job *j = c->job;
    PGresult *res = c->result;
    struct app_pg *p = c->p;
    struct ac_err err = AC_ERR_INIT;
    const struct app_value *v = NULL;
    c->result = NULL;
    if (c->state == PREPARING && PQresultStatus(res) == PGRES_COMMAND_OK) {
        PQclear(res);
        c->prepared[c->n_prepared++] = j->op->step->sql;
        if (send_run(c))
            flush(c);
        else
            broken(c);
        return;
    }
    int rc = app_pg_result(app_exec_arena(j->op->exec), res, j->op->step->one, &v, &err);
    PQclear(res);
    c->job = NULL;
    c->state = IDLE;
    /* The server says FATAL before it closes: such a connection takes no further query. */
    if (rc == AC_ENET)
        (void)discard(c);
    answer(j, rc, v, err.msg);
    pump(p);
}

static void read_results(struct conn *c)
{
    while (!PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);
        if (!r) {
            if (c->state != IDLE && c->result)
                finish_query(c); /* c may be gone now */
            else if (PQstatus(c->pg) != CONNECTION_OK)
                broken(c);
            return;
        }
        if (c->result)
            PQclear(r);
        else
            c->result = r;
        if (c->state == IDLE) { /* nobody asked: a message before the end */
            PQclear(c->result);
            c->result = NULL;
        }
    }
}

static void on_connecting(struct conn *c)
{
    PostgresPollingStatusType st = PQconnectPoll(c->pg);
    /* libpq may have closed its socket and opened another with the same number. */
    stop_poll(c);
    switch (st) {
    case PGRES_POLLING_READING:
        watch(c, UV_READABLE);
        break;
    case PGRES_POLLING_WRITING:
        watch(c, UV_WRITABLE);
        break;
    case PGRES_POLLING_OK:
        (void)PQsetnonblocking(c->pg, 1);
        c->state = IDLE;
        watch(c, UV_READABLE);
        pump(c->p);
        break;
    default:
        broken(c);
        break;
    }
}

static void on_event(uv_poll_t *h, int status, int events)
{
    struct conn *c = h->data;
    if (c->state == CONNECTING) {
        on_connecting(c);
        return;
    }
    if (status < 0 || ((events & UV_READABLE) && !PQconsumeInput(c->pg))) {
        broken(c);
        return;
    }
    if (events & UV_WRITABLE)
        flush(c);
    read_results(c);
}

static void quiet(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static bool open_conn(struct app_pg *p)
{
    char host[256], port[8];
    int port_number = 0;
    const char *keys[12] = {NULL}, *values[12] = {NULL};
    size_t n = 0;
    int64_t now = ac_now_ns();
    if (p->failed_ns && now - p->failed_ns < RETRY_NS)
        return false;
#define OPTION(k, v)                                                                               \
    do {                                                                                           \
        keys[n] = (k);                                                                             \
        values[n++] = (v);                                                                         \
    } while (0)
    app_resolve(p->c.host, p->c.port, host, &port_number);
    (void)snprintf(port, sizeof(port), "%d", port_number);
    if (p->c.url) {
        OPTION("dbname", p->c.url);
    } else {
        OPTION("host", host);
        OPTION("port", port);
        OPTION("dbname", p->c.database);
        OPTION("user", p->c.user);
        OPTION("password", p->c.password);
    }
    OPTION("application_name", p->c.client);
#undef OPTION
    struct conn *c = ac_xcalloc(1, sizeof(*c));
    c->p = p;
    c->fd = -1;
    c->state = CONNECTING;
    c->since_ns = now;
    c->pg = PQconnectStartParams(keys, values, 1);
    AC_ASSERT(c->pg != NULL);
    PQsetNoticeProcessor(c->pg, quiet, NULL);
    ac_list_push_back(&p->conns, &c->node);
    p->n_conns++;
    if (PQstatus(c->pg) == CONNECTION_BAD || PQsocket(c->pg) < 0) {
        first_line(p->failure, sizeof(p->failure), PQerrorMessage(c->pg));
        p->failed_ns = now;
        (void)discard(c);
        return false;
    }
    watch(c, UV_WRITABLE);
    return true;
}

/* Gives waiting queries to free connections, and makes new ones when there are too few. */
static void pump(struct app_pg *p)
{
    size_t connecting = 0;
    bool again = true;
    while (again && !ac_list_empty(&p->queue)) {
        again = false;
        connecting = 0;
        AC_LIST_FOREACH(n, &p->conns)
        {
            struct conn *c = AC_LIST_ENTRY(n, struct conn, node);
            connecting += c->state == CONNECTING ? 1 : 0;
            if (c->state == IDLE) {
                struct job *j = AC_LIST_ENTRY(ac_list_pop_front(&p->queue), struct job, node);
                p->n_queued--;
                begin(c, j);
                again = true; /* begin may have changed the list */
                break;
            }
        }
    }
    while (p->n_queued > connecting && p->n_conns < p->c.connections && open_conn(p))
        connecting++;
    /* Nobody is left who could serve them. */
    while (p->n_conns == 0 && !ac_list_empty(&p->queue)) {
        struct job *j = AC_LIST_ENTRY(ac_list_pop_front(&p->queue), struct job, node);
        p->n_queued--;
        answer(j, AC_ENET, NULL, p->failure);
    }
}

static struct job *expired(struct app_pg *p, int64_t now)
{
    AC_LIST_FOREACH(n, &p->queue)
    {
        struct job *j = AC_LIST_ENTRY(n, struct job, node);
        if (now >= j->op->start_ns + j->op->timeout_ns) {
            ac_list_remove(&j->node);
            p->n_queued--;
            return j;
        }
    }
    AC_LIST_FOREACH(n, &p->conns)
    {
        struct conn *c = AC_LIST_ENTRY(n, struct conn, node);
        if (c->job && now >= c->job->op->start_ns + c->job->op->timeout_ns)
            return discard(c);
    }
    return NULL;
}

static void on_sweep(void *arg)
{
    struct app_pg *p = arg;
    int64_t now = ac_now_ns();
    struct job *j;
    bool busy = false;
    while ((j = expired(p, now)))
        answer(j, AC_ETIMEOUT, NULL, "no answer in time");
    AC_LIST_FOREACH(n, &p->conns)
    {
        struct conn *c = AC_LIST_ENTRY(n, struct conn, node);
        if (c->state == CONNECTING && now - c->since_ns > CONNECT_NS) {
            p->failed_ns = now;
            (void)ac_str_copy(p->failure, sizeof(p->failure), "no connection in time");
            (void)discard(c);
            continue;
        }
        busy = busy || c->state != IDLE;
    }
    pump(p);
    if (!busy && ac_list_empty(&p->queue)) {
        ac_timer_stop(p->sweep);
        p->sweeping = false;
    }
}

void app_pg_query(struct app_pg *p, struct app_op *op)
{
    struct job *j = ac_xcalloc(1, sizeof(*j));
    j->op = op;
    if (p->n_queued >= MAX_QUEUED) {
        answer(j, AC_EAGAIN, NULL, "too many queries are waiting");
        return;
    }
    ac_list_push_back(&p->queue, &j->node);
    p->n_queued++;
    if (!p->sweeping) {
        ac_timer_start(p->sweep, SWEEP_NS, SWEEP_NS);
        p->sweeping = true;
    }
    pump(p);
}

struct app_pg *app_pg_create(struct ac_loop *l, const struct app_store_conf *c)
{
    struct app_pg *p = ac_xcalloc(1, sizeof(*p));
    p->loop = l;
    p->c = *c;
    ac_list_init(&p->conns);
    ac_list_init(&p->queue);
    p->sweep = ac_timer_create(l, on_sweep, p);
    return p;
}

void app_pg_destroy(struct app_pg *p)
{
    if (!p)
        return;
    AC_LIST_FOREACH(n, &p->conns)
    {
        struct job *j = discard(AC_LIST_ENTRY(n, struct conn, node));
        if (j)
            answer(j, AC_ECANCELED, NULL, "shutting down");
    }
    while (!ac_list_empty(&p->queue)) {
        struct job *j = AC_LIST_ENTRY(ac_list_pop_front(&p->queue), struct job, node);
        answer(j, AC_ECANCELED, NULL, "shutting down");
    }
    ac_timer_destroy(p->sweep);
    free(p);
}

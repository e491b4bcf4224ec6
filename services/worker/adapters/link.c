/* The stream to the controller: hello, clock stamps, actions in, results out; opened again when it
 * ends. */
#include "worker_service.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/rng.h>
#include <aceso/str.h>

#define BACKOFF_MIN_NS (100 * AC_NS_PER_MS)
#define BACKOFF_MAX_NS (5 * AC_NS_PER_S)
#define LEASE_MIN_NS   (100 * AC_NS_PER_MS)
#define LEASE_MAX_NS   (600 * AC_NS_PER_S)
#define KEEP_NS        (60 * AC_NS_PER_S) /* models the controller does not name anew */

void wk_link_send(struct wk_service *s, const Aceso__V1__WorkerMessage *m)
{
    if (!s->stream || ac_rpc_stream_send(s->stream, m) != AC_EAGAIN)
        return; /* what an ended stream does not take, nobody waits for */
    AC_LOGW("link", "controller_reads_too_slowly");
    ac_rpc_stream_cancel(s->stream);
}

static void on_ping(struct wk_service *s, const Aceso__V1__ControllerPing *p, int64_t now)
{
    Aceso__V1__WorkerMessage m = ACESO__V1__WORKER_MESSAGE__INIT;
    Aceso__V1__WorkerPong pong = ACESO__V1__WORKER_PONG__INIT;
    m.body_case = ACESO__V1__WORKER_MESSAGE__BODY_PONG;
    m.pong = &pong;
    pong.id = p->id;
    pong.controller_ns = p->controller_ns;
    pong.received_ns = now;
    pong.sent_ns = ac_now_ns();
    wk_link_send(s, &m);
}

static void on_welcome(struct wk_service *s, const Aceso__V1__ControllerWelcome *w)
{
    s->welcome = true;
    s->welcome_ns = ac_now_ns();
    s->lease_ns = AC_MIN(AC_MAX(w->lease_ns, LEASE_MIN_NS), LEASE_MAX_NS);
    s->backoff_ns = BACKOFF_MIN_NS;
    s->last_error[0] = 0;
    AC_LOGI("link", "connected", AC_KS("controller", s->conf->controller_addr));
    wk_presence_tell(s);
}

static void on_message(struct ac_rpc_stream *st, const void *msg, void *arg)
{
    struct wk_service *s = arg;
    const Aceso__V1__ControllerMessage *m = msg;
    if (st != s->stream || s->stopping)
        return;
    s->heard_ns = ac_now_ns();
    switch (m->body_case) {
    case ACESO__V1__CONTROLLER_MESSAGE__BODY_WELCOME:
        on_welcome(s, m->welcome);
        break;
    case ACESO__V1__CONTROLLER_MESSAGE__BODY_PING:
        on_ping(s, m->ping, s->heard_ns);
        break;
    case ACESO__V1__CONTROLLER_MESSAGE__BODY_PREPARE:
        wk_models_prepare(s, m->prepare);
        break;
    case ACESO__V1__CONTROLLER_MESSAGE__BODY_ACTION:
        wk_action_take(s, m->action);
        break;
    case ACESO__V1__CONTROLLER_MESSAGE__BODY_FORGET:
        wk_models_forget(s, m->forget->model);
        break;
    default: /* of a newer controller */
        break;
    }
}

static void say_hello(struct wk_service *s)
{
    Aceso__V1__WorkerMessage m = ACESO__V1__WORKER_MESSAGE__INIT;
    Aceso__V1__WorkerHello hello = ACESO__V1__WORKER_HELLO__INIT;
    m.body_case = ACESO__V1__WORKER_MESSAGE__BODY_HELLO;
    m.hello = &hello;
    hello.worker = s->name;
    hello.executor = s->conf->executor;
    hello.kind = s->conf->kind;
    hello.memory_bytes = s->conf->memory_bytes;
    hello.page_bytes = (uint32_t)s->conf->page_bytes;
    hello.protocol = 1;
    hello.instance = s->instance;
    wk_link_send(s, &m);
}

static void on_done(const struct ac_rpc_result *res, void *arg)
{
    struct wk_service *s = arg;
    s->stream = NULL;
    s->stream_id++;
    if (s->stopping) {
        wk_link_stopped(s);
        return;
    }
    if (s->welcome || !ac_streq(s->last_error, res->message))
        AC_LOGW("link", "no_controller", AC_KS("controller", s->conf->controller_addr),
                AC_KS("why", res->message));
    (void)ac_str_copy(s->last_error, sizeof(s->last_error), res->message);
    s->welcome = false;
    wk_lanes_reset(s->lanes);
    wk_models_unname(s);
    wk_presence_tell(s);
    /* Between half and all of it, so that many workers do not come back at once. */
    ac_timer_start(s->retry, s->backoff_ns / 2 + ac_now_ns() % (s->backoff_ns / 2), 0);
    s->backoff_ns = AC_MIN(s->backoff_ns * 2, BACKOFF_MAX_NS);
}

static void open_stream(void *arg)
{
    struct wk_service *s = arg;
    struct ac_rpc_call_opts o = {.timeout_ns = INT64_MAX, .wait_for_ready = true};
    s->stream = ac_rpc_open(s->channel, "/aceso.v1.Serving/Work",
                            &aceso__v1__controller_message__descriptor, &o, on_message, on_done, s);
    say_hello(s);
}

static void check_lease(void *arg)
{
    struct wk_service *s = arg;
    int64_t now = ac_now_ns();
    if (s->welcome && s->stream && now - s->heard_ns > s->lease_ns) {
        AC_LOGW("link", "controller_is_silent", AC_KI("ms", (now - s->heard_ns) / AC_NS_PER_MS));
        ac_rpc_stream_cancel(s->stream);
    }
    if (s->welcome && s->welcome_ns && now - s->welcome_ns > KEEP_NS) {
        s->welcome_ns = 0;
        wk_models_sweep(s);
    }
}

void wk_link_stopped(struct wk_service *s)
{
    if (!s->stream && !wk_models_fetching(s))
        ac_svc_stopped(s->svc);
}

void wk_link_start(struct wk_service *s)
{
    s->channel = ac_svc_channel(s->svc, s->conf->controller_addr);
    s->backoff_ns = BACKOFF_MIN_NS;
    s->retry = ac_timer_create(s->svc->loop, open_stream, s);
    s->lease = ac_timer_create(s->svc->loop, check_lease, s);
    ac_timer_start(s->lease, LEASE_MIN_NS, LEASE_MIN_NS);
    open_stream(s);
}

void wk_link_stop(struct wk_service *s)
{
    ac_timer_destroy(s->retry);
    ac_timer_destroy(s->lease);
    s->retry = s->lease = NULL;
    if (s->stream)
        ac_rpc_stream_cancel(s->stream);
}

/* What happens, to every page that follows: messages of the bus and changes of health as
 * server-sent events. The bus is listened to without acknowledgement: a message that is lost is
 * made up for by the page, which reads its lists again after each reconnection. */
#include "console_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/pbx.h>
#include <aceso/str.h>
#include <aceso/v1/detector.pb-c.h>
#include <aceso/v1/incidents.pb-c.h>
#include <aceso/v1/lab.pb-c.h>

#define EVENT_MAX_BYTES   (256u << 10)
#define MESSAGE_MAX_BYTES (16u << 20) /* of memory, unpacked */
#define SLOW_BYTES        (1u << 20)  /* a page that leaves so much unread is hung up on */
#define BEAT_NS           (5 * AC_NS_PER_S)

struct watcher {
    struct ac_list node;
    struct console_service *s;
    struct ac_http_stream *stream;
};

static void watcher_gone(void *arg)
{
    struct watcher *w = arg;
    ac_list_remove(&w->node);
    w->s->n_watchers--;
    ac_metric_set(w->s->watching, w->s->n_watchers);
    free(w);
}

static void watcher_write(struct watcher *w, const struct ac_buf *frame)
{
    int rc = AC_EAGAIN;
    if (ac_http_stream_queued(w->stream) + frame->len <= SLOW_BYTES)
        rc = ac_http_stream_write(w->stream, frame->data, frame->len);
    if (rc != AC_EAGAIN) /* AC_ECANCELED: watcher_gone follows */
        return;
    ac_metric_add(w->s->slow, 1);
    ac_http_stream_abort(w->stream);
}

void console_live_send(struct console_service *s, const char *event, const struct ac_buf *json)
{
    struct ac_buf frame;
    ac_buf_init(&frame, EVENT_MAX_BYTES + 1024);
    console_event_frame(event, ac_buf_str(json), json->len, &frame);
    AC_ASSERT(!frame.failed);
    AC_LIST_FOREACH(n, &s->watchers)
    watcher_write(AC_LIST_ENTRY(n, struct watcher, node), &frame);
    ac_buf_fini(&frame);
}

static void send_text(struct console_service *s, const char *event, const char *json)
{
    struct ac_buf b;
    ac_buf_init(&b, 1024);
    (void)ac_buf_puts(&b, json);
    console_live_send(s, event, &b);
    ac_buf_fini(&b);
}

void console_live_fleet(struct console_service *s)
{
    struct ac_buf b;
    if (s->n_watchers == 0)
        return;
    ac_buf_init(&b, EVENT_MAX_BYTES);
    console_fleet_json(&s->fleet, ac_wall_ns(), &b);
    console_live_send(s, "services", &b);
    ac_buf_fini(&b);
}

/* ---- the bus ---- */

/* False: nobody listens, or it is too much. */
static bool wanted(struct console_service *s)
{
    if (s->n_watchers == 0)
        return false;
    if (console_throttle_admit(&s->throttle, ac_now_ns()))
        return true;
    ac_metric_add(s->dropped, 1);
    return false;
}

static void relay(struct console_service *s, const char *event,
                  const ProtobufCMessageDescriptor *desc,
                  void (*put)(const ProtobufCMessage *msg, const char *subject, struct ac_buf *out),
                  const struct ac_bus_msg *m)
{
    struct ac_arena *a = ac_arena_create(MESSAGE_MAX_BYTES);
    ProtobufCMessage *msg;
    struct ac_buf b;
    ac_buf_init(&b, EVENT_MAX_BYTES);
    if (ac_pb_unpack(desc, m->data, m->len, a, &msg, NULL) < 0) {
        ac_metric_add(s->dropped, 1); /* no message of ours */
    } else {
        put(msg, m->subject, &b);
        ac_metric_add(s->relayed, 1);
        if (b.failed)
            send_text(s, "reload", "{}"); /* too large for an event: the page asks for it */
        else
            console_live_send(s, event, &b);
    }
    ac_buf_fini(&b);
    ac_arena_destroy(a);
}

static void put_message(const ProtobufCMessage *msg, const char *subject, struct ac_buf *out)
{
    (void)subject;
    ac_pb_to_json(msg, out);
}

static void on_incident(const struct ac_bus_msg *m, void *arg)
{
    if (wanted(arg))
        relay(arg, "incident", &aceso__v1__incident__descriptor, put_message, m);
}

static void on_alert(const struct ac_bus_msg *m, void *arg)
{
    if (wanted(arg))
        relay(arg, "alert", &aceso__v1__alert__descriptor, put_message, m);
}

/* The session's id is the end of the subject, not in the message: {"id":..., "event":{...}}. */
static void put_session(const ProtobufCMessage *msg, const char *subject, struct ac_buf *out)
{
    (void)ac_buf_puts(out, "{\"id\":");
    (void)ac_buf_put_json_str(out, subject + strlen(AC_SUBJECT_LAB "."));
    (void)ac_buf_puts(out, ",\"event\":");
    ac_pb_to_json(msg, out);
    (void)ac_buf_putc(out, '}');
}

static void on_session(const struct ac_bus_msg *m, void *arg)
{
    if (wanted(arg))
        relay(arg, "session", &aceso__v1__session_event__descriptor, put_session, m);
}

static void on_bus_state(bool connected, void *arg)
{
    struct console_service *s = arg;
    if (connected && s->beat)
        send_text(s, "reload", "{}"); /* messages were missed meanwhile */
}

/* ---- pages ---- */

static void beat(void *arg)
{
    struct console_service *s = arg;
    console_live_fleet(s);
    if (console_throttle_recover(&s->throttle, ac_now_ns()))
        send_text(s, "reload", "{}");
}

void console_live_watch(struct console_service *s, struct ac_http_req *r)
{
    struct ac_buf json, frame;
    if (!s->beat || s->n_watchers >= s->conf->max_watchers) {
        ac_http_set_header(r, "Retry-After", "10");
        ac_http_reply_text(r, 503, "enough pages follow live; this one reads the lists instead\n");
        return;
    }
    struct watcher *w = ac_xcalloc(1, sizeof(*w));
    w->s = s;
    ac_list_push_back(&s->watchers, &w->node);
    s->n_watchers++;
    ac_metric_set(s->watching, s->n_watchers);
    ac_http_set_header(r, "X-Accel-Buffering", "no"); /* a proxy in front passes it on at once */
    w->stream = ac_http_stream_begin(r, 200, "text/event-stream", watcher_gone, w);
    ac_buf_init(&json, EVENT_MAX_BYTES);
    ac_buf_init(&frame, EVENT_MAX_BYTES + 1024);
    (void)ac_buf_puts(&frame, "retry: 1000\n\n");
    console_fleet_json(&s->fleet, ac_wall_ns(), &json);
    console_event_frame("services", ac_buf_str(&json), json.len, &frame);
    watcher_write(w, &frame);
    ac_buf_fini(&json);
    ac_buf_fini(&frame);
}

static struct ac_metric *metric(struct console_service *s, enum ac_metric_kind kind,
                                const char *name, const char *help)
{
    return ac_metrics_get(s->svc->metrics, kind, name, help, NULL, NULL);
}

int console_live_start(struct console_service *s, struct ac_err *err)
{
    struct ac_bus *b = s->svc->bus;
    ac_list_init(&s->watchers);
    s->watching = metric(s, AC_METRIC_GAUGE, "aceso_console_watchers", "Pages that follow live.");
    s->relayed = metric(s, AC_METRIC_COUNTER, "aceso_console_events_total",
                        "Messages of the bus passed on to pages.");
    s->dropped = metric(s, AC_METRIC_COUNTER, "aceso_console_dropped_total",
                        "Messages of the bus not passed on: too many, or malformed.");
    s->slow = metric(s, AC_METRIC_COUNTER, "aceso_console_slow_total",
                     "Pages hung up on because they did not read.");
    int rc = ac_bus_subscribe(b, AC_SUBJECT_INCIDENTS ".>", NULL, on_incident, s, &s->sub[0], err);
    if (rc == AC_OK)
        rc = ac_bus_subscribe(b, AC_SUBJECT_ALERTS ".>", NULL, on_alert, s, &s->sub[1], err);
    if (rc == AC_OK)
        rc = ac_bus_subscribe(b, AC_SUBJECT_LAB ".>", NULL, on_session, s, &s->sub[2], err);
    if (rc != AC_OK)
        return rc;
    ac_bus_on_state(b, on_bus_state, s);
    s->beat = ac_timer_create(s->svc->loop, beat, s);
    ac_timer_start(s->beat, BEAT_NS, BEAT_NS);
    return AC_OK;
}

void console_live_stop(struct console_service *s)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(s->sub); i++) {
        if (s->sub[i])
            ac_bus_unsubscribe(s->sub[i]);
        s->sub[i] = NULL;
    }
    ac_timer_destroy(s->beat);
    s->beat = NULL;
}

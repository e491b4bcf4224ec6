/* kubectl exec over a WebSocket, subprotocol v5.channel.k8s.io (or v4): the first byte of a frame
 * is the channel: 0 stdin, 1 stdout, 2 stderr, 3 status, 4 resize, 255 close of a channel. */
#include "api_int.h"
#include "runtime.h"

#include <string.h>

#include <aceso/clock.h>
#include <aceso/str.h>

/* kubectl reads before it has set up its streams, and then discards what it cannot place: its own
 * error, seen when an answer comes at once, which on other clusters it never does. */
#define SETTLE_NS (50 * AC_NS_PER_MS)
#define ARGS_MAX  64
#define HOLD_BACK (1u << 20) /* bytes that may wait on the way to a slow side */

struct session {
    struct ac_http_ws *ws;
    struct runtime_exec *x;
    struct ac_timer *settle; /* until then nothing is sent */
    json_t *failure;         /* why nothing was started */
    bool closed;
};

static void to_client(struct session *s, uint8_t channel, const void *data, size_t len)
{
    if (s->closed)
        return;
    char *frame = ac_xmalloc(len + 1);
    frame[0] = (char)channel;
    if (len > 0)
        memcpy(frame + 1, data, len);
    /* The process is held back long before the queue is full. */
    (void)!ac_http_ws_send(s->ws, true, frame, len + 1);
    free(frame);
    if (s->x != NULL && ac_http_ws_queued(s->ws) > HOLD_BACK)
        runtime_exec_pause(s->x, true);
}

static void on_drained(void *arg)
{
    struct session *s = arg;
    if (s->x != NULL && s->settle == NULL)
        runtime_exec_pause(s->x, false);
}

static void on_taken(void *arg)
{
    struct session *s = arg;
    if (!s->closed)
        ac_http_ws_pause(s->ws, false);
}

static void resize(struct session *s, const void *text, size_t len)
{
    js_auto size = json_loadb(text, len, 0, NULL);
    int64_t columns = js_int(size, "Width", 0), rows = js_int(size, "Height", 0);
    if (columns > 0 && rows > 0)
        runtime_exec_resize(s->x, (unsigned)AC_MIN(columns, 10000), (unsigned)AC_MIN(rows, 10000));
}

static void on_frame(bool binary, const void *data, size_t len, void *arg)
{
    struct session *s = arg;
    const uint8_t *b = data;
    (void)binary;
    if (len == 0 || s->x == NULL)
        return;
    if (b[0] == 0) {
        runtime_exec_stdin(s->x, b + 1, len - 1);
        if (runtime_exec_stdin_queued(s->x) > HOLD_BACK)
            ac_http_ws_pause(s->ws, true);
    } else if (b[0] == 4) {
        resize(s, b + 1, len - 1);
    }
    if (b[0] == 255 && len > 1 && b[1] == 0)
        runtime_exec_close_stdin(s->x);
}

static void maybe_free(struct session *s)
{
    if (!s->closed || s->x != NULL)
        return;
    ac_timer_destroy(s->settle);
    json_decref(s->failure);
    free(s);
}

static void on_close(void *arg)
{
    struct session *s = arg;
    s->closed = true;
    if (s->x != NULL)
        runtime_exec_kill(s->x);
    maybe_free(s);
}

static void on_out(int fd, const void *data, size_t len, void *arg)
{
    to_client(arg, (uint8_t)fd, data, len);
}

/* The last word, on the channel of its own. */
static void send_status(struct session *s, json_t *status)
{
    char *text = json_dumps(status, JSON_COMPACT);
    to_client(s, 3, text, strlen(text));
    free(text);
    json_decref(status);
    if (!s->closed)
        ac_http_ws_close(s->ws, 1000);
}

static void on_ended(int code, void *arg)
{
    struct session *s = arg;
    char number[16], message[64];
    snprintf(number, sizeof(number), "%d", code);
    snprintf(message, sizeof(message), "command terminated with non-zero exit code: %d", code);
    s->x = NULL;
    send_status(s, code == 0
                       ? json_pack("{s:{},s:s}", "metadata", "status", "Success")
                       : json_pack("{s:{},s:s,s:s,s:s,s:{s:[{s:s,s:s}]}}", "metadata", "status",
                                   "Failure", "reason", "NonZeroExitCode", "message", message,
                                   "details", "causes", "reason", "ExitCode", "message", number));
    maybe_free(s);
}

static void on_settled(void *arg)
{
    struct session *s = arg;
    ac_timer_destroy(s->settle);
    s->settle = NULL;
    if (s->x != NULL) {
        runtime_exec_pause(s->x, false);
    } else if (s->failure != NULL) {
        send_status(s, s->failure);
        s->failure = NULL;
    }
}

static json_t *failure_of(const struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *message =
        ac_xasprintf("error executing command in container: %s", err->msg);
    return json_pack("{s:{},s:s,s:s,s:s,s:i}", "metadata", "status", "Failure", "reason",
                     "InternalError", "message", message, "code", 500);
}

static const char *protocol_of(struct areq *q)
{
    const char *offered = ac_http_header(q->r, "Sec-WebSocket-Protocol");
    if (offered != NULL && strstr(offered, "v5.channel.k8s.io") != NULL)
        return "v5.channel.k8s.io";
    if (offered != NULL && strstr(offered, "v4.channel.k8s.io") != NULL)
        return "v4.channel.k8s.io";
    return NULL;
}

void api_exec(struct areq *q, const json_t *pod)
{
    struct ac_err err = AC_ERR_INIT;
    const char *argv[ARGS_MAX + 1], *protocol = protocol_of(q);
    const char *container = ac_http_query(q->r, "container");
    unsigned n = 0;
    while (n < ARGS_MAX && (argv[n] = ac_http_query_n(q->r, "command", n)) != NULL)
        n++;
    argv[n] = NULL;
    if (ac_str_empty(container))
        container = js_str(json_array_get(js_at(pod, "spec.containers"), 0), "name", "");
    if (protocol == NULL || n == 0) {
        q->k = NULL;
        ac_err_set(&err, AC_EPROTO,
                   n == 0 ? "you must specify at least one command for the container"
                          : "exec is served over WebSocket (v5.channel.k8s.io) alone: use kubectl "
                            "1.31 or newer");
        api_fail(q, &err);
        return;
    }
    struct session *s = ac_xcalloc(1, sizeof(*s));
    s->ws = ac_http_ws_accept(q->r, protocol, on_frame, on_close, s);
    if (s->ws == NULL) {
        free(s);
        return;
    }
    ac_http_ws_on_drained(s->ws, on_drained);
    struct runtime_exec_opts o = {.uid = js_uid(pod),
                                  .container = container,
                                  .argv = argv,
                                  .has_stdin = api_flag(q, "stdin"),
                                  .tty = api_flag(q, "tty"),
                                  .out = on_out,
                                  .taken = on_taken,
                                  .ended = on_ended,
                                  .arg = s};
    /* A failure is told over the WebSocket: kubectl takes another answer for a server that has
     * none, and tries SPDY. */
    if (runtime_exec_start(q->a->d.runtime, &o, &s->x, &err) != 0)
        s->failure = failure_of(&err);
    else
        runtime_exec_pause(s->x, true);
    s->settle = ac_timer_create(q->a->d.loop, on_settled, s);
    ac_timer_start(s->settle, SETTLE_NS, 0);
}

/* kubectl exec over a WebSocket, subprotocol v5.channel.k8s.io (or v4): the first byte of a frame
 * is the channel: 0 stdin, 1 stdout, 2 stderr, 3 status, 4 resize, 255 close of a channel. */
#include "api_int.h"
#include "runtime.h"

#include <string.h>

#include <aceso/str.h>

#define ARGS_MAX 64

struct session {
    struct ac_http_ws *ws;
    struct runtime_exec *x;
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
    (void)!ac_http_ws_send(s->ws, true, frame, len + 1);
    free(frame);
}

static void on_frame(bool binary, const void *data, size_t len, void *arg)
{
    struct session *s = arg;
    const uint8_t *b = data;
    (void)binary;
    if (len == 0 || s->x == NULL)
        return;
    if (b[0] == 0)
        runtime_exec_stdin(s->x, b + 1, len - 1);
    else if (b[0] == 255 && len > 1 && b[1] == 0)
        runtime_exec_close_stdin(s->x);
}

static void maybe_free(struct session *s)
{
    if (s->closed && s->x == NULL)
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

static void on_ended(int code, void *arg)
{
    struct session *s = arg;
    char number[16];
    snprintf(number, sizeof(number), "%d", code);
    js_auto st = code == 0 ? json_pack("{s:{},s:s}", "metadata", "status", "Success")
                           : json_pack("{s:{},s:s,s:s,s:s,s:{s:[{s:s,s:s}]}}", "metadata", "status",
                                       "Failure", "reason", "NonZeroExitCode", "message",
                                       "command terminated with non-zero exit code", "details",
                                       "causes", "reason", "ExitCode", "message", number);
    char *text = json_dumps(st, JSON_COMPACT);
    to_client(s, 3, text, strlen(text));
    free(text);
    s->x = NULL;
    if (!s->closed)
        ac_http_ws_close(s->ws, 1000);
    maybe_free(s);
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
        ac_err_set(&err, AC_EPROTO, "exec needs a command and a WebSocket with v5.channel.k8s.io");
        api_fail(q, &err);
        return;
    }
    struct session *s = ac_xcalloc(1, sizeof(*s));
    struct runtime_exec_opts o = {.uid = js_uid(pod),
                                  .container = container,
                                  .argv = argv,
                                  .has_stdin = api_flag(q, "stdin"),
                                  .out = on_out,
                                  .ended = on_ended,
                                  .arg = s};
    if (runtime_exec_start(q->a->d.runtime, &o, &s->x, &err) != 0) {
        free(s);
        q->k = NULL;
        api_fail(q, &err);
        return;
    }
    s->ws = ac_http_ws_accept(q->r, protocol, on_frame, on_close, s);
    if (s->ws == NULL) {
        s->closed = true;
        runtime_exec_kill(s->x);
    }
}

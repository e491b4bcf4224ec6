/* Stand-ins for the library's bus and WebSockets, as long as it has none: exec answers 501, and an
 * address of NATS is refused. Weak, and left out once the library's files are there. To be deleted
 * then. */
#include <aceso/bus.h>
#include <aceso/http.h>

#if !__has_include("../../../shared/http/ws.c") &&                                                 \
                   !__has_include("../../../shared/http/websocket.c")
__attribute__((weak)) struct ac_http_ws *
ac_http_ws_accept(struct ac_http_req *r, const char *subprotocol,
                  void (*on_frame)(bool, const void *, size_t, void *), void (*on_close)(void *),
                  void *arg)
{
    (void)subprotocol;
    (void)on_frame;
    (void)on_close;
    (void)arg;
    ac_http_reply_text(r, 501, "no exec yet\n");
    return NULL;
}
__attribute__((weak)) int ac_http_ws_send(struct ac_http_ws *w, bool binary, const void *data,
                                          size_t len)
{
    (void)w;
    (void)binary;
    (void)data;
    (void)len;
    return AC_ENOTSUP;
}
__attribute__((weak)) void ac_http_ws_close(struct ac_http_ws *w, unsigned code)
{
    (void)w;
    (void)code;
}
#endif

#if !__has_include("../../../shared/bus/bus.c")
__attribute__((weak)) int ac_bus_publish(struct ac_bus *b, const char *subject, const void *data,
                                         size_t len, struct ac_err *err)
{
    (void)b;
    (void)subject;
    (void)data;
    (void)len;
    return ac_err_set(err, AC_ENOTSUP, "no bus");
}
__attribute__((weak)) int ac_bus_connect(struct ac_loop *l, struct ac_metrics *m,
                                         const struct ac_bus_opts *o, struct ac_bus **ret,
                                         struct ac_err *err)
{
    (void)l;
    (void)m;
    (void)o;
    (void)ret;
    return ac_err_set(err, AC_ENOTSUP, "no bus");
}
__attribute__((weak)) void ac_bus_close(struct ac_bus *b)
{
    (void)b;
}
#endif

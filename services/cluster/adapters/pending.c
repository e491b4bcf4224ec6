/* Until the bus and WebSockets are in the library. */
#include <aceso/bus.h>
#include <aceso/http.h>

struct ac_http_ws *ac_http_ws_accept(struct ac_http_req *r, const char *subprotocol,
                                     void (*on_frame)(bool, const void *, size_t, void *),
                                     void (*on_close)(void *), void *arg)
{
    (void)subprotocol;
    (void)on_frame;
    (void)on_close;
    (void)arg;
    ac_http_reply_text(r, 501, "no exec yet\n");
    return NULL;
}
int ac_http_ws_send(struct ac_http_ws *w, bool binary, const void *data, size_t len)
{
    (void)w;
    (void)binary;
    (void)data;
    (void)len;
    return AC_ENOTSUP;
}
void ac_http_ws_close(struct ac_http_ws *w, unsigned code)
{
    (void)w;
    (void)code;
}
int ac_bus_publish(struct ac_bus *b, const char *subject, const void *data, size_t len,
                   struct ac_err *err)
{
    (void)b;
    (void)subject;
    (void)data;
    (void)len;
    return ac_err_set(err, AC_ENOTSUP, "no bus");
}
int ac_bus_connect(struct ac_loop *l, struct ac_metrics *m, const struct ac_bus_opts *o,
                   struct ac_bus **ret, struct ac_err *err)
{
    (void)l;
    (void)m;
    (void)o;
    (void)ret;
    return ac_err_set(err, AC_ENOTSUP, "no bus");
}
void ac_bus_close(struct ac_bus *b)
{
    (void)b;
}

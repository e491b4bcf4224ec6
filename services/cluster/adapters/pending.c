/* Stand-ins for the library's WebSockets, as long as it has none: exec answers 501. Weak, and left
 * out once the library's files are there. To be deleted then. */
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

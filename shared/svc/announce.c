/* What a ready service tells the world: one line of JSON on stdout and the ready file. */
#include "svc_impl.h"

#include <string.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>

void ac_svc_address_(const char *listen, int port, char *dst, size_t size)
{
    const char *colon = strrchr(listen, ':');
    if (ac_str_starts(listen, "unix:") || !colon || port == 0) {
        (void)ac_str_copy(dst, size, listen);
        return;
    }
    int n = snprintf(dst, size, "%.*s:%d", (int)(colon - listen), listen, port);
    AC_ASSERT(n > 0);
}

int ac_svc_announce_(struct ac_svc *s, struct ac_err *err)
{
    const struct ac_svc_priv *p = s->priv;
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    (void)ac_buf_puts(&b, "{\"service\":");
    (void)ac_buf_put_json_str(&b, s->spec->name);
    (void)ac_buf_puts(&b, ",\"grpc\":");
    (void)ac_buf_put_json_str(&b, p->grpc_address);
    (void)ac_buf_puts(&b, ",\"http\":");
    (void)ac_buf_put_json_str(&b, p->http_address);
    if (!ac_str_empty(s->ready_more))
        (void)ac_buf_printf(&b, ",%s", s->ready_more);
    (void)ac_buf_printf(&b, ",\"pid\":%ld}\n", (long)getpid());
    int code =
        b.failed ? ac_err_set(err, AC_ERANGE, "the addresses are too long to announce") : AC_OK;
    if (code == AC_OK && !ac_str_empty(s->conf.ready_file) &&
        ac_file_write_atomic(s->conf.ready_file, b.data, b.len, 0644, err) < 0)
        code = ac_err_wrap(err, "--ready-file");
    if (code == AC_OK) {
        (void)fputs(ac_buf_str(&b), stdout);
        (void)fflush(stdout);
    }
    ac_buf_fini(&b);
    return code;
}

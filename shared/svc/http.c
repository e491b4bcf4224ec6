/* /metrics and /healthz; everything else is the service's. */
#include "svc_impl.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <dirent.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#define METRICS_MAX_BYTES (64u << 20)

static bool readable(struct ac_http_req *r)
{
    if (ac_streq(ac_http_method(r), "GET") || ac_streq(ac_http_method(r), "HEAD"))
        return true;
    ac_http_set_header(r, "Allow", "GET, HEAD");
    ac_http_reply_text(r, 405, "use GET\n");
    return false;
}

static void reply_metrics(struct ac_svc *s, struct ac_http_req *r)
{
    struct ac_buf b;
    ac_buf_init(&b, METRICS_MAX_BYTES);
    ac_metrics_render(s->metrics, &b);
    if (b.failed)
        ac_http_reply_text(r, 500, "too many metrics\n");
    else
        ac_http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", ac_buf_str(&b), b.len);
    ac_buf_fini(&b);
}

bool ac_svc_http_authorized(struct ac_svc *s, struct ac_http_req *r)
{
    const struct ac_svc_priv *p = s->priv;
    struct ac_err err = AC_ERR_INIT;
    if (ac_rpc_check_token(p->tokens, ac_http_header(r, "Authorization"), &err) == AC_OK)
        return true;
    ac_http_set_header(r, "WWW-Authenticate", "Bearer");
    ac_http_reply_err(r, &err);
    return false;
}

static void handle(struct ac_http_req *r, void *arg)
{
    struct ac_svc *s = arg;
    const struct ac_svc_priv *p = s->priv;
    const char *path = ac_http_path(r);
    if (ac_streq(path, "/metrics")) {
        if (readable(r))
            reply_metrics(s, r);
    } else if (ac_streq(path, "/healthz")) {
        if (readable(r))
            ac_http_reply_text(r, p->listening && !p->stopping ? 200 : 503,
                               p->stopping ? "stopping\n" : "ok\n");
    } else if (s->spec->http) {
        s->spec->http(r, s);
    } else {
        ac_http_reply_text(r, 404, "nothing here; see /metrics and /healthz\n");
    }
}

int ac_svc_http_start_(struct ac_svc *s, struct ac_err *err)
{
    struct ac_svc_priv *p = s->priv;
    if (ac_str_empty(s->conf.http_listen))
        return AC_OK;
    struct ac_http_server_opts o = {.listen = s->conf.http_listen,
                                    .max_body_bytes = s->spec->max_body_bytes};
    if (s->conf.http_tls) {
        o.tls_cert = p->cert;
        o.tls_key = p->key;
        o.tls_client_ca = p->ca;
    }
    if (ac_http_server_start(s->loop, s->metrics, &o, handle, s, &s->http, err) < 0)
        return ac_err_wrap(err, "--http-listen");
    ac_svc_address_(s->conf.http_listen, ac_http_server_port(s->http), p->http_address,
                    sizeof(p->http_address));
    return AC_OK;
}

/* ---- the process's own gauges, under the names that Prometheus clients use ---- */

static unsigned open_files(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static void set(struct ac_svc *s, enum ac_metric_kind kind, const char *name, const char *help,
                double v)
{
    ac_metric_set(ac_metrics_get(s->metrics, kind, name, help, NULL, NULL), v);
}

static double resident_bytes(void)
{
    char text[128] = "";
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (!fgets(text, sizeof(text), f))
            text[0] = '\0';
        (void)fclose(f);
    }
    char *rest = text;
    (void)ac_str_next(&rest, ' ');
    const char *pages = ac_str_next(&rest, ' ');
    int64_t n = 0;
    if (pages)
        (void)ac_str_to_i64(pages, &n);
    return (double)n * (double)sysconf(_SC_PAGESIZE);
}

static void collect(void *arg)
{
    struct ac_svc *s = arg;
    set(s, AC_METRIC_GAUGE, "process_resident_memory_bytes", "Resident memory.", resident_bytes());
    set(s, AC_METRIC_GAUGE, "process_open_fds", "Open file descriptors.", open_files());
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) == 0)
        set(s, AC_METRIC_GAUGE, "aceso_process_cpu_seconds", "User and system time used.",
            (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    if (ac_loop_on(s->loop))
        set(s, AC_METRIC_GAUGE, "aceso_loop_lag_seconds",
            "Longest time that the loop kept an event waiting since the last scrape.",
            (double)ac_loop_lag_ns(s->loop) / 1e9);
}

void ac_svc_process_metrics_(struct ac_svc *s)
{
    static const char *const build[] = {"version", ACESO_VERSION, NULL};
    set(s, AC_METRIC_GAUGE, "process_start_time_seconds", "Start, in Unix seconds.",
        (double)ac_wall_ns() / 1e9);
    ac_metric_set(ac_metrics_get(s->metrics, AC_METRIC_GAUGE, "aceso_build_info",
                                 "Always 1; the version of the program.", build, NULL),
                  1);
    ac_metrics_on_collect(s->metrics, collect, s);
}

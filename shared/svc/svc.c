/* From the command line to the end: start in order, run, drain, stop in reverse order. */
#include "svc_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define STOP_GUARD_NS                                                                              \
    (5 * AC_NS_PER_S) /* beyond drain: a stop() that does not end is left behind */

/* ---- the way down ---- */

static void servers_down(void *arg)
{
    struct ac_svc *s = arg;
    if (s->http)
        ac_http_server_stop(s->http);
    s->http = NULL;
    ac_loop_stop(s->loop);
}

void ac_svc_stopped(struct ac_svc *s)
{
    struct ac_svc_priv *p = s->priv;
    AC_ASSERT_ON_LOOP(s->loop);
    AC_ASSERT(p->stopping);
    if (p->stopped)
        return;
    p->stopped = true;
    ac_timer_stop(p->guard);
    if (s->server)
        ac_rpc_server_shutdown(s->server, s->conf.drain_ns, servers_down, s);
    else
        ac_loop_post(s->loop, servers_down, s);
}

static void guard_over(void *arg)
{
    struct ac_svc *s = arg;
    AC_LOGW("svc", "stop_takes_too_long",
            AC_KS("hint", "the service did not end its work in time; going on"));
    ac_svc_stopped(s);
}

static void stop_work(void *arg)
{
    struct ac_svc *s = arg;
    struct ac_svc_priv *p = s->priv;
    ac_timer_start(p->guard, s->conf.drain_ns + STOP_GUARD_NS, 0);
    if (s->spec->stop)
        s->spec->stop(s);
    else
        ac_svc_stopped(s);
}

static void begin_stop(struct ac_svc *s, int exit_code, int64_t linger_ns)
{
    struct ac_svc_priv *p = s->priv;
    if (exit_code != 0)
        p->exit_code = exit_code;
    if (p->stopping)
        return;
    p->stopping = true;
    if (s->server)
        ac_rpc_server_set_serving(s->server, "", false);
    if (linger_ns > 0)
        ac_timer_start(p->linger, linger_ns, 0);
    else
        stop_work(s);
}

/* One Ctrl-C may arrive twice, from the terminal and from a supervisor: only the first counts. */
static void on_signal(int signum, void *arg)
{
    struct ac_svc *s = arg;
    AC_LOGI("svc", "stopping", AC_KS("signal", strsignal(signum)));
    begin_stop(s, 0, s->conf.linger_ns);
}

struct quit {
    struct ac_svc *s;
    int exit_code;
};

static void quit_cb(void *arg)
{
    struct quit *q = arg;
    begin_stop(q->s, q->exit_code, 0);
    free(q);
}

void ac_svc_quit(struct ac_svc *s, int exit_code)
{
    struct quit *q = ac_xmalloc(sizeof(*q));
    q->s = s;
    q->exit_code = exit_code;
    ac_loop_post(s->loop, quit_cb, q);
}

/* ---- the way up ---- */

static int need(const char *value, const char *what, const char *option, const char *env,
                const char *example, struct ac_err *err)
{
    if (!ac_str_empty(value))
        return AC_OK;
    return ac_err_set(err, AC_EINVAL, "the address of %s is missing: give --%s or set %s, e.g. %s",
                      what, option, env, example);
}

static int check_usage(struct ac_svc *s, struct ac_err *err)
{
    const struct ac_svc_spec *spec = s->spec;
    int code = AC_OK;
    if (spec->uses_pg || spec->n_migrations)
        code = need(s->conf.pg_url, "PostgreSQL", "pg-url", "ACESO_PG_URL",
                    "postgresql://user@localhost/aceso", err);
    if (code == AC_OK && spec->uses_bus)
        code = need(s->conf.nats_url, "NATS", "nats-url", "ACESO_NATS_URL", "nats://localhost:4222",
                    err);
    if (code == AC_OK && !spec->no_rpc)
        code =
            need(s->conf.listen, "the gRPC server", "listen", "ACESO_LISTEN", "127.0.0.1:0", err);
    if (code == AC_OK)
        code = ac_svc_load_secrets_(s, err);
    return code;
}

static const char *given(const char *s)
{
    return ac_str_empty(s) ? NULL : s;
}

static int open_backends(struct ac_svc *s, struct ac_err *err)
{
    const struct ac_svc_spec *spec = s->spec;
    if (!ac_str_empty(s->conf.state_dir) && ac_dir_create(s->conf.state_dir, 0700, err) < 0)
        return ac_err_wrap(err, "--state-dir");
    if (spec->uses_pg || spec->n_migrations) {
        struct ac_pg_opts o = {.url = s->conf.pg_url,
                               .schema = spec->schema ? spec->schema : spec->name,
                               .connections = spec->pg_connections};
        if (ac_pg_open(s->loop, s->metrics, &o, spec->migrations, spec->n_migrations, &s->pg, err) <
            0)
            return err->code;
    }
    if (spec->uses_bus) {
        char name[64];
        (void)snprintf(name, sizeof(name), "aceso-%s", spec->name);
        struct ac_bus_opts o = {
            .url = s->conf.nats_url, .creds = given(s->conf.nats_creds), .name = name};
        /* The same files as for gRPC, but only where the address asks for TLS: a cluster may well
         * have its NATS in the clear behind a network policy. */
        if (ac_str_starts(s->conf.nats_url, "tls://")) {
            o.tls_ca = given(s->conf.tls_ca);
            o.tls_cert = given(s->conf.tls_cert);
            o.tls_key = given(s->conf.tls_key);
        }
        if (ac_bus_connect(s->loop, s->metrics, &o, &s->bus, err) < 0)
            return err->code;
    }
    return AC_OK;
}

static void make_server(struct ac_svc *s)
{
    struct ac_svc_priv *p = s->priv;
    union {
        char **in;
        const char *const *out;
    } tokens = {.in = p->tokens};
    struct ac_rpc_tls tls;
    (void)ac_svc_tls(s, &tls);
    tls.require_client_cert = p->ca != NULL;
    struct ac_rpc_server_opts o = {.listen = s->conf.listen,
                                   .tls = p->cert ? &tls : NULL,
                                   .max_message_bytes = s->spec->max_message_bytes,
                                   .reflection = s->conf.reflection,
                                   .tokens = tokens.out};
    s->server = ac_rpc_server_create(s->rpc, &o);
}

static int listen_all(struct ac_svc *s, struct ac_err *err)
{
    struct ac_svc_priv *p = s->priv;
    if (s->server) {
        ac_rpc_server_set_serving(s->server, "", false); /* until ready() is through */
        if (ac_rpc_server_start(s->server, err) < 0)
            return ac_err_wrap(err, "--listen");
        ac_svc_address_(s->conf.listen, ac_rpc_server_port(s->server), p->grpc_address,
                        sizeof(p->grpc_address));
    }
    return ac_svc_http_start_(s, err);
}

static int go_up(struct ac_svc *s, struct ac_err *err)
{
    struct ac_svc_priv *p = s->priv;
    const struct ac_svc_spec *spec = s->spec;
    int code = open_backends(s, err);
    if (code < 0)
        return code;
    s->rpc = ac_rpc_create(s->loop, s->metrics);
    if (!spec->no_rpc)
        make_server(s);
    if (spec->start && (code = spec->start(s, err)) < 0)
        return code;
    if ((code = listen_all(s, err)) < 0)
        return code;
    p->linger = ac_timer_create(s->loop, stop_work, s);
    p->guard = ac_timer_create(s->loop, guard_over, s);
    ac_loop_on_signal(s->loop, SIGTERM, on_signal, s);
    ac_loop_on_signal(s->loop, SIGINT, on_signal, s);
    if (spec->ready)
        spec->ready(s);
    p->listening = true;
    if (s->server && !p->stopping)
        ac_rpc_server_set_serving(s->server, "", true);
    return ac_svc_announce_(s, err);
}

static void shutdown_done(void *arg)
{
    struct ac_svc *s = arg;
    ac_loop_stop(s->loop);
}

static void go_down(struct ac_svc *s, bool ran)
{
    struct ac_svc_priv *p = s->priv;
    if (!ran) { /* a start that failed half-way */
        if (s->http)
            ac_http_server_stop(s->http);
        if (s->server) {
            ac_rpc_server_shutdown(s->server, 0, shutdown_done, s);
            ac_loop_run(s->loop);
        }
    }
    if (s->spec->fini)
        s->spec->fini(s);
    ac_rpc_server_destroy(s->server);
    if (s->bus)
        ac_bus_close(s->bus);
    if (s->pg)
        ac_pg_close(s->pg);
    ac_rpc_destroy(s->rpc);
    ac_timer_destroy(p->linger);
    ac_timer_destroy(p->guard);
    ac_loop_destroy(s->loop);
    ac_metrics_destroy(s->metrics);
}

static int run(struct ac_svc *s)
{
    struct ac_svc_priv *p = s->priv;
    struct ac_err err = AC_ERR_INIT;
    s->loop = ac_loop_create();
    s->metrics = ac_metrics_create();
    ac_svc_process_metrics_(s);
    if (!ac_str_empty(s->conf.ready_file))
        (void)remove(s->conf.ready_file); /* of a run that was killed */
    bool up = go_up(s, &err) >= 0;
    if (up) {
        AC_LOGI("svc", "ready", AC_KS("grpc", p->grpc_address), AC_KS("http", p->http_address));
        ac_loop_run(s->loop);
    } else {
        (void)fprintf(stderr, "aceso-%s: %s\n", s->spec->name, err.msg);
        /* Wrong input that is only read at the start (a file that an option names) is wrong usage.
         */
        p->exit_code = err.code == AC_EINVAL ? 2 : 1;
    }
    go_down(s, up);
    if (!ac_str_empty(s->conf.ready_file) && up)
        (void)remove(s->conf.ready_file);
    return p->exit_code;
}

static int load_conf(struct ac_svc *s, int argc, char **argv, struct ac_err *err)
{
    const struct ac_svc_spec *spec = s->spec;
    char program[64], prefix[64];
    (void)snprintf(program, sizeof(program), "aceso-%s", spec->name);
    (void)snprintf(prefix, sizeof(prefix), "ACESO_%s", spec->name);
    for (char *c = prefix; *c; c++)
        *c = (char)(*c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    const struct ac_conf_opt *const tables[] = {ac_svc_opts_, spec->n_opts ? spec->opts : NULL,
                                                NULL};
    const size_t lens[] = {ac_svc_n_opts_, spec->n_opts};
    void *const targets[] = {&s->conf, spec->conf};
    struct ac_conf_spec cs = {.program = program,
                              .summary = spec->summary,
                              .env_prefix = prefix,
                              .tables = tables,
                              .table_lens = lens,
                              .targets = targets};
    return ac_conf_load(&cs, argc, argv, stdout, err);
}

int ac_svc_main(const struct ac_svc_spec *spec, int argc, char **argv)
{
    struct ac_svc_priv priv = {0};
    struct ac_svc s = {.spec = spec, .priv = &priv};
    struct ac_err err = AC_ERR_INIT;
    int exit_code = 2;
    int code = load_conf(&s, argc, argv, &err);
    bool loaded = code == AC_CONF_RUN;
    if (code == AC_CONF_EXIT)
        exit_code = 0;
    if (loaded)
        code = ac_log_configure(spec->name, s.conf.log, &err);
    if (loaded && code == AC_OK)
        code = check_usage(&s, &err);
    if (loaded && code == AC_OK) {
        (void)signal(SIGPIPE, SIG_IGN);
        exit_code = run(&s);
    }
    if (code < 0)
        (void)fprintf(stderr, "aceso-%s: %s\n", spec->name, err.msg);
    ac_svc_free_secrets_(&s);
    if (loaded) {
        ac_conf_fini(ac_svc_opts_, ac_svc_n_opts_, &s.conf);
        if (spec->n_opts)
            ac_conf_fini(spec->opts, spec->n_opts, spec->conf);
    }
    return exit_code;
}

#include "units.h"

#include "outside.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/http.h>
#include <aceso/str.h>

/* Aceso's services in order of start; each serves gRPC (but the worker) and HTTP. */
static const struct {
    const char *name;
    bool grpc;
} SERVICES[] = {
    {"cluster", true}, {"collector", true}, {"trainer", true},    {"detector", true},
    {"rca", true},     {"responder", true}, {"controller", true}, {"worker", false},
    {"lab", true},     {"console", false},
};

static void add_arg(struct cli_unit_def *d, const char *s)
{
    AC_ASSERT(d->n_argv + 1 < (int)AC_ARRAY_LEN(d->argv));
    d->argv[d->n_argv++] = ac_xstrdup(s);
}

AC_PRINTF(2, 3) static void add_env(struct cli_unit_def *d, const char *fmt, ...)
{
    AC_ASSERT(d->n_env + 1 < (int)AC_ARRAY_LEN(d->env));
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    d->env[d->n_env++] = ac_xstrdup(text);
}

static int find_program(struct cli_unit_def *d, const char *name, const char *package,
                        struct ac_err *err)
{
    static const char *const dirs[] = {"/usr/lib/postgresql/17/bin",
                                       "/usr/lib/postgresql/16/bin",
                                       "/usr/lib/postgresql/15/bin",
                                       "/usr/sbin",
                                       "/usr/local/sbin",
                                       NULL};
    ac_cleanup(ac_free_p) char *path = ac_find_program(name, dirs);
    if (!path)
        return ac_err_set(err, AC_ENOTFOUND,
                          "program %s is missing: install the package %s (make deps)", name,
                          package);
    ac_str_copy(d->program, sizeof(d->program), path);
    add_arg(d, path);
    return 0;
}

static struct cli_unit_def *new_unit(const struct cli_layout *l, struct cli_units *u,
                                     const char *name)
{
    AC_ASSERT(u->n < CLI_UNITS_MAX);
    struct cli_unit_def *d = &u->unit[u->n++];
    *d = (struct cli_unit_def){.name = name, .stop_signal = SIGTERM, .probe = CLI_PROBE_HTTP};
    ac_str_copy(d->log_path, sizeof(d->log_path), cli_layout_path(l, "log/%s.log", name));
    return d;
}

/* Made beside its place and renamed: an interrupted initdb leaves files that look like a database.
 */
static int init_postgres(const struct cli_layout *l, const char *postgres, const char *ready,
                         struct ac_err *err)
{
    if (ac_path_exists(cli_layout_path(l, "pg/PG_VERSION")))
        return 0;
    const char *data = cli_layout_path(l, "pg.new");
    char initdb[1100];
    snprintf(initdb, sizeof(initdb), "%.*s/initdb", (int)(strrchr(postgres, '/') - postgres),
             postgres);
    int rc = ac_dir_remove(data, err);
    if (rc == 0)
        rc = ac_dir_create(data, 0700, err);
    if (rc == 0 && chown(data, l->pg_uid, l->pg_gid) != 0)
        rc = ac_err_errno(err, errno, "%s", data);
    const char *argv[] = {initdb,  "-D", data,   "-U",         "aceso",     "-A",
                          "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions",
                          NULL};
    struct cli_spawn s = {.argv = argv,
                          .log_path = cli_layout_path(l, "log/initdb.log"),
                          .uid = l->pg_uid,
                          .gid = l->pg_gid,
                          .cwd = "/",
                          .death_signal = SIGKILL};
    if (rc == 0)
        rc = cli_spawn_wait(&s, err);
    if (rc == 0 && rename(data, ready) != 0)
        rc = ac_err_errno(err, errno, "%s", ready);
    return rc;
}

static int add_postgres(struct cli_layout *l, struct cli_units *u, struct ac_err *err)
{
    struct cli_unit_def *d = new_unit(l, u, "postgres");
    const char *data = cli_layout_path(l, "pg");
    int rc = find_program(d, "postgres", "postgresql", err);
    if (rc == 0)
        rc = init_postgres(l, d->program, data, err);
    if (rc != 0)
        return rc;
    const char *const args[] = {"-D", data,
                                "-k", l->socket_dir,
                                "-c", "listen_addresses=",
                                "-c", "max_connections=200",
                                "-c", "shared_buffers=64MB",
                                "-c", "jit=off",
                                "-c", "synchronous_commit=on",
                                "-c", "logging_collector=off"};
    for (size_t i = 0; i < AC_ARRAY_LEN(args); i++)
        add_arg(d, args[i]);
    d->base = d->as_pg = true;
    d->stop_signal = SIGINT;
    d->probe = CLI_PROBE_PG;
    snprintf(d->probe_url, sizeof(d->probe_url),
             "host=%s user=aceso dbname=postgres connect_timeout=2", l->socket_dir);
    snprintf(d->address, sizeof(d->address), "%.63s", l->socket_dir);
    return 0;
}

static int write_nats_conf(const struct cli_layout *l, int port, int monitor, const char *password,
                           struct ac_err *err)
{
    struct ac_buf b;
    ac_buf_init(&b, 16384);
    ac_buf_printf(&b,
                  "# written by aceso at each start\n"
                  "listen: \"127.0.0.1:%d\"\nhttp: \"127.0.0.1:%d\"\nserver_name: aceso\n"
                  "max_payload: 8MB\nmax_pending: 64MB\n"
                  "authorization { user: aceso, password: \"%s\" }\n"
                  "jetstream { store_dir: \"%s\", max_memory_store: 256MB, max_file_store: 4GB }\n",
                  port, monitor, password, cli_layout_path(l, "nats"));
    int rc = b.failed
                 ? ac_err_set(err, AC_ERANGE, "nats.conf: the state directory's path is too long")
                 : ac_file_write_atomic(cli_layout_path(l, "nats.conf"), b.data, b.len, 0600, err);
    ac_buf_fini(&b);
    return rc;
}

static int add_nats(struct cli_layout *l, struct cli_units *u, char *ret_url, size_t url_size,
                    struct ac_err *err)
{
    struct cli_unit_def *d = new_unit(l, u, "nats");
    int port = 0, monitor = 0;
    char password[33];
    int rc = find_program(d, "nats-server", "nats-server", err);
    if (rc == 0)
        rc = cli_layout_port(l, "nats", &port, err);
    if (rc == 0)
        rc = cli_layout_port(l, "nats.http", &monitor, err);
    if (rc == 0)
        rc = cli_layout_secret(l, "nats", password, err);
    if (rc == 0)
        rc = write_nats_conf(l, port, monitor, password, err);
    if (rc != 0)
        return rc;
    char creds[64];
    int n = snprintf(creds, sizeof(creds), "aceso:%s", password);
    rc =
        ac_file_write_atomic(cli_layout_path(l, "secrets/nats.creds"), creds, (size_t)n, 0600, err);
    add_arg(d, "-c");
    add_arg(d, cli_layout_path(l, "nats.conf"));
    d->base = true;
    snprintf(d->probe_url, sizeof(d->probe_url), "http://127.0.0.1:%d/healthz", monitor);
    snprintf(d->address, sizeof(d->address), "127.0.0.1:%d", port);
    snprintf(ret_url, url_size, "nats://127.0.0.1:%d", port);
    return rc;
}

/* The addresses of all services, the same for each of them. */
static void add_peers(struct cli_unit_def *d, const int grpc[], const int http[],
                      const struct cli_units *u)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(SERVICES); i++) {
        char upper[32];
        size_t k = 0;
        for (; SERVICES[i].name[k]; k++)
            upper[k] = (char)(SERVICES[i].name[k] - 'a' + 'A');
        upper[k] = 0;
        if (SERVICES[i].grpc)
            add_env(d, "ACESO_%s_ADDR=127.0.0.1:%d", upper, grpc[i]);
        add_env(d, "ACESO_%s_HTTP_ADDR=127.0.0.1:%d", upper, http[i]);
    }
    add_env(d, "ACESO_KUBECONFIG=%s", u->kubeconfig);
}

static int service_program(struct cli_unit_def *d, const char *name, struct ac_err *err)
{
    snprintf(d->program, sizeof(d->program), "%s/aceso-%s", ac_exe_dir(), name);
    if (access(d->program, X_OK) != 0)
        return ac_err_set(err, AC_ENOTFOUND, "program %s is missing: build it with `make all`",
                          d->program);
    add_arg(d, d->program);
    return 0;
}

static int add_service(struct cli_layout *l, struct cli_units *u, size_t i, const int grpc[],
                       const int http[], const char *pg_url, const char *nats_url,
                       struct ac_err *err)
{
    const char *name = SERVICES[i].name;
    struct cli_unit_def *d = new_unit(l, u, name);
    int rc = service_program(d, name, err);
    if (rc == 0)
        rc = ac_dir_create(cli_layout_path(l, "data/%s", name), 0711, err);
    if (rc != 0)
        return rc;
    if (SERVICES[i].grpc)
        add_env(d, "ACESO_LISTEN=127.0.0.1:%d", grpc[i]);
    add_env(d, "ACESO_HTTP_LISTEN=127.0.0.1:%d", http[i]);
    add_env(d, "ACESO_PG_URL=%s", pg_url);
    add_env(d, "ACESO_NATS_URL=%s", nats_url);
    if (ac_str_empty(getenv("ACESO_NATS_URL")))
        add_env(d, "ACESO_NATS_CREDS=%s", cli_layout_path(l, "secrets/nats.creds"));
    add_env(d, "ACESO_STATE_DIR=%s", cli_layout_path(l, "data/%s", name));
    add_env(d, "ACESO_READY_FILE=%s", cli_layout_path(l, "ready/%s.json", name));
    add_peers(d, grpc, http, u);
    snprintf(d->probe_url, sizeof(d->probe_url), "http://127.0.0.1:%d/healthz", http[i]);
    if (SERVICES[i].grpc)
        snprintf(d->address, sizeof(d->address), "127.0.0.1:%d", grpc[i]);
    else
        snprintf(d->address, sizeof(d->address), "http://127.0.0.1:%d", http[i]);
    return 0;
}

/* ACESO_SERVICES=a,b,c runs only these (to work on one of them). */
static bool chosen(const char *name)
{
    const char *list = getenv("ACESO_SERVICES");
    if (ac_str_empty(list))
        return true;
    ac_cleanup(ac_free_p) char *copy = ac_xstrdup(list);
    char *rest = copy;
    for (char *one; (one = ac_str_next(&rest, ','));) {
        if (ac_streq(ac_str_trim(one), name))
            return true;
    }
    return false;
}

/* An empty variable counts as unset. */
static const char *outside(const char *name)
{
    const char *v = getenv(name);
    return ac_str_empty(v) ? NULL : v;
}

int cli_units_prepare(struct cli_layout *l, struct cli_units *ret, struct ac_err *err)
{
    int grpc[AC_ARRAY_LEN(SERVICES)] = {0}, http[AC_ARRAY_LEN(SERVICES)] = {0}, rc = 0;
    char pg_url[512] = "", nats_url[128] = "";
    const char *outside_pg = outside("ACESO_PG_URL"), *outside_nats = outside("ACESO_NATS_URL");
    *ret = (struct cli_units){0};
    ac_str_copy(ret->kubeconfig, sizeof(ret->kubeconfig),
                cli_layout_path(l, "data/cluster/kubeconfig"));
    rc = cli_outside_check(outside_pg, outside_nats, err);
    if (rc == 0 && outside_pg)
        snprintf(pg_url, sizeof(pg_url), "%s", outside_pg);
    else if (rc == 0) {
        rc = add_postgres(l, ret, err);
        snprintf(pg_url, sizeof(pg_url), "host=%s user=aceso dbname=postgres", l->socket_dir);
    }
    if (rc == 0 && outside_nats)
        snprintf(nats_url, sizeof(nats_url), "%s", outside_nats);
    else if (rc == 0)
        rc = add_nats(l, ret, nats_url, sizeof(nats_url), err);
    for (size_t i = 0; rc == 0 && i < AC_ARRAY_LEN(SERVICES); i++) {
        char http_name[64];
        snprintf(http_name, sizeof(http_name), "%s.http", SERVICES[i].name);
        rc = cli_layout_port(l, http_name, &http[i], err);
        if (rc == 0 && SERVICES[i].grpc)
            rc = cli_layout_port(l, SERVICES[i].name, &grpc[i], err);
    }
    for (size_t i = 0; rc == 0 && i < AC_ARRAY_LEN(SERVICES); i++) {
        if (chosen(SERVICES[i].name))
            rc = add_service(l, ret, i, grpc, http, pg_url, nats_url, err);
    }
    if (rc != 0)
        cli_units_fini(ret);
    return rc;
}

void cli_units_fini(struct cli_units *u)
{
    for (int i = 0; i < u->n; i++) {
        for (int k = 0; k < u->unit[i].n_argv; k++)
            free(u->unit[i].argv[k]);
        for (int k = 0; k < u->unit[i].n_env; k++)
            free(u->unit[i].env[k]);
    }
    u->n = 0;
}

bool cli_unit_probe(const struct cli_unit_def *d)
{
    if (d->probe == CLI_PROBE_PG)
        return PQping(d->probe_url) == PQPING_OK;
    struct ac_http_call call = {.method = "GET",
                                .url = d->probe_url,
                                .timeout_ns = 2000000000LL,
                                .max_response_bytes = 65536};
    struct ac_http_response res = {0};
    bool ok = ac_http_fetch(&call, &res, NULL) == 0 && res.status == 200;
    ac_http_response_fini(&res);
    return ok;
}

/* aceso-app: one microservice of a spec, or (aceso-app load) the users of the application. */
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/log.h>
#include <aceso/str.h>
#include <aceso/svc.h>

#include "adapters/engine.h"
#include "adapters/load_client.h"
#include "adapters/spec_yaml.h"
#include "adapters/specs.h"
#include "adapters/tcp.h"

struct options {
    char *spec, *spec_name, *service, *otlp_endpoint, *pod, *ns, *target, *mix;
    double sample_ratio, rate;
    int64_t error_spans, seed, duration_ns, late_ns, timeout_ns, interval_ns;
    bool quiet;
};

struct state {
    struct ac_arena *arena;
    const struct app_spec *spec;
    struct app_telemetry *telemetry;
    struct app_engine *engine;
    struct app_load_client *load;
    double *shares;
    char host[256];
};

static struct options opt;
static struct state st;

#define OPT(field, key, type, def, lo, hi, flags, help)                                            \
    {key, AC_CONF_##type, offsetof(struct options, field), def, lo, hi, flags, help},
static const struct ac_conf_opt serve_opts[] = {
#include "app.def"
#include "serve.def"
};
static const struct ac_conf_opt load_opts[] = {
#include "app.def"
#include "load.def"
};
#undef OPT

static const char *env_or(const char *value, const char *name)
{
    return ac_str_empty(value) ? getenv(name) : value;
}

static struct app_telemetry *open_telemetry(struct ac_svc *s, const char *service)
{
    struct app_telemetry_opts o = {.endpoint =
                                       env_or(opt.otlp_endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT"),
                                   .service = service,
                                   .ns = env_or(opt.ns, "POD_NAMESPACE"),
                                   .pod = env_or(opt.pod, "POD_NAME"),
                                   .application = st.spec->application,
                                   .sample_ratio = opt.sample_ratio,
                                   .error_spans_per_s = (unsigned)opt.error_spans,
                                   .interval_ns = opt.interval_ns};
    return app_telemetry_create(s, &o);
}

static int start_service(struct ac_svc *s, struct ac_err *err)
{
    const struct app_service *svc = app_spec_service(st.spec, opt.service);
    AC_ASSERT(svc != NULL); /* checked before */
    st.telemetry = open_telemetry(s, svc->name);
    return app_engine_create(s, st.spec, svc, st.telemetry, &st.engine, err);
}

static void on_http(struct ac_http_req *r, struct ac_svc *s)
{
    (void)s;
    app_engine_http(st.engine, r);
}

static void stopped(void *arg)
{
    ac_svc_stopped(arg);
}

static void stop_service(struct ac_svc *s)
{
    app_engine_stop(st.engine, AC_MIN(s->conf.drain_ns, AC_NS_PER_S), stopped, s);
}

static void load_over(void *arg)
{
    struct ac_svc *s = arg;
    if (st.host[0] == '\0') /* the signal came first */
        ac_svc_stopped(s);
    else
        ac_svc_quit(s, 0);
    st.host[0] = '\0';
}

static int parse_target(const struct app_load_spec *load, int *ret_port, struct ac_err *err)
{
    int64_t port = 0;
    if (ac_str_empty(opt.target)) {
        app_resolve(load->service->name, load->service->port, st.host, ret_port);
        return 0;
    }
    const char *scheme = strstr(opt.target, "://"), *at = scheme ? scheme + 3 : opt.target;
    char text[256];
    (void)ac_str_copy(text, sizeof(text), at);
    text[strcspn(text, "/")] = '\0';
    char *colon = strrchr(text, ':');
    if (!colon || !ac_str_to_i64(colon + 1, &port) || port < 1 || port > 65535)
        return ac_err_set(err, AC_EINVAL, "--target: expected http://HOST:PORT, got '%.60s'",
                          opt.target);
    *colon = '\0';
    (void)ac_str_copy(st.host, sizeof(st.host), text);
    *ret_port = (int)port;
    return 0;
}

static int start_load(struct ac_svc *s, struct ac_err *err)
{
    const struct app_load_spec *load = st.spec->load;
    struct app_load_opts o = {.spec = load,
                              .host = st.host,
                              .seed = (uint64_t)opt.seed,
                              .rate = opt.rate > 0 ? opt.rate : load->rate,
                              .duration_ns = opt.duration_ns,
                              .late_ns = opt.late_ns ? opt.late_ns : load->late_ns,
                              .timeout_ns = opt.timeout_ns ? opt.timeout_ns : load->timeout_ns,
                              .quiet = opt.quiet};
    int rc = parse_target(load, &o.port, err);
    st.shares = ac_xcalloc(load->n_classes, sizeof(*st.shares));
    if (!rc)
        rc = app_load_parse_mix(load, opt.mix ? opt.mix : "", st.shares, err);
    if (rc)
        return rc;
    o.shares = st.shares;
    o.host = ac_arena_strdup(st.arena, st.host);
    st.telemetry = open_telemetry(s, "load");
    st.load = app_load_start(s, &o, st.telemetry, load_over, s);
    return 0;
}

static void stop_load(struct ac_svc *s)
{
    if (st.host[0] == '\0') { /* over by itself */
        ac_svc_stopped(s);
        return;
    }
    st.host[0] = '\0';
    app_load_stop(st.load, AC_NS_PER_S);
}

static void fini(struct ac_svc *s)
{
    (void)s;
    app_engine_destroy(st.engine);
    app_load_destroy(st.load);
    app_telemetry_destroy(st.telemetry);
    free(st.shares);
}

/* The value of --NAME or its environment variable, before the options are parsed: a spec that is
 * wrong must end the program before anything has started. */
static const char *early(int argc, char **argv, const char *flag, const char *env)
{
    size_t n = strlen(flag);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], flag, n) != 0)
            continue;
        if (argv[i][n] == '=')
            return argv[i] + n + 1;
        if (argv[i][n] == '\0' && i + 1 < argc)
            return argv[i + 1];
    }
    return getenv(env);
}

static bool asks_only(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (ac_streq(argv[i], "--help") || ac_streq(argv[i], "--version") ||
            ac_streq(argv[i], "--dump-config"))
            return true;
    }
    return false;
}

static int load_spec(int argc, char **argv, bool load, struct ac_err *err)
{
    const char *path = early(argc, argv, "--spec", "ACESO_APP_SPEC");
    const char *name = early(argc, argv, "--spec-name", "ACESO_APP_SPEC_NAME");
    const char *text = NULL;
    int rc;
    const char *service = early(argc, argv, "--service", "ACESO_APP_SERVICE");
    if (ac_str_empty(path) && ac_str_empty(name))
        return ac_err_set(err, AC_EINVAL,
                          "no spec: give --spec FILE or --spec-name NAME, or set ACESO_APP_SPEC");
    if (ac_str_empty(path) && !(text = app_spec_builtin(name)))
        return ac_err_set(err, AC_EINVAL, "no built-in spec '%.40s'; there is: hotel", name);
    if (text) {
        path = name;
        rc = app_spec_parse(st.arena, name, text, strlen(text), &st.spec, err);
    } else {
        rc = app_spec_load_file(st.arena, path, &st.spec, err);
    }
    if (rc)
        return rc;
    if (load && !st.spec->load)
        return ac_err_set(err, AC_EINVAL, "%s has no 'load'", path);
    if (!load && ac_str_empty(service))
        return ac_err_set(err, AC_EINVAL,
                          "no service: give --service NAME or set ACESO_APP_SERVICE");
    if (!load && !app_spec_service(st.spec, service))
        return ac_err_set(err, AC_EINVAL, "%s has no service '%.60s'", path, service);
    return 0;
}

int main(int argc, char **argv)
{
    bool load = argc > 1 && ac_streq(argv[1], "load");
    struct ac_err err = AC_ERR_INIT;
    struct ac_svc_spec spec = {.name = "app",
                               .summary = load ? "seeded open-loop load of an application"
                                               : "one microservice of an application spec",
                               .opts = load ? load_opts : serve_opts,
                               .n_opts = load ? AC_ARRAY_LEN(load_opts) : AC_ARRAY_LEN(serve_opts),
                               .conf = &opt,
                               .no_rpc = false,
                               .start = load ? start_load : start_service,
                               .http = load ? NULL : on_http,
                               .stop = load ? stop_load : stop_service,
                               .fini = fini};
    if (load) {
        argv[1] = argv[0];
        argv++;
        argc--;
    }
    st.arena = ac_arena_create(64u << 20);
    int rc = asks_only(argc, argv) ? 0 : load_spec(argc, argv, load, &err);
    if (rc) {
        (void)fprintf(stderr, "aceso-app: %s\n", err.msg);
        ac_arena_destroy(st.arena);
        return 2;
    }
    rc = ac_svc_main(&spec, argc, argv);
    ac_arena_destroy(st.arena);
    return rc;
}

/* The frame of every service's main: options, log, loop, metrics, gRPC with health, HTTP with
 * /metrics and /healthz, PostgreSQL, NATS, signals, drain. A main fills an ac_svc_spec and calls
 * ac_svc_main; everything else is in its start callback. */
#pragma once

#include <aceso/bus.h>
#include <aceso/conf.h>
#include <aceso/http.h>
#include <aceso/loop.h>
#include <aceso/metrics.h>
#include <aceso/pg.h>
#include <aceso/rpc.h>

/* Options that every service has (flags, file keys, ACESO_<NAME>_<KEY> or ACESO_<KEY>). */
struct ac_svc_conf {
    char *listen;      /* gRPC address, default 127.0.0.1:0 */
    char *http_listen; /* HTTP address, default 127.0.0.1:0 */
    char *pg_url, *nats_url, *nats_creds;
    char *state_dir;                   /* for services that keep files */
    char *tls_cert, *tls_key, *tls_ca; /* PEM files; with a CA both sides show certificates */
    char *token_file;                  /* API tokens, one a line; NULL = none asked */
    char *log;                         /* level spec */
    char *tenant;                      /* default "default" */
    int64_t linger_ns;                 /* NOT_SERVING, but still serving, this long; default 0 */
    int64_t drain_ns;                  /* then what runs gets this long to end; default 2 s */
    bool reflection;
    bool http_tls;    /* HTTP with the TLS settings too */
    char *ready_file; /* where the addresses are written once ready */
};

struct ac_svc {
    struct ac_svc_conf conf;
    struct ac_loop *loop;
    struct ac_metrics *metrics;
    struct ac_rpc *rpc;
    struct ac_rpc_server *server; /* add services in start(); it starts listening afterwards */
    struct ac_http_server *http;  /* NULL without an address */
    struct ac_pg *pg;             /* NULL unless spec.migrations or uses_pg */
    struct ac_bus *bus;           /* NULL unless uses_bus */
    void *state;                  /* the service's own */
    /* Further members for the ready line, set in start(), e.g. "\"server\":\"https://...\"";
     * NULL = none. Owned by the service. */
    const char *ready_more;
    const struct ac_svc_spec *spec;
    void *priv;
};

struct ac_svc_spec {
    const char *name;   /* "rca": binary aceso-rca, schema rca, env prefix ACESO_RCA */
    const char *schema; /* in PostgreSQL; NULL = name */
    const char *summary;
    const struct ac_conf_opt *opts; /* the service's own options ... */
    size_t n_opts;
    void *conf; /* ... and the struct they fill */
    bool uses_pg, uses_bus, no_rpc;
    unsigned pg_connections;
    const struct ac_pg_migration *migrations;
    size_t n_migrations;
    size_t max_message_bytes; /* gRPC; 0 = 4 MiB */
    size_t max_body_bytes;    /* HTTP; 0 = 4 MiB */
    /** Wiring; loop not running yet, so blocking is fine. Errors: printed, exit 1, AC_EINVAL 2. */
    int (*start)(struct ac_svc *s, struct ac_err *err);
    /** HTTP requests other than /metrics and /healthz; NULL = 404. */
    void (*http)(struct ac_http_req *r, struct ac_svc *s);
    /** After start succeeded and the servers listen (loop thread, before run). May be NULL. */
    void (*ready)(struct ac_svc *s);
    /** SIGTERM/SIGINT: health is NOT_SERVING already. Stop taking work, end what was begun; call
     * ac_svc_stopped when done (after drain_ns + 5 s it is taken for done). NULL = at once. */
    void (*stop)(struct ac_svc *s);
    /** After the servers are shut down, before pg, bus, rpc and loop go. Free everything. */
    void (*fini)(struct ac_svc *s);
};

/** Runs the service to its end; the exit code for main: 0, 1 (failed), 2 (wrong usage). Once ready
 * it prints one line of JSON on stdout: {"service","grpc","http","pid"} and writes ready_file. */
int ac_svc_main(const struct ac_svc_spec *spec, int argc, char **argv);
void ac_svc_stopped(struct ac_svc *s);
/** Asks for the end with an exit code (e.g. a fatal adapter error). Any thread. */
void ac_svc_quit(struct ac_svc *s, int exit_code);
/** Whether an HTTP request shows one of the API tokens that gRPC calls need too (true when none are
 * configured); else it is answered with 401. */
bool ac_svc_http_authorized(struct ac_svc *s, struct ac_http_req *r) AC_MUST_USE;
/** Channel to another service with this service's TLS settings; address from the caller's option.
 */
struct ac_rpc_channel *ac_svc_channel(struct ac_svc *s, const char *address);
/** The TLS settings in force, as PEM texts of the frame's; false when there are none. */
bool ac_svc_tls(const struct ac_svc *s, struct ac_rpc_tls *ret);

/* Names of the bus, in one place. */
#define AC_SUBJECT_METRICS   "aceso.telemetry.metrics" /* .<namespace> */
#define AC_SUBJECT_LOGS      "aceso.telemetry.logs"
#define AC_SUBJECT_SPANS     "aceso.telemetry.spans"
#define AC_SUBJECT_RULES     "aceso.rules.changed"
#define AC_SUBJECT_ALERTS    "aceso.alerts"         /* .<namespace> */
#define AC_SUBJECT_INCIDENTS "aceso.incidents"      /* .<namespace> */
#define AC_SUBJECT_DIAGNOSES "aceso.diagnoses"      /* .<namespace> */
#define AC_SUBJECT_LAB       "aceso.lab.sessions"   /* .<session> */
#define AC_SUBJECT_CLUSTER   "aceso.cluster.events" /* .<namespace> */
#define AC_SUBJECT_SERVING   "aceso.serving.events"
#define AC_STREAM_TELEMETRY  "TELEMETRY" /* aceso.telemetry.> */
#define AC_STREAM_ALERTS     "ALERTS"    /* aceso.alerts.> aceso.rules.changed */
#define AC_STREAM_INCIDENTS  "INCIDENTS" /* aceso.incidents.> aceso.diagnoses.> */
#define AC_STREAM_LAB        "LAB"       /* aceso.lab.> aceso.cluster.events.> */
/** Creates all four streams (idempotent); every service that uses the bus may call it in start. */
int ac_svc_ensure_streams(struct ac_bus *b, struct ac_err *err) AC_MUST_USE;

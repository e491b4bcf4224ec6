/* What an instance consists of: PostgreSQL, nats-server and Aceso's services, with the program,
 * arguments, environment and health address of each. */
#pragma once

#include "layout.h"
#include "spawn.h"

#define CLI_UNITS_MAX 16

enum cli_probe {
    CLI_PROBE_PG,
    CLI_PROBE_HTTP
};

struct cli_unit_def {
    const char *name;
    char program[1024];
    char *argv[24]; /* owned */
    char *env[64];  /* owned */
    int n_argv, n_env;
    enum cli_probe probe;
    char probe_url[256]; /* conninfo or http://.../healthz */
    char address[64];    /* what `status` shows */
    char log_path[1100];
    bool base;       /* the others start once all base units are healthy */
    bool as_pg;      /* runs as PostgreSQL's user */
    int stop_signal; /* SIGTERM, or SIGINT for PostgreSQL's fast shutdown */
};

struct cli_units {
    struct cli_unit_def unit[CLI_UNITS_MAX];
    int n;
    char kubeconfig[1100];
};

/** Finds programs, chooses ports, prepares PostgreSQL's and NATS's own directories (initdb at first
 * use). Blocking. Errors name the missing program and what installs it. */
int cli_units_prepare(struct cli_layout *l, struct cli_units *ret, struct ac_err *err) AC_MUST_USE;
void cli_units_fini(struct cli_units *u);
/** Blocking: is it healthy now. Any thread. */
bool cli_unit_probe(const struct cli_unit_def *d);

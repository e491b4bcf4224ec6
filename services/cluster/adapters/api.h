/* The Kubernetes API over HTTPS: discovery, objects, watches, logs, exec. Loop thread. */
#pragma once

#include "pki.h"

#include <aceso/http.h>
#include <aceso/loop.h>
#include <aceso/metrics.h>

#include "core/ctl.h"

struct api;
struct runtime;
struct telemetry;

struct api_deps {
    struct ac_loop *loop;
    struct ac_metrics *metrics;
    struct cl_store *store;
    struct cl_ctl *ctl;
    const struct pki *pki;
    struct runtime *runtime;           /* logs and exec */
    const struct telemetry *telemetry; /* usage */
};

/** listen "127.0.0.1:6443". AC_EEXISTS when the port is taken. */
int api_start(const struct api_deps *d, const char *listen, struct api **ret,
              struct ac_err *err) AC_MUST_USE;
int api_port(const struct api *a);
/** Ends streams and closes; may be repeated. NULL is fine. */
void api_stop(struct api *a);
/** After the store, which tells it of changes to the last. */
void api_destroy(struct api *a);

/* One microservice: takes requests by gRPC and HTTP, runs the steps of their routes, and answers.
 * Loop thread. */
#pragma once

#include "spec.h"
#include "telemetry.h"

#include <aceso/svc.h>

struct app_engine;

/** Registers the routes at svc's servers. spec, service and t must outlive the engine. AC_EINVAL on
 * a store whose address cannot be made. */
int app_engine_create(struct ac_svc *svc, const struct app_spec *spec,
                      const struct app_service *service, struct app_telemetry *t,
                      struct app_engine **ret, struct ac_err *err) AC_MUST_USE;
void app_engine_http(struct app_engine *e, struct ac_http_req *r);
/** Refuses new requests; done(arg) once the running ones have ended, or were ended after grace. */
void app_engine_stop(struct app_engine *e, int64_t grace_ns, ac_loop_fn done, void *arg);
void app_engine_destroy(struct app_engine *e); /* after stop's done */

/* Container metrics as OTLP to the collector, every period. Loop thread; /proc is read on a worker.
 */
#pragma once

#include "runtime.h"

#include <aceso/svc.h>

struct telemetry;
/** collector "HOST:PORT"; NULL or "": nothing is sent. */
int telemetry_open(struct ac_svc *s, struct runtime *rt, const char *collector, int64_t period_ns,
                   struct telemetry **ret, struct ac_err *err) AC_MUST_USE;
void telemetry_close(struct telemetry *t); /* NULL is fine */

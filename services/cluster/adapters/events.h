/* The cluster's events on the bus: aceso.cluster.events.<namespace>, JSON as in the API. Only with
 * an address of NATS; what is lost is lost. Loop thread. */
#pragma once

#include <aceso/svc.h>

#include "core/store.h"

struct events;
int events_open(struct ac_svc *s, struct cl_store *store, struct events **ret,
                struct ac_err *err) AC_MUST_USE;
void events_close(struct events *e); /* NULL is fine */

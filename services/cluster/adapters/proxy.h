/* Service addresses: a listener for each service port, connections spread over the ready endpoints,
 * and the network's faults on what flows. Its own thread with epoll; the loop hands it plans. */
#pragma once

#include "runtime.h"

#include <aceso/metrics.h>

#include "core/store.h"

struct proxy;

int proxy_create(struct ac_metrics *m, struct cl_store *s, struct runtime *rt, struct proxy **ret,
                 struct ac_err *err) AC_MUST_USE;
/** Makes a plan of the store's services, endpoints and faults; hands it over when it differs from
 * the last. Loop thread. */
void proxy_sync(struct proxy *p);
void proxy_destroy(struct proxy *p); /* NULL is fine */

/* Defaults and checks of new and changed objects, as the API server makes them. Pure. */
#pragma once

#include "store.h"

#include <stdint.h>

#include <jansson.h>

#include <aceso/err.h>

/** Defaults in place, then checks. old is NULL for a creation. AC_EINVAL names the field. */
int cl_prepare(struct cl_store *s, enum cl_kind_id k, json_t *o, const json_t *old,
               struct ac_err *err) AC_MUST_USE;

/* Addresses of an instance: 127.<net>.0.0/17 for pods, 127.<net>.128.0/17 for services. */
struct cl_net {
    unsigned net;      /* 1..254 */
    uint32_t next_pod; /* where the search for a free one goes on */
    uint32_t next_service;
};
/** Next free address of a pod or service, "127.n.x.y" in dst (of at least 16 bytes). AC_EAGAIN when
 * all are taken. */
int cl_net_pod_ip(struct cl_net *n, const struct cl_store *s, char *dst, struct ac_err *err);
int cl_net_service_ip(struct cl_net *n, const struct cl_store *s, char *dst, struct ac_err *err);

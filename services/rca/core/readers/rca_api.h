/* What files that describe interfaces say of components: the services of a protobuf file. They name
 * who is there and what is offered, not who calls whom, but for comments that say so. Pure. */
#pragma once

#include <stddef.h>

#include <aceso/err.h>

#define AC_RCA_PROTO_MAX_NAME    200
#define AC_RCA_PROTO_MAX_COMMENT 400

/* A service, with the comment in front of it (first AC_RCA_PROTO_MAX_COMMENT bytes, one line) or
 * ""; line counts from 1. Returns other than 0 to stop with that code. */
typedef int (*ac_rca_proto_fn)(const char *service, int line, const char *comment, void *arg);

/** Calls fn for each `service NAME {` outside of strings and comments. AC_EINVAL with "name:line:"
 * for braces, strings or comments that do not close, a service without a name, and names that are
 * too long; else what fn returned. */
int ac_rca_proto_services(const char *name, const char *text, size_t len, ac_rca_proto_fn fn,
                          void *arg, struct ac_err *err) AC_MUST_USE;
/** The name of a service as those of workloads are written: "shop.CartService" and "cart-service"
 * to "cartservice", cut at size. */
void ac_rca_plain_name(const char *name, char *ret, size_t size);

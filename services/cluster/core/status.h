/* Errors as Kubernetes Status objects. Any thread. */
#pragma once

#include "kinds.h"

#include <jansson.h>

#include <aceso/err.h>

/** HTTP status of an error code: EINVAL 422, EPROTO 400, ENOTFOUND 404, EEXISTS and EABORTED 409,
 * EPERM 403, EUNAUTH 401, ERANGE 410, ENOTSUP 405, EAGAIN 429, else 500. */
int cl_status_http(int code);
/** New Status object. kind and name may be NULL. */
json_t *cl_status_failure(const struct ac_err *err, const struct cl_kind *kind, const char *name);
/** New Status object of a success (delete). */
json_t *cl_status_success(const struct cl_kind *kind, const json_t *object);

/* The three patch kinds that kubectl sends. Each returns a new value and changes neither argument.
 * Any thread on its own values. */
#pragma once

#include <jansson.h>

#include <aceso/err.h>

#define CL_PATCH_MAX_OPS   1000
#define CL_PATCH_MAX_DEPTH 64

/** RFC 7386. */
json_t *cl_patch_merge(const json_t *target, const json_t *patch);
/** RFC 6902: add, remove, replace, move, copy, test. AC_EPROTO on a malformed patch, AC_EINVAL when
 * a path is missing or a test fails. */
int cl_patch_json(const json_t *target, const json_t *ops, json_t **ret,
                  struct ac_err *err) AC_MUST_USE;
/** Strategic merge: lists of objects merged by key ($patch, $retainKeys, $setElementOrder,
 * $deleteFromPrimitiveList). AC_EPROTO on a malformed directive. */
int cl_patch_strategic(const json_t *target, const json_t *patch, json_t **ret,
                       struct ac_err *err) AC_MUST_USE;

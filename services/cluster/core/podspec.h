/* What a container is to run with: environment, arguments, files, image. Pure. */
#pragma once

#include "store.h"

#include <jansson.h>

#include <aceso/err.h>

struct cl_pod_ctx {
    const struct cl_store *store;
    const json_t *pod;
    const char *pod_ip;
    const char *host_ip;
};

/** New object name -> text, in order: service variables of the namespace, then envFrom, then env,
 * with $(NAME) replaced. AC_ENOTFOUND with the text of Kubernetes' event when a config map, secret
 * or key is missing. */
int cl_pod_env(const struct cl_pod_ctx *x, const json_t *container, json_t **ret,
               struct ac_err *err) AC_MUST_USE;
/** $(NAME) from env, $$ for $; caller frees. */
char *cl_expand(const char *text, const json_t *env);
/** New array of strings: the image's entry point and command under the container's. */
json_t *cl_pod_argv(const json_t *container, const json_t *image, const json_t *env);

/** New array of mounts {mountPath, type: dir | files | host | claim, name, subPath, files: {path:
 * bytes}, path}. AC_ENOTFOUND when a config map or secret is missing. */
int cl_pod_mounts(const struct cl_pod_ctx *x, const json_t *container, json_t **ret,
                  struct ac_err *err) AC_MUST_USE;
/** Replaces mount paths within text by where the files are: mounts as above with "real" set.
 * Caller frees. */
char *cl_rewrite_paths(const char *text, const json_t *mounts);

/** The image table's row for an image name ("docker.io/library/redis:7" finds "redis:*"); NULL when
 * unknown. table: array of {match, entrypoint[], cmd[], env{}, user, volume}. */
const json_t *cl_image_find(const json_t *table, const char *image);
/** Checks a table that a user gave. */
int cl_image_check(const json_t *table, struct ac_err *err) AC_MUST_USE;
/** The rows that are always there; new reference. bin_dir and lib_dir are put into them. */
json_t *cl_image_builtin(const char *bin_dir, const char *lib_dir);

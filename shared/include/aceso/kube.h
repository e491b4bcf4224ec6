/* Kubernetes API client: kubeconfig or the pod's service account, JSON in and out. The same for a
 * real cluster and for Aceso's embedded one. Calls block: use them on a worker thread, never on a
 * loop. Thread-safe. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include <aceso/err.h>

struct ac_kube;

/** kubeconfig: path, or NULL / "" for the service account of the pod we run in. Nothing is read
 * yet: the file is read at the first call and again after the server could not be reached or
 * refused us (an embedded cluster may start later than we do). */
struct ac_kube *ac_kube_create(const char *kubeconfig);
void ac_kube_destroy(struct ac_kube *k);

#define AC_KUBE_JSON            "application/json"
#define AC_KUBE_MERGE_PATCH     "application/merge-patch+json"
#define AC_KUBE_STRATEGIC_PATCH "application/strategic-merge-patch+json"
#define AC_KUBE_JSON_PATCH      "application/json-patch+json"

/** One request; path is "/api/v1/namespaces/x/pods". body may be NULL. 2xx: *ret (may be NULL) is
 * the answer (new reference). 404 = AC_ENOTFOUND, 409 AlreadyExists = AC_EEXISTS, 409 Conflict =
 * AC_EABORTED, 401 = AC_EUNAUTH, 403 = AC_EPERM, 422 and 400 = AC_EINVAL, no answer = AC_ENET; the
 * text carries the server's message. */
int ac_kube_request(struct ac_kube *k, const char *method, const char *path,
                    const char *content_type, const json_t *body, json_t **ret,
                    struct ac_err *err) AC_MUST_USE;
/** Raw text of a path (pod logs). Caller frees. */
int ac_kube_text(struct ac_kube *k, const char *path, char **ret, struct ac_err *err) AC_MUST_USE;

/** Path of an object's collection, or of the object when name is given: from apiVersion, kind and
 * namespace (the kinds of core/v1, apps/v1, batch/v1, rbac and chaos-mesh.org/v1alpha1). Static
 * table; AC_ENOTSUP for an unknown kind. Caller frees *ret. */
int ac_kube_path(const char *api_version, const char *kind, const char *ns, const char *name,
                 char **ret, struct ac_err *err) AC_MUST_USE;
/** Creates the object, or replaces its spec, data and labels by a merge patch when it is there.
 * ns: used when the object names none. */
int ac_kube_apply(struct ac_kube *k, const json_t *object, const char *ns,
                  struct ac_err *err) AC_MUST_USE;
/** Deletes; fine when it is not there. */
int ac_kube_delete(struct ac_kube *k, const char *api_version, const char *kind, const char *ns,
                   const char *name, struct ac_err *err) AC_MUST_USE;
/** GETs an object: AC_ENOTFOUND when absent. */
int ac_kube_get(struct ac_kube *k, const char *api_version, const char *kind, const char *ns,
                const char *name, json_t **ret, struct ac_err *err) AC_MUST_USE;
/** Lists; label_selector may be NULL. *ret is the items array (new reference). */
int ac_kube_list(struct ac_kube *k, const char *api_version, const char *kind, const char *ns,
                 const char *label_selector, json_t **ret, struct ac_err *err) AC_MUST_USE;
/** Waits until fn says so: it is shown the items of a list at first and after each change (a watch
 * keeps them current), and about once a second without one. It returns 1 = this is it, 0 = go on,
 * or an error that ends the wait. AC_ETIMEOUT when the time is over; a server that goes away is
 * waited for. */
typedef int (*ac_kube_until_fn)(const json_t *items, void *arg, struct ac_err *err);
int ac_kube_until(struct ac_kube *k, const char *api_version, const char *kind, const char *ns,
                  ac_kube_until_fn fn, void *arg, int64_t timeout_ns,
                  struct ac_err *err) AC_MUST_USE;

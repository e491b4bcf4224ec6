/* All objects of the cluster under one monotonic resourceVersion, with a bounded log of changes for
 * watches. Values in the store are never changed in place: an update puts a new value, so readers
 * may keep references. Loop thread only. */
#pragma once

#include "kinds.h"
#include "ports.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <aceso/err.h>

#define CL_STORE_LOG_LEN 4096 /* changes that a watch can look back */

enum cl_change {
    CL_ADDED,
    CL_MODIFIED,
    CL_DELETED
};

struct cl_event {
    uint64_t rv;
    enum cl_change change;
    enum cl_kind_id kind;
    json_t *object; /* as it is now (for DELETED: as it was, with the new version) */
    json_t *old;    /* before; NULL for ADDED */
};

struct cl_store;

struct cl_store *cl_store_create(const struct cl_ports *ports);
void cl_store_destroy(struct cl_store *s);

uint64_t cl_store_rv(const struct cl_store *s);
int64_t cl_store_now(const struct cl_store *s); /* wall ns by the port */
void cl_store_random(const struct cl_store *s, void *p, size_t n);

/** Borrowed; NULL when absent. ns is ignored for kinds without namespaces. */
json_t *cl_store_get(const struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name);
json_t *cl_store_get_uid(const struct cl_store *s, enum cl_kind_id k, const char *uid);
/** for (size_t it = 0; (o = cl_store_next(s, k, ns, &it)) != NULL;) ns NULL or "" = all. In order
 * of creation. The current object may be removed or replaced within the loop. */
json_t *cl_store_next(const struct cl_store *s, enum cl_kind_id k, const char *ns, size_t *it);
size_t cl_store_count(const struct cl_store *s, enum cl_kind_id k);

/** Fills name (from generateName), uid, creationTimestamp, generation, apiVersion, kind. obj is
 * copied. AC_EEXISTS; AC_EINVAL on a bad name; AC_ENOTFOUND when the namespace is absent, AC_EPERM
 * when it is being deleted. */
int cl_store_add(struct cl_store *s, enum cl_kind_id k, const json_t *obj, json_t **ret,
                 struct ac_err *err) AC_MUST_USE;
/** Replaces. A resourceVersion in obj must be the current one (AC_EABORTED). uid and creation time
 * are kept; generation grows when anything but metadata and status changed. When the object is
 * being deleted and has no finalizers left it is removed (pods: when their grace period is 0).
 * ret may be NULL. Without a difference nothing happens. */
int cl_store_update(struct cl_store *s, enum cl_kind_id k, const json_t *obj, json_t **ret,
                    struct ac_err *err) AC_MUST_USE;
/** Only .status changes. */
int cl_store_set_status(struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name,
                        json_t *status_taken, struct ac_err *err) AC_MUST_USE;

struct cl_delete {
    int64_t grace_s; /* -1 = the object's own */
    const char *uid; /* precondition; NULL = none */
    bool orphan;     /* leave owned objects */
};
/** Deletes, or marks for deletion (finalizers, pods with grace, namespaces). */
int cl_store_delete(struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name,
                    const struct cl_delete *how, json_t **ret, struct ac_err *err) AC_MUST_USE;
/** Takes it out whatever it says; absent is fine. */
void cl_store_drop(struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name);

/** Called for each change, at once, in order of registration. */
typedef void (*cl_store_observer)(const struct cl_event *ev, void *arg);
void cl_store_observe(struct cl_store *s, cl_store_observer fn, void *arg);

/** Walks the log after rv: *at starts as rv, and is moved. NULL at the end. */
const struct cl_event *cl_store_log_next(const struct cl_store *s, uint64_t *at);
/** Whether all changes after rv are still in the log. */
bool cl_store_log_has(const struct cl_store *s, uint64_t rv);

/** From a saved state: puts as it is, with no event. rv moves up to the object's. */
void cl_store_load(struct cl_store *s, enum cl_kind_id k, const json_t *obj);
void cl_store_unload(struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name);
void cl_store_set_rv(struct cl_store *s, uint64_t rv);

/** DNS-1123 subdomain of at most 253 characters. */
bool cl_name_valid(const char *name);
void cl_uuid(const struct cl_store *s, char dst[37]);
/** n lower-case letters and digits without vowels, as Kubernetes names its pods. */
void cl_suffix(const struct cl_store *s, char *dst, size_t n);

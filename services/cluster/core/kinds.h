/* The table of resource kinds that the API serves. Static data; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum cl_kind_id {
    CL_NAMESPACE,
    CL_NODE,
    CL_POD,
    CL_SERVICE,
    CL_ENDPOINTS,
    CL_CONFIGMAP,
    CL_SECRET,
    CL_EVENT,
    CL_SERVICEACCOUNT,
    CL_PVC,
    CL_DEPLOYMENT,
    CL_REPLICASET,
    CL_JOB,
    CL_ENDPOINTSLICE,
    CL_PODCHAOS,
    CL_NETWORKCHAOS,
    CL_KINDS
};

#define CL_SUB_STATUS 1u
#define CL_SUB_SCALE  2u
#define CL_SUB_LOG    4u
#define CL_SUB_EXEC   8u
#define CL_SUB_TOKEN  16u
#define CL_SUB_EVICT  32u

struct cl_kind {
    enum cl_kind_id id;
    const char *group, *version, *kind, *plural, *singular;
    const char *shorts;     /* comma-separated; "" = none */
    const char *categories; /* "all" or "" */
    bool namespaced;
    bool custom; /* as a custom resource: no strategic merge patch */
    unsigned subresources;
};

extern const struct cl_kind cl_kinds[CL_KINDS];

/** group "" = the core group. NULL when unknown. */
const struct cl_kind *cl_kind_find(const char *group, const char *version, const char *plural);
const struct cl_kind *cl_kind_by_name(const char *kind);
/** "v1" or "apps/v1". dst of at least 64 bytes. */
const char *cl_kind_api_version(const struct cl_kind *k, char *dst, size_t dst_size);

/* Groups other than core, in the order in which they are discovered. */
extern const char *const cl_groups[][2]; /* {group, version}, NULL-ended */

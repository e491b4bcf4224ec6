#include "kinds.h"

#include <stdio.h>

#include <aceso/str.h>

#define CHAOS "chaos-mesh.org"

const struct cl_kind cl_kinds[CL_KINDS] = {
    {CL_NAMESPACE, "", "v1", "Namespace", "namespaces", "namespace", "ns", "", false, false,
     CL_SUB_STATUS},
    {CL_NODE, "", "v1", "Node", "nodes", "node", "no", "", false, false, CL_SUB_STATUS},
    {CL_POD, "", "v1", "Pod", "pods", "pod", "po", "all", true, false,
     CL_SUB_STATUS | CL_SUB_LOG | CL_SUB_EXEC | CL_SUB_EVICT},
    {CL_SERVICE, "", "v1", "Service", "services", "service", "svc", "all", true, false,
     CL_SUB_STATUS},
    {CL_ENDPOINTS, "", "v1", "Endpoints", "endpoints", "endpoints", "ep", "", true, false, 0},
    {CL_CONFIGMAP, "", "v1", "ConfigMap", "configmaps", "configmap", "cm", "", true, false, 0},
    {CL_SECRET, "", "v1", "Secret", "secrets", "secret", "", "", true, false, 0},
    {CL_EVENT, "", "v1", "Event", "events", "event", "ev", "", true, false, 0},
    {CL_SERVICEACCOUNT, "", "v1", "ServiceAccount", "serviceaccounts", "serviceaccount", "sa", "",
     true, false, CL_SUB_TOKEN},
    {CL_PVC, "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim",
     "pvc", "", true, false, CL_SUB_STATUS},
    {CL_DEPLOYMENT, "apps", "v1", "Deployment", "deployments", "deployment", "deploy", "all", true,
     false, CL_SUB_STATUS | CL_SUB_SCALE},
    {CL_REPLICASET, "apps", "v1", "ReplicaSet", "replicasets", "replicaset", "rs", "all", true,
     false, CL_SUB_STATUS | CL_SUB_SCALE},
    {CL_JOB, "batch", "v1", "Job", "jobs", "job", "", "all", true, false, CL_SUB_STATUS},
    {CL_ENDPOINTSLICE, "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice",
     "", "", true, false, 0},
    {CL_PODCHAOS, CHAOS, "v1alpha1", "PodChaos", "podchaos", "podchaos", "", "", true, true, 0},
    {CL_NETWORKCHAOS, CHAOS, "v1alpha1", "NetworkChaos", "networkchaos", "networkchaos", "", "",
     true, true, 0},
};

const char *const cl_groups[][2] = {{"apps", "v1"},
                                    {"batch", "v1"},
                                    {"discovery.k8s.io", "v1"},
                                    {"authorization.k8s.io", "v1"},
                                    {CHAOS, "v1alpha1"},
                                    {"metrics.k8s.io", "v1beta1"},
                                    {NULL, NULL}};

const struct cl_kind *cl_kind_find(const char *group, const char *version, const char *plural)
{
    for (size_t i = 0; i < CL_KINDS; i++) {
        const struct cl_kind *k = &cl_kinds[i];
        if (ac_streq(k->group, group) && ac_streq(k->version, version) &&
            ac_streq(k->plural, plural))
            return k;
    }
    return NULL;
}

const struct cl_kind *cl_kind_by_name(const char *kind)
{
    for (size_t i = 0; i < CL_KINDS; i++)
        if (ac_streq(cl_kinds[i].kind, kind))
            return &cl_kinds[i];
    return NULL;
}

const char *cl_kind_api_version(const struct cl_kind *k, char *dst, size_t dst_size)
{
    if (k->group[0] == '\0')
        (void)snprintf(dst, dst_size, "%s", k->version);
    else
        (void)snprintf(dst, dst_size, "%s/%s", k->group, k->version);
    return dst;
}

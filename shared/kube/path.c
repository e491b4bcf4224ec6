/* Kinds to paths. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/kube.h>
#include <aceso/str.h>

static const struct {
    const char *kind, *plural;
    bool cluster_wide;
} KINDS[] = {
    {"Namespace", "namespaces", true},
    {"Node", "nodes", true},
    {"Pod", "pods", false},
    {"Service", "services", false},
    {"Endpoints", "endpoints", false},
    {"ConfigMap", "configmaps", false},
    {"Secret", "secrets", false},
    {"Event", "events", false},
    {"ServiceAccount", "serviceaccounts", false},
    {"PersistentVolumeClaim", "persistentvolumeclaims", false},
    {"Deployment", "deployments", false},
    {"ReplicaSet", "replicasets", false},
    {"StatefulSet", "statefulsets", false},
    {"Job", "jobs", false},
    {"Role", "roles", false},
    {"RoleBinding", "rolebindings", false},
    {"PodChaos", "podchaos", false},
    {"NetworkChaos", "networkchaos", false},
};

int ac_kube_path(const char *api_version, const char *kind, const char *ns, const char *name,
                 char **ret, struct ac_err *err)
{
    size_t i = 0;
    while (i < AC_ARRAY_LEN(KINDS) && !ac_streq(KINDS[i].kind, kind))
        i++;
    if (i == AC_ARRAY_LEN(KINDS))
        return ac_err_set(err, AC_ENOTSUP, "kind %s is not known to this client",
                          kind ? kind : "(none)");
    if (ac_str_empty(api_version))
        return ac_err_set(err, AC_EINVAL, "%s: apiVersion is missing", kind);
    const char *root = strchr(api_version, '/') ? "/apis/" : "/api/";
    bool all = KINDS[i].cluster_wide || ac_str_empty(ns);
    *ret = ac_xasprintf("%s%s%s%s/%s%s%s", root, api_version, all ? "" : "/namespaces/",
                        all ? "" : ns, KINDS[i].plural, name ? "/" : "", name ? name : "");
    return 0;
}

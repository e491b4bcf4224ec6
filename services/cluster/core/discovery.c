#include "discovery.h"

#include "js.h"
#include "kinds.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

json_t *cl_discovery_version(void)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "major", "1", "minor", "32",
                     "gitVersion", CL_KUBE_VERSION "+aceso", "gitCommit", "0", "gitTreeState",
                     "clean", "buildDate", "2025-01-01T00:00:00Z", "goVersion", "none", "compiler",
                     "gcc", "platform", "linux/amd64");
}

json_t *cl_discovery_api_versions(const char *server_address)
{
    return json_pack("{s:s,s:[s],s:[{s:s,s:s}]}", "kind", "APIVersions", "versions", "v1",
                     "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0", "serverAddress",
                     server_address);
}

static json_t *group_doc(const char *group, const char *version)
{
    char gv[128];
    (void)snprintf(gv, sizeof(gv), "%s/%s", group, version);
    return json_pack("{s:s,s:[{s:s,s:s}],s:{s:s,s:s}}", "name", group, "versions", "groupVersion",
                     gv, "version", version, "preferredVersion", "groupVersion", gv, "version",
                     version);
}

json_t *cl_discovery_groups(void)
{
    json_t *list = json_array();
    for (size_t i = 0; cl_groups[i][0] != NULL; i++)
        json_array_append_new(list, group_doc(cl_groups[i][0], cl_groups[i][1]));
    return json_pack("{s:s,s:s,s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups", list);
}

json_t *cl_discovery_group(const char *group)
{
    for (size_t i = 0; cl_groups[i][0] != NULL; i++) {
        if (!ac_streq(cl_groups[i][0], group))
            continue;
        json_t *g = group_doc(cl_groups[i][0], cl_groups[i][1]);
        js_set_str(g, "kind", "APIGroup");
        js_set_str(g, "apiVersion", "v1");
        return g;
    }
    return NULL;
}

static json_t *words(const char *commas)
{
    json_t *a = json_array();
    ac_cleanup(ac_free_p) char *copy = ac_xstrdup(commas);
    char *rest = copy, *w;
    while (copy[0] != '\0' && (w = ac_str_next(&rest, ',')) != NULL)
        json_array_append_new(a, json_string(w));
    return a;
}

static void add_sub(json_t *list, const struct cl_kind *k, const char *sub, const char *kind,
                    const char *group, const char *verbs)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s/%s", k->plural, sub);
    json_t *r = json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", name, "singularName", "", "namespaced",
                          k->namespaced, "kind", kind, "verbs", words(verbs));
    if (group != NULL) {
        js_set_str(r, "group", group);
        js_set_str(r, "version", "v1");
    }
    json_array_append_new(list, r);
}

static void add_kind(json_t *list, const struct cl_kind *k)
{
    json_t *r = json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", k->plural, "singularName", k->singular,
                          "namespaced", k->namespaced, "kind", k->kind, "verbs",
                          words("create,delete,deletecollection,get,list,patch,update,watch"));
    if (k->shorts[0] != '\0')
        json_object_set_new(r, "shortNames", words(k->shorts));
    if (k->categories[0] != '\0')
        json_object_set_new(r, "categories", words(k->categories));
    json_array_append_new(list, r);
    if (k->subresources & CL_SUB_STATUS)
        add_sub(list, k, "status", k->kind, NULL, "get,patch,update");
    if (k->subresources & CL_SUB_SCALE)
        add_sub(list, k, "scale", "Scale", "autoscaling", "get,patch,update");
    if (k->subresources & CL_SUB_LOG)
        add_sub(list, k, "log", k->kind, NULL, "get");
    if (k->subresources & CL_SUB_EXEC)
        add_sub(list, k, "exec", "PodExecOptions", NULL, "create,get");
    if (k->subresources & CL_SUB_EVICT)
        add_sub(list, k, "eviction", "Eviction", "policy", "create");
    if (k->subresources & CL_SUB_TOKEN)
        add_sub(list, k, "token", "TokenRequest", "authentication.k8s.io", "create");
}

static void add_usage(json_t *list, const char *plural, bool namespaced, const char *kind)
{
    json_array_append_new(list, json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", plural, "singularName",
                                          "", "namespaced", namespaced, "kind", kind, "verbs",
                                          words("get,list")));
}

static bool group_known(const char *group, const char *version)
{
    if (group[0] == '\0')
        return ac_streq(version, "v1");
    for (size_t i = 0; cl_groups[i][0] != NULL; i++)
        if (ac_streq(cl_groups[i][0], group) && ac_streq(cl_groups[i][1], version))
            return true;
    return false;
}

json_t *cl_discovery_resources(const char *group, const char *version)
{
    char gv[128];
    if (!group_known(group, version))
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < CL_KINDS; i++)
        if (ac_streq(cl_kinds[i].group, group) && ac_streq(cl_kinds[i].version, version))
            add_kind(list, &cl_kinds[i]);
    if (ac_streq(group, "authorization.k8s.io"))
        json_array_append_new(list, json_pack("{s:s,s:s,s:b,s:s,s:[s]}", "name",
                                              "selfsubjectaccessreviews", "singularName",
                                              "selfsubjectaccessreview", "namespaced", 0, "kind",
                                              "SelfSubjectAccessReview", "verbs", "create"));
    if (ac_streq(group, "metrics.k8s.io")) {
        add_usage(list, "nodes", false, "NodeMetrics");
        add_usage(list, "pods", true, "PodMetrics");
    }
    (void)snprintf(gv, sizeof(gv), "%s%s%s", group, group[0] != '\0' ? "/" : "", version);
    return json_pack("{s:s,s:s,s:s,s:o}", "kind", "APIResourceList", "apiVersion", "v1",
                     "groupVersion", gv, "resources", list);
}

static void index_entry(json_t *paths, const char *group, const char *version)
{
    char path[128], url[160];
    if (group[0] == '\0')
        (void)snprintf(path, sizeof(path), "api/%s", version);
    else
        (void)snprintf(path, sizeof(path), "apis/%s/%s", group, version);
    (void)snprintf(url, sizeof(url), "/openapi/v3/%s?hash=1", path);
    json_object_set_new(paths, path, json_pack("{s:s}", "serverRelativeURL", url));
}

json_t *cl_openapi_index(void)
{
    json_t *paths = json_object();
    index_entry(paths, "", "v1");
    for (size_t i = 0; cl_groups[i][0] != NULL; i++)
        index_entry(paths, cl_groups[i][0], cl_groups[i][1]);
    return json_pack("{s:o}", "paths", paths);
}

static json_t *operation(const struct cl_kind *k, const char *action)
{
    json_t *param = json_pack("{s:s,s:s,s:{s:s}}", "name", "fieldValidation", "in", "query",
                              "schema", "type", "string");
    return json_pack("{s:s,s:{s:s,s:s,s:s},s:[o],s:{s:{s:s}}}", "x-kubernetes-action", action,
                     "x-kubernetes-group-version-kind", "group", k->group, "version", k->version,
                     "kind", k->kind, "parameters", param, "responses", "200", "description", "OK");
}

json_t *cl_openapi_v3(const char *group, const char *version)
{
    char path[192];
    if (!group_known(group, version))
        return NULL;
    json_t *paths = json_object(), *schemas = json_object();
    for (size_t i = 0; i < CL_KINDS; i++) {
        const struct cl_kind *k = &cl_kinds[i];
        if (!ac_streq(k->group, group) || !ac_streq(k->version, version))
            continue;
        (void)snprintf(path, sizeof(path), "%s%s%s/%s/%s%s/{name}",
                       group[0] != '\0' ? "/apis/" : "/api", group, "", version,
                       k->namespaced ? "namespaces/{namespace}/" : "", k->plural);
        json_object_set_new(paths, path,
                            json_pack("{s:o,s:o,s:o}", "get", operation(k, "get"), "patch",
                                      operation(k, "patch"), "put", operation(k, "put")));
        json_object_set_new(schemas, k->kind,
                            json_pack("{s:s,s:[{s:s,s:s,s:s}]}", "type", "object",
                                      "x-kubernetes-group-version-kind", "group", k->group,
                                      "version", k->version, "kind", k->kind));
    }
    return json_pack("{s:s,s:{s:s,s:s},s:o,s:{s:o}}", "openapi", "3.0.0", "info", "title",
                     "Kubernetes", "version", CL_KUBE_VERSION, "paths", paths, "components",
                     "schemas", schemas);
}

/* kubeconfig files and the service account of the pod we run in. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define MAX_FILE    (1u << 20)

void kube_config_fini(struct kube_config *c)
{
    free(c->server);
    free(c->ca);
    free(c->token);
    free(c->client_cert);
    free(c->client_key);
    *c = (struct kube_config){0};
}

static const struct ac_yaml *named(const struct ac_yaml *root, const char *list, const char *name,
                                   const char *key)
{
    const struct ac_yaml *seq = ac_yaml_get(root, list);
    for (size_t i = 0; seq && seq->kind == AC_YAML_SEQ && i < seq->len; i++) {
        if (ac_streq(ac_yaml_str(seq->items[i], "name", NULL), name))
            return ac_yaml_get(seq->items[i], key);
    }
    return NULL;
}

/* A credential is either inline (key-data, base64) or a file (key). */
static int credential(const struct ac_yaml *map, const char *key, char **ret, struct ac_err *err)
{
    char data_key[64];
    snprintf(data_key, sizeof(data_key), "%s-data", key);
    const char *data = ac_yaml_str(map, data_key, NULL), *file = ac_yaml_str(map, key, NULL);
    size_t len;
    if (data) {
        *ret = ac_unbase64(data, NULL);
        return *ret ? 0 : ac_err_set(err, AC_EINVAL, "%s is no base64", data_key);
    }
    return file ? ac_file_read(file, MAX_FILE, ret, &len, err) : 0;
}

static int from_doc(const struct ac_yaml *root, struct kube_config *c, struct ac_err *err)
{
    const char *current = ac_yaml_str(root, "current-context", NULL);
    const struct ac_yaml *context = named(root, "contexts", current, "context");
    const struct ac_yaml *cluster =
        context ? named(root, "clusters", ac_yaml_str(context, "cluster", NULL), "cluster") : NULL;
    const struct ac_yaml *user =
        context ? named(root, "users", ac_yaml_str(context, "user", NULL), "user") : NULL;
    if (!cluster || !user)
        return ac_err_set(err, AC_EINVAL, "its current-context names no cluster or no user");
    c->server = ac_xstrdup(ac_yaml_str(cluster, "server", ""));
    c->token = ac_xstrdup(ac_yaml_str(user, "token", NULL));
    int rc = credential(cluster, "certificate-authority", &c->ca, err);
    if (rc == 0)
        rc = credential(user, "client-certificate", &c->client_cert, err);
    if (rc == 0)
        rc = credential(user, "client-key", &c->client_key, err);
    return rc;
}

static int from_account(struct kube_config *c, struct ac_err *err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    size_t len;
    if (ac_str_empty(host) || !ac_path_exists(ACCOUNT_DIR "/token"))
        return ac_err_set(err, AC_ESTATE,
                          "no kubeconfig given (ACESO_KUBECONFIG) and not in a pod");
    c->server = ac_xasprintf("https://%s:%s", host, ac_str_empty(port) ? "443" : port);
    int rc = ac_file_read(ACCOUNT_DIR "/token", MAX_FILE, &c->token, &len, err);
    return rc == 0 ? ac_file_read(ACCOUNT_DIR "/ca.crt", MAX_FILE, &c->ca, &len, err) : rc;
}

int kube_config_load(const char *path, struct kube_config *c, struct ac_err *err)
{
    *c = (struct kube_config){0};
    if (ac_str_empty(path))
        return from_account(c, err);
    struct ac_yaml_doc *doc = NULL;
    if (!ac_path_exists(path))
        return ac_err_set(err, AC_ENET, "kubeconfig %s is not there (is the cluster up?)", path);
    int rc = ac_yaml_load_file(path, &doc, err);
    if (rc != 0)
        return rc;
    rc = from_doc(ac_yaml_root(doc, 0), c, err);
    ac_yaml_destroy(doc);
    if (rc != 0) {
        kube_config_fini(c);
        return ac_err_wrap(err, "kubeconfig %s", path);
    }
    return 0;
}

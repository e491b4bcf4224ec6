#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/http.h>
#include <aceso/json.h>
#include <aceso/kube.h>
#include <aceso/str.h>

struct ac_kube {
    char *path;
    pthread_mutex_t lock; /* guards config and loaded */
    struct kube_config config;
    bool loaded;
};

struct ac_kube *ac_kube_create(const char *kubeconfig)
{
    struct ac_kube *k = ac_xcalloc(1, sizeof(*k));
    k->path = ac_xstrdup(kubeconfig);
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

void ac_kube_destroy(struct ac_kube *k)
{
    if (!k)
        return;
    kube_config_fini(&k->config);
    pthread_mutex_destroy(&k->lock);
    free(k->path);
    free(k);
}

/* A copy of the settings, so that a call needs no lock while it runs. */
static int settings(struct ac_kube *k, struct kube_config *ret, struct ac_err *err)
{
    pthread_mutex_lock(&k->lock);
    int rc = k->loaded ? 0 : kube_config_load(k->path, &k->config, err);
    if (rc == 0) {
        k->loaded = true;
        *ret = (struct kube_config){
            .server = ac_xstrdup(k->config.server),
            .ca = ac_xstrdup(k->config.ca),
            .token = ac_xstrdup(k->config.token),
            .client_cert = ac_xstrdup(k->config.client_cert),
            .client_key = ac_xstrdup(k->config.client_key),
        };
    }
    pthread_mutex_unlock(&k->lock);
    return rc;
}

static void forget(struct ac_kube *k)
{
    pthread_mutex_lock(&k->lock);
    kube_config_fini(&k->config);
    k->loaded = false;
    pthread_mutex_unlock(&k->lock);
}

int kube_status_code(int http, const json_t *answer)
{
    switch (http) {
    case 400:
    case 422:
        return AC_EINVAL;
    case 401:
        return AC_EUNAUTH;
    case 403:
        return AC_EPERM;
    case 404:
        return AC_ENOTFOUND;
    case 409:
        return ac_streq(ac_json_str(answer, "reason", ""), "AlreadyExists") ? AC_EEXISTS
                                                                            : AC_EABORTED;
    case 429:
    case 503:
        return AC_ENET;
    default:
        return AC_EIO;
    }
}

static int fetch(struct ac_kube *k, const char *method, const char *path, const char *content_type,
                 const char *body, struct ac_http_response *res, struct ac_err *err)
{
    struct kube_config c = {0};
    int rc = settings(k, &c, err);
    if (rc != 0)
        return rc;
    ac_cleanup(ac_free_p) char *url = ac_xasprintf("%s%s", c.server, path);
    char header[128];
    snprintf(header, sizeof(header), "Content-Type: %s",
             content_type ? content_type : AC_KUBE_JSON);
    const char *headers[] = {"Accept: application/json", header, NULL};
    const struct ac_http_call call = {.method = method,
                                      .url = url,
                                      .headers = headers,
                                      .body = body,
                                      .body_len = body ? strlen(body) : 0,
                                      .timeout_ns = 15000000000LL,
                                      .max_response_bytes = 64u << 20,
                                      .ca = c.ca,
                                      .client_cert = c.client_cert,
                                      .client_key = c.client_key,
                                      .bearer = c.token};
    rc = ac_http_fetch(&call, res, err);
    if (rc != 0 || res->status == 401)
        forget(k); /* another server may have written the file anew */
    kube_config_fini(&c);
    return rc;
}

int kube_stream(struct ac_kube *k, const char *path, int64_t silence_ns, int *ret_status,
                bool (*on_data)(const void *data, size_t len, void *arg), void *arg,
                struct ac_err *err)
{
    struct kube_config c = {0};
    int rc = settings(k, &c, err);
    if (rc != 0)
        return rc;
    ac_cleanup(ac_free_p) char *url = ac_xasprintf("%s%s", c.server, path);
    const char *headers[] = {"Accept: application/json", NULL};
    const struct ac_http_call call = {.method = "GET",
                                      .url = url,
                                      .headers = headers,
                                      .timeout_ns = silence_ns,
                                      .max_response_bytes = 64u << 20,
                                      .ca = c.ca,
                                      .client_cert = c.client_cert,
                                      .client_key = c.client_key,
                                      .bearer = c.token};
    rc = ac_http_fetch_stream(&call, ret_status, on_data, arg, err);
    if ((rc != 0 && rc != AC_ETIMEOUT) || *ret_status == 401)
        forget(k);
    kube_config_fini(&c);
    return rc;
}

int ac_kube_request(struct ac_kube *k, const char *method, const char *path,
                    const char *content_type, const json_t *body, json_t **ret, struct ac_err *err)
{
    struct ac_http_response res = {0};
    ac_cleanup(ac_free_p) char *text = body ? ac_json_text(body) : NULL;
    int rc = fetch(k, method, path, content_type, text, &res, err);
    if (rc != 0)
        return rc;
    ac_cleanup_json answer = NULL;
    if (res.len > 0)
        rc = ac_json_parse(path, res.body, res.len, &answer, err);
    if (res.status / 100 != 2)
        rc = ac_err_set(err, kube_status_code(res.status, answer), "%s %s: %d %s", method, path,
                        res.status, ac_json_str(answer, "message", ""));
    else if (rc == 0 && ret)
        *ret = json_incref(answer);
    ac_http_response_fini(&res);
    return rc;
}

int ac_kube_text(struct ac_kube *k, const char *path, char **ret, struct ac_err *err)
{
    struct ac_http_response res = {0};
    int rc = fetch(k, "GET", path, NULL, NULL, &res, err);
    if (rc != 0)
        return rc;
    if (res.status / 100 != 2)
        rc = ac_err_set(err, kube_status_code(res.status, NULL), "GET %s: %d %.100s", path,
                        res.status, res.body ? res.body : "");
    else
        *ret = ac_xstrdup(res.body ? res.body : "");
    ac_http_response_fini(&res);
    return rc;
}

int ac_kube_apply(struct ac_kube *k, const json_t *object, const char *ns, struct ac_err *err)
{
    const char *version = ac_json_str(object, "apiVersion", NULL),
               *kind = ac_json_str(object, "kind", NULL);
    const char *name = ac_json_str(object, "metadata.name", NULL);
    const char *own_ns = ac_json_str(object, "metadata.namespace", ns);
    ac_cleanup(ac_free_p) char *all = NULL, *one = NULL;
    if (!name)
        return ac_err_set(err, AC_EINVAL, "%s: metadata.name is missing", kind ? kind : "object");
    int rc = ac_kube_path(version, kind, own_ns, NULL, &all, err);
    if (rc == 0)
        rc = ac_kube_path(version, kind, own_ns, name, &one, err);
    if (rc != 0)
        return rc;
    rc = ac_kube_request(k, "POST", all, AC_KUBE_JSON, object, NULL, err);
    if (rc == AC_EEXISTS)
        rc = ac_kube_request(k, "PATCH", one, AC_KUBE_MERGE_PATCH, object, NULL, err);
    return rc;
}

int ac_kube_delete(struct ac_kube *k, const char *api_version, const char *kind, const char *ns,
                   const char *name, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *path = NULL;
    int rc = ac_kube_path(api_version, kind, ns, name, &path, err);
    if (rc == 0)
        rc = ac_kube_request(k, "DELETE", path, AC_KUBE_JSON, NULL, NULL, err);
    return rc == AC_ENOTFOUND ? 0 : rc;
}

int ac_kube_get(struct ac_kube *k, const char *api_version, const char *kind, const char *ns,
                const char *name, json_t **ret, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *path = NULL;
    int rc = ac_kube_path(api_version, kind, ns, name, &path, err);
    return rc == 0 ? ac_kube_request(k, "GET", path, NULL, NULL, ret, err) : rc;
}

int ac_kube_list(struct ac_kube *k, const char *api_version, const char *kind, const char *ns,
                 const char *label_selector, json_t **ret, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *path = NULL;
    int rc = ac_kube_path(api_version, kind, ns, NULL, &path, err);
    if (rc != 0)
        return rc;
    ac_cleanup(ac_free_p) char *full =
        label_selector ? ac_xasprintf("%s?labelSelector=%s", path, label_selector)
                       : ac_xstrdup(path);
    ac_cleanup_json list = NULL;
    rc = ac_kube_request(k, "GET", full, NULL, NULL, &list, err);
    if (rc != 0)
        return rc;
    json_t *items = json_object_get(list, "items");
    *ret = json_is_array(items) ? json_incref(items) : json_array();
    return 0;
}

#include "podspec.h"

#include "defaults.h"
#include "js.h"

#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/str.h>

#define TEXT_MAX (1u << 20)

static void set_text(json_t *env, const char *name, const char *v, size_t n)
{
    json_object_set_new(env, name, json_stringn_nocheck(v, n));
}

/* ---- service variables ---- */

static void upper(char *dst, size_t dst_size, const char *name)
{
    size_t i;
    for (i = 0; name[i] != '\0' && i + 1 < dst_size; i++)
        dst[i] = (char)(name[i] == '-' || name[i] == '.' ? '_' : toupper((unsigned char)name[i]));
    dst[i] = '\0';
}

static void service_vars(json_t *env, const json_t *svc)
{
    char name[260], var[600], text[64], port_name[128];
    const char *ip = js_str(svc, "spec.clusterIP", "None");
    size_t i;
    json_t *p;
    if (ac_streq(ip, "None") || ip[0] == '\0')
        return;
    upper(name, sizeof(name), js_name(svc));
    (void)snprintf(var, sizeof(var), "%s_SERVICE_HOST", name);
    set_text(env, var, ip, strlen(ip));
    json_array_foreach(js_at(svc, "spec.ports"), i, p)
    {
        int port = (int)js_int(p, "port", 0);
        (void)snprintf(text, sizeof(text), "%d", port);
        (void)snprintf(var, sizeof(var), "%s_SERVICE_PORT", name);
        if (i == 0)
            set_text(env, var, text, strlen(text));
        if (js_str(p, "name", NULL) != NULL) {
            upper(port_name, sizeof(port_name), js_str(p, "name", ""));
            (void)snprintf(var, sizeof(var), "%s_SERVICE_PORT_%s", name, port_name);
            set_text(env, var, text, strlen(text));
        }
        (void)snprintf(text, sizeof(text), "tcp://%s:%d", ip, port);
        (void)snprintf(var, sizeof(var), "%s_PORT", name);
        if (i == 0)
            set_text(env, var, text, strlen(text));
        (void)snprintf(var, sizeof(var), "%s_PORT_%d_TCP", name, port);
        set_text(env, var, text, strlen(text));
        (void)snprintf(var, sizeof(var), "%s_PORT_%d_TCP_ADDR", name, port);
        set_text(env, var, ip, strlen(ip));
    }
}

/* ---- expansion ---- */

char *cl_expand(const char *text, const json_t *env)
{
    struct ac_buf b;
    ac_buf_init(&b, TEXT_MAX);
    ac_buf_puts(&b, "");
    for (const char *p = text; *p != '\0';) {
        const char *end = p[0] == '$' && p[1] == '(' ? strchr(p, ')') : NULL;
        char name[256];
        if (p[0] == '$' && p[1] == '$') {
            ac_buf_putc(&b, '$');
            p += 2;
            continue;
        }
        size_t n = end != NULL ? (size_t)(end - p - 2) : sizeof(name);
        if (n < sizeof(name)) {
            memcpy(name, p + 2, n);
            name[n] = '\0';
            const char *v = json_string_value(json_object_get(env, name));
            if (v != NULL) {
                ac_buf_puts(&b, v);
                p = end + 1;
                continue;
            }
        }
        ac_buf_putc(&b, *p++);
    }
    return ac_buf_take(&b);
}

/* ---- environment ---- */

static const char *field_value(const struct cl_pod_ctx *x, const char *path)
{
    const char *open = strchr(path, '[');
    if (ac_streq(path, "status.podIP"))
        return x->pod_ip;
    if (ac_streq(path, "status.hostIP"))
        return x->host_ip;
    if (open != NULL) {
        char key[256];
        const char *from = open + 1 + (open[1] == '\'' || open[1] == '"');
        size_t n = strcspn(from, "'\"]");
        if (n >= sizeof(key))
            return "";
        memcpy(key, from, n);
        key[n] = '\0';
        const char *v = ac_str_starts(path, "metadata.labels") ? js_label(x->pod, key)
                                                               : js_annotation(x->pod, key);
        return v != NULL ? v : "";
    }
    static const char *const known[] = {"metadata.name", "metadata.namespace", "metadata.uid",
                                        "spec.nodeName", "spec.serviceAccountName"};
    for (size_t i = 0; i < AC_ARRAY_LEN(known); i++)
        if (ac_streq(known[i], path))
            return js_str(x->pod, known[i], "");
    return "";
}

/* Bytes of a key; from is "configMap" or "secret". Caller frees *ret. NULL and 0 when optional and
 * absent. */
static int lookup_key(const struct cl_pod_ctx *x, enum cl_kind_id k, const json_t *ref, char **ret,
                      size_t *ret_len, struct ac_err *err)
{
    const char *name = js_str(ref, "name", ""), *key = js_str(ref, "key", "");
    const char *what = k == CL_SECRET ? "secret" : "configmap";
    const json_t *o = cl_store_get(x->store, k, js_ns(x->pod), name);
    *ret = NULL;
    if (o == NULL && js_bool(ref, "optional", false))
        return 0;
    if (o == NULL)
        return ac_err_set(err, AC_ENOTFOUND, "%s \"%.100s\" not found", what, name);
    const json_t *v = json_object_get(js_at(o, "data"), key);
    const json_t *raw = v != NULL ? v : json_object_get(js_at(o, "binaryData"), key);
    if (!json_is_string(raw)) {
        if (js_bool(ref, "optional", false))
            return 0;
        return ac_err_set(err, AC_ENOTFOUND, "couldn't find key %.80s in %s %.60s/%.60s", key,
                          k == CL_SECRET ? "Secret" : "ConfigMap", js_ns(x->pod), name);
    }
    if (k == CL_SECRET || v == NULL) {
        *ret = ac_unbase64(json_string_value(raw), ret_len);
        return *ret != NULL ? 0 : ac_err_set(err, AC_EINVAL, "%s %.100s: bad base64", what, name);
    }
    *ret_len = json_string_length(raw);
    *ret = ac_xstrndup(json_string_value(raw), *ret_len);
    return 0;
}

static int env_from(const struct cl_pod_ctx *x, const json_t *from, json_t *env, struct ac_err *err)
{
    bool secret = js_at(from, "secretRef") != NULL;
    const json_t *ref = secret ? js_at(from, "secretRef") : js_at(from, "configMapRef");
    enum cl_kind_id k = secret ? CL_SECRET : CL_CONFIGMAP;
    const json_t *o = cl_store_get(x->store, k, js_ns(x->pod), js_str(ref, "name", ""));
    if (o == NULL && js_bool(ref, "optional", false))
        return 0;
    if (o == NULL)
        return ac_err_set(err, AC_ENOTFOUND, "%s \"%.100s\" not found",
                          secret ? "secret" : "configmap", js_str(ref, "name", ""));
    const char *key;
    json_t *v;
    json_object_foreach(js_at(o, "data"), key, v)
    {
        ac_cleanup(ac_free_p) char *name = ac_xasprintf("%s%s", js_str(from, "prefix", ""), key);
        js_auto one = json_pack("{s:s,s:s}", "name", js_name(o), "key", key);
        ac_cleanup(ac_free_p) char *text = NULL;
        size_t n = 0;
        int r = lookup_key(x, k, one, &text, &n, err);
        if (r != 0)
            return r;
        set_text(env, name, text, n);
    }
    return 0;
}

static int env_one(const struct cl_pod_ctx *x, const json_t *e, json_t *env, struct ac_err *err)
{
    const char *name = js_str(e, "name", "");
    const json_t *field = js_at(e, "valueFrom.fieldRef");
    const json_t *secret = js_at(e, "valueFrom.secretKeyRef");
    const json_t *config = js_at(e, "valueFrom.configMapKeyRef");
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t n = 0;
    if (field != NULL) {
        const char *v = field_value(x, js_str(field, "fieldPath", ""));
        set_text(env, name, v, strlen(v));
        return 0;
    }
    if (secret != NULL || config != NULL) {
        int r = lookup_key(x, secret != NULL ? CL_SECRET : CL_CONFIGMAP,
                           secret != NULL ? secret : config, &text, &n, err);
        if (r == 0 && text != NULL)
            set_text(env, name, text, n);
        return r;
    }
    text = cl_expand(js_str(e, "value", ""), env);
    set_text(env, name, text, strlen(text));
    return 0;
}

int cl_pod_env(const struct cl_pod_ctx *x, const json_t *container, json_t **ret,
               struct ac_err *err)
{
    js_auto env = json_object();
    json_t *o;
    size_t i;
    for (size_t it = 0; (o = cl_store_next(x->store, CL_SERVICE, js_ns(x->pod), &it)) != NULL;)
        service_vars(env, o);
    json_array_foreach(js_at(container, "envFrom"), i, o)
    {
        int r = env_from(x, o, env, err);
        if (r != 0)
            return r;
    }
    json_array_foreach(js_at(container, "env"), i, o)
    {
        int r = env_one(x, o, env, err);
        if (r != 0)
            return r;
    }
    *ret = json_incref(env);
    return 0;
}

static void add_args(json_t *argv, const json_t *list, const json_t *env)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        ac_cleanup(ac_free_p) char *text =
            cl_expand(json_is_string(v) ? json_string_value(v) : "", env);
        json_array_append_new(argv, json_stringn_nocheck(text, strlen(text)));
    }
}

json_t *cl_pod_argv(const json_t *container, const json_t *image, const json_t *env)
{
    json_t *argv = json_array();
    const json_t *command = js_at(container, "command"), *args = js_at(container, "args");
    if (json_array_size(command) > 0) {
        add_args(argv, command, env);
        add_args(argv, args, env);
        return argv;
    }
    add_args(argv, js_at(image, "entrypoint"), env);
    add_args(argv, json_array_size(args) > 0 ? args : js_at(image, "cmd"), env);
    return argv;
}

/* ---- mounts ---- */

static int files_of(const struct cl_pod_ctx *x, enum cl_kind_id k, const json_t *vol, json_t *files,
                    struct ac_err *err)
{
    const char *name = js_str(vol, "secretName", js_str(vol, "name", ""));
    const json_t *o = cl_store_get(x->store, k, js_ns(x->pod), name);
    const json_t *items = js_at(vol, "items");
    static const char *const maps[] = {"data", "binaryData"};
    if (o == NULL && js_bool(vol, "optional", false))
        return 0;
    if (o == NULL)
        return ac_err_set(err, AC_ENOTFOUND, "%s \"%.100s\" not found",
                          k == CL_SECRET ? "secret" : "configmap", name);
    for (size_t m = 0; m < AC_ARRAY_LEN(maps); m++) {
        const char *key;
        json_t *v;
        json_object_foreach(js_at(o, maps[m]), key, v)
        {
            const json_t *item = js_find(items, "key", key);
            js_auto one = json_pack("{s:s,s:s}", "name", name, "key", key);
            ac_cleanup(ac_free_p) char *bytes = NULL;
            size_t n = 0;
            if (json_array_size(items) > 0 && item == NULL)
                continue;
            int r = lookup_key(x, k, one, &bytes, &n, err);
            if (r != 0)
                return r;
            const char *path = js_str(item, "path", key);
            if (strstr(path, "..") == NULL)
                json_object_set_new(files, path, json_stringn_nocheck(bytes, n));
        }
    }
    return 0;
}

static int mount_of(const struct cl_pod_ctx *x, const json_t *vm, json_t **ret, struct ac_err *err)
{
    const char *name = js_str(vm, "name", "");
    const json_t *vol = js_find(js_at(x->pod, "spec.volumes"), "name", name);
    if (vol == NULL)
        return ac_err_set(err, AC_ENOTFOUND, "volume \"%.100s\" not found", name);
    json_t *m = json_pack("{s:s,s:s,s:s}", "name", name, "mountPath", js_str(vm, "mountPath", "/"),
                          "subPath", js_str(vm, "subPath", ""));
    const json_t *config = js_at(vol, "configMap"), *secret = js_at(vol, "secret");
    int r = 0;
    if (config != NULL || secret != NULL) {
        js_set_str(m, "type", "files");
        r = files_of(x, secret != NULL ? CL_SECRET : CL_CONFIGMAP, secret != NULL ? secret : config,
                     js_obj(m, "files"), err);
    } else if (js_at(vol, "hostPath") != NULL) {
        js_set_str(m, "type", "host");
        js_set_str(m, "path", js_str(vol, "hostPath.path", "/"));
    } else if (js_at(vol, "persistentVolumeClaim") != NULL) {
        js_set_str(m, "type", "claim");
        js_set_str(m, "path", js_str(vol, "persistentVolumeClaim.claimName", ""));
    } else {
        js_set_str(m, "type", "dir");
    }
    if (r != 0) {
        json_decref(m);
        return r;
    }
    *ret = m;
    return 0;
}

int cl_pod_mounts(const struct cl_pod_ctx *x, const json_t *container, json_t **ret,
                  struct ac_err *err)
{
    js_auto list = json_array();
    size_t i;
    json_t *vm;
    json_array_foreach(js_at(container, "volumeMounts"), i, vm)
    {
        json_t *m = NULL;
        int r = mount_of(x, vm, &m, err);
        if (r != 0)
            return r;
        json_array_append_new(list, m);
    }
    *ret = json_incref(list);
    return 0;
}

static bool path_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* The mount whose path begins at p, longest first; NULL when none does. */
static const json_t *mount_at(const char *p, const json_t *mounts, size_t *ret_len)
{
    const json_t *best = NULL;
    size_t i;
    json_t *m;
    *ret_len = 0;
    json_array_foreach(mounts, i, m)
    {
        const char *path = js_str(m, "mountPath", "");
        size_t n = strlen(path);
        while (n > 1 && path[n - 1] == '/')
            n--;
        if (n < 2 || n <= *ret_len || strncmp(p, path, n) != 0 || path_char(p[n]))
            continue;
        best = m;
        *ret_len = n;
    }
    return best;
}

char *cl_rewrite_paths(const char *text, const json_t *mounts)
{
    struct ac_buf b;
    ac_buf_init(&b, TEXT_MAX);
    ac_buf_puts(&b, "");
    for (const char *p = text; *p != '\0';) {
        size_t n = 0;
        bool starts = *p == '/' && (p == text || (!path_char(p[-1]) && p[-1] != '/'));
        const json_t *m = starts ? mount_at(p, mounts, &n) : NULL;
        if (m != NULL) {
            ac_buf_puts(&b, js_str(m, "real", ""));
            p += n;
        } else {
            ac_buf_putc(&b, *p++);
        }
    }
    return ac_buf_take(&b);
}

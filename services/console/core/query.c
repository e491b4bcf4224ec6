#include "query.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#define RANGE_MAX_NS (86400 * AC_NS_PER_S) /* a day */

enum console_route console_route_of(const char *path, const char **ret_rest)
{
    static const struct {
        const char *path;
        enum console_route route;
    } routes[] = {
        {"services", CONSOLE_SERVICES}, {"incidents", CONSOLE_INCIDENTS},
        {"alerts", CONSOLE_ALERTS},     {"sessions", CONSOLE_SESSIONS},
        {"series", CONSOLE_SERIES},     {"events", CONSOLE_EVENTS},
    };
    static const char api[] = "/api/", incident[] = "/api/incidents/";
    *ret_rest = "";
    if (path[0] != '/')
        return CONSOLE_NOT_FOUND;
    if (ac_str_starts(path, incident)) {
        *ret_rest = path + sizeof(incident) - 1;
        return **ret_rest ? CONSOLE_INCIDENT : CONSOLE_NOT_FOUND;
    }
    if (!ac_str_starts(path, api)) {
        *ret_rest = path[1] ? path + 1 : "index.html";
        return CONSOLE_ASSET;
    }
    for (size_t i = 0; i < AC_ARRAY_LEN(routes); i++) {
        if (ac_streq(path + sizeof(api) - 1, routes[i].path))
            return routes[i].route;
    }
    return CONSOLE_NOT_FOUND;
}

/* "name:port" and "[v6]:port" without the port; false when it does not fit. */
static bool host_part(const char *address, char *dst, size_t size)
{
    size_t n = address[0] == '[' ? strcspn(address, "]") + 1 : strcspn(address, ":");
    if (n >= size || n > strlen(address))
        return false;
    memcpy(dst, address, n);
    dst[n] = '\0';
    return true;
}

static bool is_loopback(const char *host)
{
    return ac_streq(host, "localhost") || ac_streq(host, "[::1]") ||
           (ac_str_starts(host, "127.") && strspn(host, "0123456789.") == strlen(host));
}

bool console_host_allowed(const char *listen, const char *host)
{
    char mine[CONSOLE_NAME_MAX + 1], theirs[CONSOLE_NAME_MAX + 1];
    if (!host_part(listen, mine, sizeof(mine)) || !is_loopback(mine))
        return true;
    return host && host_part(host, theirs, sizeof(theirs)) && is_loopback(theirs);
}

static bool clean(const char *s)
{
    for (const char *p = s; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    }
    return ac_utf8_valid(s);
}

static int take_name(const struct console_params *p, const char *key, bool needed, const char **ret,
                     struct ac_err *err)
{
    const char *v = p->get(p->arg, key, 0);
    if (ac_str_empty(v)) {
        if (needed)
            return ac_err_set(err, AC_EINVAL, "%s: missing", key);
        *ret = "";
        return AC_OK;
    }
    if (strlen(v) > CONSOLE_NAME_MAX)
        return ac_err_set(err, AC_EINVAL, "%s: longer than %d bytes", key, CONSOLE_NAME_MAX);
    if (!clean(v))
        return ac_err_set(err, AC_EINVAL, "%s: no text", key);
    *ret = v;
    return AC_OK;
}

static int take_number(const struct console_params *p, const char *key, int64_t def, int64_t lo,
                       int64_t hi, int64_t *ret, struct ac_err *err)
{
    const char *v = p->get(p->arg, key, 0);
    int64_t n = def;
    if (!ac_str_empty(v) && (!ac_str_to_i64(v, &n) || n < lo || n > hi))
        return ac_err_set(err, AC_EINVAL, "%s: expected a number from %lld to %lld, not \"%.40s\"",
                          key, (long long)lo, (long long)hi, v);
    *ret = n;
    return AC_OK;
}

int console_list_parse(const struct console_params *p, struct console_list_query *ret,
                       struct ac_err *err)
{
    struct console_list_query q = {0};
    int64_t open_only = 0, limit = 0;
    int rc = take_name(p, "namespace", false, &q.namespace_, err);
    if (rc == AC_OK)
        rc = take_number(p, "open", 0, 0, 1, &open_only, err);
    if (rc == AC_OK)
        rc = take_number(p, "since", 0, 0, INT64_MAX, &q.since_ns, err);
    if (rc == AC_OK)
        rc = take_number(p, "limit", CONSOLE_LIST_LIMIT, 1, CONSOLE_LIST_MAX, &limit, err);
    if (rc != AC_OK)
        return rc;
    q.open_only = open_only != 0;
    q.limit = (uint32_t)limit;
    *ret = q;
    return AC_OK;
}

static int take_labels(const struct console_params *p, struct console_series_query *q,
                       struct ac_err *err)
{
    const char *v;
    for (unsigned i = 0; (v = p->get(p->arg, "label", i)); i++) {
        const char *colon = strchr(v, ':');
        if (q->n_labels == CONSOLE_LABELS_MAX)
            return ac_err_set(err, AC_EINVAL, "label: more than %d", CONSOLE_LABELS_MAX);
        if (!colon || colon == v || (size_t)(colon - v) > CONSOLE_NAME_MAX ||
            strlen(colon + 1) > CONSOLE_NAME_MAX || !clean(v))
            return ac_err_set(err, AC_EINVAL, "label: expected KEY:VALUE, not \"%.40s\"", v);
        struct console_label *l = &q->label[q->n_labels++];
        memcpy(l->key, v, (size_t)(colon - v));
        l->key[colon - v] = '\0';
        l->value = colon + 1;
    }
    return AC_OK;
}

int console_series_parse(const struct console_params *p, struct console_series_query *ret,
                         struct ac_err *err)
{
    ret->n_labels = 0;
    int rc = take_name(p, "namespace", true, &ret->namespace_, err);
    if (rc == AC_OK)
        rc = take_name(p, "component", true, &ret->component, err);
    if (rc == AC_OK)
        rc = take_name(p, "metric", true, &ret->metric, err);
    if (rc == AC_OK)
        rc = take_labels(p, ret, err);
    if (rc == AC_OK)
        rc = take_number(p, "from", 0, 1, INT64_MAX, &ret->from_ns, err);
    if (rc == AC_OK)
        rc = take_number(p, "to", 0, 1, INT64_MAX, &ret->to_ns, err);
    if (rc == AC_OK && (ret->from_ns == 0 || ret->to_ns <= ret->from_ns ||
                        ret->to_ns - ret->from_ns > RANGE_MAX_NS))
        rc = ac_err_set(err, AC_EINVAL, "from and to: expected nanoseconds, at most a day apart");
    return rc;
}

int console_id_check(const char *id, struct ac_err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
    size_t n = strlen(id);
    if (n == 0 || n > 128 || strspn(id, allowed) != n)
        return ac_err_set(err, AC_EINVAL, "\"%.40s\" is no id", id);
    return AC_OK;
}

void console_address_show(const char *url, char *dst, size_t size)
{
    const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
    const char *host = at ? at + 1 : scheme ? scheme + 3 : url;
    size_t n = AC_MIN(strcspn(host, "/?#"), size - 1);
    memcpy(dst, host, n);
    dst[n] = '\0';
}

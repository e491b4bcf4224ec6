/* Waiting for a condition on a list of objects: list, then watch from there. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/json.h>
#include <aceso/str.h>

#define SILENCE_NS     AC_NS_PER_S
#define AWAY_NS        (200 * AC_NS_PER_MS)
#define LINE_MAX_BYTES (16u << 20)

struct until {
    ac_kube_until_fn fn;
    void *arg;
    struct ac_err *err;
    json_t *items;
    char version[32]; /* of the last change seen; "" = list again */
    struct ac_buf line;
    int rc; /* the condition's last word */
};

static size_t find(const json_t *items, const char *uid)
{
    size_t i;
    json_t *o;
    json_array_foreach(items, i, o)
    {
        if (ac_streq(ac_json_str(o, "metadata.uid", NULL), uid))
            return i;
    }
    return json_array_size(items);
}

static void take_event(struct until *u, const json_t *event)
{
    const char *type = ac_json_str(event, "type", "");
    json_t *object = json_object_get(event, "object");
    const char *uid = ac_json_str(object, "metadata.uid", NULL);
    if (ac_streq(type, "ERROR")) { /* 410: too old */
        u->version[0] = 0;
        return;
    }
    ac_str_copy(u->version, sizeof(u->version),
                ac_json_str(object, "metadata.resourceVersion", u->version));
    if (ac_streq(type, "BOOKMARK") || !uid)
        return;
    size_t at = find(u->items, uid);
    if (ac_streq(type, "DELETED")) {
        if (at < json_array_size(u->items))
            json_array_remove(u->items, at);
    } else if (at < json_array_size(u->items)) {
        json_array_set(u->items, at, object);
    } else {
        json_array_append(u->items, object);
    }
    u->rc = u->fn(u->items, u->arg, u->err);
}

/* False ends the watch: the condition has spoken, or the list must be read again. */
static bool take_data(const void *data, size_t len, void *arg)
{
    struct until *u = arg;
    const char *p = data, *end = p + len;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        ac_buf_append(&u->line, p, (size_t)((nl ? nl : end) - p));
        if (!nl)
            break;
        p = nl + 1;
        ac_cleanup_json event = NULL;
        bool ok = !u->line.failed &&
                  ac_json_parse("watch", ac_buf_str(&u->line), u->line.len, &event, NULL) == 0;
        ac_buf_reset(&u->line);
        if (ok)
            take_event(u, event);
        else
            u->version[0] = 0;
        if (u->rc != 0 || !u->version[0])
            return false;
    }
    return true;
}

static int list(struct ac_kube *k, const char *path, struct until *u)
{
    ac_cleanup_json all = NULL;
    int rc = ac_kube_request(k, "GET", path, NULL, NULL, &all, u->err);
    if (rc != 0)
        return rc;
    json_decref(u->items);
    json_t *items = json_object_get(all, "items");
    u->items = json_is_array(items) ? json_incref(items) : json_array();
    ac_str_copy(u->version, sizeof(u->version), ac_json_str(all, "metadata.resourceVersion", "0"));
    u->rc = u->fn(u->items, u->arg, u->err);
    return 0;
}

static int watch(struct ac_kube *k, const char *path, struct until *u)
{
    ac_cleanup(ac_free_p) char *full =
        ac_xasprintf("%s?watch=1&resourceVersion=%s", path, u->version);
    int status = 0;
    ac_buf_reset(&u->line);
    int rc = kube_stream(k, full, SILENCE_NS, &status, take_data, u, u->err);
    if (u->rc != 0)
        return 0;
    if (rc == 0 && status / 100 != 2) {
        u->version[0] = 0;
        if (status != 410)
            return ac_err_set(u->err, kube_status_code(status, NULL), "GET %s: %d", full, status);
    }
    return rc == AC_ETIMEOUT ? 0 : rc;
}

int ac_kube_until(struct ac_kube *k, const char *api_version, const char *kind, const char *ns,
                  ac_kube_until_fn fn, void *arg, int64_t timeout_ns, struct ac_err *err)
{
    int64_t deadline = ac_now_ns() + timeout_ns;
    ac_cleanup(ac_free_p) char *path = NULL;
    struct until u = {.fn = fn, .arg = arg, .err = err};
    int rc = ac_kube_path(api_version, kind, ns, NULL, &path, err);
    ac_buf_init(&u.line, LINE_MAX_BYTES);
    while (rc == 0 && u.rc == 0) {
        rc = u.version[0] ? watch(k, path, &u) : list(k, path, &u);
        if (rc == AC_ENET) { /* it may be on its way back */
            const struct timespec t = {.tv_nsec = AWAY_NS};
            nanosleep(&t, NULL);
            u.version[0] = 0;
            rc = 0;
        }
        if (rc == 0 && u.rc == 0 && u.items)
            u.rc = fn(u.items, arg, err);
        if (rc == 0 && u.rc == 0 && ac_now_ns() > deadline)
            rc = ac_err_set(err, AC_ETIMEOUT, "%s of namespace %s: not in time", kind,
                            ac_str_empty(ns) ? "(all)" : ns);
    }
    ac_buf_fini(&u.line);
    json_decref(u.items);
    return rc != 0 ? rc : AC_MIN(u.rc, 0);
}

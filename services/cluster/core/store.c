#include "store.h"

#include "js.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>
#include <aceso/str.h>

#define OBSERVERS_MAX 8

struct cl_store {
    struct cl_ports ports;
    uint64_t rv;
    struct ac_map *objects[CL_KINDS]; /* "ns/name" -> json_t */
    struct cl_event log[CL_STORE_LOG_LEN];
    uint64_t log_first, log_end; /* sequence numbers of the log's ends */
    uint64_t log_lost_rv;        /* version of the newest change that has left the log */
    struct {
        cl_store_observer fn;
        void *arg;
    } observers[OBSERVERS_MAX];
    size_t n_observers;
};

static void free_json(void *p)
{
    json_decref(p);
}

struct cl_store *cl_store_create(const struct cl_ports *ports)
{
    struct cl_store *s = ac_xcalloc(1, sizeof(*s));
    s->ports = *ports;
    s->rv = 1;
    s->log_lost_rv = 0;
    for (size_t i = 0; i < CL_KINDS; i++)
        s->objects[i] = ac_map_create(free_json);
    return s;
}

static void event_fini(struct cl_event *e)
{
    json_decref(e->object);
    json_decref(e->old);
}

void cl_store_destroy(struct cl_store *s)
{
    if (s == NULL)
        return;
    for (uint64_t i = s->log_first; i < s->log_end; i++)
        event_fini(&s->log[i % CL_STORE_LOG_LEN]);
    for (size_t i = 0; i < CL_KINDS; i++)
        ac_map_destroy(s->objects[i]);
    free(s);
}

uint64_t cl_store_rv(const struct cl_store *s)
{
    return s->rv;
}

int64_t cl_store_now(const struct cl_store *s)
{
    return s->ports.wall_ns(s->ports.self);
}

void cl_store_random(const struct cl_store *s, void *p, size_t n)
{
    s->ports.random(s->ports.self, p, n);
}

static char *key_of(enum cl_kind_id k, const char *ns, const char *name)
{
    return cl_kinds[k].namespaced ? ac_xasprintf("%s/%s", ns, name) : ac_xasprintf("/%s", name);
}

json_t *cl_store_get(const struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name)
{
    ac_cleanup(ac_free_p) char *key = key_of(k, ns == NULL ? "" : ns, name);
    return ac_map_get(s->objects[k], key);
}

json_t *cl_store_get_uid(const struct cl_store *s, enum cl_kind_id k, const char *uid)
{
    json_t *o;
    for (size_t it = 0; (o = cl_store_next(s, k, NULL, &it)) != NULL;)
        if (ac_streq(js_uid(o), uid))
            return o;
    return NULL;
}

json_t *cl_store_next(const struct cl_store *s, enum cl_kind_id k, const char *ns, size_t *it)
{
    const char *key;
    void *o;
    while (ac_map_next(s->objects[k], it, &key, &o))
        if (ac_str_empty(ns) || ac_streq(js_ns(o), ns))
            return o;
    return NULL;
}

size_t cl_store_count(const struct cl_store *s, enum cl_kind_id k)
{
    return ac_map_len(s->objects[k]);
}

void cl_store_observe(struct cl_store *s, cl_store_observer fn, void *arg)
{
    AC_ASSERT(s->n_observers < OBSERVERS_MAX);
    s->observers[s->n_observers].fn = fn;
    s->observers[s->n_observers++].arg = arg;
}

static void emit(struct cl_store *s, enum cl_kind_id k, enum cl_change change, json_t *object,
                 json_t *old)
{
    if (s->log_end - s->log_first == CL_STORE_LOG_LEN) {
        struct cl_event *gone = &s->log[s->log_first++ % CL_STORE_LOG_LEN];
        s->log_lost_rv = gone->rv;
        event_fini(gone);
    }
    struct cl_event *e = &s->log[s->log_end++ % CL_STORE_LOG_LEN];
    *e = (struct cl_event){s->rv, change, k, json_incref(object), json_incref(old)};
    /* A copy: an observer may change the store, which moves the log. */
    struct cl_event copy = *e;
    json_incref(copy.object);
    json_incref(copy.old);
    for (size_t i = 0; i < s->n_observers; i++)
        s->observers[i].fn(&copy, s->observers[i].arg);
    event_fini(&copy);
}

const struct cl_event *cl_store_log_next(const struct cl_store *s, uint64_t *at)
{
    uint64_t lo = s->log_first, hi = s->log_end;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (s->log[mid % CL_STORE_LOG_LEN].rv <= *at)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == s->log_end)
        return NULL;
    const struct cl_event *e = &s->log[lo % CL_STORE_LOG_LEN];
    *at = e->rv;
    return e;
}

bool cl_store_log_has(const struct cl_store *s, uint64_t rv)
{
    return rv >= s->log_lost_rv;
}

bool cl_name_valid(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > 253)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && (i == 0 || i == n - 1 || (c != '-' && c != '.')))
            return false;
    }
    return true;
}

void cl_uuid(const struct cl_store *s, char dst[37])
{
    uint8_t b[16];
    cl_store_random(s, b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *p = dst;
    for (size_t i = 0; i < sizeof(b); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        (void)snprintf(p, 3, "%02x", b[i]);
        p += 2;
    }
    *p = '\0';
}

void cl_suffix(const struct cl_store *s, char *dst, size_t n)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    for (size_t i = 0; i < n; i++) {
        uint32_t v;
        cl_store_random(s, &v, sizeof(v));
        dst[i] = letters[v % (sizeof(letters) - 1)];
    }
    dst[n] = '\0';
}

static void stamp_rv(struct cl_store *s, json_t *o)
{
    char rv[24];
    (void)snprintf(rv, sizeof(rv), "%llu", (unsigned long long)++s->rv);
    js_set_str(o, "metadata.resourceVersion", rv);
}

static int check_namespace(const struct cl_store *s, const char *ns, struct ac_err *err)
{
    const json_t *n = cl_store_get(s, CL_NAMESPACE, NULL, ns);
    if (n == NULL)
        return ac_err_set(err, AC_ENOTFOUND, "namespaces \"%.100s\" not found", ns);
    if (js_deleting(n))
        return ac_err_set(err, AC_EPERM,
                          "unable to create new content in namespace %.100s because it is being "
                          "terminated",
                          ns);
    return 0;
}

static int fill_metadata(struct cl_store *s, enum cl_kind_id k, json_t *o, struct ac_err *err)
{
    const struct cl_kind *kind = &cl_kinds[k];
    char api[64], uid[37], now[32];
    const char *prefix = js_str(o, "metadata.generateName", NULL);
    js_obj(o, "metadata");
    if (js_name(o)[0] == '\0' && prefix != NULL) {
        char suffix[6];
        cl_suffix(s, suffix, 5);
        ac_cleanup(ac_free_p) char *name = ac_xasprintf("%.200s%s", prefix, suffix);
        js_set_str(o, "metadata.name", name);
    }
    if (!cl_name_valid(js_name(o)))
        return ac_err_set(err, AC_EINVAL,
                          "metadata.name: Invalid value: \"%.100s\": a lowercase RFC 1123 "
                          "subdomain is required",
                          js_name(o));
    if (kind->namespaced) {
        int r = check_namespace(s, js_ns(o), err);
        if (r != 0)
            return r;
    } else {
        js_del(o, "metadata.namespace");
    }
    js_set_str(o, "apiVersion", cl_kind_api_version(kind, api, sizeof(api)));
    js_set_str(o, "kind", kind->kind);
    cl_uuid(s, uid);
    js_set_str(o, "metadata.uid", uid);
    js_time(cl_store_now(s), now, sizeof(now));
    js_set_str(o, "metadata.creationTimestamp", now);
    js_set_int(o, "metadata.generation", 1);
    js_del(o, "metadata.deletionTimestamp");
    js_del(o, "metadata.managedFields");
    return 0;
}

int cl_store_add(struct cl_store *s, enum cl_kind_id k, const json_t *obj, json_t **ret,
                 struct ac_err *err)
{
    js_auto o = json_deep_copy(obj);
    int r = fill_metadata(s, k, o, err);
    if (r != 0)
        return r;
    if (cl_store_get(s, k, js_ns(o), js_name(o)) != NULL)
        return ac_err_set(err, AC_EEXISTS, "%s \"%.100s\" already exists", cl_kinds[k].plural,
                          js_name(o));
    stamp_rv(s, o);
    ac_cleanup(ac_free_p) char *key = key_of(k, js_ns(o), js_name(o));
    ac_map_set(s->objects[k], key, json_incref(o));
    emit(s, k, CL_ADDED, o, NULL);
    if (ret != NULL)
        *ret = cl_store_get(s, k, js_ns(o), js_name(o));
    return 0;
}

static bool same_but(const json_t *a, const json_t *b, const char *const *skip)
{
    js_auto x = json_copy((json_t *)(uintptr_t)a);
    js_auto y = json_copy((json_t *)(uintptr_t)b);
    for (; *skip != NULL; skip++) {
        json_object_del(x, *skip);
        json_object_del(y, *skip);
    }
    return json_equal(x, y);
}

static void keep_immutable(const json_t *old, json_t *o)
{
    static const char *const fields[] = {"metadata.uid",
                                         "metadata.creationTimestamp",
                                         "metadata.deletionTimestamp",
                                         "metadata.deletionGracePeriodSeconds",
                                         "metadata.generation",
                                         "metadata.resourceVersion",
                                         "apiVersion",
                                         "kind"};
    for (size_t i = 0; i < AC_ARRAY_LEN(fields); i++) {
        json_t *v = js_at(old, fields[i]);
        if (v != NULL)
            js_set(o, fields[i], json_incref(v));
        else
            js_del(o, fields[i]);
    }
    js_del(o, "metadata.managedFields");
}

/* Whether an object marked for deletion has nothing left to wait for. */
static bool deletable(enum cl_kind_id k, const json_t *o)
{
    if (!js_deleting(o) || json_array_size(js_at(o, "metadata.finalizers")) > 0)
        return false;
    if (k == CL_POD)
        return js_int(o, "metadata.deletionGracePeriodSeconds", 0) == 0 &&
               js_str(o, "spec.nodeName", NULL) == NULL;
    return k != CL_NAMESPACE;
}

static void replace(struct cl_store *s, enum cl_kind_id k, json_t *o, json_t *old)
{
    json_incref(old);
    stamp_rv(s, o);
    ac_cleanup(ac_free_p) char *key = key_of(k, js_ns(o), js_name(o));
    if (deletable(k, o)) {
        ac_map_remove(s->objects[k], key);
        emit(s, k, CL_DELETED, o, old);
    } else {
        ac_map_set(s->objects[k], key, json_incref(o));
        emit(s, k, CL_MODIFIED, o, old);
    }
    json_decref(old);
}

int cl_store_update(struct cl_store *s, enum cl_kind_id k, const json_t *obj, json_t **ret,
                    struct ac_err *err)
{
    static const char *const not_spec[] = {"metadata", "status", NULL};
    static const char *const nothing[] = {NULL};
    json_t *old = cl_store_get(s, k, js_ns(obj), js_name(obj));
    if (old == NULL)
        return ac_err_set(err, AC_ENOTFOUND, "%s \"%.100s\" not found", cl_kinds[k].plural,
                          js_name(obj));
    const char *rv = js_str(obj, "metadata.resourceVersion", "");
    const char *uid = js_str(obj, "metadata.uid", NULL);
    if ((rv[0] != '\0' && !ac_streq(rv, js_str(old, "metadata.resourceVersion", ""))) ||
        (uid != NULL && !ac_streq(uid, js_uid(old))))
        return ac_err_set(err, AC_EABORTED,
                          "Operation cannot be fulfilled on %s \"%.80s\": the object has been "
                          "modified; please apply your changes to the latest version and try again",
                          cl_kinds[k].plural, js_name(obj));
    js_auto o = json_deep_copy(obj);
    keep_immutable(old, o);
    if (!same_but(old, o, not_spec))
        js_set_int(o, "metadata.generation", js_int(old, "metadata.generation", 1) + 1);
    if (!same_but(old, o, nothing) || deletable(k, o))
        replace(s, k, o, old);
    if (ret != NULL)
        *ret = cl_store_get(s, k, js_ns(obj), js_name(obj));
    return 0;
}

int cl_store_set_status(struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name,
                        json_t *status_taken, struct ac_err *err)
{
    json_t *old = cl_store_get(s, k, ns, name);
    if (old == NULL) {
        json_decref(status_taken);
        return ac_err_set(err, AC_ENOTFOUND, "%s \"%.100s\" not found", cl_kinds[k].plural, name);
    }
    js_auto o = json_copy(old);
    json_object_set_new(o, "status", status_taken);
    return cl_store_update(s, k, o, NULL, err);
}

void cl_store_drop(struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name)
{
    json_t *old = cl_store_get(s, k, ns, name);
    if (old == NULL)
        return;
    json_incref(old);
    js_auto o = json_deep_copy(old);
    stamp_rv(s, o);
    ac_cleanup(ac_free_p) char *key = key_of(k, ns == NULL ? "" : ns, name);
    ac_map_remove(s->objects[k], key);
    emit(s, k, CL_DELETED, o, old);
    json_decref(old);
}

/* Grace of a pod: what was asked, else its own; what has not begun to run has none. */
static int64_t grace_of(const json_t *o, const struct cl_delete *how)
{
    int64_t g =
        how->grace_s >= 0 ? how->grace_s : js_int(o, "spec.terminationGracePeriodSeconds", 30);
    if (js_deleting(o))
        g = AC_MIN(g, js_int(o, "metadata.deletionGracePeriodSeconds", 0));
    return g;
}

int cl_store_delete(struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name,
                    const struct cl_delete *how, json_t **ret, struct ac_err *err)
{
    json_t *old = cl_store_get(s, k, ns, name);
    if (old == NULL)
        return ac_err_set(err, AC_ENOTFOUND, "%s \"%.100s\" not found", cl_kinds[k].plural, name);
    if (how->uid != NULL && !ac_streq(how->uid, js_uid(old)))
        return ac_err_set(err, AC_EABORTED, "uid in precondition: %.40s, uid in object meta: %.40s",
                          how->uid, js_uid(old));
    if (how->orphan) {
        js_auto marked = json_deep_copy(old);
        js_set_str(marked, "metadata.annotations.orphan", "true");
        int r = cl_store_update(s, k, marked, NULL, err);
        if (r != 0)
            return r;
        old = cl_store_get(s, k, ns, name);
    }
    js_auto o = json_deep_copy(old);
    int64_t grace = k == CL_POD ? grace_of(o, how) : 0;
    if (!js_deleting(o)) {
        char now[32];
        js_time(cl_store_now(s) + grace * 1000000000LL, now, sizeof(now));
        js_set_str(o, "metadata.deletionTimestamp", now);
    }
    js_set_int(o, "metadata.deletionGracePeriodSeconds", grace);
    if (k == CL_NAMESPACE)
        js_set_str(o, "status.phase", "Terminating");
    if (!json_equal(o, old) || deletable(k, o))
        replace(s, k, o, old);
    if (ret != NULL)
        *ret = cl_store_get(s, k, ns, name);
    return 0;
}

void cl_store_load(struct cl_store *s, enum cl_kind_id k, const json_t *obj)
{
    uint64_t rv = 0;
    if (ac_str_to_u64(js_str(obj, "metadata.resourceVersion", "0"), &rv))
        cl_store_set_rv(s, rv);
    ac_cleanup(ac_free_p) char *key = key_of(k, js_ns(obj), js_name(obj));
    ac_map_set(s->objects[k], key, json_deep_copy(obj));
}

void cl_store_unload(struct cl_store *s, enum cl_kind_id k, const char *ns, const char *name)
{
    ac_cleanup(ac_free_p) char *key = key_of(k, ns == NULL ? "" : ns, name);
    ac_map_remove(s->objects[k], key);
}

void cl_store_set_rv(struct cl_store *s, uint64_t rv)
{
    s->rv = AC_MAX(s->rv, rv);
    /* What happened before the start is not in the log. */
    s->log_lost_rv = s->rv;
}

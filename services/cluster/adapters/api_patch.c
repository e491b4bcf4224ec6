/* The patch kinds, apply, and the scale subresource. */
#include "api_int.h"

#include <string.h>

#include <aceso/str.h>

#include "core/patch.h"

static int apply_patch(struct areq *q, const json_t *old, const json_t *patch, json_t **ret,
                       struct ac_err *err)
{
    const char *type = ac_http_header(q->r, "Content-Type");
    type = type != NULL ? type : "";
    bool ssa = ac_str_starts(type, "application/apply-patch");
    if (ac_str_starts(type, "application/json-patch+json"))
        return cl_patch_json(old, patch, ret, err);
    if (ac_str_starts(type, "application/merge-patch+json") || (ssa && q->k->custom)) {
        *ret = cl_patch_merge(old, patch);
        return 0;
    }
    if ((ac_str_starts(type, "application/strategic-merge-patch+json") && !q->k->custom) || ssa)
        return cl_patch_strategic(old, patch, ret, err);
    return ac_err_set(err, AC_EDATALOSS,
                      "the body of the request was in an unknown format - accepted media types "
                      "include: application/json-patch+json, application/merge-patch+json, "
                      "application/apply-patch+yaml");
}

/* Server-side apply of an object that is not there creates it. */
static void create_applied(struct areq *q, json_t *o)
{
    struct ac_err err = AC_ERR_INIT;
    json_t *made = NULL;
    if (q->k->namespaced)
        js_set_str(o, "metadata.namespace", q->ns);
    js_set_str(o, "metadata.name", q->name);
    int r = cl_prepare(q->a->d.store, q->k->id, o, NULL, &err);
    if (r == 0 && q->k->id == CL_SERVICE)
        r = cl_service_assign(q->a->d.ctl, o, &err);
    if (r == 0)
        r = cl_store_add(q->a->d.store, q->k->id, o, &made, &err);
    if (r != 0)
        api_fail(q, &err);
    else
        api_reply_json(q, 201, made);
}

static int patched(struct areq *q, json_t *old, const json_t *patch, json_t **ret,
                   struct ac_err *err)
{
    js_auto o = NULL;
    int r = apply_patch(q, old, patch, &o, err);
    if (r != 0)
        return r;
    if (!json_is_object(o))
        return ac_err_set(err, AC_EINVAL, "patch: the result is no object");
    if (!ac_streq(js_name(o), q->name) || !ac_streq(js_ns(o), js_ns(old)))
        return ac_err_set(err, AC_EPROTO, "patch: the name and the namespace cannot change");
    if (ac_streq(q->sub, "status")) {
        js_auto st = json_incref(json_object_get(o, "status"));
        json_decref(o);
        o = json_deep_copy(old);
        if (st != NULL)
            json_object_set(o, "status", st);
    } else if (json_object_get(old, "status") != NULL && !q->k->custom) {
        json_object_set(o, "status", json_object_get(old, "status"));
    }
    /* A patch that names no version applies to what is there. */
    if (json_object_get(json_object_get(patch, "metadata"), "resourceVersion") == NULL)
        js_set(o, "metadata.resourceVersion", json_incref(js_at(old, "metadata.resourceVersion")));
    r = cl_prepare(q->a->d.store, q->k->id, o, old, err);
    if (r == 0 && q->k->id == CL_SERVICE)
        r = cl_service_assign(q->a->d.ctl, o, err);
    if (r == 0)
        *ret = json_incref(o);
    return r;
}

void api_patch(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    js_auto patch = NULL;
    js_auto o = NULL;
    json_t *now = NULL;
    const char *type = ac_http_header(q->r, "Content-Type");
    json_t *old = cl_store_get(q->a->d.store, q->k->id, q->ns, q->name);
    int r = api_body(q, &patch, &err);
    if (r == 0 && old == NULL && type != NULL && ac_str_starts(type, "application/apply-patch")) {
        create_applied(q, patch);
        return;
    }
    if (r == 0 && old == NULL)
        r = ac_err_set(&err, AC_ENOTFOUND, "%s \"%.150s\" not found", q->k->plural, q->name);
    if (r == 0)
        r = patched(q, old, patch, &o, &err);
    if (r == 0 && ac_http_query(q->r, "dryRun") == NULL)
        r = cl_store_update(q->a->d.store, q->k->id, o, &now, &err);
    if (r != 0) {
        api_fail(q, &err);
        return;
    }
    if (api_wants_table(q)) {
        js_auto one = json_pack("[O]", now != NULL ? now : o);
        api_reply_new(q, 200, api_table(q, one, cl_store_rv(q->a->d.store), true));
        return;
    }
    api_reply_json(q, 200, now != NULL ? now : o);
}

static json_t *scale_of(const json_t *o)
{
    json_t *s = json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:s,s:s},s:{s:I},s:{s:I}}", "kind", "Scale",
                          "apiVersion", "autoscaling/v1", "metadata", "name", js_name(o),
                          "namespace", js_ns(o), "uid", js_uid(o), "resourceVersion",
                          js_str(o, "metadata.resourceVersion", ""), "creationTimestamp",
                          js_str(o, "metadata.creationTimestamp", ""), "spec", "replicas",
                          (json_int_t)js_int(o, "spec.replicas", 0), "status", "replicas",
                          (json_int_t)js_int(o, "status.replicas", 0));
    return s;
}

static int set_scale(struct areq *q, json_t *old, json_t **ret, struct ac_err *err)
{
    js_auto body = NULL;
    js_auto scale = NULL;
    int r = api_body(q, &body, err);
    if (r == 0 && ac_streq(q->method, "PUT")) {
        scale = json_incref(body);
    } else if (r == 0) {
        js_auto was = scale_of(old);
        r = apply_patch(q, was, body, &scale, err);
    }
    if (r != 0)
        return r;
    const char *rv = js_str(scale, "metadata.resourceVersion", "");
    if (rv[0] != '\0' && !ac_streq(rv, js_str(old, "metadata.resourceVersion", "")))
        return ac_err_set(err, AC_EABORTED,
                          "Operation cannot be fulfilled on %s: the object has "
                          "been modified",
                          q->k->plural);
    js_auto o = json_deep_copy(old);
    js_set_int(o, "spec.replicas", js_int(scale, "spec.replicas", 0));
    r = cl_prepare(q->a->d.store, q->k->id, o, old, err);
    if (r == 0)
        r = cl_store_update(q->a->d.store, q->k->id, o, ret, err);
    return r;
}

void api_scale(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    json_t *o = cl_store_get(q->a->d.store, q->k->id, q->ns, q->name);
    int r = 0;
    if (o == NULL)
        r = ac_err_set(&err, AC_ENOTFOUND, "%s \"%.150s\" not found", q->k->plural, q->name);
    else if (ac_streq(q->method, "PUT") || ac_streq(q->method, "PATCH"))
        r = set_scale(q, o, &o, &err);
    else if (!ac_streq(q->method, "GET"))
        r = ac_err_set(&err, AC_ENOTSUP, "only GET, PUT and PATCH");
    if (r != 0)
        api_fail(q, &err);
    else
        api_reply_new(q, 200, scale_of(o));
}

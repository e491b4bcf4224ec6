/* Who may do what: the administrator all; a service account what is in its own namespace (chaos
 * resources excepted), and reading of nodes. */
#include "api_int.h"

#include <string.h>

#include <aceso/str.h>

static bool is_read(const char *verb)
{
    return ac_streq(verb, "get") || ac_streq(verb, "list") || ac_streq(verb, "watch");
}

bool api_allowed(const struct pki_identity *who, const struct cl_kind *k, const char *verb,
                 const char *ns, const char *name)
{
    if (who->admin)
        return true;
    if (k->id == CL_NODE)
        return is_read(verb);
    if (k->id == CL_NAMESPACE)
        return is_read(verb) && ac_streq(name, who->ns);
    if (k->custom)
        return false;
    return ac_streq(ns, who->ns);
}

void api_access_review(struct areq *q)
{
    struct ac_err err = AC_ERR_INIT;
    json_t *body = NULL;
    if (!ac_streq(q->method, "POST")) {
        ac_err_set(&err, AC_ENOTSUP, "only POST");
        api_fail(q, &err);
        return;
    }
    if (api_body(q, &body, &err) != 0) {
        api_fail(q, &err);
        return;
    }
    const json_t *attr = js_at(body, "spec.resourceAttributes");
    const char *plural = js_str(attr, "resource", "");
    const struct cl_kind *k = NULL;
    for (size_t i = 0; i < CL_KINDS && k == NULL; i++)
        if (ac_streq(cl_kinds[i].plural, plural))
            k = &cl_kinds[i];
    bool allowed = q->who.admin || (k != NULL && api_allowed(&q->who, k, js_str(attr, "verb", ""),
                                                             js_str(attr, "namespace", ""),
                                                             js_str(attr, "name", NULL)));
    js_set(body, "status", json_pack("{s:b}", "allowed", allowed));
    js_set_str(body, "kind", "SelfSubjectAccessReview");
    js_set_str(body, "apiVersion", "authorization.k8s.io/v1");
    api_reply_new(q, 201, body);
}

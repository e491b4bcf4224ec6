/* aceso.v1.Incidents. */
#include "responder_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/convert_pb.h"

struct resp_watcher {
    struct resp_watcher *next;
    struct resp_service *s;
    struct ac_rpc_call *call;
    char *ns;
};

static void watcher_remove(struct resp_watcher *w)
{
    for (struct resp_watcher **p = &w->s->watchers; *p; p = &(*p)->next) {
        if (*p == w) {
            *p = w->next;
            break;
        }
    }
    free(w->ns);
    free(w);
}

static void watcher_gone(struct ac_rpc_call *c, void *arg)
{
    watcher_remove(arg);
    ac_rpc_finish(c);
}

/* False when the watcher was dropped: it reads too slowly, or has gone. */
static bool watcher_send(struct resp_watcher *w, const Aceso__V1__Incident *m)
{
    struct ac_err err = AC_ERR_INIT;
    int rc = ac_rpc_send(w->call, m);
    if (rc == 0)
        return true;
    if (rc == AC_ECANCELED)
        return true; /* watcher_gone follows */
    (void)ac_err_set(&err, rc, "the watcher reads too slowly");
    ac_rpc_on_cancel(w->call, NULL, NULL);
    ac_rpc_fail(w->call, &err);
    watcher_remove(w);
    return false;
}

void resp_rpc_changed(struct resp_service *s, const Aceso__V1__Incident *m)
{
    for (struct resp_watcher *w = s->watchers, *next; w; w = next) {
        next = w->next;
        if (w->ns[0] == '\0' || ac_streq(w->ns, m->namespace_))
            (void)watcher_send(w, m);
    }
}

void resp_rpc_stop(struct resp_service *s)
{
    while (s->watchers) {
        struct resp_watcher *w = s->watchers;
        ac_rpc_on_cancel(w->call, NULL, NULL);
        ac_rpc_finish(w->call);
        watcher_remove(w);
    }
}

static void on_watch(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct resp_service *s = self;
    const Aceso__V1__WatchIncidentsRequest *req = msg;
    struct resp_watcher *w = ac_xcalloc(1, sizeof(*w));
    w->s = s;
    w->call = c;
    w->ns = ac_xstrdup(req->namespace_);
    w->next = s->watchers;
    s->watchers = w;
    ac_rpc_on_cancel(c, watcher_gone, w);
    for (size_t k = 0;; k++) {
        const struct ac_incident *i = ac_responder_at(s->core, k);
        if (!i)
            return;
        if (i->state == AC_INC_RESOLVED || (w->ns[0] && !ac_streq(w->ns, i->namespace_)))
            continue;
        struct ac_arena *a = ac_arena_create(64u << 20);
        const Aceso__V1__Incident *m = resp_incident_to_pb(i, s->svc->conf.tenant, s->source, a);
        bool alive = !m || watcher_send(w, m);
        ac_arena_destroy(a);
        if (!alive)
            return;
    }
}

static void on_list(struct ac_rpc_call *c, const void *msg, void *self)
{
    resp_store_list(self, c, msg);
}

static void on_get(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__GetIncidentRequest *req = msg;
    resp_store_get(self, c, req->id);
}

static void on_set_policy(struct ac_rpc_call *c, const void *msg, void *self)
{
    resp_store_policy(self, c, msg);
}

static void on_get_policy(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct resp_service *s = self;
    const Aceso__V1__GetPolicyRequest *req = msg;
    const struct ac_policy *p = ac_responder_policy(s->core, req->namespace_);
    Aceso__V1__MitigationPolicy m = ACESO__V1__MITIGATION_POLICY__INIT;
    char *allow[AC_ACT_NKINDS];
    m.namespace_ = req->namespace_;
    m.allow = allow;
    m.max_actions = p && p->max_actions ? p->max_actions : AC_POLICY_MAX_ACTIONS;
    m.max_pods = p && p->max_pods ? p->max_pods : AC_POLICY_MAX_PODS;
    if (p) {
        m.act = p->act;
        m.expires_ns = p->expires_ns;
    }
    for (int k = 0; p && k < AC_ACT_NKINDS; k++)
        if (p->allow & (1u << k))
            allow[m.n_allow++] = (char *)(uintptr_t)ac_act_kind_name((enum ac_act_kind)k);
    ac_rpc_reply(c, &m);
}

void resp_rpc_add(struct resp_service *s)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "List", .kind = AC_RPC_UNARY, .handler = on_list},
        {.name = "Get", .kind = AC_RPC_UNARY, .handler = on_get},
        {.name = "Watch", .kind = AC_RPC_SERVER_STREAM, .handler = on_watch},
        {.name = "SetPolicy", .kind = AC_RPC_UNARY, .handler = on_set_policy},
        {.name = "GetPolicy", .kind = AC_RPC_UNARY, .handler = on_get_policy},
    };
    ac_rpc_server_add(s->svc->server, &aceso__v1__incidents__descriptor, methods,
                      AC_ARRAY_LEN(methods), s);
}

/* Carries out intended actions on worker threads. An action that is under way is not begun again.
 */
#include "responder_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#include "adapters/cluster.h"

struct run {
    struct resp_service *s;
    struct resp_order o;
    char *incident;
    int rc;
    struct ac_err err;
    char detail[256];
};

static void run_free(struct run *r)
{
    free(r->o.ns);
    free(r->o.id);
    free(r->o.target);
    free(r->o.pin);
    free(r->o.component);
    free(r->incident);
    free(r);
}

static void work(void *arg) /* worker thread */
{
    struct run *r = arg;
    r->rc = resp_carry_out(r->s->kube, &r->o, r->detail, &r->err);
}

static void done(void *arg)
{
    struct run *r = arg;
    struct resp_service *s = r->s;
    (void)ac_map_remove(s->running, r->o.id);
    if (!s->stopping) {
        AC_LOGI("responder", "action", AC_KS("incident", r->incident),
                AC_KS("kind", ac_act_kind_name(r->o.kind)), AC_KS("target", r->o.target),
                AC_KB("ok", r->rc == 0), AC_KS("detail", r->rc ? r->err.msg : r->detail));
        ac_responder_action_done(s->core, ac_wall_ns(), r->incident, r->o.id, r->rc == 0,
                                 r->rc ? r->err.msg : r->detail);
    }
    run_free(r);
}

void resp_act(struct resp_service *s, const char *incident_id, const char *action_id)
{
    const struct ac_incident *i = ac_responder_find(s->core, incident_id);
    const struct ac_inc_action *a = NULL;
    for (size_t k = 0; i && k < i->nactions; k++)
        if (ac_streq(i->actions[k].id, action_id))
            a = &i->actions[k];
    if (!a || a->state != AC_ACTION_INTENDED || ac_map_get(s->running, action_id))
        return;
    struct run *r = ac_xcalloc(1, sizeof(*r));
    r->s = s;
    r->incident = ac_xstrdup(incident_id);
    r->o = (struct resp_order){
        .kind = a->kind,
        .ns = ac_xstrdup(i->namespace_),
        .id = ac_xstrdup(a->id),
        .target = ac_xstrdup(a->target),
        .pin = ac_xstrdup(a->pin),
        .component = ac_xstrdup(a->component),
        .limit_ns = s->conf->action_limit_ns / 4 * 3, /* before the core asks again */
    };
    ac_metric_add(s->n_actions, 1);
    ac_map_set(s->running, a->id, ac_xstrdup(incident_id));
    if (ac_worker_submit(s->acts, work, done, r) == 0)
        return;
    (void)ac_map_remove(s->running, r->o.id); /* full: the core asks again after its limit */
    run_free(r);
}

#include "world.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#define NS "hotel-1"

static void new_id(void *self, char ret[27])
{
    struct world *w = self;
    snprintf(ret, 27, "id%024u", ++w->ids);
}

static void store(void *self, const struct ac_incident *inc)
{
    struct world *w = self;
    w->stores++;
    w->last_state = inc->state;
    ac_str_copy(w->incident, sizeof(w->incident), inc->id);
}

static void diagnose(void *self, const struct ac_incident *inc)
{
    struct world *w = self;
    w->looks++;
    ac_str_copy(w->look_id, sizeof(w->look_id), inc->id);
}

static void run(void *self, const struct ac_incident *inc, const struct ac_inc_action *a)
{
    struct world *w = self;
    AC_ASSERT(a->state == AC_ACTION_INTENDED);
    w->runs++;
    w->run_kind = a->kind;
    ac_str_copy(w->run_incident, sizeof(w->run_incident), inc->id);
    ac_str_copy(w->run_action, sizeof(w->run_action), a->id);
    ac_str_copy(w->run_target, sizeof(w->run_target), a->target);
}

void world_rebuild(struct world *w)
{
    struct ac_responder_config c = ac_responder_config_default();
    const struct ac_responder_ports p = {
        .self = w, .new_id = new_id, .store = store, .diagnose = diagnose, .run = run};
    ac_responder_destroy(w->r);
    w->r = ac_responder_create(&c, &p);
}

void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    world_rebuild(w);
    w->now_ns = 1700000000LL * AC_NS_PER_S;
}

void world_fini(struct world *w)
{
    ac_responder_destroy(w->r);
    ac_cluster_state_fini(&w->cluster);
}

void world_pod(struct world *w, const char *component, const char *name, bool ready)
{
    struct ac_cluster_state *s = &w->cluster;
    ac_grow(&s->pods, &s->pods_cap, s->npods + 1, sizeof(s->pods[0]));
    s->pods[s->npods++] = (struct ac_pod_state){.name = ac_xstrdup(name),
                                                .uid = ac_xasprintf("uid-%s", name),
                                                .component = ac_xstrdup(component),
                                                .phase = ac_xstrdup("Running"),
                                                .reason = ac_xstrdup(""),
                                                .ready = ready,
                                                .created_ns = 1};
}

void world_deploy(struct world *w, const char *component, int replicas, int declared)
{
    struct ac_cluster_state *s = &w->cluster;
    ac_grow(&s->deploys, &s->deploys_cap, s->ndeploys + 1, sizeof(s->deploys[0]));
    s->deploys[s->ndeploys++] = (struct ac_deploy_state){.name = ac_xstrdup(component),
                                                         .component = ac_xstrdup(component),
                                                         .replicas = replicas,
                                                         .declared = declared};
}

void world_restore(struct world *w, const char *component, const char *name)
{
    struct ac_cluster_state *s = &w->cluster;
    ac_grow(&s->restores, &s->restores_cap, s->nrestores + 1, sizeof(s->restores[0]));
    s->restores[s->nrestores++] =
        (struct ac_restore_state){.name = ac_xstrdup(name), .component = ac_xstrdup(component)};
}

void world_run(struct world *w, double seconds)
{
    for (int i = 0; i < (int)(seconds * 10); i++) {
        w->now_ns += 100 * AC_NS_PER_MS;
        ac_responder_tick(w->r, w->now_ns);
    }
}

void world_alert(struct world *w, const char *id, uint64_t sequence, bool open,
                 const char *component)
{
    const struct ac_alert_in a = {.id = id,
                                  .namespace_ = NS,
                                  .component = component,
                                  .sequence = sequence,
                                  .open = open,
                                  .started_ns = w->now_ns - AC_NS_PER_S};
    (void)ac_responder_alert(w->r, w->now_ns, &a);
}

void world_diagnosed(struct world *w, const char *const *causes)
{
    struct ac_inc_cause c[8];
    char name[8][64];
    size_t n = 0;
    for (; causes && causes[n]; n++) {
        const char *colon = strchr(causes[n], ':');
        snprintf(name[n], sizeof(name[n]), "%.*s", (int)(colon - causes[n]), causes[n]);
        c[n] = (struct ac_inc_cause){.component = name[n],
                                     .fault = (char *)(uintptr_t)(colon + 1),
                                     .score = 10.0 - (double)n};
    }
    const struct ac_diagnosed_in d = {.ok = n > 0,
                                      .problem = n > 0 ? NULL : "nothing stands out",
                                      .causes = c,
                                      .ncauses = n,
                                      .cluster = &w->cluster};
    ac_responder_diagnosed(w->r, w->now_ns, w->look_id, &d);
}

void world_policy(struct world *w, bool act)
{
    const struct ac_policy p = {.act = act};
    ac_responder_set_policy(w->r, w->now_ns, NS, &p);
}

const struct ac_incident *world_incident(struct world *w)
{
    return ac_responder_find(w->r, w->incident);
}

int world_count(struct world *w, enum ac_act_state s)
{
    const struct ac_incident *i = world_incident(w);
    int n = 0;
    for (size_t k = 0; i && k < i->nactions; k++)
        n += i->actions[k].state == s;
    return n;
}

/* The core's ports. Each change of an incident is queued: stored, then its alerts are acknowledged,
 * then it is published, then what the core asked for is carried out. One store at a time keeps the
 * order; a store that fails is tried again, and nothing behind it happens before it succeeded. */
#include "responder_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/id.h>
#include <aceso/log.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/convert_pb.h"

#define BODY_MAX_BYTES (32u << 20)
#define TICK_NS        (200 * AC_NS_PER_MS)
#define STORE_RETRY_NS (500 * AC_NS_PER_MS)

struct resp_pending {
    struct resp_pending *next;
    struct resp_service *s;
    struct resp_row row;
    struct ac_bus_ack **acks;
    size_t nacks, acks_cap;
    bool look;    /* afterwards: ask cluster and rca */
    char *action; /* afterwards: carry out this action */
};

static void pending_free(struct resp_pending *p)
{
    resp_row_fini(&p->row);
    free(p->acks);
    free(p->action);
    free(p);
}

static void store_next(struct resp_service *s);

static int store_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct resp_pending *p = arg;
    return resp_row_put(c, &p->row, err);
}

struct published {
    struct resp_service *s;
    char *subject, *id;
    struct ac_buf body;
    int tries;
    struct ac_timer *timer;
};

static void published_free(struct published *p)
{
    ac_timer_destroy(p->timer);
    ac_buf_fini(&p->body);
    free(p->subject);
    free(p->id);
    free(p);
}

static void publish_try(void *arg);

static void publish_done(int code, void *arg)
{
    struct published *p = arg;
    if (code == 0 || p->s->stopping || p->tries >= 60) {
        if (code)
            AC_LOGW("responder", "incident_not_published", AC_KS("id", p->id),
                    AC_KS("err", ac_err_name(code)));
        published_free(p);
        return;
    }
    if (!p->timer)
        p->timer = ac_timer_create(p->s->svc->loop, publish_try, p);
    ac_timer_start(p->timer, AC_NS_PER_S, 0);
}

static void publish_try(void *arg)
{
    struct published *p = arg;
    p->tries++;
    int rc = p->s->stopping ? AC_ECANCELED
                            : ac_bus_js_publish(p->s->svc->bus, p->subject, p->id, p->body.data,
                                                p->body.len, publish_done, p, NULL);
    if (rc)
        publish_done(rc, p);
}

static void publish(struct resp_service *s, const struct resp_row *r)
{
    struct published *p = ac_xcalloc(1, sizeof(*p));
    p->s = s;
    p->subject = ac_xasprintf("%s.%s", AC_SUBJECT_INCIDENTS, r->ns);
    p->id = ac_xasprintf("%s-%llu", r->id, (unsigned long long)r->revision);
    ac_buf_init(&p->body, BODY_MAX_BYTES);
    ac_buf_append(&p->body, r->body, r->len);
    publish_try(p);
}

static void tell_watchers(struct resp_service *s, const struct resp_row *r)
{
    struct ac_arena *a = ac_arena_create(8 * (size_t)BODY_MAX_BYTES);
    Aceso__V1__Incident *m;
    if (AC_PB_UNPACK(aceso__v1__incident, r->body, r->len, a, &m, NULL) == 0)
        resp_rpc_changed(s, m);
    ac_arena_destroy(a);
}

static void store_done(int code, const struct ac_err *err, void *arg)
{
    struct resp_pending *p = arg;
    struct resp_service *s = p->s;
    s->storing = false;
    if (code) {
        AC_LOGE("responder", "incident_not_stored", AC_KS("id", p->row.id), AC_KERR(err));
        ac_metric_add(s->n_store_failures, 1);
        if (!s->stopping) {
            ac_timer_start(s->retry, STORE_RETRY_NS, 0);
            return;
        }
        /* Going down: unacknowledged alerts come back, intended actions were not begun. */
        s->head = p->next;
        pending_free(p);
        return;
    }
    s->head = p->next;
    if (!s->head)
        s->tail = NULL;
    for (size_t i = 0; i < p->nacks; i++)
        ac_bus_ack(p->acks[i]);
    AC_LOGI("responder", "incident", AC_KS("id", p->row.id), AC_KS("namespace", p->row.ns),
            AC_KS("state", p->row.state), AC_KI("revision", p->row.revision));
    publish(s, &p->row);
    tell_watchers(s, &p->row);
    if (p->look && !s->stopping)
        resp_look(s, p->row.id);
    if (p->action && !s->stopping)
        resp_act(s, p->row.id, p->action);
    pending_free(p);
    store_next(s);
}

static void store_next(struct resp_service *s)
{
    if (!s->head || s->storing || s->stopping)
        return;
    s->storing = true;
    if (ac_pg_submit(s->svc->pg, store_job, store_done, s->head)) {
        s->storing = false;
        if (!s->stopping)
            ac_timer_start(s->retry, STORE_RETRY_NS, 0);
    }
}

static void retry_store(void *arg)
{
    store_next(arg);
}

/* The latest queued state of an incident, NULL when all is stored. */
static struct resp_pending *latest(struct resp_service *s, const char *incident_id)
{
    struct resp_pending *found = NULL;
    for (struct resp_pending *p = s->head; p; p = p->next)
        if (ac_streq(p->row.id, incident_id))
            found = p;
    return found;
}

/* ---- ports ---- */

static void port_new_id(void *self, char ret[27])
{
    (void)self;
    struct ac_id id = ac_id_new();
    memcpy(ret, id.s, sizeof(id.s));
}

static void port_store(void *self, const struct ac_incident *inc)
{
    struct resp_service *s = self;
    struct ac_arena *a = ac_arena_create(8 * (size_t)BODY_MAX_BYTES);
    struct ac_buf body;
    struct ac_err err = AC_ERR_INIT;
    Aceso__V1__Incident *m = resp_incident_to_pb(inc, s->svc->conf.tenant, s->source, a);
    ac_buf_init(&body, BODY_MAX_BYTES);
    if (!m || ac_pb_pack(&m->base, &body, &err)) {
        /* Bounded by the limits on alerts and diagnoses: cannot happen in practice. */
        AC_LOGE("responder", "incident_too_large", AC_KS("id", inc->id));
    } else {
        struct resp_pending *p = ac_xcalloc(1, sizeof(*p));
        p->s = s;
        p->row = (struct resp_row){
            .id = ac_xstrdup(inc->id),
            .tenant = ac_xstrdup(s->svc->conf.tenant ? s->svc->conf.tenant : ""),
            .ns = ac_xstrdup(inc->namespace_),
            .state = ac_xstrdup(ac_inc_state_name(inc->state)),
            .source = ac_xstrdup(s->source),
            .created_ns = inc->created_ns,
            .wake_ns = inc->wake_ns,
            .revision = inc->revision,
            .diagnoses = inc->diagnoses,
            .len = body.len,
        };
        p->row.body = ac_buf_take(&body);
        if (s->tail)
            s->tail->next = p;
        else
            s->head = p;
        s->tail = p;
        store_next(s);
    }
    ac_buf_fini(&body);
    ac_arena_destroy(a);
}

static void port_diagnose(void *self, const struct ac_incident *inc)
{
    struct resp_service *s = self;
    struct resp_pending *p = latest(s, inc->id);
    if (p)
        p->look = true;
    else
        resp_look(s, inc->id);
}

static void port_run(void *self, const struct ac_incident *inc, const struct ac_inc_action *action)
{
    struct resp_service *s = self;
    struct resp_pending *p = latest(s, inc->id);
    if (!p) {
        resp_act(s, inc->id, action->id);
        return;
    }
    free(p->action);
    p->action = ac_xstrdup(action->id);
}

void resp_engine_after_store(struct resp_service *s, const char *incident_id,
                             struct ac_bus_ack *ack)
{
    struct resp_pending *p = latest(s, incident_id);
    if (!p) {
        ac_bus_ack(ack);
        return;
    }
    ac_grow(&p->acks, &p->acks_cap, p->nacks + 1, sizeof(p->acks[0]));
    p->acks[p->nacks++] = ack;
}

static void on_tick(void *arg)
{
    struct resp_service *s = arg;
    if (!s->stopping)
        ac_responder_tick(s->core, ac_wall_ns());
}

int resp_engine_start(struct resp_service *s, struct ac_err *err)
{
    struct ac_responder_config c = ac_responder_config_default();
    c.settle_ns = s->conf->settle_ns;
    c.retry_ns = s->conf->retry_ns;
    c.verify_ns = s->conf->verify_ns;
    c.action_limit_ns = s->conf->action_limit_ns;
    const struct ac_responder_ports ports = {.self = s,
                                             .new_id = port_new_id,
                                             .store = port_store,
                                             .diagnose = port_diagnose,
                                             .run = port_run};
    s->core = ac_responder_create(&c, &ports);
    s->running = ac_map_create(free);
    s->retry = ac_timer_create(s->svc->loop, retry_store, s);
    s->tick = ac_timer_create(s->svc->loop, on_tick, s);
    int rc = resp_load(s, err);
    if (rc)
        return rc;
    ac_responder_resume(s->core, ac_wall_ns());
    ac_timer_start(s->tick, TICK_NS, TICK_NS);
    return 0;
}

void resp_engine_stop(struct resp_service *s)
{
    s->stopping = true;
    if (s->tick)
        ac_timer_stop(s->tick);
    if (s->retry)
        ac_timer_stop(s->retry);
}

void resp_engine_free(struct resp_service *s)
{
    /* A store that runs is finished by PostgreSQL's pool, whose done finds us stopping; what was
     * queued behind it is lost here and comes back by redelivery: it was not acknowledged. */
    struct resp_pending *p = s->head;
    if (p && s->storing) {
        p = p->next;
        s->head->next = NULL;
        s->tail = s->head;
    } else {
        s->head = s->tail = NULL;
    }
    while (p) {
        struct resp_pending *next = p->next;
        pending_free(p);
        p = next;
    }
    ac_timer_destroy(s->tick);
    ac_timer_destroy(s->retry);
    ac_responder_destroy(s->core);
    ac_map_destroy(s->running);
    s->tick = s->retry = NULL;
    s->core = NULL;
    s->running = NULL;
}

/* The scheduler on real time: requests in, actions and replies out. */
#include "controller_service.h"
#include "engine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define NIL UINT32_MAX

struct ctl_request {
    struct ac_rpc_call *call;
    struct ctl_model *model;
    struct ctl_infer in;
    const char *id;
    struct ctl_service *s;
    int64_t came_ns, deadline_ns;
    uint32_t turn, next_free; /* turn: how often the place was used */
};

/* ---- requests ---- */

static uint64_t cookie_of(const struct ctl_service *s, const struct ctl_request *r)
{
    return (uint64_t)r->turn << 32 | (uint32_t)(r - s->requests);
}

static struct ctl_request *request_of(const struct ctl_service *s, uint64_t cookie)
{
    struct ctl_request *r = &s->requests[(uint32_t)cookie];
    AC_ASSERT((uint32_t)cookie < s->n_requests && r->turn == cookie >> 32 && r->call);
    return r;
}

static void request_free(struct ctl_service *s, struct ctl_request *r)
{
    r->call = NULL;
    r->turn++;
    r->next_free = s->free_request;
    s->free_request = (uint32_t)(r - s->requests);
    s->n_pending--;
    if (s->stopping && s->n_pending == 0)
        ac_timer_start(s->drain, 0, 0);
}

/* The client has gone. While its request runs, the call has to wait for the result: a batch that is
 * lost with its worker is sent again, from the tensors in the call's arena. */
static void on_cancel(struct ac_rpc_call *c, void *arg)
{
    struct ctl_request *r = arg;
    struct ctl_service *s = r->s;
    AC_ASSERT(r->call == c);
    if (!sched_cancel(s->sched, r->model->number, cookie_of(s, r)))
        return;
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, AC_ECANCELED, "the client has gone");
    request_free(s, r);
    ac_rpc_fail(c, &err);
    ctl_dispatch_settle(s);
}

void ctl_dispatch_ask(struct ctl_service *s, struct ac_rpc_call *c, struct ctl_model *m,
                      const struct ctl_infer *in, const char *id, int64_t came_ns,
                      int64_t deadline_ns)
{
    struct ac_err err = AC_ERR_INIT;
    if (s->free_request == NIL) {
        (void)ac_err_set(&err, AC_EAGAIN, "model %s: %s", m->what.name,
                         policy_outcome_text(POLICY_FULL));
        ctl_stats_reply(
            s, m,
            &(struct ctl_ended){.outcome = POLICY_FULL, .rows = in->rows, .tenant = in->tenant});
        ac_rpc_fail(c, &err);
        return;
    }
    struct ctl_request *r = &s->requests[s->free_request];
    s->free_request = r->next_free;
    s->n_pending++;
    r->call = c;
    r->model = m;
    r->in = *in;
    r->id = id;
    r->s = s;
    r->came_ns = came_ns;
    r->deadline_ns = deadline_ns;
    struct policy_request q = {.cookie = cookie_of(s, r),
                               .model = m->number,
                               .rows = in->rows,
                               .deadline_ns = deadline_ns,
                               .tenant = in->tenant,
                               .priority = in->priority};
    ac_rpc_on_cancel(c, on_cancel, r);
    sched_arrive(s->sched, ctl_now(s), &q);
    ctl_dispatch_settle(s);
}

/* ---- replies ---- */

static void refuse(struct ctl_service *s, struct ctl_request *r, const struct policy_reply *p)
{
    static const int codes[] = {
        [POLICY_REFUSED] = AC_ETIMEOUT, [POLICY_EXPIRED] = AC_ETIMEOUT,
        [POLICY_NO_DEVICE] = AC_ENET,   [POLICY_FULL] = AC_EAGAIN,
        [POLICY_ERROR] = AC_EINTERNAL,  [POLICY_SHARE] = AC_EAGAIN,
        [POLICY_YIELDED] = AC_EAGAIN,
    };
    struct ac_err err = AC_ERR_INIT;
    char more[128] = "";
    if (p->predicted_ns && p->outcome != POLICY_SHARE && p->outcome != POLICY_YIELDED)
        snprintf(more, sizeof(more),
                 ": it would finish %.3f ms after it came, its deadline is %.3f ms",
                 (double)(p->predicted_ns - r->came_ns) * 1e-6,
                 (double)(r->deadline_ns - r->came_ns) * 1e-6);
    else if (p->outcome == POLICY_SHARE)
        snprintf(more, sizeof(more), " (tenant %s)", s->tenants.list[r->in.tenant].name);
    (void)ac_err_set(&err, codes[p->outcome], "model %s: refused: %s%s", r->model->what.name,
                     policy_outcome_text(p->outcome), more);
    struct ac_rpc_call *c = r->call;
    request_free(s, r);
    ac_rpc_fail(c, &err);
}

/* The worker's answer to the request; NULL when there is none. */
static const Aceso__V1__InferPiece *piece_of(const struct ctl_service *s, uint32_t slot)
{
    const Aceso__V1__ActionResult *msg = s->answer.msg;
    return slot < msg->n_items ? msg->items[slot] : NULL;
}

/* Its data was found bad while it was computed. */
static void fail(struct ctl_service *s, struct ctl_request *r, const char *why)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_rpc_call *c = r->call;
    (void)ac_err_set(&err, AC_EINVAL, "model %s: %.200s", r->model->what.name, why);
    request_free(s, r);
    ac_rpc_fail(c, &err);
}

static void answer(struct ctl_service *s, struct ctl_request *r, const Aceso__V1__InferPiece *piece)
{
    const struct wk_model_info *info = &r->model->what.info;
    struct ac_err err = AC_ERR_INIT;
    struct ac_rpc_call *c = r->call;
    bool fits = piece && piece->rows == r->in.rows && piece->n_tensors == info->n_outputs;
    for (uint32_t i = 0; fits && i < info->n_outputs; i++)
        fits = piece->tensors[i].len == r->in.rows * info->outputs[i].row_bytes;
    if (fits)
        ctl_reply_infer(c, &r->model->what, r->id, &r->in, piece);
    else
        (void)ac_err_set(&err, AC_EINTERNAL, "model %s: the worker's outputs do not fit the model",
                         r->model->what.name);
    request_free(s, r);
    if (!fits)
        ac_rpc_fail(c, &err);
}

static void on_reply(void *self, const struct policy_reply *p)
{
    struct ctl_service *s = self;
    struct ctl_request *r = request_of(s, p->cookie);
    ac_rpc_on_cancel(r->call, NULL, NULL);
    struct ctl_ended e = {.outcome = p->outcome,
                          .cold = p->cold,
                          .rows = r->in.rows,
                          .tenant = r->in.tenant,
                          .took_ns = s->now_ns - r->came_ns};
    bool served = p->outcome == POLICY_ON_TIME || p->outcome == POLICY_LATE;
    AC_ASSERT(!served || (s->answer.msg && s->answer.action == p->action));
    const Aceso__V1__InferPiece *piece = served ? piece_of(s, p->slot) : NULL;
    bool bad = piece && !ac_str_empty(piece->error);
    if (bad)
        e.outcome = POLICY_ERROR;
    else if (served)
        e.queued_ns = AC_MAX(s->answer.begin_ns - r->came_ns, 0);
    ctl_stats_reply(s, r->model, &e);
    if (served && p->slot == 0)
        ctl_stats_execution(s, r->model, s->answer.msg);
    if (bad)
        fail(s, r, piece->error);
    else if (served)
        answer(s, r, piece);
    else
        refuse(s, r, p);
}

/* ---- actions ---- */

static void on_act(void *self, const struct policy_action *a)
{
    struct ctl_service *s = self;
    struct ctl_worker *w = s->workers[a->device];
    Aceso__V1__ControllerMessage msg = ACESO__V1__CONTROLLER_MESSAGE__INIT;
    Aceso__V1__Action act = ACESO__V1__ACTION__INIT;
    Aceso__V1__InferPiece pieces[POLICY_MAX_BATCH], *items[POLICY_MAX_BATCH];
    ProtobufCBinaryData tensors[POLICY_MAX_BATCH][WK_MAX_IO];
    msg.body_case = ACESO__V1__CONTROLLER_MESSAGE__BODY_ACTION;
    msg.action = &act;
    act.id = a->id;
    act.kind = (Aceso__V1__ActionKind)a->kind;
    act.model = a->model;
    /* An estimate that moves must not put a load before the unload that makes room for it. */
    act.earliest_ns = AC_MAX(ctl_peer_clock_theirs(&w->clock, a->earliest_ns), w->last_earliest_ns);
    w->last_earliest_ns = act.earliest_ns;
    act.latest_ns = ctl_peer_clock_theirs(&w->clock, a->latest_ns);
    act.expected_ns = a->expected_ns;
    act.batch = a->kind == POLICY_INFER ? a->batch : 0;
    act.items = items;
    for (uint32_t i = 0; a->kind == POLICY_INFER && i < a->n; i++) {
        const struct ctl_request *r = request_of(s, a->cookies[i]);
        const struct wk_model_info *info = &r->model->what.info;
        aceso__v1__infer_piece__init(&pieces[i]);
        for (uint32_t k = 0; k < info->n_inputs; k++) {
            union {
                const void *in;
                uint8_t *out;
            } p = {.in = r->in.inputs[k]}; /* packed at once, not written to */
            tensors[i][k] =
                (ProtobufCBinaryData){.data = p.out, .len = r->in.rows * info->inputs[k].row_bytes};
        }
        pieces[i].rows = r->in.rows;
        pieces[i].tensors = tensors[i];
        pieces[i].n_tensors = info->n_inputs;
        items[i] = &pieces[i];
        act.n_items++;
    }
    ac_metric_add(s->n_actions[a->kind - 1], 1);
    s->expected[a->id % CTL_ACTIONS].id = a->id;
    s->expected[a->id % CTL_ACTIONS].ns = a->expected_ns;
    ctl_worker_send(w, &msg);
}

static void note_result(struct ctl_service *s, const Aceso__V1__ActionResult *r,
                        const struct policy_result *p)
{
    const struct ctl_expected *e = &s->expected[r->id % CTL_ACTIONS];
    if (p->status == POLICY_DONE && e->id == r->id)
        ac_metric_observe(s->prediction_error,
                          fabs((double)(p->end_ns - p->begin_ns - e->ns)) * 1e-9);
    else if (p->status == POLICY_TOO_LATE)
        ac_metric_add(s->late_actions, 1);
    else if (p->status == POLICY_FAILED)
        AC_LOGW("worker", "action_failed", AC_KI("status", r->status), AC_KS("text", r->message));
}

void ctl_dispatch_result(struct ctl_service *s, struct ctl_worker *w,
                         const Aceso__V1__ActionResult *r)
{
    struct policy_result p = {
        .id = r->id,
        .status = r->status == 0                                    ? POLICY_DONE
                  : wk_status_is_late((int)AC_MIN(r->status, 999u)) ? POLICY_TOO_LATE
                                                                    : POLICY_FAILED,
        .begin_ns = ctl_peer_clock_ours(&w->clock, r->begin_ns),
        .end_ns = ctl_peer_clock_ours(&w->clock, r->end_ns),
    };
    int64_t now = ctl_now(s);
    /* The scheduler plans with these: a clock that is off must not lead it into the future. */
    p.end_ns = AC_MIN(AC_MAX(p.end_ns, 0), now);
    p.begin_ns = AC_MIN(AC_MAX(p.begin_ns, 0), p.end_ns);
    note_result(s, r, &p);
    s->answer = (struct ctl_answer){.action = r->id, .msg = r, .begin_ns = p.begin_ns};
    sched_result(s->sched, now, &p);
    s->answer.msg = NULL;
    ctl_dispatch_settle(s);
}

/* ---- time ---- */

int64_t ctl_now(struct ctl_service *s)
{
    s->now_ns = AC_MAX(s->now_ns, ac_now_ns());
    return s->now_ns;
}

void ctl_dispatch_settle(struct ctl_service *s)
{
    ctl_workers_drop_choked(s);
    int64_t at = sched_next_wake(s->sched);
    if (at == POLICY_NEVER)
        ac_timer_stop(s->wake);
    else
        ac_timer_start(s->wake, at - ac_now_ns(), 0);
}

static void on_wake(void *arg)
{
    struct ctl_service *s = arg;
    sched_wake(s->sched, ctl_now(s));
    ctl_dispatch_settle(s);
}

/* Without workers all that is left waits, so that it can be taken back. */
static void on_drained(void *arg)
{
    struct ctl_service *s = arg;
    ctl_workers_stop(s);
    for (uint32_t i = 0; i < s->n_requests; i++) {
        struct ctl_request *r = &s->requests[i];
        if (!r->call || !sched_cancel(s->sched, r->model->number, cookie_of(s, r)))
            continue;
        struct ac_rpc_call *c = r->call;
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, AC_ENET, "the controller stops");
        ac_rpc_on_cancel(c, NULL, NULL);
        request_free(s, r);
        ac_rpc_fail(c, &err);
    }
    ac_timer_stop(s->drain);
    ac_svc_stopped(s->svc);
}

void ctl_dispatch_stop(struct ctl_service *s)
{
    ac_timer_start(s->drain, s->n_pending ? s->svc->conf.drain_ns : 0, 0);
}

static uint32_t model_added(void *self, struct ctl_model *m)
{
    struct ctl_service *s = self;
    (void)m;
    return sched_model_add(s->sched);
}

static void model_retired(void *self, struct ctl_model *m)
{
    struct ctl_service *s = self;
    sched_model_retire(s->sched, ctl_now(s), m->number);
    ctl_dispatch_settle(s);
    ctl_workers_forget(s, m);
}

void ctl_dispatch_start(struct ctl_service *s)
{
    struct sched_config cfg = SCHED_CONFIG_INIT;
    cfg.max_requests = (uint32_t)s->conf->max_requests;
    cfg.learn = true;
    cfg.ranks = true;
    cfg.save = s->conf->save;
    for (uint32_t t = 0; t < s->tenants.n; t++)
        cfg.shares[t] = s->tenants.list[t].weight;
    struct policy_ports ports = {.self = s, .act = on_act, .reply = on_reply};
    s->sched = sched_create(&cfg, &ports);
    s->n_requests = cfg.max_requests;
    s->requests = ac_xcalloc(s->n_requests, sizeof(*s->requests));
    s->free_request = NIL;
    for (uint32_t i = s->n_requests; i-- > 0;) {
        s->requests[i].next_free = s->free_request;
        s->free_request = i;
    }
    s->wake = ac_timer_create(s->svc->loop, on_wake, s);
    s->drain = ac_timer_create(s->svc->loop, on_drained, s);
    struct ctl_catalog_ports cat = {.self = s, .add = model_added, .retire = model_retired};
    s->catalog = ctl_catalog_create(&cat);
}

void ctl_dispatch_free(struct ctl_service *s)
{
    ac_timer_destroy(s->wake);
    ac_timer_destroy(s->drain);
    sched_destroy(s->sched);
    free(s->requests);
}

#include "sim_int.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

void sim_schedule(struct sim *s, int64_t at, enum sim_event kind, uint32_t what)
{
    agenda_add(s->agenda, at, kind, what);
}

void sim_rearm(struct sim *s)
{
    int64_t at = s->cfg->policy->next_wake(s->policy);
    if (at == POLICY_NEVER || at >= s->wake_at)
        return;
    s->wake_at = AC_MAX(at, s->now);
    sim_schedule(s, s->wake_at, SIM_EV_WAKE, 0);
}

static void note(struct sim *s, uint64_t v)
{
    s->st.digest = (s->st.digest ^ v) * 0x9e3779b97f4a7c15ull;
    s->st.digest ^= s->st.digest >> 29;
}

/* ---- clients ---- */

static void ask(struct sim *s, uint32_t class, uint32_t model, uint32_t client)
{
    uint32_t at = s->free_request;
    if (at == SIM_NIL) {
        ac_grow(&s->requests, &s->cap_requests, s->n_requests + 1, sizeof(*s->requests));
        at = (uint32_t)s->n_requests++;
    } else {
        s->free_request = s->requests[at].next_free;
    }
    const struct workload_class *c = &s->cfg->workload->classes[class];
    int64_t due = s->now + serving_workload_objective_ns(s->cfg->workload, c, model, s->now);
    s->requests[at] = (struct sim_request){
        .came = s->now, .due = due, .class = class, .model = model, .client = client};
    struct policy_request r = {.cookie = at,
                               .model = model,
                               .rows = 1,
                               .deadline_ns = due,
                               .tenant = c->tenant,
                               .priority = c->priority};
    s->policy_requests += s->lap.timed;
    int64_t t = sim_cost_start(s);
    s->cfg->policy->arrive(s->policy, s->now, &r);
    sim_cost_stop(s, t);
    sim_rearm(s);
}

static void on_reply(void *self, const struct policy_reply *r)
{
    struct sim *s = self;
    uint32_t at = (uint32_t)r->cookie;
    struct sim_request *q = &s->requests[at];
    note(s, (uint64_t)s->now);
    note(s, (uint64_t)r->outcome << 32 | at);
    s->answers += r->action != 0;
    if (s->cfg->watch)
        s->cfg->watch->request(s->cfg->watch->self,
                               &(struct sim_seen_request){.came_ns = q->came,
                                                          .due_ns = q->due,
                                                          .done_ns = s->now,
                                                          .model = q->model,
                                                          .class = q->class,
                                                          .outcome = r->outcome,
                                                          .cold = r->cold});
    if (q->came >= s->cfg->workload->warmup_ns) {
        s->st.requests++;
        s->st.outcomes[r->outcome]++;
        s->st.classes[q->class].requests++;
        s->st.classes[q->class].on_time += r->outcome == POLICY_ON_TIME;
        s->st.cold_starts += r->cold;
        if (r->outcome == POLICY_ON_TIME || r->outcome == POLICY_LATE) {
            int64_t step = (s->now - q->came) / SIM_LATENCY_STEP;
            s->latency[AC_MIN(step, SIM_LATENCY_MAX)]++;
        }
    }
    if (q->client != SIM_NIL)
        sim_schedule(s, s->now + 2 * s->cfg->net_ns, SIM_EV_CLIENT, q->client);
    q->next_free = s->free_request;
    s->free_request = at;
}

static void on_client(struct sim *s, uint32_t client)
{
    const struct workload *w = s->cfg->workload;
    uint32_t left = client;
    for (uint32_t i = 0; i < w->n_classes; i++) {
        const struct workload_class *c = &w->classes[i];
        if (left < c->closed * c->n_models) {
            ask(s, i, c->first_model + left % c->n_models, client);
            return;
        }
        left -= c->closed * c->n_models;
    }
}

static void on_open(struct sim *s, uint32_t class)
{
    const struct workload_class *c = &s->cfg->workload->classes[class];
    uint32_t model = serving_workload_model(c, s->now, &s->rng_arrivals);
    sim_schedule(s, s->now + serving_workload_gap_ns(c, &s->rng_arrivals), SIM_EV_OPEN, class);
    ask(s, class, model, SIM_NIL);
}

static void on_function(struct sim *s, uint32_t function)
{
    struct workload_function *f = &s->functions[function];
    if (s->now > 0)
        ask(s, 0, f->model, SIM_NIL);
    int64_t at = serving_workload_next_ns(s->cfg->workload, f, s->now, &s->rng_arrivals);
    if (at <= s->cfg->workload->duration_ns)
        sim_schedule(s, at, SIM_EV_FUNCTION, function);
}

/* ---- the run ---- */

/* Where each model's costs stand in the table of each kind of device. */
static int find_rows(struct sim *s, struct ac_err *err)
{
    const struct workload *w = s->cfg->workload;
    uint32_t gpus = 0;
    for (uint32_t k = 0; k <= s->cfg->n_kinds; k++) {
        const struct costs *c = k ? s->cfg->kinds[k - 1].costs : s->cfg->costs;
        gpus += k ? s->cfg->kinds[k - 1].gpus : 0;
        s->rows[k] = ac_xcalloc(w->n_models, sizeof(uint32_t));
        for (uint32_t m = 0; m < w->n_models; m++) {
            const char *name = s->cfg->costs->rows[w->row[m]].model;
            const struct costs_row *r = k ? serving_costs_find(c, name) : &c->rows[w->row[m]];
            if (!r)
                return ac_err_set(err, AC_ENOTFOUND,
                                  "the costs of kind %u of devices have no model %s", k, name);
            s->rows[k][m] = (uint32_t)(r - c->rows);
        }
    }
    if (gpus > s->cfg->gpus)
        return ac_err_set(err, AC_ERANGE, "%u devices of other kinds are more than all %u", gpus,
                          s->cfg->gpus);
    return 0;
}

static void start(struct sim *s)
{
    const struct workload *w = s->cfg->workload;
    struct policy_ports ports = {.self = s, .act = sim_act, .reply = on_reply};
    s->policy = s->cfg->policy->create(&s->cfg->sched, &ports);
    s->devices = ac_xcalloc(s->cfg->gpus, sizeof(*s->devices));
    uint32_t of_kind = s->cfg->gpus;
    for (uint32_t k = 0; k < s->cfg->n_kinds; k++)
        of_kind -= s->cfg->kinds[k].gpus;
    for (uint32_t d = 0, kind = 0; d < s->cfg->gpus; d++, of_kind--) {
        while (of_kind == 0)
            of_kind = s->cfg->kinds[kind++].gpus;
        s->devices[d].kind = kind;
        s->devices[d].ready = ac_xcalloc(w->n_models, sizeof(int64_t));
        s->devices[d].loads = ac_xcalloc(w->n_models, sizeof(struct sim_load));
        (void)s->cfg->policy->device_add(s->policy);
        if (kind && s->cfg->policy->device_kind)
            s->cfg->policy->device_kind(s->policy, d, kind);
    }
    for (uint32_t m = 0; m < w->n_models; m++)
        (void)s->cfg->policy->model_add(s->policy);
    for (uint32_t d = 0; d < s->cfg->gpus; d++)
        sim_device_start(s, d);
    uint32_t client = 0;
    for (uint32_t i = 0; i < w->n_classes; i++) {
        const struct workload_class *c = &w->classes[i];
        for (uint32_t k = 0; k < c->closed * c->n_models; k++)
            sim_schedule(s, 0, SIM_EV_CLIENT, client++);
        if (c->rate > 0)
            sim_schedule(s, serving_workload_gap_ns(c, &s->rng_arrivals), SIM_EV_OPEN, i);
    }
    if (w->n_functions) {
        s->functions = ac_xcalloc(w->n_functions, sizeof(*s->functions));
        memcpy(s->functions, w->functions, w->n_functions * sizeof(*s->functions));
    }
    for (uint32_t i = 0; i < w->n_functions; i++)
        on_function(s, i);
    if (s->cfg->crash_at_ns)
        sim_schedule(s, s->cfg->crash_at_ns, SIM_EV_CRASH, 0);
    if (s->cfg->stall_at_ns)
        sim_schedule(s, s->cfg->stall_at_ns, SIM_EV_STALL, 0);
}

static double latency_quantile(const struct sim *s, uint64_t n, double q)
{
    uint64_t want = (uint64_t)(q * (double)n), seen = 0;
    for (uint32_t i = 0; i <= SIM_LATENCY_MAX && n; i++) {
        seen += s->latency[i];
        if (seen > want || seen == n)
            return (double)(i + 1) * SIM_LATENCY_STEP * 1e-6;
    }
    return 0;
}

static void summarise(struct sim *s)
{
    struct sim_stats *st = &s->st;
    const struct workload *w = s->cfg->workload;
    uint64_t answered = st->outcomes[POLICY_ON_TIME] + st->outcomes[POLICY_LATE];
    st->n_classes = w->n_classes;
    st->seconds = (double)(w->duration_ns - w->warmup_ns) * 1e-9;
    st->goodput_rps = (double)st->outcomes[POLICY_ON_TIME] / st->seconds;
    st->attainment = st->requests ? (double)st->outcomes[POLICY_ON_TIME] / (double)st->requests : 0;
    st->mean_batch = st->infers ? (double)st->rows / (double)st->infers : 0;
    st->busy = (double)s->busy_ns / ((double)w->duration_ns * s->cfg->gpus);
    st->p50_ms = latency_quantile(s, answered, 0.5);
    st->p99_ms = latency_quantile(s, answered, 0.99);
    st->p9999_ms = latency_quantile(s, answered, 0.9999);
    if (s->policy_requests)
        /* Calls that do nothing are as short as a reading of the timer: less would be noise. */
        st->policy_ns_per_request = AC_MAX(s->policy_ns, 0.0) / (double)s->policy_requests;
}

static void handle(struct sim *s, const struct agenda_event *e)
{
    switch ((enum sim_event)e->kind) {
    case SIM_EV_CLIENT:
        on_client(s, e->what);
        break;
    case SIM_EV_OPEN:
        on_open(s, e->what);
        break;
    case SIM_EV_FUNCTION:
        on_function(s, e->what);
        break;
    case SIM_EV_AT_DEVICE:
        sim_at_device(s, e->what);
        break;
    case SIM_EV_LINK:
        sim_link_run(s, e->what);
        break;
    case SIM_EV_PING:
        sim_ping(s, e->what);
        break;
    case SIM_EV_PONG:
        sim_pong(s, e->what);
        break;
    case SIM_EV_RESULT:
        sim_result(s, e->what);
        break;
    case SIM_EV_WAKE:
        /* An earlier wake-up was scheduled after this one: that one has done it. */
        if (e->at != s->wake_at)
            break;
        s->wake_at = POLICY_NEVER;
        int64_t t = sim_cost_start(s);
        s->cfg->policy->wake(s->policy, s->now);
        sim_cost_stop(s, t);
        sim_rearm(s);
        break;
    case SIM_EV_CRASH:
        sim_device_crash(s, 0);
        break;
    case SIM_EV_LEASE:
        sim_device_missed(s, 0);
        break;
    case SIM_EV_STALL:
        sim_device_stall(s, 0);
        break;
    case SIM_EV_REJOIN:
        sim_device_missed(s, 0);
        s->devices[0].epoch++; /* what was sent to the dead one is lost, too */
        sim_device_start(s, 0);
        break;
    }
}

static int check(const struct sim_config *cfg, struct ac_err *err)
{
    if (cfg->gpus == 0 || cfg->gpus > 1024)
        return ac_err_set(err, AC_ERANGE, "number of devices must be 1 to 1024");
    if (cfg->gpus > cfg->sched.cells * SCHED_CELL_DEVICES)
        return ac_err_set(err, AC_ERANGE, "%u devices do not fit in %u cells", cfg->gpus,
                          cfg->sched.cells);
    if (cfg->stall_at_ns && cfg->link_gbps > 0)
        return ac_err_set(err, AC_EINVAL, "a device that stalls cannot have a link");
    if (cfg->n_kinds >= POLICY_KINDS)
        return ac_err_set(err, AC_ERANGE, "at most %d kinds of devices", POLICY_KINDS);
    return 0;
}

static void finish(struct sim *s)
{
    if (s->policy)
        s->cfg->policy->destroy(s->policy);
    for (uint32_t d = 0; s->devices && d < s->cfg->gpus; d++) {
        free(s->devices[d].ready);
        free(s->devices[d].loads);
    }
    for (uint32_t k = 0; k < POLICY_KINDS; k++)
        free(s->rows[k]);
    free(s->devices);
    free(s->functions);
    free(s->requests);
    free(s->actions);
    agenda_destroy(s->agenda);
    free(s);
}

int serving_sim_run(const struct sim_config *cfg, struct sim_stats *ret_s, struct ac_err *err)
{
    int rc = check(cfg, err);
    if (rc)
        return rc;
    struct sim *s = ac_xcalloc(1, sizeof(*s));
    s->cfg = cfg;
    s->agenda = agenda_create();
    s->free_request = s->free_action = SIM_NIL;
    s->wake_at = POLICY_NEVER;
    struct ac_rng root;
    ac_rng_seed(&root, cfg->seed);
    s->rng_arrivals = ac_rng_split(&root, 1);
    s->rng_noise = ac_rng_split(&root, 2);
    s->rng_clocks = ac_rng_split(&root, 3);
    rc = find_rows(s, err);
    if (rc) {
        finish(s);
        return rc;
    }
    start(s);
    sim_cost_calibrate(s);
    sim_cost_lap_begin(s);
    struct agenda_event e;
    while (agenda_next(s->agenda, &e) && e.at <= cfg->workload->duration_ns) {
        AC_ASSERT(e.at >= s->now);
        s->now = e.at;
        handle(s, &e);
        sim_cost_event(s);
    }
    sim_cost_lap_end(s);
    sim_actions_end(s);
    summarise(s);
    *ret_s = s->st;
    finish(s);
    return 0;
}

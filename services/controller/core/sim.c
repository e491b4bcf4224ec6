#include "sim.h"

#include "agenda.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#define NIL          UINT32_MAX
#define LATENCY_STEP 10000 /* ns a bucket */
#define LATENCY_MAX  200000
#define LAP_EVENTS   256
#define LAPS_ALL     4096 /* every lap up to here is timed, and then one of LAPS_SOME: it slows */
#define LAPS_SOME    8

#define TIMER_READINGS 1000

enum event_kind {
    EV_CLIENT,
    EV_OPEN,
    EV_FUNCTION,
    EV_AT_DEVICE,
    EV_RESULT,
    EV_WAKE,
    EV_CRASH,
    EV_REJOIN
};

struct sim_request {
    int64_t came, due;
    uint32_t class, model, client, next_free;
};

struct sim_action {
    struct policy_action a;
    struct policy_result r;
    int64_t sent;
    uint32_t epoch, next_free;
};

struct sim_device {
    bool up;
    uint32_t epoch; /* counts its lives: what belongs to an earlier one is lost */
    int64_t exec_free, pipe_free;
    int64_t told, heard[2]; /* arrival of the last message there, and back from each engine */
    uint32_t pages_free;
    int64_t *ready; /* per model: when its weights are there; -1 not loaded */
};

struct sim {
    const struct sim_config *cfg;
    void *policy;
    int64_t now;
    struct agenda *agenda;
    struct sim_request *requests;
    size_t n_requests, cap_requests;
    uint32_t free_request;
    struct sim_action *actions;
    size_t n_actions, cap_actions;
    uint32_t free_action;
    struct sim_device *devices;
    struct workload_function *functions; /* a copy: they have a state */
    struct ac_rng rng_arrivals, rng_noise;
    int64_t wake_at;
    uint32_t latency[LATENCY_MAX + 1];
    struct sim_stats st;
    int64_t busy_ns;
    double policy_ns;   /* of the laps before this one */
    int64_t reading_ns; /* least time of one reading of the timer, in every measured call */
    struct {
        int64_t policy_ns, timer_at, cpu_at;
        uint32_t events;
        bool timed;
        uint64_t number;
    } lap;
    uint64_t policy_requests;
};

static void schedule(struct sim *s, int64_t at, enum event_kind kind, uint32_t what)
{
    agenda_add(s->agenda, at, kind, what);
}

static bool changed(const struct sim *s)
{
    return s->cfg->change_at_ns && s->now >= s->cfg->change_at_ns;
}

/* When what is sent at that time arrives: on a stream nothing overtakes what was sent before. */
static int64_t arrival(struct sim *s, int64_t sent, int64_t *last)
{
    int64_t delay = s->cfg->net_ns;
    if (s->cfg->jitter_mean_ns)
        delay += (int64_t)(ac_rng_exponential(&s->rng_noise) * (double)s->cfg->jitter_mean_ns);
    int64_t at = sent + (changed(s) ? (int64_t)((double)delay * s->cfg->change_delay) : delay);
    return *last = AC_MAX(at, *last);
}

static void note(struct sim *s, uint64_t v)
{
    s->st.digest = (s->st.digest ^ v) * 0x9e3779b97f4a7c15ull;
    s->st.digest ^= s->st.digest >> 29;
}

/* ---- the policy's time ---- */

static int64_t clock_start(const struct sim *s)
{
    return s->lap.timed ? s->cfg->timer->now_ns(s->cfg->timer->self) : 0;
}

static void clock_stop(struct sim *s, int64_t start)
{
    if (s->lap.timed)
        s->lap.policy_ns += s->cfg->timer->now_ns(s->cfg->timer->self) - start - s->reading_ns;
}

/* The least of many, so that what is taken off is no more than what a reading costs. */
static void clock_calibrate(struct sim *s)
{
    s->lap.timed = s->cfg->timer != NULL;
    if (!s->lap.timed)
        return;
    s->reading_ns = INT64_MAX;
    for (uint32_t i = 0; i < TIMER_READINGS; i++) {
        int64_t t = clock_start(s);
        s->reading_ns = AC_MIN(s->reading_ns, clock_start(s) - t);
    }
}

static void lap_begin(struct sim *s)
{
    s->lap.timed = s->cfg->timer && (s->lap.number < LAPS_ALL || s->lap.number % LAPS_SOME == 0);
    s->lap.policy_ns = 0;
    s->lap.events = 0;
    if (!s->lap.timed)
        return;
    s->lap.timer_at = s->cfg->timer->now_ns(s->cfg->timer->self);
    if (s->cfg->cpu)
        s->lap.cpu_at = s->cfg->cpu->now_ns(s->cfg->cpu->self);
}

/* Reading the thread's processor time is too slow for each call of the policy; where the thread ran
 * for a part of the lap only, its calls count for that part. */
static void lap_end(struct sim *s)
{
    s->lap.number++;
    if (!s->lap.timed)
        return;
    double share = 1;
    int64_t took = s->cfg->timer->now_ns(s->cfg->timer->self) - s->lap.timer_at;
    if (s->cfg->cpu) {
        int64_t ran = s->cfg->cpu->now_ns(s->cfg->cpu->self) - s->lap.cpu_at;
        if (ran < took)
            share = (double)ran / (double)took;
    }
    s->policy_ns += share * (double)s->lap.policy_ns;
}

/* Called after every entry into the policy: its next wake-up may have moved. */
static void rearm(struct sim *s)
{
    int64_t at = s->cfg->policy->next_wake(s->policy);
    if (at == POLICY_NEVER || at >= s->wake_at)
        return;
    s->wake_at = AC_MAX(at, s->now);
    schedule(s, s->wake_at, EV_WAKE, 0);
}

/* ---- clients ---- */

static void ask(struct sim *s, uint32_t class, uint32_t model, uint32_t client)
{
    uint32_t at = s->free_request;
    if (at == NIL) {
        ac_grow(&s->requests, &s->cap_requests, s->n_requests + 1, sizeof(*s->requests));
        at = (uint32_t)s->n_requests++;
    } else {
        s->free_request = s->requests[at].next_free;
    }
    const struct workload_class *c = &s->cfg->workload->classes[class];
    int64_t due = s->now + serving_workload_objective_ns(c, s->now);
    s->requests[at] = (struct sim_request){
        .came = s->now, .due = due, .class = class, .model = model, .client = client};
    struct policy_request r = {.cookie = at,
                               .model = model,
                               .rows = 1,
                               .deadline_ns = due,
                               .tenant = c->tenant,
                               .priority = c->priority};
    s->policy_requests += s->lap.timed;
    int64_t t = clock_start(s);
    s->cfg->policy->arrive(s->policy, s->now, &r);
    clock_stop(s, t);
    rearm(s);
}

static void on_reply(void *self, const struct policy_reply *r)
{
    struct sim *s = self;
    uint32_t at = (uint32_t)r->cookie;
    struct sim_request *q = &s->requests[at];
    note(s, (uint64_t)s->now);
    note(s, (uint64_t)r->outcome << 32 | at);
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
            int64_t step = (s->now - q->came) / LATENCY_STEP;
            s->latency[AC_MIN(step, LATENCY_MAX)]++;
        }
    }
    if (q->client != NIL)
        schedule(s, s->now + 2 * s->cfg->net_ns, EV_CLIENT, q->client);
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
    schedule(s, s->now + serving_workload_gap_ns(c, &s->rng_arrivals), EV_OPEN, class);
    ask(s, class, model, NIL);
}

static void on_function(struct sim *s, uint32_t function)
{
    struct workload_function *f = &s->functions[function];
    if (s->now > 0)
        ask(s, 0, f->model, NIL);
    int64_t at = serving_workload_next_ns(s->cfg->workload, f, s->now, &s->rng_arrivals);
    if (at <= s->cfg->workload->duration_ns)
        schedule(s, at, EV_FUNCTION, function);
}

/* ---- devices ---- */

static void on_act(void *self, const struct policy_action *a)
{
    struct sim *s = self;
    uint32_t at = s->free_action;
    if (at == NIL) {
        ac_grow(&s->actions, &s->cap_actions, s->n_actions + 1, sizeof(*s->actions));
        at = (uint32_t)s->n_actions++;
    } else {
        s->free_action = s->actions[at].next_free;
    }
    s->actions[at] =
        (struct sim_action){.a = *a, .sent = s->now, .epoch = s->devices[a->device].epoch};
    s->actions[at].a.cookies = NULL;
    if (a->kind == POLICY_INFER && s->now >= s->cfg->workload->warmup_ns) {
        s->st.infers++;
        s->st.rows += a->n;
    }
    s->st.loads += a->kind == POLICY_LOAD;
    s->st.unloads += a->kind == POLICY_UNLOAD;
    schedule(s, arrival(s, s->now, &s->devices[a->device].told), EV_AT_DEVICE, at);
}

static void action_seen(struct sim *s, const struct sim_action *x)
{
    if (!s->cfg->watch)
        return;
    struct sim_seen_action seen = {.a = x->a,
                                   .status = x->r.status,
                                   .sent_ns = x->sent,
                                   .begin_ns = x->r.begin_ns,
                                   .end_ns = x->r.end_ns,
                                   .told_ns = s->now};
    s->cfg->watch->action(s->cfg->watch->self, &seen);
}

static void action_done(struct sim *s, uint32_t at)
{
    s->actions[at].next_free = s->free_action;
    s->free_action = at;
}

static void answer(struct sim *s, uint32_t at, enum policy_status status, int64_t begin,
                   int64_t end)
{
    struct sim_action *x = &s->actions[at];
    x->r =
        (struct policy_result){.id = x->a.id, .status = status, .begin_ns = begin, .end_ns = end};
    s->st.too_late += status == POLICY_TOO_LATE;
    struct sim_device *d = &s->devices[x->a.device];
    schedule(s, arrival(s, end, &d->heard[x->a.kind == POLICY_INFER]), EV_RESULT, at);
}

static int64_t noisy(struct sim *s, int64_t ns, double sigma)
{
    double f = sigma > 0 ? exp(sigma * ac_rng_normal(&s->rng_noise)) : 1;
    return (int64_t)((double)ns * f);
}

static const struct costs_row *row_of(const struct sim *s, uint32_t model)
{
    return &s->cfg->costs->rows[s->cfg->workload->row[model]];
}

static void on_at_device(struct sim *s, uint32_t at)
{
    struct sim_action *x = &s->actions[at];
    struct sim_device *d = &s->devices[x->a.device];
    const struct policy_cost *c = &row_of(s, x->a.model)->cost;
    int64_t *ready = &d->ready[x->a.model];
    if (!d->up || x->epoch != d->epoch) {
        action_done(s, at);
        return;
    }
    if (x->a.kind == POLICY_UNLOAD) {
        s->st.violations += *ready < 0;
        if (*ready >= 0)
            d->pages_free += c->pages;
        *ready = -1;
        x->r = (struct policy_result){.id = x->a.id, .begin_ns = s->now, .end_ns = s->now};
        action_seen(s, x);
        action_done(s, at);
        return;
    }
    bool infer = x->a.kind == POLICY_INFER;
    int64_t *engine = infer ? &d->exec_free : &d->pipe_free;
    int64_t begin = AC_MAX(AC_MAX(s->now, *engine), x->a.earliest_ns);
    if (begin > x->a.latest_ns) {
        answer(s, at, POLICY_TOO_LATE, begin, begin);
        return;
    }
    /* What a real worker would refuse must never be asked: pages, presence, double loads. */
    bool wrong = infer ? *ready < 0 || *ready > begin : *ready >= 0 || d->pages_free < c->pages;
    if (wrong) {
        s->st.violations++;
        answer(s, at, POLICY_FAILED, begin, begin);
        return;
    }
    int64_t took;
    if (infer) {
        uint32_t b = (uint32_t)__builtin_ctz(x->a.batch);
        took = noisy(s, c->exec_ns[b], s->cfg->exec_sigma);
        if (x->a.device == 0 && changed(s))
            took = (int64_t)((double)took * s->cfg->change_pace);
        if (s->cfg->straggler_share > 0 && ac_rng_uniform(&s->rng_noise) < s->cfg->straggler_share)
            took = (int64_t)((double)took * s->cfg->straggler_factor);
        s->busy_ns += took;
    } else {
        took = noisy(s, c->load_ns, s->cfg->load_sigma);
        d->pages_free -= c->pages;
        *ready = begin + took;
    }
    *engine = begin + took;
    answer(s, at, POLICY_DONE, begin, begin + took);
}

static void on_result(struct sim *s, uint32_t at)
{
    struct sim_action *x = &s->actions[at];
    bool lost = x->epoch != s->devices[x->a.device].epoch;
    struct policy_result r = x->r;
    if (!lost)
        action_seen(s, x);
    action_done(s, at);
    if (lost)
        return;
    int64_t t = clock_start(s);
    s->cfg->policy->result(s->policy, s->now, &r);
    clock_stop(s, t);
    rearm(s);
}

static void device_start(struct sim *s, uint32_t d)
{
    uint32_t pages = s->cfg->pages ? s->cfg->pages : 1376;
    uint32_t n = s->cfg->workload->n_models;
    s->devices[d].up = true;
    s->devices[d].exec_free = s->devices[d].pipe_free = s->now;
    s->devices[d].told = s->devices[d].heard[0] = s->devices[d].heard[1] = s->now;
    s->devices[d].pages_free = pages;
    for (uint32_t m = 0; m < n; m++)
        s->devices[d].ready[m] = -1;
    s->cfg->policy->device_up(s->policy, s->now, d, pages);
    for (uint32_t m = 0; m < n; m++)
        s->cfg->policy->model_able(s->policy, s->now, m, d, &row_of(s, m)->cost);
    rearm(s);
}

static void device_crash(struct sim *s)
{
    s->devices[0].up = false;
    s->devices[0].epoch++;
    s->cfg->policy->device_down(s->policy, s->now, 0);
    rearm(s);
    schedule(s, s->now + s->cfg->crash_for_ns, EV_REJOIN, 0);
}

/* ---- the run ---- */

static void start(struct sim *s)
{
    const struct workload *w = s->cfg->workload;
    struct policy_ports ports = {.self = s, .act = on_act, .reply = on_reply};
    s->policy = s->cfg->policy->create(&s->cfg->sched, &ports);
    s->devices = ac_xcalloc(s->cfg->gpus, sizeof(*s->devices));
    for (uint32_t d = 0; d < s->cfg->gpus; d++) {
        s->devices[d].ready = ac_xcalloc(w->n_models, sizeof(int64_t));
        (void)s->cfg->policy->device_add(s->policy);
    }
    for (uint32_t m = 0; m < w->n_models; m++)
        (void)s->cfg->policy->model_add(s->policy);
    for (uint32_t d = 0; d < s->cfg->gpus; d++)
        device_start(s, d);
    uint32_t client = 0;
    for (uint32_t i = 0; i < w->n_classes; i++) {
        const struct workload_class *c = &w->classes[i];
        for (uint32_t k = 0; k < c->closed * c->n_models; k++)
            schedule(s, 0, EV_CLIENT, client++);
        if (c->rate > 0)
            schedule(s, serving_workload_gap_ns(c, &s->rng_arrivals), EV_OPEN, i);
    }
    if (w->n_functions) {
        s->functions = ac_xcalloc(w->n_functions, sizeof(*s->functions));
        memcpy(s->functions, w->functions, w->n_functions * sizeof(*s->functions));
    }
    for (uint32_t i = 0; i < w->n_functions; i++)
        on_function(s, i);
    if (s->cfg->crash_at_ns)
        schedule(s, s->cfg->crash_at_ns, EV_CRASH, 0);
}

static double latency_quantile(const struct sim *s, uint64_t n, double q)
{
    uint64_t want = (uint64_t)(q * (double)n), seen = 0;
    for (uint32_t i = 0; i <= LATENCY_MAX && n; i++) {
        seen += s->latency[i];
        if (seen > want || seen == n)
            return (double)(i + 1) * LATENCY_STEP * 1e-6;
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
    switch ((enum event_kind)e->kind) {
    case EV_CLIENT:
        on_client(s, e->what);
        break;
    case EV_OPEN:
        on_open(s, e->what);
        break;
    case EV_FUNCTION:
        on_function(s, e->what);
        break;
    case EV_AT_DEVICE:
        on_at_device(s, e->what);
        break;
    case EV_RESULT:
        on_result(s, e->what);
        break;
    case EV_WAKE:
        /* An earlier wake-up was scheduled after this one: that one has done it. */
        if (e->at != s->wake_at)
            break;
        s->wake_at = POLICY_NEVER;
        int64_t t = clock_start(s);
        s->cfg->policy->wake(s->policy, s->now);
        clock_stop(s, t);
        rearm(s);
        break;
    case EV_CRASH:
        device_crash(s);
        break;
    case EV_REJOIN:
        device_start(s, 0);
        break;
    }
}

int serving_sim_run(const struct sim_config *cfg, struct sim_stats *ret_s, struct ac_err *err)
{
    if (cfg->gpus == 0 || cfg->gpus > 1024)
        return ac_err_set(err, AC_ERANGE, "number of devices must be 1 to 1024");
    if (cfg->gpus > cfg->sched.cells * SCHED_CELL_DEVICES)
        return ac_err_set(err, AC_ERANGE, "%u devices do not fit in %u cells", cfg->gpus,
                          cfg->sched.cells);
    struct sim *s = ac_xcalloc(1, sizeof(*s));
    s->cfg = cfg;
    s->agenda = agenda_create();
    s->free_request = s->free_action = NIL;
    s->wake_at = POLICY_NEVER;
    struct ac_rng root;
    ac_rng_seed(&root, cfg->seed);
    s->rng_arrivals = ac_rng_split(&root, 1);
    s->rng_noise = ac_rng_split(&root, 2);
    start(s);
    clock_calibrate(s);
    lap_begin(s);
    struct agenda_event e;
    while (agenda_next(s->agenda, &e) && e.at <= cfg->workload->duration_ns) {
        s->now = e.at;
        handle(s, &e);
        if (++s->lap.events == LAP_EVENTS) {
            lap_end(s);
            lap_begin(s);
        }
    }
    lap_end(s);
    summarise(s);
    *ret_s = s->st;
    cfg->policy->destroy(s->policy);
    for (uint32_t d = 0; d < cfg->gpus; d++)
        free(s->devices[d].ready);
    free(s->devices);
    free(s->functions);
    free(s->requests);
    free(s->actions);
    agenda_destroy(s->agenda);
    free(s);
    return 0;
}

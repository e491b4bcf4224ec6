#include "workload.h"

#include <math.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#define MINUTE   (60 * AC_NS_PER_S)
#define DAY      (1440 * MINUTE)
#define WORKHORS "resnet50_v2"

static int same_model(const char *model, uint32_t n, const struct costs *c, struct workload *w,
                      struct ac_err *err)
{
    const struct costs_row *r = serving_costs_find(c, model);
    if (!r)
        return ac_err_set(err, AC_EINVAL,
                          "the cost table has no model %s, which this workload uses", model);
    w->n_models = n;
    w->row = ac_xcalloc(n, sizeof(*w->row));
    for (uint32_t i = 0; i < n; i++)
        w->row[i] = (uint32_t)(r - c->rows);
    return 0;
}

static struct workload_class *class_add(struct workload *w, uint32_t first, uint32_t n,
                                        int64_t objective)
{
    struct workload_class *k = &w->classes[w->n_classes++];
    *k = (struct workload_class){
        .first_model = first, .n_models = n, .cv = 1, .objective_ns = objective};
    return k;
}

/* From one execution time on by half each half minute, to a hundred of them; or as asked for. */
static void ramp(struct workload *w, struct workload_class *k, const struct costs *c,
                 int64_t objective)
{
    if (objective > 0)
        return;
    k->objective_ns = c->rows[w->row[k->first_model]].cost.exec_ns[0];
    k->objective_grows = 1.5;
    k->objective_every_ns = MINUTE / 2;
    w->duration_ns = 6 * MINUTE;
}

/* ---- one function for each experiment ---- */

static int fig5(struct workload *w, const struct costs *c, int64_t objective, struct ac_err *err)
{
    int rc = same_model(WORKHORS, 15, c, w, err);
    w->gpus = 1;
    class_add(w, 0, 15, objective ? objective : 100 * AC_NS_PER_MS)->closed = 16;
    return rc;
}

/* One model at 200 a second beside ever more that share 1,000 a second: soon they do not fit. */
static int fig6(struct workload *w, const struct costs *c, int64_t objective, struct ac_err *err)
{
    int rc = same_model(WORKHORS, 3601, c, w, err);
    objective = objective ? objective : 100 * AC_NS_PER_MS;
    w->gpus = 1;
    w->duration_ns = 600 * AC_NS_PER_S;
    class_add(w, 0, 1, objective)->rate = 200;
    struct workload_class *major = class_add(w, 1, 3600, objective);
    major->rate = 1000;
    major->awake_per_s = 1;
    return rc;
}

static int fig7(struct workload *w, const struct costs *c, int64_t objective, struct ac_err *err)
{
    int rc = same_model(WORKHORS, 12, c, w, err);
    w->gpus = 6;
    struct workload_class *k = class_add(w, 0, 12, objective);
    k->rate = 1200;
    if (rc == 0)
        ramp(w, k, c, objective);
    return rc;
}

/* Six models with an objective beside twelve whose callers have all day but never pause. */
static int fig8(struct workload *w, const struct costs *c, int64_t objective, struct ac_err *err)
{
    int rc = same_model(WORKHORS, 18, c, w, err);
    w->gpus = 6;
    struct workload_class *k = class_add(w, 0, 6, objective);
    k->rate = 1200;
    if (rc == 0)
        ramp(w, k, c, objective);
    class_add(w, 6, 12, DAY)->closed = 16;
    return rc;
}

static int poisson(struct workload *w, const struct costs *c, int64_t objective, struct ac_err *err)
{
    int rc = same_model(WORKHORS, 12, c, w, err);
    w->gpus = 6;
    class_add(w, 0, 12, objective ? objective : 100 * AC_NS_PER_MS)->rate = 1200;
    return rc;
}

/* One tenant asks for twice what the device can do; the other for less than half of it that matters
 * and for as much again that may be shed. All use the same models. */
static int tenants(struct workload *w, const struct costs *c, int64_t objective, struct ac_err *err)
{
    static const struct workload_class ask[] = {
        {.rate = 2000}, {.rate = 250, .tenant = 1, .priority = 1}, {.rate = 500, .tenant = 1}};
    int rc = same_model(WORKHORS, 12, c, w, err);
    w->gpus = 1;
    for (size_t i = 0; i < AC_ARRAY_LEN(ask); i++) {
        struct workload_class *k = class_add(w, 0, 12, objective ? objective : 100 * AC_NS_PER_MS);
        k->rate = ask[i].rate;
        k->tenant = ask[i].tenant;
        k->priority = ask[i].priority;
    }
    return rc;
}

static int burst(struct workload *w, const struct costs *c, int64_t objective, struct ac_err *err)
{
    (void)err;
    w->gpus = 6;
    w->n_models = 72;
    w->row = ac_xcalloc(w->n_models, sizeof(*w->row));
    for (uint32_t i = 0; i < w->n_models; i++)
        w->row[i] = i % (uint32_t)c->n;
    struct workload_class *k = class_add(w, 0, 72, objective ? objective : 100 * AC_NS_PER_MS);
    k->rate = 970;
    k->cv = 4;
    return 0;
}

/* The same, but each model's requests come in bursts of their own. */
static int gamma_each(struct workload *w, const struct costs *c, int64_t objective,
                      struct ac_err *err)
{
    int rc = burst(w, c, objective, err);
    w->n_functions = w->n_models;
    w->functions = ac_xcalloc(w->n_functions, sizeof(*w->functions));
    for (uint32_t i = 0; i < w->n_functions; i++)
        w->functions[i] = (struct workload_function){.model = i,
                                                     .kind = WORKLOAD_GAMMA,
                                                     .rate = w->classes[0].rate / w->n_models,
                                                     .cv = w->classes[0].cv};
    w->classes[0].rate = 0;
    return rc;
}

void serving_workload_scale(struct workload *w, double rate, double cv)
{
    for (uint32_t i = 0; i < w->n_classes; i++) {
        w->classes[i].rate *= rate;
        w->classes[i].cv = cv > 0 ? cv : w->classes[i].cv;
    }
    for (uint32_t i = 0; i < w->n_functions; i++) {
        w->functions[i].rate *= rate;
        if (w->functions[i].kind == WORKLOAD_GAMMA && cv > 0)
            w->functions[i].cv = cv;
    }
}

int serving_workload_models(struct workload *w, uint32_t n, struct ac_err *err)
{
    bool same = w->n_classes == 1 && !w->functions && w->classes[0].closed == 0;
    for (uint32_t i = 1; same && i < w->n_models; i++)
        same = w->row[i] == w->row[0];
    if (!same)
        return ac_err_set(err, AC_EINVAL, "its models are not to be chosen");
    w->row = ac_xrealloc(w->row, ac_mul_size(n, sizeof(*w->row)));
    for (uint32_t i = 1; i < n; i++)
        w->row[i] = w->row[0];
    w->n_models = w->classes[0].n_models = n;
    return 0;
}

void serving_workload_own_objectives(struct workload *w, const struct costs *c, double executions)
{
    w->own_ns = ac_xcalloc(w->n_models, sizeof(*w->own_ns));
    for (uint32_t i = 0; i < w->n_classes; i++) {
        const struct workload_class *k = &w->classes[i];
        for (uint32_t m = k->first_model; k->objective_ns < DAY && m < k->first_model + k->n_models;
             m++)
            w->own_ns[m] = (int64_t)(executions * (double)c->rows[w->row[m]].cost.exec_ns[0]);
    }
}

/* ---- functions as skewed as those of a public trace ---- */

#define VARIETIES     61
#define COPIES        66
#define FUNCTIONS     18117
#define RATE_MU       (-7.676) /* of the logarithm: 45 % ask once an hour at most, 81 % once a minute */
#define RATE_SIGMA    4.08
#define RATE_MIN      1e-6
#define RATE_MAX      30.0
#define ON_S          2.0 /* mean length of a burst, at ten times the mean rate ... */
#define OFF_S         18.0
#define BURST         10.0
#define TIMER_JITTER  (5 * AC_NS_PER_MS)
#define TIMER_SLOWEST (1 / 50.0)

static int by_rate(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static int64_t nearest_period(double rate)
{
    static const int minutes[] = {1, 5, 10, 15, 30, 60};
    double want = 1 / rate / 60;
    int best = 0;
    for (int i = 1; i < (int)AC_ARRAY_LEN(minutes); i++)
        if (fabs(minutes[i] - want) < fabs(minutes[best] - want))
            best = i;
    return minutes[best] * MINUTE;
}

static void draw_functions(struct workload *w, double load, uint64_t seed)
{
    struct ac_rng rng;
    ac_rng_seed(&rng, seed);
    double *rates = ac_xcalloc(FUNCTIONS, sizeof(*rates));
    uint32_t *order = ac_xcalloc(w->n_models, sizeof(*order));
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        double r = exp(RATE_MU + RATE_SIGMA * ac_rng_normal(&rng));
        rates[i] = AC_MIN(AC_MAX(r, RATE_MIN), RATE_MAX);
    }
    qsort(rates, FUNCTIONS, sizeof(*rates), by_rate);
    for (uint32_t i = 0; i < w->n_models; i++)
        order[i] = i;
    ac_rng_shuffle(&rng, order, w->n_models, sizeof(*order));
    w->n_functions = FUNCTIONS;
    w->functions = ac_xcalloc(FUNCTIONS, sizeof(*w->functions));
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        struct workload_function *f = &w->functions[i];
        double u = ac_rng_uniform(&rng);
        f->model = order[i % w->n_models];
        f->rate = rates[i] * load;
        f->kind = u < 0.3 && rates[i] <= TIMER_SLOWEST ? WORKLOAD_TIMER
                  : u < 0.75                           ? WORKLOAD_POISSON
                                                       : WORKLOAD_ON_OFF;
        f->period_ns = nearest_period(rates[i]);
        f->phase_ns =
            f->kind == WORKLOAD_TIMER ? (int64_t)(ac_rng_uniform(&rng) * (double)f->period_ns) : 0;
    }
    free(rates);
    free(order);
}

static int azure(struct workload *w, const struct costs *c, int64_t objective, uint32_t copies,
                 double load, uint64_t seed)
{
    uint32_t varieties = AC_MIN((uint32_t)c->n, (uint32_t)VARIETIES);
    w->n_models = varieties * copies;
    w->row = ac_xcalloc(w->n_models, sizeof(*w->row));
    for (uint32_t i = 0; i < w->n_models; i++)
        w->row[i] = i % varieties;
    class_add(w, 0, w->n_models, objective ? objective : 100 * AC_NS_PER_MS);
    draw_functions(w, load, seed);
    return 0;
}

int serving_workload_named(const char *name, const struct costs *c, int64_t objective_ns,
                           uint32_t gpus, uint64_t seed, struct workload *ret_w, struct ac_err *err)
{
    static const struct {
        const char *name;
        int (*make)(struct workload *w, const struct costs *c, int64_t objective,
                    struct ac_err *err);
    } simple[] = {{"fig5", fig5},        {"fig6", fig6},       {"fig7", fig7},
                  {"fig8", fig8},        {"poisson", poisson}, {"burst", burst},
                  {"gamma", gamma_each}, {"tenants", tenants}};
    struct workload w = {.duration_ns = 60 * AC_NS_PER_S, .warmup_ns = 2 * AC_NS_PER_S};
    int64_t objective = AC_MAX(objective_ns, 0);
    int rc = AC_ENOTFOUND;
    for (size_t i = 0; i < AC_ARRAY_LEN(simple); i++)
        if (ac_streq(simple[i].name, name))
            rc = simple[i].make(&w, c, objective, err);
    if (ac_streq(name, "azure") || ac_streq(name, "fig9") || ac_streq(name, "fig10")) {
        w.gpus = 6;
        w.duration_ns = 200 * AC_NS_PER_S;
        rc = azure(&w, c, objective, COPIES, 0.25, seed);
    } else if (ac_streq(name, "scale") || ac_streq(name, "fig11")) {
        /* The same a device as azure at a load of .25, and from a tenth of a sixth of it up. */
        w.gpus = gpus ? gpus : 10;
        w.duration_ns = 400 * AC_NS_PER_S;
        w.load_grows = 1.5;
        w.load_every_ns = MINUTE / 2;
        rc = azure(&w, c, objective, COPIES, 0.01 * w.gpus, seed);
    } else if (rc == AC_ENOTFOUND && w.n_models == 0) {
        rc = ac_err_set(err, AC_EINVAL, "no workload \"%.40s\"; there are " WORKLOAD_NAMES, name);
    }
    if (rc) {
        serving_workload_free(&w);
        return rc;
    }
    if (gpus)
        w.gpus = gpus;
    *ret_w = w;
    return 0;
}

bool serving_workload_ranked(const struct workload *w)
{
    for (uint32_t i = 0; i < w->n_classes; i++)
        if (w->classes[i].tenant != w->classes[0].tenant ||
            w->classes[i].priority != w->classes[0].priority)
            return true;
    return false;
}

void serving_workload_free(struct workload *w)
{
    free(w->row);
    free(w->functions);
    free(w->times_ns);
    free(w->own_ns);
    *w = (struct workload){0};
}

static int64_t gamma_gap_ns(double rate, double cv, struct ac_rng *rng)
{
    double mean = 1e9 / rate, shape = 1 / (cv * cv);
    double gap = cv == 1 ? ac_rng_exponential(rng) * mean : ac_rng_gamma(rng, shape) / shape * mean;
    return (int64_t)AC_MIN(gap, 1e15) + 1;
}

int64_t serving_workload_gap_ns(const struct workload_class *c, struct ac_rng *rng)
{
    return gamma_gap_ns(c->rate, c->cv, rng);
}

uint32_t serving_workload_model(const struct workload_class *c, int64_t now, struct ac_rng *rng)
{
    uint32_t n = c->n_models;
    if (c->awake_per_s > 0)
        n = (uint32_t)AC_MIN((double)n, 1 + c->awake_per_s * (double)now * 1e-9);
    return c->first_model + (uint32_t)ac_rng_below(rng, n);
}

int64_t serving_workload_objective_ns(const struct workload *w, const struct workload_class *c,
                                      uint32_t model, int64_t now)
{
    if (w->own_ns && w->own_ns[model])
        return w->own_ns[model];
    if (c->objective_grows == 0)
        return c->objective_ns;
    int64_t steps = now / c->objective_every_ns; /* whole ones */
    return (int64_t)((double)c->objective_ns * pow(c->objective_grows, (double)steps));
}

static int64_t later(int64_t now, double seconds)
{
    return now + (int64_t)AC_MIN(seconds * 1e9, 1e17) + 1;
}

static int64_t next_count(const struct workload *w, struct workload_function *f, int64_t now,
                          struct ac_rng *rng)
{
    while (f->left == 0) {
        if (f->count == f->counts_end)
            return w->duration_ns + 1;
        int64_t begin = f->count->minute * MINUTE;
        now = AC_MAX(now, begin);
        f->minute_end_ns = begin + MINUTE;
        f->left = serving_trace_calls(f->count++->calls, f->rate, rng);
    }
    int64_t at = serving_trace_call_ns(now, f->minute_end_ns, f->left--, rng);
    return AC_MAX(at, 1);
}

int64_t serving_workload_next_ns(const struct workload *w, struct workload_function *f, int64_t now,
                                 struct ac_rng *rng)
{
    double rate = f->rate;
    if (f->kind == WORKLOAD_COUNTS)
        return next_count(w, f, now, rng);
    if (f->kind == WORKLOAD_TIMES)
        return f->time == f->times_end ? w->duration_ns + 1
                                       : (int64_t)((double)*f->time++ / rate) + 1;
    if (w->load_grows > 0) {
        int64_t steps = now / w->load_every_ns; /* whole ones */
        rate *= pow(w->load_grows, (double)steps);
    }
    if (f->kind == WORKLOAD_TIMER) {
        int64_t turn = now < f->phase_ns ? 0 : (now - f->phase_ns) / f->period_ns + 1;
        return AC_MAX(f->phase_ns + turn * f->period_ns +
                          (int64_t)(ac_rng_uniform(rng) * (double)TIMER_JITTER),
                      now + 1);
    }
    if (f->kind == WORKLOAD_GAMMA)
        return now + gamma_gap_ns(rate, f->cv, rng);
    if (f->kind == WORKLOAD_POISSON)
        return later(now, ac_rng_exponential(rng) / rate);
    /* Rare callers have many bursts without a request: none is looked for behind the end. */
    for (;;) {
        if (now > w->duration_ns)
            return now;
        int64_t at = later(now, ac_rng_exponential(rng) / (rate * BURST));
        if (at <= f->phase_ns)
            return at;
        now = later(AC_MAX(f->phase_ns, now), ac_rng_exponential(rng) * OFF_S);
        f->phase_ns = later(now, ac_rng_exponential(rng) * ON_S);
    }
}

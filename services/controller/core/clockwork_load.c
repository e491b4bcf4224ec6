/* What Clockwork loads: demand a model, spread over the devices that hold it by how little lies on
 * them; the model whose demand is served least comes next, the least recently used one goes. */
#include "clockwork.h"

static void wanted_remove(struct cw *c, uint32_t model)
{
    uint32_t at = c->models[model].wanted, last = c->wanted[--c->n_wanted];
    c->wanted[at] = last;
    c->models[last].wanted = at;
    c->models[model].wanted = CW_NIL;
}

void cw_demand_spread(struct cw *c, uint32_t model)
{
    struct cw_model *m = &c->models[model];
    double weights = 0;
    for (uint32_t d = 0; d < c->n_devices; d++) {
        struct cw_copy *k = cw_copy_of(c, model, d);
        c->devices[d].demand -= k->share;
        k->share = 0;
        if (k->loaded || k->loading)
            weights += CW_CAPACITY / AC_MAX(c->devices[d].demand, 1.0);
    }
    for (uint32_t d = 0; weights > 0 && d < c->n_devices; d++) {
        struct cw_copy *k = cw_copy_of(c, model, d);
        if (!k->loaded && !k->loading)
            continue;
        k->share = m->demand * (CW_CAPACITY / AC_MAX(c->devices[d].demand, 1.0)) / weights;
    }
    for (uint32_t d = 0; d < c->n_devices; d++)
        c->devices[d].demand += cw_copy_of(c, model, d)->share;
}

void cw_demand_add(struct cw *c, uint32_t request)
{
    const struct cw_request *r = &c->requests[request];
    struct cw_model *m = &c->models[r->model];
    m->demand += r->demand;
    m->load_demand += r->load_demand;
    if (m->wanted == CW_NIL) {
        m->wanted = c->n_wanted;
        c->wanted[c->n_wanted++] = r->model;
    }
    cw_demand_spread(c, r->model);
}

void cw_demand_expire(struct cw *c, uint32_t request)
{
    struct cw_request *r = &c->requests[request];
    struct cw_model *m = &c->models[r->model];
    m->load_demand = AC_MAX(m->load_demand - r->load_demand, 0);
    r->load_demand = 0;
}

void cw_demand_remove(struct cw *c, uint32_t request)
{
    struct cw_request *r = &c->requests[request];
    struct cw_model *m = &c->models[r->model];
    cw_demand_expire(c, request);
    m->demand -= r->demand;
    r->demand = 0;
    if (m->demand < 1) { /* of sums of times in ns: what rounding left over */
        m->demand = m->load_demand = 0;
        wanted_remove(c, r->model);
    }
    cw_demand_spread(c, r->model);
}

/* Load demand that its copies do not serve, as it would be spread over them. */
static double priority(const struct cw *c, uint32_t model)
{
    double demand = c->models[model].load_demand, p = demand, weights = 0;
    for (uint32_t d = 0; d < c->n_devices; d++) {
        const struct cw_copy *k = cw_copy_of(c, model, d);
        if (k->loaded || k->loading)
            weights += CW_CAPACITY / AC_MAX(c->devices[d].demand, 1.0);
    }
    for (uint32_t d = 0; weights > 0 && d < c->n_devices; d++) {
        const struct cw_copy *k = cw_copy_of(c, model, d);
        double lies = AC_MAX(c->devices[d].demand, 1.0);
        if (k->loaded || k->loading)
            p -= CW_CAPACITY * (demand * (CW_CAPACITY / lies) / weights) / lies;
    }
    return p;
}

static uint32_t least_used(const struct cw *c, uint32_t device)
{
    uint32_t best = CW_NIL;
    for (uint32_t m = 0; m < c->n_models; m++) {
        const struct cw_copy *k = cw_copy_of(c, m, device);
        if (k->loaded && (best == CW_NIL || k->used < cw_copy_of(c, best, device)->used))
            best = m;
    }
    return best;
}

static bool make_room(struct cw *c, int64_t now, uint32_t device, uint32_t pages)
{
    struct cw_device *d = &c->devices[device];
    while (d->pages_free < pages) {
        uint32_t victim = least_used(c, device);
        if (victim == CW_NIL)
            return false;
        cw_copy_of(c, victim, device)->loaded = false;
        d->pages_free += c->models[victim].cost.pages;
        cw_demand_spread(c, victim);
        (void)cw_act(c, now, POLICY_UNLOAD, device, victim, NULL, 0, 0, POLICY_NEVER);
    }
    return true;
}

static void load_one(struct cw *c, int64_t now, uint32_t device)
{
    struct cw_device *d = &c->devices[device];
    uint32_t best = CW_NIL;
    double best_p = 0;
    for (uint32_t i = 0; i < c->n_wanted; i++) {
        uint32_t m = c->wanted[i];
        const struct cw_copy *k = cw_copy_of(c, m, device);
        if (k->loaded || k->loading || c->models[m].cost.pages > d->pages)
            continue;
        double p = priority(c, m);
        if (best == CW_NIL || p > best_p) {
            best = m;
            best_p = p;
        }
    }
    /* The published code compares a pointer here, so that met demand stops no load. */
    if (best == CW_NIL || (c->v.fixed && best_p <= 0))
        return;
    if (!make_room(c, now, device, c->models[best].cost.pages))
        return;
    d->pages_free -= c->models[best].cost.pages;
    cw_copy_of(c, best, device)->loading = true;
    cw_demand_spread(c, best);
    cw_engine_add(c, &d->load, now,
                  cw_act(c, now, POLICY_LOAD, device, best, NULL, 0, 0, POLICY_NEVER));
}

void cw_loads_run(struct cw *c, int64_t now)
{
    for (uint32_t i = 0; i < c->n_devices && c->n_wanted; i++) {
        uint32_t device = (cw_poll(c, now) + i) % (uint32_t)c->n_devices;
        const struct cw_device *d = &c->devices[device];
        uint32_t had;
        do {
            had = d->load.n;
            if (d->up && had < CW_LOADS && cw_engine_free(c, &d->load, now) < now + c->v.ahead_ns)
                load_one(c, now, device);
        } while (d->load.n > had);
    }
}

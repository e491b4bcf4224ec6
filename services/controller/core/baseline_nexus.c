/* Nexus: sessions packed into duty cycles of devices each epoch, and devices that go round. */
#include "baseline.h"

#include <math.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define DEPTH  2   /* batches given to a device: its own executor has no network to wait for */
#define MEMORY 0.9 /* of a device that plans may fill: what they do not know needs room, too */
#define STEPS  12  /* halvings of the interval in which the largest factor on all rates is sought */
#define MORE   24  /* and steps up to twice that */

struct session {
    uint32_t model;
    double rate;  /* requests a second */
    double duty;  /* ns, at most */
    double share; /* of a device that it takes alone */
};

struct node {
    double duty; /* ns; 0: empty */
    uint64_t pages;
    uint32_t first, n; /* its sessions, in the plan's list */
    bool full;         /* of one model alone */
};

struct plan {
    struct session *sessions; /* those that share devices, largest first */
    uint32_t n_sessions;
    struct node *nodes;
    uint32_t n_nodes, max_nodes;
    uint32_t pages; /* of the smallest device */
    struct placed {
        uint32_t model, next;
        double rate;
    } * placed;
    uint32_t n_placed;
};

static double exec_of(const struct bl_model *m, double n)
{
    return (double)m->cost.exec_ns[bl_batch_for(m, (uint32_t)n)];
}

static double objective_of(const struct baseline *q, const struct bl_model *m)
{
    return q->params.share * (double)m->objective;
}

/* Largest batch of which two in turn keep within the objective. */
static uint32_t full_batch(const struct baseline *q, const struct bl_model *m)
{
    uint32_t best = 1;
    for (uint32_t b = 0; b < POLICY_BATCHES; b++)
        if (m->cost.exec_ns[b] && 2 * (double)m->cost.exec_ns[b] <= objective_of(q, m))
            best = policy_batch_size[b];
    return best;
}

/* ---- packing ---- */

static void node_add(struct plan *p, struct node *n, uint32_t model, double rate, double duty,
                     uint32_t pages)
{
    p->placed[p->n_placed] =
        (struct placed){.model = model, .next = n->n ? n->first : BL_NONE, .rate = rate};
    n->first = p->n_placed++;
    n->n++;
    n->duty = n->duty > 0 ? AC_MIN(n->duty, duty) : duty;
    n->pages += pages;
}

static struct node *node_new(struct plan *p)
{
    if (p->n_nodes == p->max_nodes)
        return NULL;
    struct node *n = &p->nodes[p->n_nodes++];
    *n = (struct node){.first = BL_NONE};
    return n;
}

/* Share of the node that is taken with the session in it, too; above 1: it does not fit. */
static double merged(const struct baseline *q, const struct plan *p, const struct node *n,
                     const struct session *s)
{
    double duty = AC_MIN(n->duty, s->duty);
    double sum = exec_of(&q->models[s->model], ceil(duty * s->rate * 1e-9));
    for (uint32_t i = n->first; i != BL_NONE && sum <= duty; i = p->placed[i].next)
        sum += exec_of(&q->models[p->placed[i].model], ceil(duty * p->placed[i].rate * 1e-9));
    return sum / duty;
}

static int by_share(const void *a, const void *b)
{
    const struct session *x = a, *y = b;
    if (x->share != y->share)
        return x->share < y->share ? 1 : -1;
    return x->model < y->model ? -1 : x->model > y->model;
}

/* Devices that a model fills alone; what is left of its rate becomes a session. */
static bool split(const struct baseline *q, struct plan *p, uint32_t model, double rate)
{
    const struct bl_model *m = &q->models[model];
    uint32_t batch = full_batch(q, m);
    double most = batch / exec_of(m, batch) * 1e9; /* requests a second of one device */
    for (uint32_t full = (uint32_t)AC_MIN(rate / most, 1e6); full; full--, rate -= most) {
        struct node *n = node_new(p);
        if (!n)
            return false;
        n->full = true;
        node_add(p, n, model, most, exec_of(m, batch), m->cost.pages);
    }
    if (rate <= 0)
        return true;
    double objective = objective_of(q, m), duty = 0;
    for (uint32_t b = 0; b < POLICY_BATCHES; b++) {
        double exec = (double)m->cost.exec_ns[b], fill = policy_batch_size[b] / rate * 1e9;
        if (exec > 0 && exec + fill <= objective)
            duty = fill;
    }
    if (duty == 0) /* one request at a time, and rarely */
        duty = AC_MAX(objective - exec_of(m, 1), exec_of(m, 1));
    p->sessions[p->n_sessions++] =
        (struct session){.model = model,
                         .rate = rate,
                         .duty = duty,
                         .share = exec_of(m, ceil(duty * rate * 1e-9)) / duty};
    return true;
}

/* All sessions at so many times their rate; false when the devices do not suffice. */
static bool pack(const struct baseline *q, struct plan *p, double factor)
{
    p->n_sessions = p->n_nodes = p->n_placed = 0;
    for (uint32_t i = 0; i < q->n_models; i++)
        if (q->models[i].rate > 0 && !split(q, p, i, q->models[i].rate * factor))
            return false;
    qsort(p->sessions, p->n_sessions, sizeof(*p->sessions), by_share);
    bool all = true;
    for (uint32_t i = 0; i < p->n_sessions; i++) {
        const struct session *s = &p->sessions[i];
        uint32_t pages = q->models[s->model].cost.pages;
        struct node *best = NULL;
        double fullest = 0;
        for (uint32_t k = 0; k < p->n_nodes; k++) {
            struct node *n = &p->nodes[k];
            double share = n->full ? 2 : merged(q, p, n, s);
            bool fits = share <= 1 && (double)(n->pages + pages) <= MEMORY * p->pages;
            if (fits && (!best || share > fullest)) {
                best = n;
                fullest = share;
            }
        }
        if (!best)
            best = node_new(p);
        if (best)
            node_add(p, best, s->model, s->rate, s->duty, pages);
        else
            all = false;
    }
    return all;
}

/* Devices that are there are used: the largest factor on all rates for which they suffice. Batches
 * are of whole numbers, so that some more may fit where a little more does not. When the factor is
 * below 1, or memory is what lacks, the smallest sessions are served without a plan. */
static void pack_all(const struct baseline *q, struct plan *p)
{
    double low = -10, high = 4; /* of the logarithm to base 2 */
    for (int i = 0; i < STEPS; i++) {
        double mid = (low + high) / 2;
        if (pack(q, p, exp2(mid)))
            low = mid;
        else
            high = mid;
    }
    double best = low;
    for (int i = 1; i <= MORE; i++)
        if (pack(q, p, exp2(low + (double)i / MORE)))
            best = low + (double)i / MORE;
    (void)pack(q, p, exp2(best));
}

/* ---- from the plan to devices ---- */

/* The node goes to the device, among those without one, that holds most of it. */
static uint32_t device_for(const struct baseline *q, const struct plan *p, const struct node *n,
                           const bool *taken)
{
    uint32_t best = BL_NONE, most = 0;
    for (uint32_t d = 0; d < q->n_devices; d++) {
        uint32_t there = 0;
        if (taken[d] || !q->devices[d].up)
            continue;
        for (uint32_t i = n->first; i != BL_NONE; i = p->placed[i].next)
            there += bl_copy_of(q, p->placed[i].model, d)->loaded;
        if (best == BL_NONE || there > most) {
            best = d;
            most = there;
        }
    }
    return best;
}

static void plan_apply(struct baseline *q, int64_t now, const struct plan *p)
{
    bool *taken = ac_xcalloc(q->n_devices, sizeof(*taken));
    for (size_t i = 0; i < q->n_models * q->n_devices; i++)
        q->copies[i].plan = 0;
    for (uint32_t k = 0; k < p->n_nodes; k++) {
        const struct node *n = &p->nodes[k];
        uint32_t d = device_for(q, p, n, taken);
        if (d == BL_NONE)
            break;
        taken[d] = true;
        for (uint32_t i = n->first; i != BL_NONE; i = p->placed[i].next) {
            const struct placed *x = &p->placed[i];
            struct bl_copy *c = bl_copy_of(q, x->model, d);
            double batch =
                n->full ? full_batch(q, &q->models[x->model]) : ceil(n->duty * x->rate * 1e-9);
            c->plan = (uint32_t)AC_MAX(1, AC_MIN(batch, POLICY_MAX_BATCH));
        }
    }
    for (uint32_t m = 0; m < q->n_models; m++) {
        q->models[m].planned = 0;
        for (uint32_t d = 0; d < q->n_devices; d++) {
            const struct bl_copy *c = bl_copy_of(q, m, d);
            q->models[m].planned += c->plan && c->loaded;
            if (c->plan)
                bl_load(q, now, m, d);
        }
    }
    free(taken);
}

static void plan_epoch(struct baseline *q, int64_t now)
{
    double seconds = (double)(now - q->epoch_began) * 1e-9;
    struct plan p = {.pages = UINT32_MAX};
    for (uint32_t d = 0; d < q->n_devices; d++) {
        if (!q->devices[d].up)
            continue;
        p.max_nodes++;
        p.pages = AC_MIN(p.pages, q->devices[d].pages);
    }
    for (uint32_t m = 0; m < q->n_models; m++) {
        q->models[m].rate = (double)q->models[m].arrivals / seconds;
        q->models[m].arrivals = 0;
    }
    p.sessions = ac_xcalloc(q->n_models, sizeof(*p.sessions));
    p.nodes = ac_xcalloc(AC_MAX(p.max_nodes, 1u), sizeof(*p.nodes));
    p.placed = ac_xcalloc(q->n_models + p.max_nodes, sizeof(*p.placed));
    pack_all(q, &p);
    plan_apply(q, now, &p);
    free(p.sessions);
    free(p.nodes);
    free(p.placed);
    q->epoch_began = now;
    q->epoch = now + q->params.epoch_ns;
}

/* ---- a device's round ---- */

/* The first requests that can still be met as a batch of what the plan says; those before them are
 * dropped. */
static uint32_t take(struct baseline *q, int64_t start, uint32_t model, uint32_t batch)
{
    struct bl_model *m = &q->models[model];
    while (m->n) {
        uint32_t n = AC_MIN(batch, m->n);
        if (bl_head(q, m)->due >= start + m->cost.exec_ns[bl_batch_for(m, n)] + q->net_ns)
            return n;
        bl_drop(q, model);
    }
    return 0;
}

static bool round_step(struct baseline *q, int64_t now, uint32_t device)
{
    struct bl_device *d = &q->devices[device];
    uint32_t next = BL_NONE;
    for (uint32_t i = 0; i < q->n_active; i++) {
        uint32_t id = q->active[i];
        const struct bl_copy *c = bl_copy_of(q, id, device);
        /* Copies that the plan does not know serve what no planned copy can. */
        if (c->loaded && (c->plan || q->models[id].planned == 0) &&
            (next == BL_NONE || c->turn < bl_copy_of(q, next, device)->turn))
            next = id;
    }
    if (next == BL_NONE)
        return false;
    struct bl_copy *c = bl_copy_of(q, next, device);
    c->turn = ++q->turns;
    uint32_t batch = c->plan ? c->plan : full_batch(q, &q->models[next]);
    uint32_t n = take(q, now + q->net_ns + d->outstanding, next, batch);
    if (n)
        bl_send(q, now, next, device, n);
    return true;
}

static void nexus_run(struct baseline *q, int64_t now, uint32_t model)
{
    (void)model;
    if (now >= q->epoch && q->n_devices)
        plan_epoch(q, now);
    /* The least busy first: a request goes where it is begun soonest. */
    for (;;) {
        uint32_t best = BL_NONE;
        for (uint32_t d = 0; d < q->n_devices; d++)
            if (q->devices[d].up && !q->devices[d].passed && q->devices[d].inflight < DEPTH &&
                (best == BL_NONE || q->devices[d].outstanding < q->devices[best].outstanding))
                best = d;
        if (best == BL_NONE)
            break;
        q->devices[best].passed = !round_step(q, now, best);
    }
    for (uint32_t d = 0; d < q->n_devices; d++)
        q->devices[d].passed = false;
}

static int64_t nexus_wake(const struct baseline *q)
{
    return q->epoch;
}

const struct bl_style bl_nexus = {
    .run = nexus_run,
    .wake_at = nexus_wake,
    .params = {.replicas = 1, .share = 0.75, .epoch_ns = 10000000000}};

/* Models too hot for one cell. A model lives in one cell, its home; while that loses requests for
 * want of devices the model that asks most of it gets a guest, an entry of its own, in another cell
 * that has room, and its requests are dealt to whichever of these has least to do. */
#include "sched_int.h"

#include <math.h>
#include <string.h>

#define LOOK_NS     (100 * AC_NS_PER_MS)
#define PAUSE_LOOKS 2     /* between two guests of one model: what the last one changed shows */
#define LOST        0.005 /* of the arrivals since the last look: a quarter of what starts shedding */
#define BUSY        0.7 /* of a cell's devices, were nothing batched: below, loss has other causes */
#define ROOM        0.9 /* at most so much of the home's demand asks a guest's cell for already */
#define PART        (1.0 / 16) /* of its cell's demand is the model's, at least */
#define CALM        0.5        /* of the home's devices would do for all that guests serve, ... */
#define CALM_LOOKS  20         /* ... for so long: a guest leaves */

/* Devices' worth of work that comes, each request executed alone. */
static double demand_of(const struct sched *s, const struct model *m, int64_t now)
{
    const struct plan *p = sched_plan_any(s, m);
    if (!m->kinds)
        return 0;
    return sched_decayed_get(&m->fast, now, 1e9) * (double)p->eh[p->smallest] * 1e-9;
}

static double cell_demand(const struct cell *c)
{
    int up = __builtin_popcountll(c->up);
    return up ? c->guard.work_ns * 1e-9 / up : INFINITY;
}

/* ---- dealing ---- */

/* Device time before what comes now, of a device of the cell that holds the model, on average. */
static int64_t ahead_of(const struct cell *c, const struct model *m)
{
    int64_t own = m->share * __builtin_popcountll(m->share_mask);
    return (c->outstanding + c->backlog - own) / __builtin_popcountll(c->up) + m->share;
}

uint32_t sched_hot_deal(const struct sched *s, uint32_t home)
{
    uint32_t best = home;
    int64_t least = POLICY_NEVER;
    for (uint32_t i = home; i != NIL; i = s->models[i].guests) {
        const struct model *m = &s->models[i];
        const struct cell *c = &s->cells[m->cell];
        if (!sched_copies(c, m))
            continue;
        int64_t ahead = ahead_of(c, m);
        if (ahead < least) {
            least = ahead;
            best = i;
        }
    }
    return best;
}

/* ---- guests come and go ---- */

static uint32_t slot_of(uint32_t cell, uint32_t i)
{
    return cell * SCHED_GUESTS + i;
}

uint32_t sched_hot_guest(const struct sched *s, uint32_t home, uint32_t cell)
{
    for (uint32_t i = 0; s->n_guests && i < SCHED_GUESTS; i++)
        if (s->models[slot_of(cell, i)].home == home)
            return slot_of(cell, i);
    return NIL;
}

/* Devices of the cell that are here, can run the model and are of a kind that its home knows. */
static uint64_t able_there(const struct sched *s, uint32_t home, uint32_t cell)
{
    const struct cell *c = &s->cells[cell];
    uint64_t known = 0;
    for (uint32_t k = s->models[home].kinds; k; k &= k - 1)
        known |= c->of_kind[__builtin_ctz(k)];
    return *sched_able_far(s, home, cell) & known & c->up;
}

/* The cell with least to do that can take a guest of the model; NIL when there is none. */
static uint32_t cell_with_room(const struct sched *s, uint32_t home, const struct cell *from)
{
    uint32_t best = NIL;
    double least = ROOM * cell_demand(from);
    for (uint32_t i = 0; i < s->cfg.cells; i++) {
        const struct cell *c = &s->cells[i];
        if (i == s->models[home].cell || c->losing || c->guest_came || cell_demand(c) >= least ||
            sched_hot_guest(s, home, i) != NIL || sched_hot_guest(s, NIL, i) == NIL ||
            !able_there(s, home, i))
            continue;
        best = i;
        least = cell_demand(c);
    }
    return best;
}

static void guest_open(struct sched *s, int64_t now, uint32_t home, uint32_t cell)
{
    uint32_t id = sched_hot_guest(s, NIL, cell), shares = 1;
    struct model *h = &s->models[home], *m = &s->models[id];
    struct cell *c = &s->cells[cell];
    for (uint32_t i = h->guests; i != NIL; i = s->models[i].guests)
        shares++;
    sched_model_init(m, cell);
    m->home = home;
    m->guests = h->guests;
    m->able = able_there(s, home, cell);
    m->cold_lost = h->cold_lost;
    m->fast = (struct decayed){sched_decayed_get(&h->fast, now, 1e9) / shares, now};
    m->slow = (struct decayed){sched_decayed_get(&h->slow, now, 300e9) / shares, now};
    for (uint32_t k = h->kinds; k; k &= k - 1) {
        uint32_t kind = (uint32_t)__builtin_ctz(k);
        *sched_plan_mut(s, m, kind) = *sched_plan(s, h, kind);
        sched_learn_copy(s, kind, h, m);
        sched_model_plan(s, m, kind);
    }
    h->guests = id;
    h->hot = true;
    h->calm = 0;
    h->pause = PAUSE_LOOKS;
    s->guests_here++;
    c->guest_came = true;
    c->models[c->n_models++] = id;
}

/* No more is dealt to the guest; it goes when what it has is done. */
static void guest_leave(struct sched *s, uint32_t id)
{
    struct model *h = &s->models[s->models[id].home];
    uint32_t *link = &h->guests;
    while (*link != id)
        link = &s->models[*link].guests;
    *link = s->models[id].guests;
    s->models[id].leaving = true;
    h->hot = h->guests != NIL;
    h->calm = 0;
}

/* True when the guest is gone. */
static bool guest_gone(struct sched *s, int64_t now, uint32_t id)
{
    struct model *m = &s->models[id];
    struct cell *c = &s->cells[m->cell];
    if (m->queued || m->inflight || m->loading || m->cold_listed)
        return false;
    sched_unload_all(s, now, id);
    uint32_t at = 0;
    while (c->models[at] != id)
        at++;
    memmove(c->models + at, c->models + at + 1, (--c->n_models - at) * sizeof(*c->models));
    m->home = NIL;
    s->guests_here--;
    return true;
}

void sched_hot_retire(struct sched *s, int64_t now, uint32_t home)
{
    while (s->models[home].guests != NIL) {
        uint32_t id = s->models[home].guests;
        guest_leave(s, id);
        sched_model_end(s, now, id);
    }
    for (uint32_t i = 0; s->n_guests && i < s->cfg.cells; i++)
        *sched_able_far(s, home, i) = 0;
}

/* ---- looks ---- */

/* A guest leaves that its model's home has long not needed. */
static void guests_look(struct sched *s, int64_t now)
{
    for (uint32_t id = 0; id < s->n_guests && s->guests_here; id++) {
        struct model *m = &s->models[id];
        if (m->home == NIL || (m->leaving && guest_gone(s, now, id)) || m->leaving)
            continue;
        if (!m->loaded && !m->loading)
            sched_load_wanted(s, now, id);
        struct model *h = &s->models[m->home];
        if (h->guests != id)
            continue; /* once for each model */
        const struct cell *c = &s->cells[h->cell];
        double all = cell_demand(c) * __builtin_popcountll(c->up);
        for (uint32_t i = id; i != NIL; i = s->models[i].guests)
            all += demand_of(s, &s->models[i], now);
        h->pause = (uint8_t)(h->pause - (h->pause > 0));
        bool calm = all <= CALM * __builtin_popcountll(c->up);
        h->calm = calm ? (uint8_t)(h->calm + 1) : 0;
        if (h->calm >= CALM_LOOKS)
            guest_leave(s, id);
    }
}

static void cell_look(struct sched *s, int64_t now, struct cell *c)
{
    double drops = sched_decayed_get(&c->drops, now, 0.5e9),
           arrivals = sched_decayed_get(&c->arrivals, now, 0.5e9),
           faded = exp(-(double)(now - s->hot_looked_at) / 0.5e9);
    c->losing = drops - c->drops_then * faded > LOST * (arrivals - c->arrivals_then * faded) &&
                cell_demand(c) > BUSY;
    c->drops_then = drops;
    c->arrivals_then = arrivals;
    c->guest_came = false;
}

static void share(struct sched *s, int64_t now, const struct cell *c)
{
    uint32_t hottest = NIL;
    double most = PART * c->guard.work_ns * 1e-9;
    for (uint32_t i = 0; i < c->n_models; i++) {
        const struct model *m = &s->models[c->models[i]];
        double d = m->retired || m->leaving ? 0 : demand_of(s, m, now);
        if (d > most) {
            hottest = c->models[i];
            most = d;
        }
    }
    if (hottest == NIL)
        return;
    uint32_t home = s->models[hottest].home == NIL ? hottest : s->models[hottest].home;
    if (s->models[home].pause)
        return;
    uint32_t to = cell_with_room(s, home, c);
    if (to == NIL)
        return;
    guest_open(s, now, home, to);
    sched_load_wanted(s, now, s->models[home].guests);
}

void sched_hot_tick(struct sched *s, int64_t now)
{
    if (!s->n_guests || now < s->hot_looked_at + LOOK_NS)
        return;
    if (s->guests_here)
        guests_look(s, now);
    for (uint32_t i = 0; i < s->cfg.cells; i++)
        cell_look(s, now, &s->cells[i]);
    for (uint32_t i = 0; i < s->cfg.cells; i++)
        if (s->cells[i].losing)
            share(s, now, &s->cells[i]);
    s->hot_looked_at = now;
}

#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

struct slot {
    bool known, resident, in_use; /* in_use: an execution reads its weights */
    bool loading;
    bool held; /* its load failed, but an execution may still read what had come */
    uint32_t pages, compiled;
};

struct lane {
    struct wk_action *queue; /* by earliest, then by arrival */
    uint32_t n, foreign;     /* foreign: the controller's among them */
    bool running, stale;     /* stale: asked for before a reset */
    struct wk_action current;
};

struct wk_engine {
    struct wk_engine_ports ports;
    uint32_t pages, pages_free, page_bytes, max_models, cap_queue;
    bool overlap;
    struct slot *slots;
    struct lane lanes[WK_LANES];
};

const char *wk_status_text(int status)
{
    switch (status) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        WK_STATUSES(X)
#undef X
    default:
        return "?";
    }
}

bool wk_status_is_late(int status)
{
    return status == WK_ST_LOAD_LATE || status == WK_ST_UNLOAD_LATE || status == WK_ST_EXEC_LATE;
}

struct wk_engine *wk_engine_create(uint32_t pages, uint32_t page_bytes, uint32_t max_models,
                                   const struct wk_engine_ports *ports)
{
    struct wk_engine *e = ac_xcalloc(1, sizeof(*e));
    e->ports = *ports;
    e->pages = e->pages_free = pages;
    e->page_bytes = page_bytes;
    e->max_models = max_models;
    e->slots = ac_xcalloc(max_models, sizeof(*e->slots));
    /* Room for the worker's own actions besides: an unload of every model by a reset, and another
     * one before each is forgotten. */
    e->cap_queue = WK_ENGINE_QUEUE + 2 * max_models;
    for (int i = 0; i < WK_LANES; i++)
        e->lanes[i].queue = ac_xcalloc(e->cap_queue, sizeof(struct wk_action));
    return e;
}

void wk_engine_destroy(struct wk_engine *e)
{
    if (!e)
        return;
    for (int i = 0; i < WK_LANES; i++)
        free(e->lanes[i].queue);
    free(e->slots);
    free(e);
}

void wk_engine_overlap(struct wk_engine *e)
{
    e->overlap = true;
}

uint32_t wk_engine_pages_free(const struct wk_engine *e)
{
    return e->pages_free;
}

uint32_t wk_engine_pages_of(const struct wk_engine *e, uint64_t bytes)
{
    uint64_t n = (bytes + e->page_bytes - 1) / e->page_bytes;
    return n > UINT32_MAX ? UINT32_MAX : AC_MAX((uint32_t)n, 1u);
}

bool wk_engine_resident(const struct wk_engine *e, uint32_t slot)
{
    return slot < e->max_models && e->slots[slot].resident;
}

void wk_engine_model_set(struct wk_engine *e, uint32_t slot, uint64_t weights_bytes,
                         uint32_t compiled)
{
    AC_ASSERT(slot < e->max_models && !e->slots[slot].resident);
    e->slots[slot] = (struct slot){
        .known = true, .pages = wk_engine_pages_of(e, weights_bytes), .compiled = compiled};
}

static void refuse(struct wk_engine *e, const struct wk_action *a, int status, int64_t now)
{
    struct wk_outcome o = {.status = status, .begin_ns = now, .end_ns = now};
    e->ports.done(e->ports.self, a, &o);
}

bool wk_engine_model_clear(struct wk_engine *e, int64_t now, uint32_t slot)
{
    AC_ASSERT(slot < e->max_models);
    struct slot *s = &e->slots[slot];
    if (s->resident || s->loading || s->in_use)
        return false;
    s->known = false;
    for (int i = 0; i < WK_LANES; i++) {
        struct lane *l = &e->lanes[i];
        uint32_t kept = 0;
        for (uint32_t k = 0; k < l->n; k++) {
            if (l->queue[k].model != slot) {
                l->queue[kept++] = l->queue[k];
                continue;
            }
            l->foreign -= l->queue[k].id != 0;
            refuse(e, &l->queue[k], WK_ST_UNKNOWN_MODEL, now);
        }
        l->n = kept;
    }
    return true;
}

static enum wk_lane lane_of(enum wk_kind kind)
{
    return kind == WK_LOAD || kind == WK_UNLOAD ? WK_LANE_LOAD : WK_LANE_EXEC;
}

void wk_engine_submit(struct wk_engine *e, int64_t now, const struct wk_action *a)
{
    bool kind_ok = a->kind >= WK_LOAD && a->kind <= WK_PROFILE;
    if (!kind_ok || a->latest_ns < a->earliest_ns ||
        (a->kind == WK_INFER && a->batch >= WK_BATCHES)) {
        refuse(e, a, WK_ST_INVALID, now);
        return;
    }
    if (a->model >= e->max_models || !e->slots[a->model].known) {
        refuse(e, a, WK_ST_UNKNOWN_MODEL, now);
        return;
    }
    if (a->kind == WK_INFER && !(e->slots[a->model].compiled >> a->batch & 1)) {
        refuse(e, a, WK_ST_INVALID, now);
        return;
    }
    struct lane *l = &e->lanes[lane_of(a->kind)];
    if (a->id ? l->foreign == WK_ENGINE_QUEUE : l->n == e->cap_queue) {
        refuse(e, a, WK_ST_QUEUE_FULL, now);
        return;
    }
    uint32_t at = l->n;
    while (at > 0 && l->queue[at - 1].earliest_ns > a->earliest_ns)
        at--;
    memmove(&l->queue[at + 1], &l->queue[at], (l->n - at) * sizeof(*l->queue));
    l->queue[at] = *a;
    l->n++;
    l->foreign += a->id != 0;
}

static bool load_waits(const struct wk_engine *e, uint32_t model)
{
    const struct lane *l = &e->lanes[WK_LANE_LOAD];
    for (uint32_t i = 0; i < l->n; i++)
        if (l->queue[i].kind == WK_LOAD && l->queue[i].model == model)
            return true;
    return false;
}

/* An execution whose weights are not there. */
static int without_weights(const struct wk_engine *e, const struct wk_action *a)
{
    if (!e->overlap)
        return WK_ST_WEIGHTS_MISSING;
    return e->slots[a->model].loading ? 0 : load_waits(e, a->model) ? -1 : WK_ST_WEIGHTS_MISSING;
}

/* What stands against starting it now: 0, a status, or -1 for "wait for the other lane".
 */
static int obstacle(const struct wk_engine *e, const struct wk_action *a, int64_t now)
{
    const struct slot *s = &e->slots[a->model];
    bool late = now > a->latest_ns;
    switch (a->kind) {
    case WK_LOAD:
        if (late)
            return WK_ST_LOAD_LATE;
        if (s->held)
            return -1;
        return s->resident ? WK_ST_ALREADY_LOADED : s->pages > e->pages_free ? WK_ST_NO_PAGES : 0;
    case WK_UNLOAD:
        if (late)
            return WK_ST_UNLOAD_LATE;
        if (s->held)
            return -1;
        return !s->resident ? WK_ST_NOT_LOADED : s->in_use ? -1 : 0;
    case WK_INFER:
        if (late)
            return WK_ST_EXEC_LATE;
        return s->resident ? 0 : without_weights(e, a);
    case WK_PROFILE:
        break;
    }
    /* A profile loads the weights for itself, so they must not be there. */
    return s->resident || s->loading ? WK_ST_ALREADY_LOADED : 0;
}

static void take(struct lane *l, uint32_t at)
{
    l->n--;
    l->foreign -= l->queue[at].id != 0;
    memmove(l->queue + at, l->queue + at + 1, (l->n - at) * sizeof(*l->queue));
}

bool wk_engine_start(struct wk_engine *e, enum wk_lane lane, int64_t now, struct wk_action *ret_a,
                     int64_t *ret_wake)
{
    struct lane *l = &e->lanes[lane];
    *ret_wake = INT64_MAX;
    AC_ASSERT(!l->running);
    for (uint32_t at = 0; at < l->n;) {
        struct wk_action a = l->queue[at];
        if (a.earliest_ns > now) {
            *ret_wake = AC_MIN(*ret_wake, a.earliest_ns);
            return false;
        }
        int status = obstacle(e, &a, now);
        if (status < 0 && a.kind != WK_INFER)
            return false;
        if (status < 0) { /* others may go first */
            *ret_wake = AC_MIN(*ret_wake, a.latest_ns == INT64_MAX ? INT64_MAX : a.latest_ns + 1);
            at++;
            continue;
        }
        take(l, at);
        if (status) {
            refuse(e, &a, status, now);
            continue;
        }
        struct slot *s = &e->slots[a.model];
        if (a.kind == WK_LOAD) {
            e->pages_free -= s->pages;
            s->loading = true;
        } else if (a.kind == WK_UNLOAD) {
            s->resident = false; /* no execution may begin from here on */
        } else {
            s->in_use = true;
        }
        l->running = true;
        l->stale = false;
        l->current = a;
        *ret_a = a;
        return true;
    }
    return false;
}

void wk_engine_finish(struct wk_engine *e, enum wk_lane lane, const struct wk_outcome *o)
{
    struct lane *l = &e->lanes[lane];
    AC_ASSERT(l->running);
    struct wk_action a = l->current;
    struct slot *s = &e->slots[a.model];
    bool ok = o->status == WK_ST_OK;
    l->running = false;
    if (a.kind == WK_LOAD) {
        s->loading = false;
        s->resident = ok;
        s->held = !ok;
    }
    if (lane == WK_LANE_EXEC)
        s->in_use = false;
    if ((s->held && !s->in_use) || a.kind == WK_UNLOAD) {
        e->pages_free += s->pages;
        s->held = false;
    }
    struct wk_outcome out = *o;
    if (l->stale && a.id)
        out.status = WK_ST_DROPPED;
    e->ports.done(e->ports.self, &a, &out);
    /* A load that outlived its controller leaves nothing behind. */
    if (l->stale && a.kind == WK_LOAD && ok)
        wk_engine_submit(e, o->end_ns,
                         &(struct wk_action){.kind = WK_UNLOAD,
                                             .model = a.model,
                                             .earliest_ns = INT64_MIN,
                                             .latest_ns = INT64_MAX});
}

void wk_engine_reset(struct wk_engine *e, int64_t now)
{
    for (int i = 0; i < WK_LANES; i++) {
        struct lane *l = &e->lanes[i];
        l->stale = l->running;
        uint32_t kept = 0;
        for (uint32_t k = 0; k < l->n; k++) {
            if (l->queue[k].id == 0)
                l->queue[kept++] = l->queue[k];
            else
                refuse(e, &l->queue[k], WK_ST_DROPPED, now);
        }
        l->n = kept;
        l->foreign = 0;
    }
    for (uint32_t m = 0; m < e->max_models; m++)
        if (e->slots[m].resident)
            wk_engine_submit(e, now,
                             &(struct wk_action){.kind = WK_UNLOAD,
                                                 .model = m,
                                                 .earliest_ns = INT64_MIN,
                                                 .latest_ns = INT64_MAX});
}

/* Tenants and priorities. Where all can be met they count for nothing. Where not, the tenant that
 * waits and has had least device time for its share in the last seconds comes first, which is
 * weighted max-min: who asks for less than its share is served in full, and the others divide what
 * is left by their weights. Within a tenant higher priorities come first. What was paid before the
 * shortage counts too, as long as the window remembers it. */
#include "sched_int.h"

#include <math.h>
#include <stdlib.h>

/* Tenants so close together, as a part of what each can have had, are equally due: batches need
 * not shrink for the sake of a millisecond. */
#define TOLERANCE  0.01
#define PRESENT_NS (10 * AC_NS_PER_S) /* who asked or was served within this counts */
#define ENOUGH     0.9                /* of what a tenant can have: that it had its share */

void sched_share_init(struct sched *s)
{
    if (!s->cfg.ranks)
        return;
    for (uint32_t t = 0; t < POLICY_TENANTS; t++)
        s->tenant_at[t] = -PRESENT_NS;
    s->groups = ac_xcalloc(s->cfg.max_requests, sizeof(*s->groups));
    s->free_group = NIL;
    for (uint32_t i = s->cfg.max_requests; i-- > 0;) {
        s->groups[i].next = s->free_group;
        s->free_group = i;
    }
    for (uint32_t i = 0; i < s->cfg.cells; i++)
        s->cells[i].tenants = ac_xcalloc(POLICY_TENANTS, sizeof(*s->cells[i].tenants));
    for (uint32_t i = 0; i < s->cfg.cells * POLICY_TENANTS; i++)
        for (uint32_t p = 0; p < POLICY_PRIORITIES; p++)
            s->cells[i / POLICY_TENANTS].tenants[i % POLICY_TENANTS].served_at[p] = INT64_MIN;
    if (s->cfg.share_window_ns <= 0)
        s->cfg.share_window_ns = SCHED_SHARE_WINDOW_NS;
    for (uint32_t t = 0; t < POLICY_TENANTS; t++)
        if (!(s->cfg.shares[t] > 0))
            s->cfg.shares[t] = 1;
}

void sched_share_fini(struct sched *s)
{
    for (uint32_t i = 0; i < s->cfg.cells; i++)
        free(s->cells[i].tenants);
    free(s->groups);
}

/* ---- groups of waiting requests ---- */

static uint32_t group_of(struct sched *s, struct model *m, const struct request *r)
{
    uint32_t g = m->groups;
    while (g != NIL && (s->groups[g].tenant != r->tenant || s->groups[g].priority != r->priority))
        g = s->groups[g].next;
    if (g != NIL)
        return g;
    g = s->free_group; /* there are as many as requests, and none is empty */
    AC_ASSERT(g != NIL);
    s->free_group = s->groups[g].next;
    s->groups[g] = (struct group){
        .next = m->groups, .head = NIL, .tail = NIL, .tenant = r->tenant, .priority = r->priority};
    m->groups = g;
    return g;
}

void sched_share_insert(struct sched *s, uint32_t req)
{
    struct request *r = &s->requests[req];
    struct model *m = &s->models[r->model];
    struct cell *c = &s->cells[m->cell];
    r->group = group_of(s, m, r);
    struct group *g = &s->groups[r->group];
    uint32_t after = g->tail;
    while (after != NIL && s->requests[after].deadline > r->deadline)
        after = s->requests[after].group_prev;
    r->group_prev = after;
    r->group_next = after == NIL ? g->head : s->requests[after].group_next;
    *(r->group_next == NIL ? &g->tail : &s->requests[r->group_next].group_prev) = req;
    *(after == NIL ? &g->head : &s->requests[after].group_next) = req;
    g->rows += r->rows;
    c->tenants[r->tenant].waiting++;
}

void sched_share_remove(struct sched *s, uint32_t req)
{
    struct request *r = &s->requests[req];
    struct model *m = &s->models[r->model];
    struct cell *c = &s->cells[m->cell];
    struct group *g = &s->groups[r->group];
    *(r->group_prev == NIL ? &g->head : &s->requests[r->group_prev].group_next) = r->group_next;
    *(r->group_next == NIL ? &g->tail : &s->requests[r->group_next].group_prev) = r->group_prev;
    g->rows -= r->rows;
    c->tenants[r->tenant].waiting--;
    if (g->head != NIL)
        return;
    uint32_t *link = &m->groups;
    while (*link != r->group)
        link = &s->groups[*link].next;
    *link = g->next;
    g->next = s->free_group;
    s->free_group = r->group;
}

/* ---- who is due ---- */

static double used(const struct sched *s, const struct cell *c, uint32_t tenant, int64_t now)
{
    return sched_decayed_get(&c->tenants[tenant].used, now, (double)s->cfg.share_window_ns);
}

void sched_share_compare(const struct sched *s, struct cell *c, int64_t now)
{
    double least = INFINITY, shares = 0;
    for (uint32_t t = 0; t < POLICY_TENANTS; t++) {
        c->tenants[t].had = used(s, c, t, now) / s->cfg.shares[t];
        if (c->tenants[t].waiting == 0)
            continue;
        least = AC_MIN(least, c->tenants[t].had);
        shares += s->cfg.shares[t];
    }
    double all = (double)s->cfg.share_window_ns * __builtin_popcountll(c->up);
    c->due = shares > 0 ? least + TOLERANCE * all / shares : least;
}

double sched_share_over(const struct sched *s, const struct cell *c, uint32_t tenant)
{
    if (s->cfg.without & SCHED_WITHOUT_SHARES)
        return 0;
    double had = c->tenants[tenant].had;
    return had <= c->due ? 0 : had;
}

void sched_share_sent(struct sched *s, struct cell *c, const struct action *a, int64_t now,
                      bool shedding)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < a->n; i++)
        rows += s->requests[a->requests[i]].rows;
    for (uint32_t i = 0; i < a->n; i++) {
        const struct request *r = &s->requests[a->requests[i]];
        struct tenant *t = &c->tenants[r->tenant];
        sched_decayed_add(&t->used, now, (double)s->cfg.share_window_ns,
                          (double)a->expected * r->rows / rows);
        if (shedding)
            t->served_at[r->priority] = now;
    }
}

/* Beside others that were served of late it has had what its share is of all there is. */
static bool had_its_share(const struct sched *s, const struct cell *c, uint32_t tenant, int64_t now)
{
    double shares = 0, all = (double)s->cfg.share_window_ns * __builtin_popcountll(c->up);
    uint32_t others = 0;
    for (uint32_t t = 0; t < POLICY_TENANTS; t++) {
        const struct decayed *d = &c->tenants[t].used;
        if (t != tenant && (d->value <= 0 || now - d->at >= PRESENT_NS))
            continue;
        others += t != tenant;
        shares += s->cfg.shares[t];
    }
    return others && used(s, c, tenant, now) >= ENOUGH * all * s->cfg.shares[tenant] / shares;
}

enum policy_outcome sched_share_reason(const struct sched *s, const struct cell *c,
                                       const struct request *r, int64_t now)
{
    if (!s->groups || !sched_is_shedding(s, c, now))
        return POLICY_EXPIRED;
    for (uint32_t p = r->priority + 1u;
         p < POLICY_PRIORITIES && !(s->cfg.without & SCHED_WITHOUT_PRIORITIES); p++)
        if (c->tenants[r->tenant].served_at[p] >= r->due - r->objective)
            return POLICY_YIELDED;
    bool shares = !(s->cfg.without & SCHED_WITHOUT_SHARES);
    return shares && had_its_share(s, c, r->tenant, now) ? POLICY_SHARE : POLICY_EXPIRED;
}

bool sched_share_full(struct sched *s, uint32_t tenant, int64_t now)
{
    s->tenant_at[tenant] = now;
    if (s->in_use <= s->cfg.max_requests / 2 || (s->cfg.without & SCHED_WITHOUT_SHARES))
        return false;
    double shares = 0;
    for (uint32_t t = 0; t < POLICY_TENANTS; t++)
        shares += now - s->tenant_at[t] < PRESENT_NS ? s->cfg.shares[t] : 0;
    return s->tenant_in_use[tenant] >= s->cfg.max_requests * s->cfg.shares[tenant] / shares;
}

double sched_tenant_use(const struct sched *s, int64_t now, uint32_t tenant)
{
    double sum = 0;
    for (uint32_t i = 0; s->groups && i < s->cfg.cells; i++)
        sum += used(s, &s->cells[i], tenant, now);
    return sum / (double)AC_MAX(s->cfg.share_window_ns, 1);
}

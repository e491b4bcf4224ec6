/* Waiting requests of a model by deadline, the batch table, the records that Pick scans, timers. */
#include "sched_int.h"

const uint32_t policy_batch_size[POLICY_BATCHES] = {1, 2, 4, 8, 16};

/** Smallest compiled batch that takes so many rows; POLICY_BATCHES when none does. */
uint8_t sched_batch_for_rows(const struct plan *p, uint32_t rows)
{
    for (uint8_t b = 0; b < POLICY_BATCHES; b++)
        if (p->eh[b] > 0 && policy_batch_size[b] >= rows)
            return b;
    return POLICY_BATCHES;
}

int64_t sched_least_exec(const struct sched *s, const struct model *m, uint32_t rows)
{
    const struct plan *p = sched_plan_any(s, m);
    int64_t least = p->eh[sched_batch_for_rows(p, rows)];
    for (uint32_t k = m->kinds & (m->kinds - 1u); k; k &= k - 1) {
        p = sched_plan(s, m, (uint32_t)__builtin_ctz(k));
        least = AC_MIN(least, p->eh[sched_batch_for_rows(p, rows)]);
    }
    return least;
}

void sched_plan_init(struct plan *p)
{
    *p = (struct plan){.smallest = POLICY_BATCHES};
    /* What batch_for_rows says for too many rows: no deadline is met, so such requests expire. */
    p->eh[POLICY_BATCHES] = POLICY_NEVER / 4;
}

/** Fills the table of least device time for n rows. Padding comes out of it by itself. */
void sched_model_plan(struct sched *s, struct model *m, uint32_t kind)
{
    struct plan *p = sched_plan_mut(s, m, kind);
    p->smallest = POLICY_BATCHES;
    for (uint8_t b = 0; b < POLICY_BATCHES; b++) {
        int64_t e = p->cost.exec_ns[b];
        p->eh[b] = e > 0 ? e + (int64_t)((double)e * sched_learn_margin(s, kind, m, b)) : 0;
        if (e > 0 && p->smallest == POLICY_BATCHES)
            p->smallest = b;
    }
    m->kinds &= (uint8_t) ~(1u << kind);
    m->kinds |= (uint8_t)((p->smallest < POLICY_BATCHES) << kind);
    p->best[0] = 0;
    for (uint32_t n = 1; n <= POLICY_MAX_BATCH; n++) {
        p->best[n] = POLICY_NEVER;
        for (uint8_t b = 0; b < POLICY_BATCHES; b++) {
            if (p->eh[b] == 0)
                continue;
            uint32_t rest = n > policy_batch_size[b] ? n - policy_batch_size[b] : 0;
            int64_t t = p->eh[b] + p->best[rest];
            /* Ties go to the larger batch: it answers more at once. */
            if (t <= p->best[n]) {
                p->best[n] = t;
                p->first[n - 1] = b;
            }
        }
    }
}

static int64_t work_of(const struct model *m, const struct plan *p)
{
    uint32_t full = m->rows / POLICY_MAX_BATCH, rest = m->rows % POLICY_MAX_BATCH;
    return (int64_t)full * p->best[POLICY_MAX_BATCH] + p->best[rest];
}

/* What each of the devices is taken to have of the waiting work. */
static int64_t share_of(const struct sched *s, const struct model *m, uint64_t mask)
{
    return mask ? work_of(m, sched_plan_any(s, m)) / __builtin_popcountll(mask) : 0;
}

static void share_apply(struct sched *s, struct cell *c, uint64_t mask, int64_t v)
{
    c->backlog += v * __builtin_popcountll(mask);
    for (; mask; mask &= mask - 1)
        s->devices[c->devices[__builtin_ctzll(mask)]].backlog += v;
}

/* ---- timers: a binary heap of models and devices by time ---- */

static struct timer *timer_of(const struct sched *s, uint32_t key)
{
    if (key & TIMER_DEVICE)
        return &s->devices[key & ~TIMER_DEVICE].timer;
    return &s->models[key].timer;
}

static bool heap_less(const struct due *a, const struct due *b)
{
    return a->at != b->at ? a->at < b->at : a->key < b->key;
}

static void heap_put(struct sched *s, uint32_t at, struct due e)
{
    s->heap[at] = e;
    timer_of(s, e.key)->heap_at = at;
}

static void heap_sift(struct sched *s, uint32_t at)
{
    struct due e = s->heap[at];
    while (at > 0 && heap_less(&e, &s->heap[(at - 1) / 2])) {
        heap_put(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t kid = 2 * at + 1;
        if (kid >= s->n_heap)
            break;
        if (kid + 1 < s->n_heap && heap_less(&s->heap[kid + 1], &s->heap[kid]))
            kid++;
        if (!heap_less(&s->heap[kid], &e))
            break;
        heap_put(s, at, s->heap[kid]);
        at = kid;
    }
    heap_put(s, at, e);
}

/** Arms, moves or (POLICY_NEVER) disarms. */
void sched_timer_set(struct sched *s, uint32_t key, int64_t at)
{
    struct timer *t = timer_of(s, key);
    if (at == POLICY_NEVER) {
        if (t->heap_at == NIL)
            return;
        uint32_t hole = t->heap_at;
        struct due last = s->heap[--s->n_heap];
        t->heap_at = NIL;
        if (last.key != key) {
            heap_put(s, hole, last);
            heap_sift(s, hole);
        }
        return;
    }
    if (t->heap_at != NIL && t->at == at)
        return;
    t->at = at;
    if (t->heap_at == NIL)
        t->heap_at = s->n_heap++;
    s->heap[t->heap_at] = (struct due){.at = at, .key = key};
    heap_sift(s, t->heap_at);
}

/** Last moment at which sending the request to an idle device still helps. */
static int64_t last_chance(const struct sched *s, const struct model *m, const struct request *r)
{
    return r->deadline + s->learnt.hope_ns - sched_least_exec(s, m, r->rows) - 2 * s->learnt.net_ns;
}

/* Until when the model's waiting requests may be left for others to join them, or 0: as long as the
 * first one's objective allows, at most half of its slack, if any are likely to come. */
static int64_t ready_at(const struct sched *s, const struct model *m, const struct request *head,
                        int64_t lfull, uint32_t room)
{
    if (m->rows >= room || head->objective > SCHED_BACKGROUND_NS)
        return 0;
    int64_t came = head->due - head->objective;
    int64_t wait = AC_MIN((int64_t)((double)head->objective * s->cfg.save), (lfull - came) / 2);
    double left = (double)(came + wait - s->now);
    double expected = sched_decayed_get(&m->fast, s->now, 1e9) * left * 1e-9;
    return left > 0 && expected >= SCHED_SAVE_ARRIVALS ? came + wait : 0;
}

static uint32_t largest(const struct plan *p)
{
    uint32_t b = POLICY_BATCHES;
    while (b > 0 && p->eh[b - 1] == 0)
        b--;
    return b ? policy_batch_size[b - 1] : 0;
}

static void record_changed(const struct sched *s, struct cell *c, uint32_t record)
{
    for (uint32_t k = 0; k < s->n_kinds; k++)
        c->bounds[k][record / SCHED_BLOCK].known = false;
}

static void record_remove(struct sched *s, struct cell *c, struct model *m)
{
    uint32_t last = --c->n_records;
    if (m->record != last) {
        record_changed(s, c, m->record);
        for (uint32_t k = 0; k < s->n_kinds; k++)
            c->records[k][m->record] = c->records[k][last];
        c->masks[m->record] = c->masks[last];
        s->models[c->records[0][m->record].model].record = m->record;
    }
    m->record = NIL;
}

static void record_of_kind(const struct sched *s, const struct model *m, uint32_t id, uint32_t kind,
                           struct record *rec)
{
    const struct plan *p = sched_plan(s, m, kind);
    const struct request *h = &s->requests[m->head], *t = &s->requests[m->tail];
    uint32_t n = AC_MIN(m->rows, (uint32_t)POLICY_MAX_BATCH);
    uint8_t b = n ? p->first[n - 1] : 0;
    if (policy_batch_size[b] < h->rows)
        b = sched_batch_for_rows(p, h->rows);
    int64_t net = s->learnt.net_ns;
    *rec = (struct record){
        .lfull = h->deadline - p->eh[b] - net,
        .llast = t->deadline - p->eh[p->smallest] - net,
        .full_ns = p->eh[b],
        .last_ns = p->eh[p->smallest],
        .model = id,
        .first = b,
        .take = (uint8_t)AC_MIN(n, b < POLICY_BATCHES ? policy_batch_size[b] : 0),
    };
}

/** What Pick sees of the model. */
void sched_record_update(struct sched *s, uint32_t id)
{
    struct model *m = &s->models[id];
    struct cell *c = &s->cells[m->cell];
    struct record early = {0};
    uint64_t mask = m->queued ? m->loaded : 0;
    if (m->queued && m->loading && !m->loaded)
        mask = sched_overlap_record(s, m, &early);
    if (mask == 0) {
        if (m->record != NIL)
            record_remove(s, c, m);
        return;
    }
    if (m->record == NIL)
        m->record = c->n_records++;
    c->masks[m->record] = mask;
    record_changed(s, c, m->record);
    for (uint32_t k = 0; k < s->n_kinds; k++) {
        struct record *rec = &c->records[k][m->record];
        record_of_kind(s, m, id, k, rec);
        rec->begin = early.begin;
        rec->ready = early.ready;
    }
    if (s->cfg.save <= 0 || early.begin)
        return;
    const struct plan *p = sched_plan_any(s, m);
    const struct record *any = &c->records[m->kinds ? __builtin_ctz(m->kinds) : 0][m->record];
    int64_t ready = ready_at(s, m, &s->requests[m->head], any->lfull, largest(p));
    for (uint32_t k = 0; k < s->n_kinds; k++)
        c->records[k][m->record].ready = ready;
}

/** Brings record, backlog shares and timer in line with the queue and the copies. */
void sched_model_touch(struct sched *s, uint32_t id)
{
    struct model *m = &s->models[id];
    struct cell *c = &s->cells[m->cell];
    uint64_t mask = m->queued ? m->loaded : 0;
    int64_t share = share_of(s, m, mask);
    if (mask != m->share_mask || share != m->share) {
        share_apply(s, c, m->share_mask, -m->share);
        share_apply(s, c, mask, share);
        m->share_mask = mask;
        m->share = share;
    }
    sched_record_update(s, id);
    int64_t at = POLICY_NEVER;
    if (m->queued)
        at =
            m->kinds ? last_chance(s, m, &s->requests[m->head]) + 1 : s->requests[m->head].deadline;
    if (m->record != NIL && c->records[0][m->record].ready)
        at = AC_MIN(at, c->records[0][m->record].ready);
    sched_timer_set(s, id, at);
}

void sched_queue_insert(struct sched *s, uint32_t req)
{
    struct request *r = &s->requests[req];
    struct model *m = &s->models[r->model];
    uint32_t after = m->tail;
    while (after != NIL && s->requests[after].deadline > r->deadline)
        after = s->requests[after].prev;
    r->prev = after;
    r->next = after == NIL ? m->head : s->requests[after].next;
    if (r->next == NIL)
        m->tail = req;
    else
        s->requests[r->next].prev = req;
    if (after == NIL)
        m->head = req;
    else
        s->requests[after].next = req;
    m->queued++;
    m->rows += r->rows;
    if (s->groups)
        sched_share_insert(s, req);
}

void sched_queue_remove(struct sched *s, uint32_t req)
{
    struct request *r = &s->requests[req];
    struct model *m = &s->models[r->model];
    if (r->prev == NIL)
        m->head = r->next;
    else
        s->requests[r->prev].next = r->next;
    if (r->next == NIL)
        m->tail = r->prev;
    else
        s->requests[r->next].prev = r->prev;
    m->queued--;
    m->rows -= r->rows;
    if (s->groups)
        sched_share_remove(s, req);
}

void sched_request_free(struct sched *s, uint32_t req)
{
    struct request *q = &s->requests[req];
    s->in_use--;
    s->tenant_in_use[q->tenant]--;
    q->next = s->free_request;
    s->free_request = req;
}

/** Replies and frees the request, which must be in no queue. */
void sched_request_answer(struct sched *s, int64_t now, uint32_t req, struct policy_reply *r)
{
    struct request *q = &s->requests[req];
    struct cell *c = &s->cells[s->models[q->model].cell];
    if (r->outcome != POLICY_ON_TIME && r->outcome != POLICY_ERROR) {
        sched_decayed_add(&c->drops, now, 0.5e9, 1);
        sched_guard_dropped(&c->guard, q);
    }
    r->cookie = q->cookie;
    r->cold = q->cold;
    sched_request_free(s, req);
    s->ports.reply(s->ports.self, r);
}

void sched_request_refuse(struct sched *s, int64_t now, uint32_t req, enum policy_outcome o,
                          int64_t at)
{
    struct policy_reply r = {.outcome = o, .predicted_ns = at};
    sched_request_answer(s, now, req, &r);
}

/** Refuses waiting requests that no idle device could finish in time. */
void sched_queue_expire(struct sched *s, int64_t now, uint32_t id)
{
    struct model *m = &s->models[id];
    bool any = false;
    while (m->head != NIL) {
        struct request *r = &s->requests[m->head];
        bool planned = m->kinds != 0;
        if (planned ? last_chance(s, m, r) >= now : r->deadline > now)
            break;
        uint32_t req = m->head;
        int64_t at = 0;
        if (planned)
            at = now + 2 * s->learnt.net_ns + sched_least_exec(s, m, r->rows);
        sched_queue_remove(s, req);
        bool none = m->able == 0 || (m->able & s->cells[m->cell].up) == 0;
        sched_request_refuse(
            s, now, req,
            none ? POLICY_NO_DEVICE : sched_share_reason(s, &s->cells[m->cell], r, now), at);
        any = true;
    }
    sched_model_touch(s, id);
    if (any && m->loaded == 0 && m->loading == 0)
        sched_load_wanted(s, now, id);
}

void sched_timers_run(struct sched *s, int64_t now)
{
    while (s->n_heap && s->heap[0].at <= now) {
        uint32_t key = s->heap[0].key;
        if (key & TIMER_DEVICE) {
            sched_timer_set(s, key, POLICY_NEVER);
            sched_pick(s, now, key & ~TIMER_DEVICE);
        } else {
            const struct model *m = &s->models[key];
            bool waited = m->record != NIL && s->cells[m->cell].records[0][m->record].ready;
            sched_queue_expire(s, now, key);
            if (waited)
                sched_pick_for(s, now, key);
        }
    }
}

int64_t sched_timers_next(const struct sched *s)
{
    return s->n_heap ? s->heap[0].at : POLICY_NEVER;
}

/* Clockwork's queues: one order of arrival a model, with a front for every batch size, and the heap
 * of deadlines. */
#include "clockwork.h"

static void list_add(uint32_t *list, uint32_t *n, uint32_t *place, uint32_t v)
{
    if (*place != CW_NIL)
        return;
    *place = *n;
    list[(*n)++] = v;
}

static void active_remove(struct cw *c, uint32_t model)
{
    uint32_t at = c->models[model].active, last = c->active[--c->n_active];
    c->active[at] = last;
    c->models[last].active = at;
    c->models[model].active = CW_NIL;
}

void cw_queue_add(struct cw *c, uint32_t request)
{
    struct cw_request *r = &c->requests[request];
    struct cw_model *m = &c->models[r->model];
    r->seq = m->next_seq++;
    r->prev = m->tail;
    r->next = CW_NIL;
    if (m->tail == CW_NIL)
        m->head = request;
    else
        c->requests[m->tail].next = request;
    m->tail = request;
    m->waiting++;
    for (uint32_t b = 0; b < POLICY_BATCHES; b++) {
        if (m->front[b] == CW_NIL) {
            m->front[b] = request;
            m->front_seq[b] = r->seq;
        }
        m->count[b]++;
    }
    list_add(c->active, &c->n_active, &m->active, r->model);
}

/* Queue b begins behind this request from now on. */
static void front_move(struct cw *c, struct cw_model *m, uint32_t b, const struct cw_request *r)
{
    m->front[b] = r->next;
    m->front_seq[b] = r->next == CW_NIL ? m->next_seq : c->requests[r->next].seq;
    m->count[b]--;
}

void cw_queue_take(struct cw *c, uint32_t request)
{
    const struct cw_request *r = &c->requests[request];
    struct cw_model *m = &c->models[r->model];
    for (uint32_t b = 0; b < POLICY_BATCHES; b++) {
        if (m->front[b] == request)
            front_move(c, m, b, r);
        else if (m->front[b] != CW_NIL && r->seq > m->front_seq[b])
            m->count[b]--;
    }
    if (r->prev == CW_NIL)
        m->head = r->next;
    else
        c->requests[r->prev].next = r->next;
    if (r->next == CW_NIL)
        m->tail = r->prev;
    else
        c->requests[r->next].prev = r->prev;
    if (--m->waiting == 0)
        active_remove(c, r->model);
}

void cw_queue_drop_fronts(struct cw *c, uint32_t model, int64_t free_at)
{
    struct cw_model *m = &c->models[model];
    for (uint32_t b = 0; b < POLICY_BATCHES; b++)
        while (m->front[b] != CW_NIL &&
               c->requests[m->front[b]].deadline < free_at + m->cost.exec_ns[b])
            front_move(c, m, b, &c->requests[m->front[b]]);
}

void cw_queue_catch_up(struct cw *c, uint32_t model, uint64_t seq)
{
    struct cw_model *m = &c->models[model];
    for (uint32_t b = 0; b < POLICY_BATCHES; b++)
        while (m->front[b] != CW_NIL && m->front_seq[b] <= seq)
            front_move(c, m, b, &c->requests[m->front[b]]);
}

/* ---- deadlines ---- */

static void put(struct cw *c, uint32_t at, uint32_t request)
{
    c->heap[at] = request;
    c->requests[request].timer = at;
}

static bool sooner(const struct cw *c, uint32_t a, uint32_t b)
{
    const struct cw_request *x = &c->requests[a], *y = &c->requests[b];
    return x->deadline != y->deadline ? x->deadline < y->deadline : x->cookie < y->cookie;
}

static void sift(struct cw *c, uint32_t at)
{
    uint32_t r = c->heap[at];
    while (at > 0 && sooner(c, r, c->heap[(at - 1) / 2])) {
        put(c, at, c->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t kid = 2 * at + 1;
        if (kid >= c->n_heap)
            break;
        if (kid + 1 < c->n_heap && sooner(c, c->heap[kid + 1], c->heap[kid]))
            kid++;
        if (!sooner(c, c->heap[kid], r))
            break;
        put(c, at, c->heap[kid]);
        at = kid;
    }
    put(c, at, r);
}

void cw_heap_add(struct cw *c, uint32_t request)
{
    put(c, c->n_heap, request);
    sift(c, c->n_heap++);
}

void cw_heap_remove(struct cw *c, uint32_t request)
{
    uint32_t at = c->requests[request].timer, last = c->heap[--c->n_heap];
    c->requests[request].timer = CW_NIL;
    if (last == request)
        return;
    put(c, at, last);
    sift(c, at);
}

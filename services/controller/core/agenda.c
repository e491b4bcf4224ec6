#include "agenda.h"

#include <stdlib.h>

#include <aceso/base.h>

#define NIL        UINT32_MAX
#define SLOT_SHIFT 20 /* of 1.05 ms */
#define SLOTS      16384u
#define NEVER      UINT64_MAX

/* An event that waits in a slot or far ahead. */
struct waiting {
    struct agenda_event e;
    uint32_t next;
};

struct agenda {
    uint64_t serial;
    struct agenda_event *heap; /* up to the present slot */
    size_t n_heap, cap_heap;
    uint64_t slot;      /* the present one, since the beginning of time */
    uint64_t known_end; /* slots before this one are in the wheel, others far */
    uint32_t wheel[SLOTS], far;
    size_t n_wheel, n_far;
    struct waiting *pool;
    size_t n_pool, cap_pool;
    uint32_t free;
};

struct agenda *agenda_create(void)
{
    struct agenda *a = ac_xcalloc(1, sizeof(*a));
    for (uint32_t i = 0; i < SLOTS; i++)
        a->wheel[i] = NIL;
    a->far = a->free = NIL;
    a->known_end = SLOTS;
    return a;
}

void agenda_destroy(struct agenda *a)
{
    if (!a)
        return;
    free(a->heap);
    free(a->pool);
    free(a);
}

/* ---- the present slot ---- */

static bool before(const struct agenda_event *a, const struct agenda_event *b)
{
    return a->at != b->at ? a->at < b->at : a->serial < b->serial;
}

static void heap_add(struct agenda *a, const struct agenda_event *e)
{
    ac_grow(&a->heap, &a->cap_heap, a->n_heap + 1, sizeof(*a->heap));
    size_t i = a->n_heap++;
    while (i > 0 && before(e, &a->heap[(i - 1) / 4])) {
        a->heap[i] = a->heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    a->heap[i] = *e;
}

static void heap_take(struct agenda *a, struct agenda_event *ret_e)
{
    *ret_e = a->heap[0];
    struct agenda_event e = a->heap[--a->n_heap];
    size_t i = 0;
    for (;;) {
        size_t kid = 4 * i + 1, best = kid;
        if (kid >= a->n_heap)
            break;
        for (size_t k = kid + 1; k < AC_MIN(kid + 4, a->n_heap); k++)
            if (before(&a->heap[k], &a->heap[best]))
                best = k;
        if (!before(&a->heap[best], &e))
            break;
        a->heap[i] = a->heap[best];
        i = best;
    }
    a->heap[i] = e;
}

/* ---- later ones ---- */

static uint64_t slot_of(const struct agenda_event *e)
{
    return (uint64_t)e->at >> SLOT_SHIFT;
}

static void link_to(struct agenda *a, uint32_t w)
{
    uint64_t slot = slot_of(&a->pool[w].e);
    bool known = slot < a->known_end;
    uint32_t *list = known ? &a->wheel[slot % SLOTS] : &a->far;
    a->n_wheel += known;
    a->n_far += !known;
    a->pool[w].next = *list;
    *list = w;
}

/* Moves the wheel's end half a turn on, or to where the far events begin, and what is known then
 * into the wheel. */
static void know_more(struct agenda *a)
{
    uint32_t w = a->far;
    a->known_end = a->slot / (SLOTS / 2) * (SLOTS / 2) + SLOTS;
    a->far = NIL;
    a->n_far = 0;
    while (w != NIL) {
        uint32_t next = a->pool[w].next;
        link_to(a, w);
        w = next;
    }
}

static uint64_t first_far(const struct agenda *a)
{
    uint64_t first = NEVER;
    for (uint32_t w = a->far; w != NIL; w = a->pool[w].next)
        first = AC_MIN(first, slot_of(&a->pool[w].e));
    return first;
}

/* To the next slot, whose events go into the heap; from an empty wheel to the first far event. */
static void turn(struct agenda *a)
{
    a->slot = a->n_wheel ? a->slot + 1 : AC_MAX(first_far(a), a->slot + 1);
    if (a->slot >= a->known_end - SLOTS / 2)
        know_more(a);
    uint32_t w = a->wheel[a->slot % SLOTS];
    a->wheel[a->slot % SLOTS] = NIL;
    while (w != NIL) {
        uint32_t next = a->pool[w].next;
        heap_add(a, &a->pool[w].e);
        a->pool[w].next = a->free;
        a->free = w;
        a->n_wheel--;
        w = next;
    }
}

/* ---- doors ---- */

void agenda_add(struct agenda *a, int64_t at, uint32_t kind, uint32_t what)
{
    struct agenda_event e = {.at = at, .serial = a->serial++, .kind = kind, .what = what};
    if (slot_of(&e) <= a->slot) {
        heap_add(a, &e);
        return;
    }
    uint32_t w = a->free;
    if (w == NIL) {
        ac_grow(&a->pool, &a->cap_pool, a->n_pool + 1, sizeof(*a->pool));
        w = (uint32_t)a->n_pool++;
    } else {
        a->free = a->pool[w].next;
    }
    a->pool[w].e = e;
    link_to(a, w);
}

bool agenda_next(struct agenda *a, struct agenda_event *ret_e)
{
    while (a->n_heap == 0) {
        if (a->n_wheel + a->n_far == 0)
            return false;
        turn(a);
    }
    heap_take(a, ret_e);
    return true;
}

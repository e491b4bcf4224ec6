/* In which order weights are copied: by the step that needs them first, so that an execution may
 * follow the copy. */
#include "cpu_int.h"

#include <stdlib.h>

#define USES 5 /* of the blob by one step, at most */

/* What was added to the blob at once, and is used as a whole. */
struct item {
    size_t from, to;
    uint32_t first; /* step of any plan that needs it */
    int32_t parts;  /* that it needs */
};

struct ranked {
    uint32_t first, part;
};

static bool has_weights(const struct step *s)
{
    return s->op == WK_DENSE || s->op == WK_AFFINE || s->op == WK_CONV || s->op == WK_DECONV;
}

/* Offsets in the blob that the step reads at. */
static unsigned uses(const struct step *s, size_t *ret)
{
    const struct place *places[] = {&s->a, &s->b, &s->c};
    unsigned n = 0;
    for (unsigned i = 0; i < AC_ARRAY_LEN(places); i++)
        if (places[i]->weight)
            ret[n++] = places[i]->offset;
    if (has_weights(s)) {
        ret[n++] = s->weights;
        ret[n++] = s->bias;
    }
    return n;
}

/* The last one that begins at or before the offset. */
static struct item *item_at(struct item *items, size_t n, size_t offset)
{
    size_t low = 0, high = n;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        *(items[mid].from <= offset ? &low : &high) = mid;
    }
    return &items[low];
}

static int by_first(const void *p, const void *q)
{
    const struct ranked *a = p, *b = q;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return (a->part > b->part) - (a->part < b->part);
}

/* Parts in their order; rank: the place of each in it. */
static void order(struct cpu_model *m, const struct item *items, size_t n, uint32_t *rank)
{
    struct ranked *list = ac_xcalloc(m->n_parts, sizeof(*list));
    for (uint32_t i = 0; i < m->n_parts; i++)
        list[i] = (struct ranked){.first = UINT32_MAX, .part = i};
    for (size_t i = 0; i < n; i++)
        for (size_t at = items[i].from / CPU_PART; at * CPU_PART < items[i].to; at++)
            list[at].first = AC_MIN(list[at].first, items[i].first);
    qsort(list, m->n_parts, sizeof(*list), by_first);
    for (uint32_t i = 0; i < m->n_parts; i++) {
        m->parts[i] = list[i].part;
        rank[list[i].part] = i;
    }
    free(list);
}

void cpu_order_parts(struct cpu_model *m, const struct blob *b)
{
    size_t n = b->n_starts, at[USES];
    m->n_parts = (uint32_t)((m->blob_bytes + CPU_PART - 1) / CPU_PART);
    m->parts = ac_xcalloc(m->n_parts, sizeof(*m->parts));
    struct item *items = ac_xcalloc(n, sizeof(*items));
    uint32_t *rank = ac_xcalloc(m->n_parts, sizeof(*rank));
    for (size_t i = 0; i < n; i++)
        items[i] = (struct item){.from = b->starts[i],
                                 .to = i + 1 < n ? b->starts[i + 1] : m->blob_bytes,
                                 .first = UINT32_MAX};
    for (uint32_t k = 0; k < WK_BATCHES; k++)
        for (uint32_t i = 0; i < m->plans[k].n_steps; i++)
            for (unsigned u = uses(&m->plans[k].steps[i], at); u-- > 0;) {
                struct item *x = item_at(items, n, at[u]);
                x->first = AC_MIN(x->first, i);
            }
    order(m, items, n, rank);
    for (size_t i = 0; i < n; i++)
        for (size_t p = items[i].from / CPU_PART; p * CPU_PART < items[i].to; p++)
            items[i].parts = AC_MAX(items[i].parts, (int32_t)rank[p] + 1);
    for (uint32_t k = 0; k < WK_BATCHES; k++)
        for (uint32_t i = 0; i < m->plans[k].n_steps; i++) {
            struct step *s = &m->plans[k].steps[i];
            for (unsigned u = uses(s, at); u-- > 0;)
                s->parts = AC_MAX(s->parts, item_at(items, n, at[u])->parts);
        }
    free(items);
    free(rank);
}

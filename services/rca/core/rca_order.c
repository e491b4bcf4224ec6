#include "rca_order.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>
#include <aceso/team.h>

#define FEW 48 /* these are put in place one by one */

static void insert_each(const double *v, size_t n, uint32_t *out)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = i;
        for (; k > 0 && v[out[k - 1]] > v[i]; k--)
            out[k] = out[k - 1];
        out[k] = (uint32_t)i;
    }
}

/* Bits that are ordered as unsigned numbers as the value is. */
static uint64_t key_of(double x)
{
    uint64_t bits;
    x += 0.0; /* -0 is 0 */
    memcpy(&bits, &x, sizeof(bits));
    return bits ^ (bits >> 63 ? UINT64_MAX : UINT64_C(1) << 63);
}

/* By bytes, the least significant first; bytes that all values share take no pass. */
void ac_rca_order(const double *v, size_t n, uint32_t *out, uint32_t *work, uint64_t *keys)
{
    uint32_t count[8][256] = {{0}};
    uint64_t *from_keys = keys, *to_keys = keys + n;
    uint32_t *from = out, *to = work;
    if (n <= FEW) {
        insert_each(v, n, out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t key = from_keys[i] = key_of(v[i]);
        from[i] = (uint32_t)i;
        for (size_t b = 0; b < 8; b++)
            count[b][key >> (8 * b) & 255]++;
    }
    for (size_t b = 0; b < 8; b++) {
        uint32_t sum = 0, *at = count[b];
        if (at[from_keys[0] >> (8 * b) & 255] == n)
            continue;
        for (size_t d = 0; d < 256; d++) {
            uint32_t here = at[d];
            at[d] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++) {
            uint32_t place = at[from_keys[i] >> (8 * b) & 255]++;
            to_keys[place] = from_keys[i];
            to[place] = from[i];
        }
        uint64_t *k = from_keys;
        uint32_t *f = from;
        from_keys = to_keys;
        from = to;
        to_keys = k;
        to = f;
    }
    if (from != out)
        memcpy(out, from, n * sizeof(out[0]));
}

size_t ac_rca_sorted_part(const struct ac_rca_metric *m, const uint32_t *order, size_t from,
                          size_t to, bool inside, double *out)
{
    size_t n = 0;
    if (order) {
        for (size_t i = 0; i < m->n; i++) { /* without a branch: which rows are in is chance */
            out[n] = m->v[order[i]];
            n += (order[i] - from < to - from) == inside;
        }
        return n;
    }
    if (inside) {
        n = to - from;
        memcpy(out, m->v + from, n * sizeof(out[0]));
    } else {
        n = m->n - (to - from);
        memcpy(out, m->v, from * sizeof(out[0]));
        memcpy(out + from, m->v + to, (m->n - to) * sizeof(out[0]));
    }
    ac_stats_sort(out, n);
    return n;
}

struct orders {
    const struct ac_rca_case *c;
    uint32_t **order;
    uint32_t *work[AC_TEAM_MAX]; /* by member */
    uint64_t *keys[AC_TEAM_MAX];
    size_t longest;
};

static void order_one(void *ctx, size_t i, size_t member)
{
    struct orders *o = ctx;
    const struct ac_rca_metric *m = &o->c->metrics[i];
    if (!o->work[member]) {
        o->work[member] = ac_xcalloc(o->longest + 1, sizeof(uint32_t));
        o->keys[member] = ac_xcalloc(2 * o->longest + 1, sizeof(uint64_t));
    }
    o->order[i] = ac_xcalloc(m->n + 1, sizeof(uint32_t));
    ac_rca_order(m->v, m->n, o->order[i], o->work[member], o->keys[member]);
}

uint32_t **ac_rca_orders_create(const struct ac_rca_case *c, struct ac_team *team)
{
    struct orders o = {.c = c, .order = ac_xcalloc(c->nmetrics + 1, sizeof(*o.order))};
    for (size_t i = 0; i < c->nmetrics; i++)
        o.longest = AC_MAX(o.longest, c->metrics[i].n);
    ac_team_run(team, c->nmetrics, order_one, &o);
    for (size_t i = 0; i < AC_TEAM_MAX; i++) {
        free(o.work[i]);
        free(o.keys[i]);
    }
    return o.order;
}

void ac_rca_orders_destroy(const struct ac_rca_case *c, uint32_t **orders)
{
    for (size_t i = 0; orders && i < c->nmetrics; i++)
        free(orders[i]);
    free(orders);
}

/* State as bytes: for each subterm its hashes, its history and its scalars; little-endian, as both
 * supported machines are. What can be derived is left out and rebuilt, so no bytes can make an
 * inconsistent state. */
#include "rules_impl.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#define MAGIC   0x53524341u /* ACRS */
#define VERSION 3u

struct head {
    uint32_t magic, version;
    uint64_t points;
    uint32_t sections, reserved;
};

struct section {
    uint64_t hash, shape;
    uint32_t hist, scalars;
};

static bool has_state(const struct node *n)
{
    return n->op != N_CONST && (n->hist || n->n_scalars);
}

static void put_lane(struct ac_buf *b, const double *rows, size_t n, size_t lanes)
{
    if (lanes == 1)
        ac_buf_append(b, rows, n * sizeof *rows);
    for (size_t k = 0; lanes > 1 && k < n; k++)
        ac_buf_append(b, &rows[k * lanes], sizeof *rows);
}

bool ac_eval_save(const struct ac_eval *e, struct ac_buf *b)
{
    struct head h = {MAGIC, VERSION, e->points[e->lane], 0, 0};
    for (size_t i = 0; i < e->plan->n_nodes; i++)
        h.sections += has_state(&e->plan->nodes[i]);
    ac_buf_append(b, &h, sizeof h);
    for (size_t i = 0; i < e->plan->n_nodes; i++) {
        const struct node *n = &e->plan->nodes[i];
        const struct col *c = &e->cols[i];
        if (!has_state(n))
            continue;
        struct section s = {n->hash, n->shape, n->hist, n->n_scalars};
        ac_buf_append(b, &s, sizeof s);
        if (n->hist)
            put_lane(b, eval_next(e, (uint32_t)i) - n->hist * e->lanes + e->lane, n->hist,
                     e->lanes);
        if (n->n_scalars)
            put_lane(b, c->scalars + e->lane, n->n_scalars, e->lanes);
    }
    return !b->failed;
}

/* ---- restoring ---- */

/* A section of a state and the node that takes it. */
struct match {
    struct section s;
    const unsigned char *data;
    uint32_t node; /* or NO_NODE */
};

struct matches {
    struct match *m;
    size_t n;
};

/* Reads the sections; false when the bytes are cut off or too many. */
static bool read_sections(struct matches *l, uint32_t sections, const unsigned char *p, size_t len)
{
    size_t at = 0;
    if (sections > len / sizeof(struct section))
        return false;
    l->m = ac_xcalloc(sections + 1, sizeof *l->m);
    for (; l->n < sections; l->n++) {
        struct match *m = &l->m[l->n];
        m->node = NO_NODE;
        if (len - at < sizeof m->s)
            return false;
        memcpy(&m->s, p + at, sizeof m->s);
        at += sizeof m->s;
        size_t need = ((size_t)m->s.hist + m->s.scalars) * sizeof(double);
        if (len - at < need)
            return false;
        m->data = p + at;
        at += need;
    }
    return at == len;
}

static uint32_t find(const struct ac_plan *p, uint64_t hash)
{
    size_t at = hash & (p->n_index - 1);
    for (; p->index[at]; at = (at + 1) & (p->n_index - 1)) {
        if (p->nodes[p->index[at] - 1].hash == hash)
            return p->index[at] - 1;
    }
    return NO_NODE;
}

struct by_shape {
    uint64_t shape;
    uint32_t i;
};

static int compare_shapes(const void *a, const void *b)
{
    const struct by_shape *x = a, *y = b;
    if (x->shape != y->shape)
        return x->shape < y->shape ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

/* Terms that are the same but for thresholds take each other's places, those of one shape in their
 * order. */
static void match_shapes(const struct ac_plan *p, struct matches *l, const bool *taken)
{
    struct by_shape *from = ac_xcalloc(l->n + 1, sizeof *from);
    struct by_shape *to = ac_xcalloc(p->n_nodes + 1, sizeof *to);
    size_t n_from = 0, n_to = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->m[i].node == NO_NODE)
            from[n_from++] = (struct by_shape){l->m[i].s.shape, (uint32_t)i};
    }
    for (size_t i = 0; i < p->n_nodes; i++) {
        if (has_state(&p->nodes[i]) && !taken[i])
            to[n_to++] = (struct by_shape){p->nodes[i].shape, (uint32_t)i};
    }
    qsort(from, n_from, sizeof *from, compare_shapes);
    qsort(to, n_to, sizeof *to, compare_shapes);
    for (size_t i = 0, k = 0; i < n_from && k < n_to;) {
        if (from[i].shape == to[k].shape)
            l->m[from[i++].i].node = to[k++].i;
        else if (from[i].shape < to[k].shape)
            i++;
        else
            k++;
    }
    free(from);
    free(to);
}

static void match(const struct ac_plan *p, struct matches *l)
{
    bool *taken = ac_xcalloc(p->n_nodes + 1, sizeof *taken);
    for (size_t i = 0; i < l->n; i++) {
        uint32_t node = find(p, l->m[i].s.hash);
        if (node == NO_NODE || taken[node] || !has_state(&p->nodes[node]))
            continue;
        l->m[i].node = node;
        taken[node] = true;
    }
    match_shapes(p, l, taken);
    free(taken);
}

void state_kept(const struct ac_plan *from, const struct ac_plan *to, bool *ret_has, bool *ret_kept)
{
    struct matches l = {.m = ac_xcalloc(from->n_nodes + 1, sizeof *l.m)};
    for (size_t i = 0; i < from->n_nodes; i++) {
        const struct node *n = &from->nodes[i];
        if (has_state(n))
            l.m[l.n++] =
                (struct match){.s = {n->hash, n->shape, n->hist, n->n_scalars}, .node = NO_NODE};
    }
    match(to, &l);
    for (size_t i = 0; i < to->n_nodes; i++) {
        ret_has[i] = has_state(&to->nodes[i]);
        ret_kept[i] = false;
    }
    for (size_t i = 0; i < l.n; i++) {
        const struct node *n = l.m[i].node == NO_NODE ? NULL : &to->nodes[l.m[i].node];
        if (n)
            ret_kept[l.m[i].node] = l.m[i].s.hist >= n->hist && l.m[i].s.scalars == n->n_scalars;
    }
    free(l.m);
}

/* Copies numbers in, each finite and in range or missing. */
static void take_numbers(double *dst, const unsigned char *src, size_t n, size_t lanes,
                         bool keep_large)
{
    for (size_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, src + i * sizeof v, sizeof v);
        dst[i * lanes] = keep_large && v - v == 0 ? v : rule_canon(v);
    }
}

/* Whether the node has all that it wants. */
static bool take_section(struct ac_eval *e, const struct match *m)
{
    if (m->node == NO_NODE)
        return false;
    const struct node *n = &e->plan->nodes[m->node];
    struct col *c = &e->cols[m->node];
    uint32_t have = AC_MIN(m->s.hist, n->hist);
    if (have)
        take_numbers(eval_next(e, m->node) - have * e->lanes + e->lane,
                     m->data + (size_t)(m->s.hist - have) * 8, have, e->lanes, false);
    if (m->s.scalars != n->n_scalars)
        return false;
    if (n->n_scalars)
        take_numbers(c->scalars + e->lane, m->data + (size_t)m->s.hist * 8, n->n_scalars, e->lanes,
                     true);
    return have == n->hist;
}

int ac_eval_restore(struct ac_eval *e, const void *bytes, size_t len, bool *ret_exact,
                    struct ac_err *err)
{
    const unsigned char *p = bytes;
    struct head h;
    struct matches l = {0};
    ac_eval_reset(e);
    if (len < sizeof h)
        return ac_err_set(err, AC_EINVAL, "the state is too short");
    memcpy(&h, p, sizeof h);
    if (h.magic != MAGIC || h.version != VERSION)
        return ac_err_set(err, AC_EINVAL, "the bytes are no state of this version");
    if (!read_sections(&l, h.sections, p + sizeof h, len - sizeof h)) {
        free(l.m);
        return ac_err_set(err, AC_EINVAL, "the state is cut off or has bytes too many");
    }
    size_t complete = 0, wanted = 0;
    match(e->plan, &l);
    for (size_t i = 0; i < l.n; i++)
        complete += take_section(e, &l.m[i]);
    free(l.m);
    for (size_t i = 0; i < e->plan->n_nodes; i++)
        wanted += has_state(&e->plan->nodes[i]);
    e->points[e->lane] = h.points;
    eval_rebuild(e, e->lane);
    if (ret_exact)
        *ret_exact = complete == wanted;
    return 0;
}

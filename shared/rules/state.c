/* State as bytes: for each subterm its hash, its history and its scalars; little-endian, as both
 * supported machines are. What can be derived is left out and rebuilt, so no bytes can make an
 * inconsistent state. */
#include "rules_impl.h"

#include <string.h>

#include <aceso/base.h>

#define MAGIC   0x53524341u /* ACRS */
#define VERSION 1u

struct head {
    uint32_t magic, version;
    uint64_t points;
    uint32_t sections, reserved;
};

struct section {
    uint64_t hash;
    uint32_t hist, scalars;
};

static bool has_state(const struct node *n)
{
    return n->op != N_CONST && (n->hist || n->n_scalars);
}

bool ac_eval_save(const struct ac_eval *e, struct ac_buf *b)
{
    struct head h = {MAGIC, VERSION, e->points, 0, 0};
    for (size_t i = 0; i < e->plan->n_nodes; i++)
        h.sections += has_state(&e->plan->nodes[i]);
    ac_buf_append(b, &h, sizeof h);
    for (size_t i = 0; i < e->plan->n_nodes; i++) {
        const struct node *n = &e->plan->nodes[i];
        const struct col *c = &e->cols[i];
        if (!has_state(n))
            continue;
        struct section s = {n->hash, n->hist, n->n_scalars};
        ac_buf_append(b, &s, sizeof s);
        ac_buf_append(b, c->data + c->pos - n->hist, n->hist * sizeof(double));
        ac_buf_append(b, c->scalars, n->n_scalars * sizeof(double));
    }
    return !b->failed;
}

static const struct node *find(const struct ac_plan *p, uint64_t hash, size_t *ret_i)
{
    size_t at = hash & (p->n_index - 1);
    for (; p->index[at]; at = (at + 1) & (p->n_index - 1)) {
        *ret_i = p->index[at] - 1;
        if (p->nodes[*ret_i].hash == hash)
            return &p->nodes[*ret_i];
    }
    return NULL;
}

/* Copies numbers in, each finite and in range or missing. */
static void take_numbers(double *dst, const unsigned char *src, size_t n, bool keep_large)
{
    for (size_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, src + i * sizeof v, sizeof v);
        dst[i] = keep_large && v - v == 0 ? v : rule_canon(v);
    }
}

static bool take_section(struct ac_eval *e, const struct section *s, const unsigned char *data)
{
    size_t i = 0;
    const struct node *n = find(e->plan, s->hash, &i);
    if (!n || n->op == N_CONST)
        return false;
    struct col *c = &e->cols[i];
    uint32_t have = AC_MIN(s->hist, n->hist);
    take_numbers(c->data + n->hist - have, data + (size_t)(s->hist - have) * 8, have, false);
    c->pos = c->cur = n->hist;
    if (s->scalars != n->n_scalars)
        return false;
    take_numbers(c->scalars, data + (size_t)s->hist * 8, s->scalars, true);
    return have == n->hist;
}

int ac_eval_restore(struct ac_eval *e, const void *bytes, size_t len, bool *ret_exact,
                    struct ac_err *err)
{
    const unsigned char *p = bytes;
    struct head h;
    ac_eval_reset(e);
    if (len < sizeof h)
        return ac_err_set(err, AC_EINVAL, "the state is too short");
    memcpy(&h, p, sizeof h);
    if (h.magic != MAGIC || h.version != VERSION || h.points >= RULE_TIME_BASE)
        return ac_err_set(err, AC_EINVAL, "the bytes are no state of this version");
    size_t at = sizeof h, exact = 0, wanted = 0;
    for (uint32_t i = 0; i < h.sections; i++) {
        struct section s;
        if (len - at < sizeof s)
            goto bad;
        memcpy(&s, p + at, sizeof s);
        at += sizeof s;
        size_t need = ((size_t)s.hist + s.scalars) * sizeof(double);
        if (len - at < need)
            goto bad;
        exact += take_section(e, &s, p + at);
        at += need;
    }
    if (at != len)
        goto bad;
    for (size_t i = 0; i < e->plan->n_nodes; i++)
        wanted += has_state(&e->plan->nodes[i]);
    e->points = h.points;
    eval_rebuild(e);
    if (ret_exact)
        *ret_exact = exact == wanted;
    return 0;
bad:
    ac_eval_reset(e);
    return ac_err_set(err, AC_EINVAL, "the state is cut off or has bytes too many");
}

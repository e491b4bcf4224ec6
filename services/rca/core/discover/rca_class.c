#include "discover/rca_class.h"

#include <string.h>

#include <aceso/base.h>

void ac_rca_class_init(struct ac_rca_class *c, size_t p)
{
    c->p = (int)p;
    c->w = (p + 63) / 64;
    size_t words = ac_mul_size(p, c->w);
    c->from = ac_xcalloc(4 * words + 1, sizeof(uint64_t));
    c->to = c->from + words;
    c->line = c->to + words;
    c->near = c->line + words;
    c->order = ac_xcalloc(p + 1, sizeof(int));
}

void ac_rca_class_fini(struct ac_rca_class *c)
{
    free(c->from);
    free(c->order);
    memset(c, 0, sizeof(*c));
}

void ac_rca_class_copy(struct ac_rca_class *to, const struct ac_rca_class *from)
{
    AC_ASSERT(to->p == from->p);
    memcpy(to->from, from->from, 4 * (size_t)from->p * from->w * sizeof(uint64_t));
}

static void set(uint64_t *row, int i)
{
    row[i / 64] |= UINT64_C(1) << (i % 64);
}

static void clear(uint64_t *row, int i)
{
    row[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

size_t ac_rca_row_members(const uint64_t *row, size_t w, int *out)
{
    size_t n = 0;
    for (size_t i = 0; i < w; i++)
        for (uint64_t bits = row[i]; bits; bits &= bits - 1)
            out[n++] = (int)(i * 64) + __builtin_ctzll(bits);
    return n;
}

void ac_rca_class_part(struct ac_rca_class *c, int a, int b)
{
    size_t ra = (size_t)a * c->w, rb = (size_t)b * c->w;
    for (uint64_t *m = c->from; m <= c->near; m += (size_t)c->p * c->w) {
        clear(m + ra, b);
        clear(m + rb, a);
    }
}

void ac_rca_class_arrow(struct ac_rca_class *c, int a, int b)
{
    ac_rca_class_part(c, a, b);
    set(c->to + (size_t)a * c->w, b);
    set(c->from + (size_t)b * c->w, a);
    set(c->near + (size_t)a * c->w, b);
    set(c->near + (size_t)b * c->w, a);
}

void ac_rca_class_line(struct ac_rca_class *c, int a, int b)
{
    ac_rca_class_part(c, a, b);
    set(c->line + (size_t)a * c->w, b);
    set(c->line + (size_t)b * c->w, a);
    set(c->near + (size_t)a * c->w, b);
    set(c->near + (size_t)b * c->w, a);
}

void ac_rca_class_write(const struct ac_rca_class *c, struct ac_rca_pdag *g)
{
    AC_ASSERT((size_t)c->p == g->p);
    memset(g->m, 0, g->p * g->p);
    for (int a = 0; a < c->p; a++)
        for (int b = 0; b < c->p; b++) {
            if (ac_rca_bit(ac_rca_row(c, c->to, a), b))
                ac_rca_put(g, a, b, AC_RCA_TAIL, AC_RCA_ARROW);
            else if (ac_rca_bit(ac_rca_row(c, c->line, a), b))
                ac_rca_put(g, a, b, AC_RCA_TAIL, AC_RCA_TAIL);
        }
}

void ac_rca_class_read(struct ac_rca_class *c, const struct ac_rca_pdag *g)
{
    AC_ASSERT((size_t)c->p == g->p);
    memset(c->from, 0, 4 * g->p * c->w * sizeof(uint64_t));
    for (int a = 0; a < c->p; a++)
        for (int b = 0; b < a; b++) {
            if (ac_rca_directed(g, a, b))
                ac_rca_class_arrow(c, a, b);
            else if (ac_rca_directed(g, b, a))
                ac_rca_class_arrow(c, b, a);
            else if (ac_rca_adjacent(g, a, b))
                ac_rca_class_line(c, a, b);
        }
}

/* A node without effects among those left, all of whose neighbours by a line are adjacent to all
 * its other neighbours, can be last in the order. */
static bool can_be_last(const struct ac_rca_class *c, const uint64_t *left, int x)
{
    size_t rx = (size_t)x * c->w;
    for (size_t i = 0; i < c->w; i++)
        if (c->to[rx + i] & left[i])
            return false;
    for (size_t i = 0; i < c->w; i++)
        for (uint64_t bits = c->line[rx + i] & left[i]; bits; bits &= bits - 1) {
            int y = (int)(i * 64) + __builtin_ctzll(bits);
            const uint64_t *ny = ac_rca_row(c, c->near, y);
            for (size_t k = 0; k < c->w; k++) {
                uint64_t apart = c->near[rx + k] & left[k] & ~ny[k];
                if (k == (size_t)y / 64)
                    apart &= ~(UINT64_C(1) << (y % 64));
                if (apart)
                    return false;
            }
        }
    return true;
}

/* All lines of x to those left point at x now. */
static void point_at(struct ac_rca_class *c, const uint64_t *left, int x)
{
    size_t rx = (size_t)x * c->w;
    for (size_t i = 0; i < c->w; i++) {
        uint64_t bits = c->line[rx + i] & left[i];
        c->line[rx + i] &= ~bits;
        c->from[rx + i] |= bits;
        for (; bits; bits &= bits - 1) {
            int y = (int)(i * 64) + __builtin_ctzll(bits);
            clear(c->line + (size_t)y * c->w, x);
            set(c->to + (size_t)y * c->w, x);
        }
    }
}

bool ac_rca_class_extend(struct ac_rca_class *c)
{
    size_t at = (size_t)c->p;
    uint64_t *left = ac_xcalloc(2 * c->w + 1, sizeof(uint64_t)), *ask = left + c->w;
    for (int x = 0; x < c->p; x++) {
        set(left, x);
        set(ask, x);
    }
    /* Rounds in ascending order; asked again are those whose surroundings have changed. */
    for (bool moved = true; at > 0 && moved;) {
        moved = false;
        for (size_t i = 0; i < c->w; i++) {
            uint64_t ahead = UINT64_MAX;
            while (ask[i] & ahead) {
                int bit = __builtin_ctzll(ask[i] & ahead), x = (int)(i * 64) + bit;
                ahead = UINT64_MAX << bit << 1;
                clear(ask, x);
                if (!can_be_last(c, left, x))
                    continue;
                point_at(c, left, x);
                clear(left, x);
                c->order[--at] = x;
                moved = true;
                for (size_t k = 0; k < c->w; k++)
                    ask[k] |= c->near[(size_t)x * c->w + k] & left[k];
            }
        }
    }
    free(left);
    return at == 0;
}

/* Which of y's parents are so in every DAG of the class; x is the parent that comes last in the
 * order, and what of its parents is compelled is known. */
static void label(const struct ac_rca_class *c, int x, int y, uint64_t *compelled)
{
    const uint64_t *from_y = ac_rca_row(c, c->from, y), *from_x = ac_rca_row(c, c->from, x);
    const uint64_t *of_x = compelled + (size_t)x * c->w;
    uint64_t *of_y = compelled + (size_t)y * c->w, all = 0;
    for (size_t i = 0; i < c->w; i++) {
        uint64_t self = i == (size_t)x / 64 ? UINT64_C(1) << (x % 64) : 0;
        all |= (of_x[i] & ~from_y[i]) | (from_y[i] & ~from_x[i] & ~self);
    }
    for (size_t i = 0; i < c->w; i++)
        of_y[i] = all ? from_y[i] : of_x[i];
}

void ac_rca_class_close(struct ac_rca_class *c)
{
    size_t p = (size_t)c->p, words = p * c->w;
    uint64_t *compelled = ac_xcalloc(words + 1, sizeof(uint64_t));
    int *place = ac_xcalloc(p + 1, sizeof(int)), *parents = ac_xcalloc(p + 1, sizeof(int));
    for (size_t i = 0; i < p; i++)
        place[c->order[i]] = (int)i;
    for (size_t i = 0; i < p; i++) {
        int y = c->order[i], last = -1;
        size_t n = ac_rca_row_members(ac_rca_row(c, c->from, y), c->w, parents);
        for (size_t k = 0; k < n; k++)
            if (last < 0 || place[parents[k]] > place[last])
                last = parents[k];
        if (last >= 0)
            label(c, last, y, compelled);
    }
    for (int y = 0; y < c->p; y++)
        for (size_t i = 0; i < c->w; i++) {
            size_t at = (size_t)y * c->w + i;
            uint64_t free_now = c->from[at] & ~compelled[at];
            c->from[at] = compelled[at];
            c->line[at] |= free_now;
            for (; free_now; free_now &= free_now - 1) {
                int x = (int)(i * 64) + __builtin_ctzll(free_now);
                clear(c->to + (size_t)x * c->w, y);
                set(c->line + (size_t)x * c->w, y);
            }
        }
    free(compelled);
    free(place);
    free(parents);
}

static bool on_marks(struct ac_rca_pdag *g, bool close)
{
    struct ac_rca_class c;
    ac_rca_class_init(&c, g->p);
    ac_rca_class_read(&c, g);
    bool ok = ac_rca_class_extend(&c);
    if (ok && close)
        ac_rca_class_close(&c);
    if (ok)
        ac_rca_class_write(&c, g);
    ac_rca_class_fini(&c);
    return ok;
}

bool ac_rca_pdag_extend(struct ac_rca_pdag *g)
{
    return on_marks(g, false);
}

bool ac_rca_dag_to_cpdag(struct ac_rca_pdag *g)
{
    return on_marks(g, true);
}

#include "rca_bins.h"

#include "rca_deviate.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>

void rca_cover_at(struct rca_cover *c, int64_t t_ns)
{
    c->from_ns = c->grows ? AC_MIN(c->from_ns, t_ns) : t_ns;
    c->to_ns = c->grows ? AC_MAX(c->to_ns, t_ns) : t_ns;
    c->grows = true;
}

void rca_cover_end(struct rca_cover *c)
{
    if (!c->grows)
        return;
    ac_grow(&c->parts, &c->cap, c->n + 1, sizeof(c->parts[0]));
    c->parts[c->n][0] = c->from_ns;
    c->parts[c->n++][1] = c->to_ns;
    c->grows = false;
}

void rca_cover_fini(struct rca_cover *c)
{
    free(c->parts);
    memset(c, 0, sizeof(*c));
}

static void extent(const struct rca_cover *c, int64_t *ret_from, int64_t *ret_to)
{
    *ret_from = c->grows ? c->from_ns : INT64_MAX;
    *ret_to = c->grows ? c->to_ns : 0;
    for (size_t i = 0; i < c->n; i++) {
        *ret_from = AC_MIN(*ret_from, c->parts[i][0]);
        *ret_to = AC_MAX(*ret_to, c->parts[i][1]);
    }
    *ret_from = AC_MIN(*ret_from, *ret_to);
}

static void mark(struct rca_bins *b, int64_t from_ns, int64_t to_ns)
{
    size_t first = rca_bins_at(b, from_ns), last = rca_bins_at(b, to_ns);
    for (size_t i = first; i <= last; i++) {
        int64_t middle = rca_bins_time(b, i);
        if (middle >= from_ns && middle <= to_ns)
            b->covered[i] = true;
    }
}

struct rca_bins rca_bins_make(const struct rca_cover *c, int64_t step_ns, size_t max_bins)
{
    int64_t from, to, step = AC_MAX(step_ns, INT64_C(1));
    extent(c, &from, &to);
    step = AC_MAX(step, (to - from) / (int64_t)max_bins + 1);
    struct rca_bins b = {.from_ns = from - from % step, .step_ns = step};
    b.n = (size_t)((to - b.from_ns) / step) + 1;
    b.covered = ac_xcalloc(b.n, sizeof(b.covered[0]));
    for (size_t i = 0; i < c->n; i++)
        mark(&b, c->parts[i][0], c->parts[i][1]);
    if (c->grows)
        mark(&b, c->from_ns, c->to_ns);
    return b;
}

void rca_bins_fini(struct rca_bins *b)
{
    free(b->covered);
    memset(b, 0, sizeof(*b));
}

size_t rca_bins_at(const struct rca_bins *b, int64_t t_ns)
{
    return t_ns <= b->from_ns ? 0 : AC_MIN((size_t)((t_ns - b->from_ns) / b->step_ns), b->n - 1);
}

int64_t rca_bins_time(const struct rca_bins *b, size_t bin)
{
    return b->from_ns + (int64_t)bin * b->step_ns + b->step_ns / 2;
}

int64_t rca_bins_step(const struct ac_rca_case *c, const struct rca_cover *cover)
{
    int64_t from, to, measured = ac_rca_step_ns(c); /* one second where nothing is measured */
    extent(cover, &from, &to);
    int64_t step = AC_MIN(10 * AC_NS_PER_S, (to - from) / 30 / AC_NS_PER_S * AC_NS_PER_S);
    return AC_MAX(AC_MAX(step, measured), AC_NS_PER_S);
}

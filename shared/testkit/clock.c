#include <string.h>

#include <aceso/base.h>
#include <aceso/testkit.h>

struct timer {
    int64_t at_ns;
    uint64_t id;
    void (*fn)(void *);
    void *arg;
};

struct ac_kit_clock {
    struct ac_clock port;
    int64_t now_ns, wall_offset_ns;
    struct timer *timers; /* latest first: the next one is the last */
    size_t n, cap;
    uint64_t next_id;
};

static int64_t now_ns(void *self)
{
    const struct ac_kit_clock *c = self;
    return c->now_ns;
}

static int64_t wall_ns(void *self)
{
    const struct ac_kit_clock *c = self;
    return c->now_ns + c->wall_offset_ns;
}

struct ac_kit_clock *ac_kit_clock_create(int64_t wall)
{
    struct ac_kit_clock *c = ac_xcalloc(1, sizeof(*c));
    c->port = (struct ac_clock){.self = c, .now_ns = now_ns, .wall_ns = wall_ns};
    c->wall_offset_ns = wall;
    c->next_id = 1;
    return c;
}

void ac_kit_clock_destroy(struct ac_kit_clock *c)
{
    if (!c)
        return;
    free(c->timers);
    free(c);
}

const struct ac_clock *ac_kit_clock_port(struct ac_kit_clock *c)
{
    return &c->port;
}

int64_t ac_kit_clock_now(const struct ac_kit_clock *c)
{
    return c->now_ns;
}

uint64_t ac_kit_clock_at(struct ac_kit_clock *c, int64_t at_ns, void (*fn)(void *), void *arg)
{
    ac_grow(&c->timers, &c->cap, c->n + 1, sizeof(struct timer));
    size_t lo = 0, hi = c->n; /* before the first that is not later */
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (c->timers[mid].at_ns > at_ns)
            lo = mid + 1;
        else
            hi = mid;
    }
    memmove(c->timers + lo + 1, c->timers + lo, (c->n - lo) * sizeof(struct timer));
    c->timers[lo] = (struct timer){at_ns, c->next_id, fn, arg};
    c->n++;
    return c->next_id++;
}

bool ac_kit_clock_cancel(struct ac_kit_clock *c, uint64_t id)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->timers[i].id == id) {
            memmove(c->timers + i, c->timers + i + 1, (c->n - i - 1) * sizeof(struct timer));
            c->n--;
            return true;
        }
    }
    return false;
}

int64_t ac_kit_clock_next(const struct ac_kit_clock *c)
{
    return c->n ? c->timers[c->n - 1].at_ns : INT64_MAX;
}

bool ac_kit_clock_step(struct ac_kit_clock *c)
{
    if (c->n == 0)
        return false;
    struct timer t = c->timers[--c->n];
    c->now_ns = AC_MAX(c->now_ns, t.at_ns);
    t.fn(t.arg);
    return true;
}

void ac_kit_clock_advance(struct ac_kit_clock *c, int64_t ns)
{
    AC_ASSERT(ns >= 0);
    int64_t end = c->now_ns + ns;
    while (ac_kit_clock_next(c) <= end)
        ac_kit_clock_step(c);
    c->now_ns = end;
}

void ac_kit_clock_step_wall(struct ac_kit_clock *c, int64_t by_ns)
{
    c->wall_offset_ns += by_ns;
}

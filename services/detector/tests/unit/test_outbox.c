/* Messages leave in the order of their alert, also when the bus refuses some of them. */
#include "outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>

struct bus {
    struct outbox_item *out[OUTBOX_WINDOW];
    size_t n;
    bool down;
    uint64_t taken[8]; /* last sequence, by alert */
};

static bool send(struct outbox_item *m, void *arg)
{
    struct bus *b = arg;
    if (b->down)
        return false;
    assert_true(b->n < OUTBOX_WINDOW);
    b->out[b->n++] = m;
    return true;
}

static struct outbox_item *item(unsigned alert, uint64_t sequence)
{
    struct outbox_item *m = ac_xcalloc(1, sizeof *m);
    (void)snprintf(m->id, sizeof m->id, "%u", alert);
    m->sequence = sequence;
    return m;
}

static void answer(struct outbox *o, struct bus *b, size_t i, bool taken)
{
    struct outbox_item *m = b->out[i];
    b->out[i] = b->out[--b->n];
    outbox_answered(o, m, taken);
    if (!taken)
        return;
    unsigned alert = (unsigned)(m->id[0] - '0');
    assert_int_equal(m->sequence, b->taken[alert] + 1);
    b->taken[alert] = m->sequence;
    outbox_item_free(m);
}

static void order_holds_under_failures(void **st)
{
    (void)st;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct ac_rng r;
        struct bus b = {.n = 0};
        uint64_t added[8] = {0};
        struct outbox *o = outbox_create(send, &b);
        print_message(seed == 200 ? "200 seeds\n" : "");
        ac_rng_seed(&r, seed);
        for (unsigned step = 0; step < 2000; step++) {
            unsigned alert = (unsigned)ac_rng_below(&r, 8);
            b.down = ac_rng_below(&r, 4) == 0;
            if (ac_rng_below(&r, 2))
                outbox_add(o, item(alert, ++added[alert]));
            if (b.n && ac_rng_below(&r, 3))
                answer(o, &b, ac_rng_below(&r, b.n), ac_rng_below(&r, 3) != 0);
            outbox_pump(o);
        }
        uint64_t last = outbox_last(o);
        assert_int_equal(outbox_taken(o, last), outbox_len(o) == 0);
        b.down = false;
        while (outbox_len(o)) {
            outbox_pump(o);
            answer(o, &b, 0, true);
        }
        assert_true(outbox_taken(o, last));
        assert_memory_equal(added, b.taken, sizeof added);
        outbox_destroy(o);
    }
}

static void a_mark_waits_for_all_before_it_only(void **st)
{
    (void)st;
    struct bus b = {.n = 0};
    struct outbox *o = outbox_create(send, &b);
    outbox_add(o, item(1, 1));
    outbox_add(o, item(2, 1));
    outbox_pump(o);
    uint64_t mark = outbox_last(o);
    outbox_add(o, item(3, 1));
    assert_false(outbox_taken(o, mark));
    answer(o, &b, 1, true); /* the second */
    assert_false(outbox_taken(o, mark));
    answer(o, &b, 0, true);
    assert_true(outbox_taken(o, mark));
    outbox_destroy(o); /* with one left */
    outbox_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_holds_under_failures),
        cmocka_unit_test(a_mark_waits_for_all_before_it_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

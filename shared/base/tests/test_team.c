/* Threads that share a loop: each item once, on a member of its own, round after round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/team.h>

#define ITEMS 1000

struct loop {
    unsigned times[ITEMS];
    size_t by[AC_TEAM_MAX]; /* items by member; each writes its own */
};

static void count(void *ctx, size_t i, size_t member)
{
    struct loop *l = ctx;
    l->times[i]++;
    l->by[member]++;
}

static void each_item_is_done_once(void **state)
{
    (void)state;
    for (size_t threads = 0; threads < 6; threads++) {
        struct ac_team *t = ac_team_create(threads);
        struct loop l = {0};
        size_t size = ac_team_size(t), sum = 0;
        assert_int_equal(size, threads < 2 ? 1 : threads);
        for (size_t round = 0; round < 50; round++)
            ac_team_run(t, round % 7 ? ITEMS : round % 3, count, &l);
        for (size_t i = 0; i < AC_TEAM_MAX; i++) {
            sum += l.by[i];
            if (i >= size)
                assert_int_equal(l.by[i], 0);
        }
        for (size_t i = 3; i < ITEMS; i++)
            assert_int_equal(l.times[i], 42);
        assert_true(sum >= (size_t)42 * ITEMS);
        ac_team_destroy(t);
    }
}

/* Items that wait for each other: one member alone would never get through. */
struct meeting {
    atomic_size_t here;
    size_t members[3];
    bool met[3];
};

static void meet(void *ctx, size_t i, size_t member)
{
    struct meeting *m = ctx;
    int64_t end = ac_now_ns() + 20 * AC_NS_PER_S;
    m->members[i] = member;
    atomic_fetch_add(&m->here, 1);
    while (!m->met[i] && ac_now_ns() < end) {
        m->met[i] = atomic_load(&m->here) == 3;
        (void)sched_yield();
    }
}

static void members_work_at_the_same_time(void **state)
{
    (void)state;
    struct ac_team *t = ac_team_create(3);
    struct meeting m = {0};
    if (ac_team_size(t) == 3) { /* else the system refuses threads */
        ac_team_run(t, 3, meet, &m);
        for (int i = 0; i < 3; i++)
            assert_true(m.met[i] && m.members[i] < 3 && m.members[i] != m.members[(i + 1) % 3]);
    }
    ac_team_destroy(t);
}

static void processors_are_counted(void **state)
{
    (void)state;
    size_t n = ac_team_processors();
    assert_true(n >= 1 && n <= AC_TEAM_MAX);
    ac_team_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_is_done_once),
        cmocka_unit_test(members_work_at_the_same_time),
        cmocka_unit_test(processors_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

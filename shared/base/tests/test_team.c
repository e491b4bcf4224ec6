/* Threads that share a loop: each item once, on a member of its own, round after round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <aceso/base.h>
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
        cmocka_unit_test(processors_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

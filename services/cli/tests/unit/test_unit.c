#include "unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S 1000000000LL

static void starts_and_gets_healthy(void **state)
{
    (void)state;
    struct cli_unit u;
    cli_unit_init(&u);
    assert_int_equal(cli_unit_next(&u, 0), CLI_UNIT_NONE);
    cli_unit_want(&u, true, 1 * S);
    assert_int_equal(cli_unit_next(&u, 1 * S), CLI_UNIT_START);
    cli_unit_started(&u, 1 * S);
    assert_int_equal(u.state, CLI_UNIT_STARTING);
    assert_int_equal(cli_unit_next(&u, 2 * S), CLI_UNIT_NONE);
    cli_unit_probed(&u, false, 2 * S);
    assert_int_equal(u.state, CLI_UNIT_STARTING);
    cli_unit_probed(&u, true, 3 * S);
    assert_int_equal(u.state, CLI_UNIT_HEALTHY);
}

static void dies_again_and_again_waits_longer(void **state)
{
    (void)state;
    struct cli_unit u;
    cli_unit_init(&u);
    cli_unit_want(&u, true, 0);
    int64_t now = 0, wait = CLI_UNIT_BACKOFF_MIN_NS;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(cli_unit_next(&u, now), CLI_UNIT_START);
        cli_unit_started(&u, now);
        cli_unit_exited(&u, 256, now);
        assert_int_equal(u.state, CLI_UNIT_FAILED);
        assert_int_equal(cli_unit_next(&u, now + wait - 1), CLI_UNIT_NONE);
        now += wait;
        wait = wait * 2 > CLI_UNIT_BACKOFF_MAX_NS ? CLI_UNIT_BACKOFF_MAX_NS : wait * 2;
    }
    assert_int_equal(u.restarts, 10);
    cli_unit_started(&u, now);
    cli_unit_probed(&u, true, now);
    now += CLI_UNIT_SETTLED_NS;
    cli_unit_exited(&u, 9, now);
    assert_int_equal(cli_unit_next(&u, now + CLI_UNIT_BACKOFF_MIN_NS), CLI_UNIT_START);
}

static void a_start_without_end_and_a_silent_process_are_killed(void **state)
{
    (void)state;
    struct cli_unit u;
    cli_unit_init(&u);
    cli_unit_want(&u, true, 0);
    (void)cli_unit_next(&u, 0);
    cli_unit_started(&u, 0);
    assert_int_equal(cli_unit_next(&u, CLI_UNIT_START_LIMIT_NS), CLI_UNIT_KILL);
    assert_int_equal(cli_unit_next(&u, CLI_UNIT_START_LIMIT_NS), CLI_UNIT_NONE); /* once */
    cli_unit_exited(&u, 9, 61 * S);
    assert_int_equal(cli_unit_next(&u, 62 * S), CLI_UNIT_START);
    cli_unit_started(&u, 62 * S);
    cli_unit_probed(&u, true, 63 * S);
    cli_unit_probed(&u, false, 64 * S);
    assert_int_equal(u.state, CLI_UNIT_HEALTHY);
    cli_unit_probed(&u, true, 65 * S); /* one lost probe is forgiven */
    assert_int_equal(cli_unit_next(&u, 90 * S), CLI_UNIT_NONE);
    cli_unit_probed(&u, false, 90 * S);
    assert_int_equal(cli_unit_next(&u, 90 * S + CLI_UNIT_SICK_LIMIT_NS), CLI_UNIT_KILL);
}

static void stops_with_grace_then_kill(void **state)
{
    (void)state;
    struct cli_unit u;
    cli_unit_init(&u);
    cli_unit_want(&u, true, 0);
    (void)cli_unit_next(&u, 0);
    cli_unit_started(&u, 0);
    cli_unit_probed(&u, true, 1 * S);
    cli_unit_want(&u, false, 2 * S);
    assert_int_equal(cli_unit_next(&u, 2 * S), CLI_UNIT_TERM);
    assert_int_equal(cli_unit_next(&u, 3 * S), CLI_UNIT_NONE);
    assert_int_equal(cli_unit_next(&u, 2 * S + CLI_UNIT_STOP_GRACE_NS), CLI_UNIT_KILL);
    cli_unit_exited(&u, 9, 12 * S);
    assert_int_equal(u.state, CLI_UNIT_STOPPED);
    assert_int_equal(u.restarts, 0);
    assert_int_equal(cli_unit_next(&u, 100 * S), CLI_UNIT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_and_gets_healthy),
        cmocka_unit_test(dies_again_and_again_waits_longer),
        cmocka_unit_test(a_start_without_end_and_a_silent_process_are_killed),
        cmocka_unit_test(stops_with_grace_then_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

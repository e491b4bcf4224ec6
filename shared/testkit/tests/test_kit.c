#include <string.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/testkit.h>

struct seen {
    struct ac_kit_clock *c;
    int64_t at[16];
    int n;
};

static void note(void *arg)
{
    struct seen *s = arg;
    s->at[s->n++] = ac_kit_clock_now(s->c);
}

static void note_and_set_another(void *arg)
{
    struct seen *s = arg;
    note(arg);
    if (s->n < 4)
        ac_kit_clock_at(s->c, ac_kit_clock_now(s->c) + 10, note_and_set_another, s);
}

static void virtual_time_moves_only_when_told(void **state)
{
    (void)state;
    struct ac_kit_clock *c = ac_kit_clock_create(1000);
    const struct ac_clock *port = ac_kit_clock_port(c);
    struct seen s = {.c = c};
    assert_int_equal(port->now_ns(port->self), 0);
    assert_int_equal(port->wall_ns(port->self), 1000);
    assert_false(ac_kit_clock_step(c));
    ac_kit_clock_at(c, 30, note, &s);
    uint64_t gone = ac_kit_clock_at(c, 20, note, &s);
    ac_kit_clock_at(c, 10, note, &s);
    assert_true(ac_kit_clock_cancel(c, gone));
    assert_false(ac_kit_clock_cancel(c, gone));
    ac_kit_clock_advance(c, 29);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.at[0], 10);
    assert_int_equal(ac_kit_clock_now(c), 29);
    assert_true(ac_kit_clock_step(c));
    assert_int_equal(s.at[1], 30);
    ac_kit_clock_step_wall(c, -500);
    assert_int_equal(port->wall_ns(port->self), 530);
    assert_int_equal(port->now_ns(port->self), 30);
    ac_kit_clock_destroy(c);
    ac_kit_clock_destroy(NULL);
}

static void timers_may_set_timers(void **state)
{
    (void)state;
    struct ac_kit_clock *c = ac_kit_clock_create(0);
    struct seen s = {.c = c};
    ac_kit_clock_at(c, 5, note_and_set_another, &s);
    ac_kit_clock_advance(c, 100);
    assert_int_equal(s.n, 4);
    assert_int_equal(s.at[3], 35);
    assert_int_equal(ac_kit_clock_now(c), 100);
    ac_kit_clock_at(c, 50, note, &s); /* past: time does not go back */
    ac_kit_clock_step(c);
    assert_int_equal(s.at[4], 100);
    assert_true(ac_kit_clock_next(c) == INT64_MAX);
    ac_kit_clock_destroy(c);
}

static void equal_times_run_in_order_of_setting(void **state)
{
    (void)state;
    struct ac_kit_clock *c = ac_kit_clock_create(0);
    struct seen s[3] = {{.c = c}, {.c = c}, {.c = c}};
    for (int i = 0; i < 3; i++)
        ac_kit_clock_at(c, 7, note, &s[i]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s[i].n, 0);
        ac_kit_clock_step(c);
        assert_int_equal(s[i].n, 1);
    }
    ac_kit_clock_destroy(c);
}

static int three_allocations(void *arg)
{
    int *runs = arg;
    (*runs)++;
    void *p[3] = {ac_try_malloc(1), ac_try_calloc(1, 1), ac_try_realloc(NULL, 1)};
    int rc = p[0] && p[1] && p[2] ? 0 : AC_ENOMEM;
    for (int i = 0; i < 3; i++)
        free(p[i]);
    return rc;
}

static void sweep_fails_each_allocation_once(void **state)
{
    (void)state;
    int runs = 0;
    assert_int_equal(ac_kit_alloc_sweep(three_allocations, &runs), 3);
    assert_int_equal(runs, 4);
    assert_int_equal(three_allocations(&runs), 0);
}

static void seeds_repeat(void **state)
{
    (void)state;
    struct ac_rng a = ac_kit_rng(1), b = ac_kit_rng(1), c = ac_kit_rng(2);
    assert_true(ac_rng_u64(&a) == ac_rng_u64(&b));
    assert_true(ac_rng_u64(&a) != ac_rng_u64(&c));
}

static bool exists(void *path)
{
    return ac_path_exists(path);
}

static void files_ports_and_waiting(void **state)
{
    (void)state;
    ac_cleanup(ac_free_p) char *path = ac_kit_file("x", "text");
    assert_true(ac_kit_wait(exists, path, 0));
    char *none = path;
    none[strlen(none) - 1] = 'y';
    assert_false(ac_kit_wait(exists, none, 5 * AC_NS_PER_MS));
    assert_in_range(ac_kit_free_port(), 1024, 65535);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(virtual_time_moves_only_when_told),
        cmocka_unit_test(timers_may_set_timers),
        cmocka_unit_test(equal_times_run_in_order_of_setting),
        cmocka_unit_test(sweep_fails_each_allocation_once),
        cmocka_unit_test(seeds_repeat),
        cmocka_unit_test(files_ports_and_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

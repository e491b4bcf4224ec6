/* The engine on a virtual clock: windows, order, pages, codes, and a controller that goes away. */
#include "engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE 1024u

struct log {
    uint64_t id[1024];
    int status[1024];
    int n;
};
static struct log logged;

static void done(void *self, const struct wk_action *a, const struct wk_outcome *o)
{
    (void)self;
    logged.id[logged.n] = a->id;
    logged.status[logged.n++] = o->status;
}

static struct wk_engine *make(uint32_t pages)
{
    struct wk_engine_ports p = {.done = done};
    struct wk_engine *e = wk_engine_create(pages, PAGE, 8, &p);
    logged.n = 0;
    for (uint32_t m = 0; m < 3; m++)
        wk_engine_model_set(e, m, PAGE * (m + 1), 0x3);
    return e;
}

static void ask(struct wk_engine *e, int64_t now, uint64_t id, enum wk_kind kind, uint32_t model,
                int64_t earliest, int64_t latest)
{
    struct wk_action a = {
        .id = id, .kind = kind, .model = model, .earliest_ns = earliest, .latest_ns = latest};
    wk_engine_submit(e, now, &a);
}

static void end(struct wk_engine *e, enum wk_lane lane, int status)
{
    struct wk_outcome o = {.status = status};
    wk_engine_finish(e, lane, &o);
}

static void load(struct wk_engine *e, uint64_t id, uint32_t model)
{
    struct wk_action a;
    int64_t wake;
    ask(e, 0, id, WK_LOAD, model, 0, 1000);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    end(e, WK_LANE_LOAD, WK_ST_OK);
}

static void test_windows(void **state)
{
    (void)state;
    struct wk_engine *e = make(6);
    struct wk_action a;
    int64_t wake;
    load(e, 1, 0);
    assert_int_equal(logged.status[0], WK_ST_OK);
    ask(e, 0, 2, WK_INFER, 0, 100, 200);
    ask(e, 0, 3, WK_INFER, 0, 50, 60);
    ask(e, 0, 4, WK_INFER, 0, 100, 1000);
    assert_false(wk_engine_start(e, WK_LANE_EXEC, 10, &a, &wake));
    assert_int_equal(wake, 50);
    /* The second's window is over, the first's opens. */
    assert_true(wk_engine_start(e, WK_LANE_EXEC, 150, &a, &wake));
    assert_int_equal(a.id, 2);
    assert_int_equal(logged.id[1], 3);
    assert_int_equal(logged.status[1], WK_ST_EXEC_LATE);
    end(e, WK_LANE_EXEC, WK_ST_OK);
    assert_true(wk_engine_start(e, WK_LANE_EXEC, 900, &a, &wake));
    assert_int_equal(a.id, 4);
    end(e, WK_LANE_EXEC, WK_ST_EXEC_FAILED);
    assert_int_equal(logged.status[3], WK_ST_EXEC_FAILED);
    wk_engine_destroy(e);
}

static void test_what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct wk_engine *e = make(6);
    struct wk_action a;
    int64_t wake;
    ask(e, 0, 1, WK_INFER, 7, 0, 10);
    ask(e, 0, 2, WK_INFER, 4000, 0, 10);
    ask(e, 0, 3, WK_INFER, 0, 10, 0);
    ask(e, 0, 4, 9, 0, 0, 10);
    wk_engine_submit(e, 0,
                     &(struct wk_action){.id = 5, .kind = WK_INFER, .batch = 4, .latest_ns = 10});
    int want[] = {WK_ST_UNKNOWN_MODEL, WK_ST_UNKNOWN_MODEL, WK_ST_INVALID, WK_ST_INVALID,
                  WK_ST_INVALID};
    for (int i = 0; i < 5; i++)
        assert_int_equal(logged.status[i], want[i]);
    ask(e, 0, 6, WK_INFER, 0, 0, 10);
    ask(e, 0, 7, WK_UNLOAD, 0, 0, 10);
    assert_false(wk_engine_start(e, WK_LANE_EXEC, 0, &a, &wake));
    assert_false(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_int_equal(logged.status[5], WK_ST_WEIGHTS_MISSING);
    assert_int_equal(logged.status[6], WK_ST_NOT_LOADED);
    for (uint64_t i = 0; i <= WK_ENGINE_QUEUE; i++)
        ask(e, 0, 100 + i, WK_INFER, 0, 0, 10);
    assert_int_equal(logged.status[7], WK_ST_QUEUE_FULL);
    wk_engine_destroy(e);
}

/* With overlap an execution may begin once its load runs; until then others go first. */
static void test_executions_begin_beside_their_load(void **state)
{
    (void)state;
    struct wk_engine *e = make(6);
    struct wk_action a;
    int64_t wake;
    wk_engine_overlap(e);
    load(e, 1, 0);
    ask(e, 0, 2, WK_LOAD, 1, 0, 1000);
    ask(e, 0, 3, WK_LOAD, 2, 0, 1000);
    ask(e, 0, 4, WK_INFER, 2, 10, 100); /* its load waits behind another */
    ask(e, 0, 5, WK_INFER, 1, 20, 100);
    ask(e, 0, 6, WK_INFER, 0, 30, 100);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_false(wk_engine_start(e, WK_LANE_EXEC, 15, &a, &wake));
    assert_int_equal(wake, 20);
    assert_true(wk_engine_start(e, WK_LANE_EXEC, 50, &a, &wake));
    assert_int_equal(a.id, 5);
    /* It ends before its load is known to have ended, as it may. */
    end(e, WK_LANE_EXEC, WK_ST_OK);
    assert_true(wk_engine_start(e, WK_LANE_EXEC, 60, &a, &wake));
    assert_int_equal(a.id, 6);
    end(e, WK_LANE_EXEC, WK_ST_OK);
    assert_false(wk_engine_start(e, WK_LANE_EXEC, 70, &a, &wake));
    assert_int_equal(wake, 101); /* when it will be too late */
    end(e, WK_LANE_LOAD, WK_ST_OK);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 80, &a, &wake));
    assert_true(wk_engine_start(e, WK_LANE_EXEC, 80, &a, &wake));
    assert_int_equal(a.id, 4);
    /* What it reads is not unloaded under it. */
    end(e, WK_LANE_LOAD, WK_ST_OK);
    ask(e, 80, 7, WK_UNLOAD, 2, 0, 1000);
    assert_false(wk_engine_start(e, WK_LANE_LOAD, 80, &a, &wake));
    end(e, WK_LANE_EXEC, WK_ST_OK);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 80, &a, &wake));
    end(e, WK_LANE_LOAD, WK_ST_OK);
    /* No load is under way, and none will be. */
    ask(e, 90, 8, WK_INFER, 2, 0, 1000);
    assert_false(wk_engine_start(e, WK_LANE_EXEC, 90, &a, &wake));
    assert_int_equal(logged.id[logged.n - 1], 8);
    assert_int_equal(logged.status[logged.n - 1], WK_ST_WEIGHTS_MISSING);
    wk_engine_destroy(e);
}

/* Its pages are taken by nobody while the execution may read them. */
static void test_pages_of_a_failed_load_are_kept_for_its_execution(void **state)
{
    (void)state;
    struct wk_engine *e = make(3);
    struct wk_action a;
    int64_t wake;
    wk_engine_overlap(e);
    ask(e, 0, 1, WK_LOAD, 2, 0, 1000);
    ask(e, 0, 2, WK_INFER, 2, 0, 1000);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_true(wk_engine_start(e, WK_LANE_EXEC, 0, &a, &wake));
    end(e, WK_LANE_LOAD, WK_ST_LOAD_FAILED);
    assert_int_equal(wk_engine_pages_free(e), 0);
    ask(e, 0, 3, WK_LOAD, 2, 0, 1000);
    assert_false(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    end(e, WK_LANE_EXEC, WK_ST_WEIGHTS_LOST);
    assert_int_equal(logged.status[1], WK_ST_WEIGHTS_LOST);
    assert_int_equal(wk_engine_pages_free(e), 3);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_int_equal(a.id, 3);
    end(e, WK_LANE_LOAD, WK_ST_OK);
    assert_int_equal(wk_engine_pages_free(e), 0);
    wk_engine_destroy(e);
}

/* A slot that is free again takes nothing over from the model that had it. */
static void test_a_cleared_slot_refuses_what_waited(void **state)
{
    (void)state;
    struct wk_engine *e = make(6);
    struct wk_action a;
    int64_t wake;
    load(e, 1, 0);
    ask(e, 0, 2, WK_INFER, 0, 100, 200);
    ask(e, 0, 3, WK_INFER, 1, 100, 200);
    ask(e, 0, 4, WK_LOAD, 0, 100, 200);
    ask(e, 0, 5, WK_UNLOAD, 0, 0, 10);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    end(e, WK_LANE_LOAD, WK_ST_OK);
    logged.n = 0;
    assert_true(wk_engine_model_clear(e, 0, 0));
    assert_int_equal(logged.n, 2);
    assert_int_equal(logged.status[0], WK_ST_UNKNOWN_MODEL);
    assert_int_equal(logged.id[0] + logged.id[1], 2 + 4);
    wk_engine_model_set(e, 0, PAGE, 0x3);
    load(e, 6, 0);
    assert_false(wk_engine_start(e, WK_LANE_EXEC, 150, &a, &wake)); /* 3: model 1 is not there */
    assert_int_equal(logged.id[3], 3);
    wk_engine_destroy(e);
}

/* A model leaves once nothing reads or writes its weights: not while an execution ends whose load
 * has failed, nor when a load that waited has begun after the unload. */
static void test_a_slot_is_cleared_when_nothing_runs(void **state)
{
    (void)state;
    struct wk_engine *e = make(6);
    struct wk_action a;
    int64_t wake;
    wk_engine_overlap(e);
    ask(e, 0, 1, WK_LOAD, 0, 0, 1000);
    ask(e, 0, 2, WK_INFER, 0, 0, 1000);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_true(wk_engine_start(e, WK_LANE_EXEC, 0, &a, &wake));
    end(e, WK_LANE_LOAD, WK_ST_LOAD_FAILED);
    assert_false(wk_engine_model_clear(e, 0, 0));
    ask(e, 0, 0, WK_UNLOAD, 0, 0, 1000);
    assert_false(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake)); /* it waits */
    assert_int_equal(logged.n, 1);
    end(e, WK_LANE_EXEC, WK_ST_WEIGHTS_LOST);
    assert_false(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_int_equal(logged.status[2], WK_ST_NOT_LOADED);
    ask(e, 0, 3, WK_LOAD, 0, 0, 1000);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_false(wk_engine_model_clear(e, 0, 0));
    end(e, WK_LANE_LOAD, WK_ST_OK);
    assert_false(wk_engine_model_clear(e, 0, 0));
    ask(e, 0, 0, WK_UNLOAD, 0, 0, 1000);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    end(e, WK_LANE_LOAD, WK_ST_OK);
    assert_true(wk_engine_model_clear(e, 0, 0));
    assert_int_equal(wk_engine_pages_free(e), 6);
    wk_engine_destroy(e);
}

/* More resident models than the controller may have actions waiting: all leave all the same. */
static void test_reset_unloads_any_number(void **state)
{
    (void)state;
    enum {
        N = 2 * WK_ENGINE_QUEUE
    };
    struct wk_engine_ports p = {.done = done};
    struct wk_engine *e = wk_engine_create(N, PAGE, N, &p);
    struct wk_action a;
    int64_t wake;
    for (uint32_t m = 0; m < N; m++) {
        logged.n = 0;
        wk_engine_model_set(e, m, PAGE, 1);
        load(e, m + 1, m);
    }
    assert_int_equal(wk_engine_pages_free(e), 0);
    logged.n = 0;
    ask(e, 0, 9999, WK_LOAD, 0, 0, INT64_MAX);
    wk_engine_reset(e, 0);
    assert_int_equal(logged.status[0], WK_ST_DROPPED);
    ask(e, 0, 10000, WK_LOAD, 0, 0, INT64_MAX);
    for (uint32_t m = 0; m < N; m++) {
        assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
        assert_int_equal(a.kind, WK_UNLOAD);
        end(e, WK_LANE_LOAD, WK_ST_OK);
        logged.n = 0;
    }
    assert_int_equal(wk_engine_pages_free(e), N);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_int_equal(a.id, 10000);
    wk_engine_destroy(e);
}

static void test_pages(void **state)
{
    (void)state;
    struct wk_engine *e = make(4);
    struct wk_action a;
    int64_t wake;
    load(e, 1, 2);
    assert_int_equal(wk_engine_pages_free(e), 1);
    ask(e, 0, 2, WK_LOAD, 2, 0, 10);
    ask(e, 0, 3, WK_LOAD, 1, 0, 10);
    assert_false(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_int_equal(logged.status[1], WK_ST_ALREADY_LOADED);
    assert_int_equal(logged.status[2], WK_ST_NO_PAGES);
    ask(e, 0, 4, WK_UNLOAD, 2, 0, INT64_MAX);
    ask(e, 0, 5, WK_LOAD, 1, 0, 10);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    end(e, WK_LANE_LOAD, WK_ST_OK);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    assert_int_equal(a.id, 5);
    end(e, WK_LANE_LOAD, WK_ST_LOAD_FAILED);
    assert_int_equal(wk_engine_pages_free(e), 4);
    assert_false(wk_engine_resident(e, 1));
    wk_engine_destroy(e);
}

static void test_unload_waits_for_the_execution(void **state)
{
    (void)state;
    struct wk_engine *e = make(6);
    struct wk_action a;
    int64_t wake;
    load(e, 1, 0);
    ask(e, 0, 2, WK_INFER, 0, 0, 10);
    assert_true(wk_engine_start(e, WK_LANE_EXEC, 0, &a, &wake));
    ask(e, 0, 3, WK_UNLOAD, 0, 0, 1000);
    assert_false(wk_engine_start(e, WK_LANE_LOAD, 5, &a, &wake));
    assert_int_equal(wake, INT64_MAX);
    end(e, WK_LANE_EXEC, WK_ST_OK);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 6, &a, &wake));
    end(e, WK_LANE_LOAD, WK_ST_OK);
    assert_int_equal(wk_engine_pages_free(e), 6);
    wk_engine_destroy(e);
}

static void test_reset_leaves_nothing(void **state)
{
    (void)state;
    struct wk_engine *e = make(6);
    struct wk_action a;
    int64_t wake;
    load(e, 1, 0);
    ask(e, 0, 2, WK_INFER, 0, 0, 10);
    assert_true(wk_engine_start(e, WK_LANE_EXEC, 0, &a, &wake));
    ask(e, 0, 3, WK_INFER, 0, 0, 10);
    ask(e, 0, 4, WK_LOAD, 1, 0, 10);
    assert_true(wk_engine_start(e, WK_LANE_LOAD, 0, &a, &wake));
    logged.n = 0;
    wk_engine_reset(e, 5);
    assert_int_equal(logged.n, 1);
    assert_int_equal(logged.status[0], WK_ST_DROPPED);
    end(e, WK_LANE_EXEC, WK_ST_OK);
    end(e, WK_LANE_LOAD, WK_ST_OK);
    assert_int_equal(logged.status[1], WK_ST_DROPPED);
    /* A new controller's load of the same model comes after the unloads. */
    ask(e, 6, 5, WK_LOAD, 0, 6, 10);
    while (wk_engine_start(e, WK_LANE_LOAD, 6, &a, &wake))
        end(e, WK_LANE_LOAD, WK_ST_OK);
    assert_int_equal(wk_engine_pages_free(e), 5);
    assert_true(wk_engine_resident(e, 0));
    assert_false(wk_engine_resident(e, 1));
    wk_engine_destroy(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
        cmocka_unit_test(test_executions_begin_beside_their_load),
        cmocka_unit_test(test_pages_of_a_failed_load_are_kept_for_its_execution),
        cmocka_unit_test(test_a_cleared_slot_refuses_what_waited),
        cmocka_unit_test(test_a_slot_is_cleared_when_nothing_runs),
        cmocka_unit_test(test_reset_unloads_any_number),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_unload_waits_for_the_execution),
        cmocka_unit_test(test_reset_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

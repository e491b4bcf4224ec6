/* Requests against a model, the catalog of models, and the clocks of workers. */
#include "catalog.h"
#include "peer_clock.h"
#include "tenants.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rng.h>
#include <aceso/testkit.h>

static struct wk_model_info two_inputs(void)
{
    struct wk_model_info m = {.n_inputs = 2, .n_outputs = 2, .batched = true};
    m.inputs[0] = (struct wk_io_info){
        .name = "a", .dtype = WK_F32, .rank = 2, .dims = {-1, 3}, .row_bytes = 12};
    m.inputs[1] =
        (struct wk_io_info){.name = "b", .dtype = WK_I64, .rank = 1, .dims = {-1}, .row_bytes = 8};
    m.outputs[0] = (struct wk_io_info){
        .name = "x", .dtype = WK_F32, .rank = 2, .dims = {-1, 1}, .row_bytes = 4};
    m.outputs[1] = (struct wk_io_info){
        .name = "y", .dtype = WK_F32, .rank = 2, .dims = {-1, 1}, .row_bytes = 4};
    return m;
}

static const char bytes[256];
static const int64_t shape_a[] = {2, 3}, shape_b[] = {2}, shape_b3[] = {3};

static int check(const struct ctl_tensor *in, size_t n, const char *const *out, size_t n_out,
                 struct ctl_infer *r, struct ac_err *err)
{
    struct wk_model_info m = two_inputs();
    struct ctl_infer_args args = {
        .model = "m", .inputs = in, .n_inputs = n, .outputs = out, .n_outputs = n_out};
    return ctl_infer_check(&m, 16, &args, r, err);
}

static void test_inputs_come_in_any_order(void **state)
{
    (void)state;
    const struct ctl_tensor in[] = {
        {.name = "b", .datatype = "INT64", .shape = shape_b, .rank = 1, .data = bytes, .len = 16},
        {.name = "a",
         .datatype = "FP32",
         .shape = shape_a,
         .rank = 2,
         .data = bytes + 16,
         .len = 24},
    };
    struct ctl_infer r;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(check(in, 2, NULL, 0, &r, &err), 0);
    assert_int_equal(r.rows, 2);
    assert_ptr_equal(r.inputs[0], bytes + 16);
    assert_ptr_equal(r.inputs[1], bytes);
    assert_int_equal(r.n_outputs, 2);
    const char *const out[] = {"y"};
    assert_int_equal(check(in, 2, out, 1, &r, &err), 0);
    assert_int_equal(r.n_outputs, 1);
    assert_int_equal(r.outputs[0], 1);
    const char *const twice[] = {"y", "y"};
    assert_int_equal(check(in, 2, twice, 2, &r, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, "asked for twice"));
}

static void test_rows_must_agree(void **state)
{
    (void)state;
    const struct ctl_tensor in[] = {
        {.name = "a", .datatype = "FP32", .shape = shape_a, .rank = 2, .data = bytes, .len = 24},
        {.name = "b", .datatype = "INT64", .shape = shape_b3, .rank = 1, .data = bytes, .len = 24},
    };
    struct ctl_infer r = {.rows = 77};
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(check(in, 2, NULL, 0, &r, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, "has 3 rows, another one has 2"));
    assert_int_equal(r.rows, 77); /* outputs are untouched on failure */
    assert_int_equal(check(in, 1, NULL, 0, &r, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, "\"b\" of model \"m\" is missing"));
}

/* Whatever shapes come, what is accepted has exactly the bytes that its rows need. */
static void test_any_shape_is_safe(void **state)
{
    (void)state;
    static const int64_t odd[] = {INT64_MIN, -2, -1, 0, 1, 2, 3, 16, 17, 1 << 20, INT64_MAX};
    struct ac_rng rng;
    ac_rng_seed(&rng, 11);
    struct wk_model_info m = two_inputs();
    m.n_inputs = 1;
    uint32_t accepted = 0;
    for (int i = 0; i < 20000; i++) {
        int64_t shape[4];
        struct ctl_tensor t = {.name = "a", .datatype = "FP32", .shape = shape, .data = bytes};
        t.rank = ac_rng_below(&rng, 5);
        for (size_t k = 0; k < t.rank; k++)
            shape[k] = odd[ac_rng_below(&rng, AC_ARRAY_LEN(odd))];
        t.len = 12 * ac_rng_below(&rng, 20);
        struct ctl_infer_args args = {.model = "m", .inputs = &t, .n_inputs = 1};
        struct ctl_infer r;
        if (ctl_infer_check(&m, 16, &args, &r, NULL) != 0)
            continue;
        accepted++;
        assert_in_range(r.rows, 1, 16);
        assert_int_equal(t.len, 12 * r.rows);
    }
    assert_true(accepted > 5);
}

static void test_a_fixed_batch_takes_its_shape_alone(void **state)
{
    (void)state;
    struct wk_model_info m = {.n_inputs = 1, .n_outputs = 1};
    m.inputs[0] =
        (struct wk_io_info){.name = "a", .dtype = WK_U8, .rank = 2, .dims = {2, 3}, .row_bytes = 6};
    const int64_t other[] = {1, 3};
    struct ctl_tensor t = {
        .name = "a", .datatype = "UINT8", .shape = shape_a, .rank = 2, .data = bytes, .len = 6};
    struct ctl_infer_args args = {.model = "m", .inputs = &t, .n_inputs = 1};
    struct ctl_infer r;
    assert_int_equal(ctl_infer_check(&m, 1, &args, &r, NULL), 0);
    assert_int_equal(r.rows, 1);
    t.shape = other;
    assert_int_equal(ctl_infer_check(&m, 1, &args, &r, NULL), AC_EINVAL);
}

static void test_rows_that_fit_in_a_message(void **state)
{
    (void)state;
    struct wk_model_info m = two_inputs();
    assert_int_equal(ctl_model_max_rows(&m, 0, 1u << 20), 16);
    assert_int_equal(ctl_model_max_rows(&m, 4, 1u << 20), 4);
    assert_int_equal(ctl_model_max_rows(&m, 64, 1u << 20), 16);
    m.outputs[1].row_bytes = 500000;
    assert_int_equal(ctl_model_max_rows(&m, 0, 1u << 20), 2);
    m.outputs[1].row_bytes = 300000; /* three rows would fit, but there is no batch of three */
    assert_int_equal(ctl_model_max_rows(&m, 0, 1u << 20), 2);
    assert_int_equal(ctl_model_max_rows(&m, 1, 1u << 20), 1);
    m.outputs[1].row_bytes = 100000;
    assert_int_equal(ctl_model_max_rows(&m, 3, 1u << 20), 3);
    assert_int_equal(ctl_batch_for(3), 4);
    assert_int_equal(ctl_batch_for(16), 16);
    m.outputs[1].row_bytes = 2000000;
    assert_int_equal(ctl_model_max_rows(&m, 0, 1u << 20), 0);
    m = two_inputs();
    m.batched = false;
    assert_int_equal(ctl_model_max_rows(&m, 8, 1u << 20), 1);
}

/* ---- catalog ---- */

struct world {
    uint32_t added, retired, last_retired;
};

static uint32_t on_add(void *self, struct ctl_model *m)
{
    struct world *w = self;
    (void)m;
    return w->added++;
}

static void on_retire(void *self, struct ctl_model *m)
{
    struct world *w = self;
    assert_true(m->retired);
    w->retired++;
    w->last_retired = m->number;
}

static struct ctl_found found(const char *name, const char *version, const char *sha,
                              const char *error)
{
    struct ctl_found f = {.path = ac_xasprintf("%s/%s", name, version), .max_rows = 16};
    snprintf(f.name, sizeof(f.name), "%s", name);
    snprintf(f.version, sizeof(f.version), "%s", version);
    snprintf(f.sha256, sizeof(f.sha256), "%s", sha);
    snprintf(f.error, sizeof(f.error), "%s", error);
    return f;
}

static void merge(struct ctl_catalog *c, struct ctl_found *f, size_t n)
{
    ctl_catalog_merge(c, f, n);
    for (size_t i = 0; i < n; i++)
        ctl_found_fini(&f[i]);
}

static void test_a_scan_is_merged(void **state)
{
    (void)state;
    struct world w = {0};
    struct ctl_catalog_ports ports = {.self = &w, .add = on_add, .retire = on_retire};
    struct ctl_catalog *c = ctl_catalog_create(&ports);
    struct ctl_found first[] = {found("b", "10", "s1", ""), found("b", "9", "s2", ""),
                                found("a", "1", "s3", ""), found("bad", "1", "", "no graph")};
    merge(c, first, 4);
    assert_int_equal(w.added, 3);
    assert_string_equal(ctl_catalog_at(c, 0)->what.name, "a");
    assert_string_equal(ctl_catalog_find(c, "b", "")->what.version, "10"); /* numbers, not text */
    assert_string_equal(ctl_catalog_find(c, "b", "9")->what.sha256, "s2");
    assert_null(ctl_catalog_find(c, "b", "8"));
    assert_null(ctl_catalog_find(c, "", ""));
    assert_int_equal(ctl_model_state(ctl_catalog_find(c, "bad", NULL), 1), CTL_MODEL_UNAVAILABLE);
    assert_string_equal(ctl_model_reason(ctl_catalog_find(c, "bad", NULL), 1), "no graph");

    uint32_t b10 = ctl_catalog_find(c, "b", "10")->number, a = ctl_catalog_find(c, "a", "")->number;
    struct ctl_found second[] = {found("b", "10", "changed", ""), found("a", "1", "s3", ""),
                                 found("bad", "1", "s9", "")};
    merge(c, second, 3);
    assert_int_equal(w.retired, 2); /* b 10 changed, b 9 is gone */
    assert_int_equal(ctl_catalog_find(c, "a", "")->number, a);
    assert_true(ctl_catalog_find(c, "b", "10")->number != b10);
    assert_true(ctl_catalog_by_number(c, b10)->retired);
    assert_true(ctl_catalog_find(c, "bad", "")->number != CTL_NO_NUMBER);

    struct ctl_model *m = ctl_catalog_find(c, "a", "");
    assert_int_equal(ctl_model_state(m, 0), CTL_MODEL_LOADING);
    m->failed = 1;
    assert_int_equal(ctl_model_state(m, 1), CTL_MODEL_UNAVAILABLE);
    assert_int_equal(ctl_model_state(m, 3), CTL_MODEL_LOADING);
    m->able = 2;
    assert_int_equal(ctl_model_state(m, 3), CTL_MODEL_READY);
    merge(c, NULL, 0);
    assert_null(ctl_catalog_at(c, 0));
    ctl_catalog_destroy(c);
}

static void test_names_and_versions(void **state)
{
    (void)state;
    assert_true(ctl_name_ok("resnet50-v1.5_x"));
    assert_false(ctl_name_ok(""));
    assert_false(ctl_name_ok(".git"));
    assert_false(ctl_name_ok("a/b"));
    assert_false(ctl_name_ok("a b"));
    assert_true(ctl_version_ok("10"));
    assert_false(ctl_version_ok("0"));
    assert_false(ctl_version_ok("01"));
    assert_false(ctl_version_ok("1a"));
    assert_false(ctl_version_ok("99999999999999999999999"));
}

static void test_max_batch_of_a_configuration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc, value;
        const char *msg;
    } cases[] = {
        {"", 0, -1, ""},
        {"name: \"x\"\nmax_batch_size: 8\n", 0, 8, ""},
        {"max_batch_size : 0", 0, 0, ""},
        {"a { max_batch_size: 3 } max_batch_size: 5", 0, 5, ""},
        {"# max_batch_size: 9\nname: 'max_batch_size: 4 { \\' '", 0, -1, ""},
        {"my_max_batch_size: 3 max_batch_size_x: 4", 0, -1, ""},
        {"\nmax_batch_size: eight", AC_EINVAL, 0, "config.pbtxt:2: max_batch_size needs"},
        {"max_batch_size: 99999999999", AC_EINVAL, 0, "needs a whole number"},
        {"input [ {", AC_EINVAL, 0, "is not closed"},
        {"}\n", AC_EINVAL, 0, "config.pbtxt:1: a bracket too many"},
        {"name: \"x", AC_EINVAL, 0, "a string does not end"},
        {"name: \"x\\", AC_EINVAL, 0, "a string does not end"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(cases); i++) {
        struct ac_err err = AC_ERR_INIT;
        int v = -7;
        assert_int_equal(ctl_config_max_batch(cases[i].text, &v, &err), cases[i].rc);
        if (cases[i].rc)
            assert_non_null(strstr(err.msg, cases[i].msg));
        else
            assert_int_equal(v, cases[i].value);
    }
}

/* ---- clocks ---- */

static void test_the_quickest_exchange_tells_best(void **state)
{
    (void)state;
    struct ctl_peer_clock c = {0};
    const int64_t ahead = 5000000000;
    struct ac_rng rng;
    ac_rng_seed(&rng, 3);
    for (int i = 0; i < 100; i++) {
        int64_t sent = i * 1000000, there = 100000 + (int64_t)(ac_rng_exponential(&rng) * 300000);
        int64_t back = 100000 + (int64_t)(ac_rng_exponential(&rng) * 300000), held = 20000;
        assert_true(ctl_peer_clock_add(&c, sent, sent + there + ahead, sent + there + held + ahead,
                                       sent + there + held + back));
    }
    assert_in_range(c.round_trip_ns, 200000, 500000);
    int64_t off = ctl_peer_clock_theirs(&c, 0) - ahead;
    assert_true(off > -150000 && off < 150000);
    assert_int_equal(ctl_peer_clock_ours(&c, ctl_peer_clock_theirs(&c, 123456)), 123456);
    assert_int_equal(ctl_peer_clock_theirs(&c, INT64_MAX), INT64_MAX);
    assert_int_equal(ctl_peer_clock_ours(&c, INT64_MIN + 1), INT64_MIN);
}

static void test_stamps_that_cannot_be_true_are_ignored(void **state)
{
    (void)state;
    struct ctl_peer_clock c = {0};
    assert_false(ctl_peer_clock_add(&c, 100, 50, 40, 200));       /* sent before received */
    assert_false(ctl_peer_clock_add(&c, 100, 0, 200, 200));       /* held longer than it took */
    assert_false(ctl_peer_clock_add(&c, 100, -1, 0, 200));        /* before time */
    assert_false(ctl_peer_clock_add(&c, 100, 1, INT64_MAX, 200)); /* behind it */
    assert_false(ctl_peer_clock_add(&c, 300, 1, 2, 200));         /* back before it went */
    assert_false(ctl_peer_clock_add(&c, 100, INT64_MAX, INT64_MIN, 200));
    assert_int_equal(c.n, 0);
}

static void test_tenants_are_named_with_their_weights(void **state)
{
    (void)state;
    struct ctl_tenants t;
    struct ac_err err = AC_ERR_INIT;
    uint32_t n = 9;
    char gold[] = "gold=3", own[] = "default=0.5", last[] = "a.b-c=1e6";
    assert_int_equal(ctl_tenants_parse(NULL, &t, &err), 0);
    assert_true(t.n == 1 && t.list[0].weight == 1);
    char *list[] = {gold, own, last, NULL};
    assert_int_equal(ctl_tenants_parse(list, &t, &err), 0);
    assert_true(t.n == 3 && t.list[0].weight == 0.5 && t.list[1].weight == 3);
    assert_int_equal(ctl_tenants_find(&t, "a.b-c", &n, &err), 0);
    assert_int_equal(n, 2);
    assert_int_equal(ctl_tenants_find(&t, "", &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(ctl_tenants_find(&t, "Gold", &n, &err), AC_EINVAL);
    char *twice[] = {gold, gold, NULL}, *own_twice[] = {own, own, NULL};
    assert_int_equal(ctl_tenants_parse(twice, &t, &err), AC_EINVAL);
    assert_int_equal(ctl_tenants_parse(own_twice, &t, &err), AC_EINVAL);
    static char bad[][16] = {"gold",     "=1",       "gold=",   "gold=0", "gold=-1",
                             "gold=nan", "gold=inf", "go ld=1", ".x=1",   "gold=1x"};
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++) {
        char *one[] = {bad[i], NULL};
        assert_int_equal(ctl_tenants_parse(one, &t, &err), AC_EINVAL);
        assert_non_null(strstr(err.msg, "tenant"));
    }
    static char many[POLICY_TENANTS][16];
    char *all[POLICY_TENANTS + 1] = {NULL};
    for (uint32_t i = 0; i < POLICY_TENANTS; i++) {
        snprintf(many[i], sizeof(many[i]), "t%u=1", i);
        all[i] = many[i];
    }
    assert_int_equal(ctl_tenants_parse(all, &t, &err), AC_ERANGE);
    all[POLICY_TENANTS - 1] = NULL;
    assert_int_equal(ctl_tenants_parse(all, &t, &err), 0);
    assert_int_equal(t.n, POLICY_TENANTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs_come_in_any_order),
        cmocka_unit_test(test_rows_must_agree),
        cmocka_unit_test(test_any_shape_is_safe),
        cmocka_unit_test(test_a_fixed_batch_takes_its_shape_alone),
        cmocka_unit_test(test_rows_that_fit_in_a_message),
        cmocka_unit_test(test_a_scan_is_merged),
        cmocka_unit_test(test_names_and_versions),
        cmocka_unit_test(test_max_batch_of_a_configuration),
        cmocka_unit_test(test_tenants_are_named_with_their_weights),
        cmocka_unit_test(test_the_quickest_exchange_tells_best),
        cmocka_unit_test(test_stamps_that_cannot_be_true_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

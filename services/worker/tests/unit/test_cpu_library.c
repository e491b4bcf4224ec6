/* How the cpu executor deals with a library: one that refuses, one that asks for too much, and
 * layouts worked out for long chains. */
#include "cpu_int.h"
#include "executor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/file.h>

#define MODEL "services/worker/tests/data/operators/conv_fused/model.onnx"

/* A library that can do everything but what it is told not to; it computes nothing. */
struct wk_kernel {
    size_t weights;
};

struct fake {
    struct wk_kernels base;
    size_t most_images;  /* refuses more */
    size_t packed_bytes; /* that it says weights become; 0: as many as they are */
    int refusal;
    unsigned made, freed, packed, ran;
};

static struct fake *fake;

static int fake_make(void *self, const struct wk_kernel_spec *spec, const struct wk_kernel *like,
                     struct wk_kernel **ret_k, struct ac_err *err)
{
    (void)like;
    AC_ASSERT(self == fake);
    if (spec->m > fake->most_images)
        return ac_err_set(err, fake->refusal, "no %zu images", spec->m);
    *ret_k = ac_xcalloc(1, sizeof(**ret_k));
    (*ret_k)->weights = fake->packed_bytes ? fake->packed_bytes : 4096;
    fake->made++;
    return 0;
}

static void fake_sizes(const struct wk_kernel *k, size_t *ret_weights, size_t *ret_scratch)
{
    *ret_weights = k->weights;
    *ret_scratch = 0;
}

static int fake_pack(struct wk_kernel *k, const float *weights, void *out, struct ac_err *err)
{
    (void)weights;
    (void)err;
    fake->packed++;
    memset(out, 1, k->weights);
    return 0;
}

static int fake_bind(struct wk_kernel *k, const struct wk_kernel_places *at, struct ac_err *err)
{
    (void)k;
    (void)at;
    (void)err;
    return 0;
}

static bool fake_run(struct wk_kernel *k)
{
    (void)k;
    fake->ran++;
    return true;
}

static void fake_free(struct wk_kernel *k)
{
    fake->freed++;
    free(k);
}

static int setup(void **state)
{
    fake = ac_xcalloc(1, sizeof(*fake));
    fake->base = (struct wk_kernels){.self = fake,
                                     .make = fake_make,
                                     .sizes = fake_sizes,
                                     .pack = fake_pack,
                                     .bind = fake_bind,
                                     .run = fake_run,
                                     .free = fake_free};
    fake->most_images = SIZE_MAX;
    fake->refusal = AC_ENOTSUP;
    *state = fake;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

/* Prepares and forgets; ret_info: what was prepared. */
static int prepare(const void *bytes, size_t len, struct wk_model_info *ret_info,
                   struct ac_err *err)
{
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, &fake->base, &ac_clock_real);
    struct wk_source src = {.name = "m", .bytes = bytes, .len = len};
    struct wk_model *m = NULL;
    int rc = x->ops->prepare(x, &src, &m, err);
    if (rc == 0) {
        *ret_info = m->info;
        x->ops->forget(x, m);
    }
    x->ops->destroy(x);
    assert_int_equal(fake->made, fake->freed);
    return rc;
}

static int prepare_file(struct wk_model_info *ret_info, struct ac_err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    if (ac_file_read(MODEL, 1u << 20, &bytes, &len, err) != 0)
        fail_msg("%s", err->msg);
    int rc = prepare(bytes, len, ret_info, err);
    free(bytes);
    return rc;
}

static void expect_all_batches(const struct wk_model_info *info)
{
    for (uint32_t b = 0; b < WK_BATCHES; b++)
        assert_true(info->compiled[b]);
}

static void test_library_does_all(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct wk_model_info info;
    assert_int_equal(prepare_file(&info, &err), 0);
    assert_string_equal(info.without_library, "");
    expect_all_batches(&info);
    assert_int_equal(fake->made, WK_BATCHES);
    assert_int_equal(fake->packed, 1); /* the batches share their weights */
}

/* What it refuses for a large batch alone is no reason to go without that batch. */
static void test_library_refuses_large_batches(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct wk_model_info info;
    fake->most_images = 4;
    assert_int_equal(prepare_file(&info, &err), 0);
    assert_string_equal(info.without_library, "no 8 images");
    expect_all_batches(&info);
}

static void test_library_fails(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct wk_model_info info;
    fake->most_images = 4;
    fake->refusal = AC_ENOMEM;
    assert_int_equal(prepare_file(&info, &err), AC_ENOMEM);
    assert_string_equal(err.msg, "no 8 images");
}

static void test_packed_weights_have_a_limit(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct wk_model_info info;
    fake->packed_bytes = (size_t)1 << 40;
    assert_int_equal(prepare_file(&info, &err), 0);
    assert_string_equal(info.without_library,
                        "node c: the library would make 1099511627776 bytes of 288");
    expect_all_batches(&info);
    assert_int_equal(fake->packed, 0);
}

/* ---- layouts ---- */

#define CHAIN 100000

/* CONV, a chain of activations, and a last step: another CONV or one that needs images plain. */
static void chain(enum wk_op end, bool *ret_middle, double *ret_s)
{
    const struct wk_onnx_tensor weights = {.name = ""};
    struct wk_graph g = {.n_values = CHAIN + 3, .n_nodes = CHAIN + 2};
    g.values = ac_xcalloc(g.n_values, sizeof(*g.values));
    g.nodes = ac_xcalloc(g.n_nodes, sizeof(*g.nodes));
    struct wk_shape *shapes = ac_xcalloc(g.n_values, sizeof(*shapes));
    uint32_t *in = ac_xcalloc(g.n_values, sizeof(*in));
    uint32_t *group = ac_xcalloc(g.n_values, sizeof(*group));
    bool *last = ac_xcalloc(g.n_values, sizeof(*last));
    for (uint32_t i = 0; i < g.n_values; i++) {
        shapes[i] = (struct wk_shape){.rank = 4, .dims = {1, 8, 4, 4}};
        in[i] = i;
    }
    for (uint32_t i = 0; i < g.n_nodes; i++) {
        enum wk_op op = i == 0 ? WK_CONV : i == CHAIN + 1 ? end : WK_UNARY;
        g.nodes[i] =
            (struct wk_node){.op = op, .in = &in[i], .n_in = 1, .out = i + 1, .weights = &weights};
        g.nodes[i].window =
            (struct wk_window){.n = 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    }
    g.values[CHAIN + 2].output = true;
    clock_t from = clock();
    cpu_channels_last(&g, shapes, group, last);
    *ret_s = (double)(clock() - from) / CLOCKS_PER_SEC;
    for (uint32_t i = 1; i <= CHAIN + 1; i++)
        assert_int_equal(last[i], last[1]);
    assert_false(last[0] || last[CHAIN + 2]);
    *ret_middle = last[1];
    free(g.values);
    free(g.nodes);
    free(shapes);
    free(in);
    free(group);
    free(last);
}

/* A pass over the model for each step back along the chain would be ten thousand million looks at a
 * node: minutes, where this takes milliseconds. */
static void test_layouts_of_long_chains(void **state)
{
    (void)state;
    bool middle = false;
    double s = 0;
    chain(WK_CONV, &middle, &s);
    assert_true(middle);
    chain(WK_TRANSPOSE, &middle, &s);
    assert_false(middle);
    print_message("%d steps: %.4f s of processor time\n", CHAIN, s);
    assert_true(s < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_library_does_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_library_refuses_large_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_library_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_packed_weights_have_a_limit, setup, teardown),
        cmocka_unit_test(test_layouts_of_long_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* ONNX reading, the graph and the cpu executor, on stored vectors and on broken files. */
#include "executor.h"
#include "graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/rng.h>

#define OURS "services/controller/models/hotel_recommend/1/model.onnx"
#define DATA "../shared/data/serving/"

struct file {
    char *data;
    size_t len;
};

static struct file read_file(const char *path)
{
    struct file f = {0};
    struct ac_err err = AC_ERR_INIT;
    if (ac_file_read(path, 1u << 28, &f.data, &f.len, &err) != 0)
        fail_msg("%s", err.msg);
    return f;
}

static struct file tensor_file(const char *dir, const char *kind, uint32_t i)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s_%u.pb", dir, kind, i);
    return read_file(path);
}

/* Largest absolute difference between what the model gives and what is stored. */
static double check(const char *model, const char *dir)
{
    struct ac_err err = AC_ERR_INIT;
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    struct ac_arena *arena = ac_arena_create(16u << 20);
    struct file f = read_file(model);
    struct wk_source src = {.name = "m", .bytes = f.data, .len = f.len};
    struct wk_model *m = NULL;
    if (x->ops->prepare(x, &src, &m, &err) != 0)
        fail_msg("%s: %s", model, err.msg);
    free(f.data);
    assert_int_equal(x->ops->load(x, m, &err), 0);
    const void *in[WK_MAX_IO];
    void *out[WK_MAX_IO];
    struct file files[2 * WK_MAX_IO];
    struct wk_onnx_tensor want[WK_MAX_IO], t;
    uint32_t n = 0, rows = 1;
    for (uint32_t i = 0; i < m->info.n_inputs; i++) {
        files[n] = tensor_file(dir, "input", i);
        assert_int_equal(wk_onnx_parse_tensor(files[n].data, files[n].len, arena, &t, &err), 0);
        in[i] = t.data;
        rows = m->info.batched ? (uint32_t)t.dims[0] : 1;
        n++;
    }
    for (uint32_t i = 0; i < m->info.n_outputs; i++) {
        files[n] = tensor_file(dir, "output", i);
        assert_int_equal(wk_onnx_parse_tensor(files[n].data, files[n].len, arena, &want[i], &err),
                         0);
        out[i] = ac_xcalloc(rows, m->info.outputs[i].row_bytes);
        n++;
    }
    struct wk_item item = {.rows = rows, .inputs = in, .outputs = out};
    struct wk_phases ph;
    uint32_t b = 0;
    while (wk_batch_size[b] < rows)
        b++;
    double worst = 0;
    for (int round = 0; round < 2; round++) /* the second finds the workspace used */
        assert_int_equal(x->ops->infer(x, m, b, &item, 1, &ph, &err), 0);
    for (uint32_t i = 0; i < m->info.n_outputs; i++) {
        assert_int_equal(want[i].elems * 4, rows * m->info.outputs[i].row_bytes);
        for (size_t k = 0; k < want[i].elems; k++) {
            float w, g;
            memcpy(&w, (const char *)want[i].data + 4 * k, 4);
            memcpy(&g, (const char *)out[i] + 4 * k, 4);
            worst = fmax(worst, fabs((double)w - (double)g));
        }
        free(out[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        free(files[i].data);
    x->ops->unload(x, m);
    x->ops->forget(x, m);
    x->ops->destroy(x);
    ac_arena_destroy(arena);
    print_message("%s: largest difference %.3g\n", dir, worst);
    return worst;
}

static void test_our_model(void **state)
{
    (void)state;
    assert_true(check(OURS, "services/worker/tests/data/hotel_recommend/test_data_set_b1") <= 1e-5);
    assert_true(check(OURS, "services/worker/tests/data/hotel_recommend/test_data_set_b4") <= 1e-5);
}

static void test_published_autoencoder(void **state)
{
    (void)state;
    const char *model = DATA "mlperf-tiny/autoencoder_ad01/model.onnx";
    if (!ac_path_exists(model))
        skip();
    assert_true(check(model, DATA "mlperf-tiny/autoencoder_ad01/test_data_set_b1") <= 1e-4);
    assert_true(check(model, DATA "mlperf-tiny/autoencoder_ad01/test_data_set_b4") <= 1e-4);
}

/* Made by make_operator_models.py, which works out what each gives. */
static const char *const cases[] = {
    "conv_fused", "conv_residual", "conv_line", "conv_tiles", "pools", "moves", "windows",
    "apart",      "maths",         "shapes",    "larger",     "tied",  "edges"};

static void test_operators(void **state)
{
    (void)state;
    char model[256], dir[256];
    for (size_t i = 0; i < AC_ARRAY_LEN(cases); i++) {
        snprintf(dir, sizeof(dir), "services/worker/tests/data/operators/%s", cases[i]);
        snprintf(model, sizeof(model), "%s/model.onnx", dir);
        assert_true(check(model, dir) <= 1e-5);
    }
}

static void test_published_convolutions(void **state)
{
    (void)state;
    static const char *const models[] = {"mobilenetv1_025_vww96", "resnet8_cifar10",
                                         "tcn_streaming_wakeword"};
    char model[256], dir[300];
    for (size_t i = 0; i < AC_ARRAY_LEN(models); i++)
        for (int batch = 1; batch <= 4; batch += 3) {
            snprintf(model, sizeof(model), DATA "mlperf-tiny/%s/model.onnx", models[i]);
            if (!ac_path_exists(model))
                skip();
            snprintf(dir, sizeof(dir), DATA "mlperf-tiny/%s/test_data_set_b%d", models[i], batch);
            assert_true(check(model, dir) <= 1e-5);
        }
}

/* Whole networks whose weights are made within the file. Their outputs are no test of our own
 * loops: all channels would have to round alike, as they do where none is treated on its own. */
static void test_published_networks(void **state)
{
    (void)state;
    static const char *const names[] = {"shufflenet", "squeezenet", "inception_v1", "inception_v2",
                                        "densenet121"};
    if (!ac_path_exists(DATA "onnx-light"))
        skip();
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    for (size_t i = 0; i < AC_ARRAY_LEN(names); i++) {
        struct ac_err err = AC_ERR_INIT;
        char path[256];
        snprintf(path, sizeof(path), DATA "onnx-light/light_%s.onnx", names[i]);
        struct file f = read_file(path);
        struct wk_source src = {.name = "m", .bytes = f.data, .len = f.len, .max_batch = 1};
        struct wk_model *m = NULL;
        if (x->ops->prepare(x, &src, &m, &err) != 0)
            fail_msg("%s: %s", path, err.msg);
        assert_int_equal(m->info.outputs[0].row_bytes, 4000);
        x->ops->forget(x, m);
        free(f.data);
    }
    x->ops->destroy(x);
}

static void test_a_batch_is_its_rows(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    struct file f = read_file(OURS);
    struct wk_source src = {.name = "m", .bytes = f.data, .len = f.len, .max_batch = 8};
    struct wk_model *m = NULL;
    assert_int_equal(x->ops->prepare(x, &src, &m, &err), 0);
    assert_true(m->info.compiled[3] && !m->info.compiled[4]);
    assert_int_equal(m->info.inputs[0].dims[0], -1);
    assert_int_equal(m->info.inputs[0].row_bytes, 64);
    assert_string_equal(m->info.outputs[1].name, "score");
    assert_int_equal(x->ops->load(x, m, &err), 0);
    struct ac_rng rng;
    ac_rng_seed(&rng, 5);
    float in[7][16], rec[7][16], score[7], one_rec[16], one_score;
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 16; k++)
            in[i][k] = (float)ac_rng_normal(&rng);
    /* Three items of 1, 4 and 2 rows in a batch of 8, of which one place stays empty. */
    uint32_t rows[3] = {1, 4, 2}, at = 0;
    const void *inputs[3];
    void *outputs[3][2];
    struct wk_item items[3];
    for (int i = 0; i < 3; at += rows[i++]) {
        inputs[i] = in[at];
        outputs[i][0] = rec[at];
        outputs[i][1] = &score[at];
        items[i] = (struct wk_item){.rows = rows[i], .inputs = &inputs[i], .outputs = outputs[i]};
    }
    struct wk_phases ph;
    assert_int_equal(x->ops->infer(x, m, 3, items, 3, &ph, &err), 0);
    assert_int_equal(x->ops->infer(x, m, 4, items, 3, &ph, &err), AC_EINVAL);
    for (int i = 0; i < 7; i++) {
        const void *p = in[i];
        void *o[2] = {one_rec, &one_score};
        struct wk_item item = {.rows = 1, .inputs = &p, .outputs = o};
        assert_int_equal(x->ops->infer(x, m, 0, &item, 1, &ph, &err), 0);
        assert_true(fabsf(one_score - score[i]) < 1e-6f);
        for (int k = 0; k < 16; k++)
            assert_true(fabsf(one_rec[k] - rec[i][k]) < 1e-5f);
    }
    x->ops->unload(x, m);
    x->ops->forget(x, m);
    x->ops->destroy(x);
    free(f.data);
}

static void test_what_depends_on_the_batch_runs_alone(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    struct file f = read_file("services/worker/tests/data/one_at_a_time.onnx");
    struct wk_source src = {.name = "m", .bytes = f.data, .len = f.len};
    struct wk_model *m = NULL;
    assert_int_equal(x->ops->prepare(x, &src, &m, &err), 0);
    assert_true(m->info.batched && m->info.compiled[0]);
    for (uint32_t b = 1; b < WK_BATCHES; b++)
        assert_false(m->info.compiled[b]);
    x->ops->forget(x, m);
    x->ops->destroy(x);
    free(f.data);
}

/* Requests that share a batch must not see each other. */
static void rows_of(const char *kind, bool together)
{
    char dir[96], path[224];
    (void)snprintf(dir, sizeof dir, "services/worker/tests/data/rows/%s", kind);
    DIR *d = opendir(dir);
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    struct ac_err err = AC_ERR_INIT;
    size_t n = 0;
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ".onnx"))
            continue;
        (void)snprintf(path, sizeof path, "%s/%.100s", dir, e->d_name);
        struct file f = read_file(path);
        struct wk_source src = {.name = "m", .bytes = f.data, .len = f.len};
        struct wk_model *m = NULL;
        if (x->ops->prepare(x, &src, &m, &err))
            fail_msg("%s: %s", path, err.msg);
        assert_true(m->info.batched && m->info.compiled[0]);
        for (uint32_t b = 1; b < WK_BATCHES; b++)
            if (m->info.compiled[b] != together)
                fail_msg("%s: batch %u %s", path, wk_batch_size[b], together ? "missing" : "made");
        x->ops->forget(x, m);
        free(f.data);
        n++;
    }
    assert_true(n >= 4);
    closedir(d);
    x->ops->destroy(x);
}

static void test_rows_that_look_at_others_run_alone(void **state)
{
    (void)state;
    rows_of("alone", false);
    rows_of("together", true);
}

/* Three rows in a batch of four: what stands in the fourth place must not make them fail. */
static void test_empty_places_are_valid_rows(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    struct file f = read_file("services/worker/tests/data/rows/picked.onnx");
    struct wk_source src = {.name = "m", .bytes = f.data, .len = f.len};
    struct wk_model *m = NULL;
    struct wk_phases ph;
    float in[3] = {13, 10, 11}, out[3] = {0};
    const void *inputs[] = {in};
    void *outputs[] = {out};
    struct wk_item item = {.rows = 3, .inputs = inputs, .outputs = outputs};
    assert_int_equal(x->ops->prepare(x, &src, &m, &err), 0);
    assert_int_equal(x->ops->load(x, m, &err), 0);
    assert_int_equal(x->ops->infer(x, m, 2, &item, 1, &ph, &err), 0);
    assert_true(out[0] == 8 && out[1] == 1 && out[2] == 2);
    assert_null(item.error);
    x->ops->unload(x, m);
    x->ops->forget(x, m);
    x->ops->destroy(x);
    free(f.data);
}

/* Requests of 1, 2 and 1 rows; the second row of the second one asks for what is not there. */
static void test_bad_data_is_the_request_s_own(void **state)
{
    (void)state;
    static const char *const names[] = {"chosen", "turned"};
    struct ac_err err = AC_ERR_INIT;
    for (int i = 0; i < 2; i++) {
        struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
        char path[256];
        snprintf(path, sizeof(path), "services/worker/tests/data/rows/%s.onnx", names[i]);
        struct file f = read_file(path);
        struct wk_source src = {.name = "m", .bytes = f.data, .len = f.len};
        struct wk_model *m = NULL;
        struct wk_phases ph;
        float in[4][4] = {{10, 11, 12, 13}, {13, 13, 10, 10}, {10, 14, 11, 10}, {13, 10, 13, 12}};
        const float rows[2][2][4] = {{{10, 11, 12, 13}, {12, 13, 12, 13}},
                                     {{1, 2, 4, 8}, {8, 1, 8, 4}}};
        float out[4][4];
        const void *inputs[] = {in[0], in[1], in[3]};
        void *outputs[] = {out[0], out[1], out[3]};
        struct wk_item items[3] = {{.rows = 1, .inputs = &inputs[0], .outputs = &outputs[0]},
                                   {.rows = 2, .inputs = &inputs[1], .outputs = &outputs[1]},
                                   {.rows = 1, .inputs = &inputs[2], .outputs = &outputs[2]}};
        assert_int_equal(x->ops->prepare(x, &src, &m, &err), 0);
        assert_int_equal(x->ops->load(x, m, &err), 0);
        assert_int_equal(x->ops->infer(x, m, 2, items, 3, &ph, &err), 0);
        assert_null(items[0].error);
        assert_string_equal(items[1].error,
                            i ? "node g (operator Gather): an index is out of range"
                              : "node y (operator GatherElements): an index is out of range");
        assert_null(items[2].error);
        assert_memory_equal(out[0], rows[i][0], sizeof(out[0]));
        assert_memory_equal(out[3], rows[i][1], sizeof(out[3]));
        in[2][1] = 10; /* nothing is left of it */
        assert_int_equal(x->ops->infer(x, m, 2, items, 3, &ph, &err), 0);
        assert_null(items[1].error);
        in[0][3] = 14; /* the first row, alone */
        assert_int_equal(x->ops->infer(x, m, 0, items, 1, &ph, &err), 0);
        assert_non_null(items[0].error);
        x->ops->unload(x, m);
        x->ops->forget(x, m);
        x->ops->destroy(x);
        free(f.data);
    }
}

static int prepare(struct wk_executor *x, const void *bytes, size_t len, struct ac_err *err)
{
    struct wk_source src = {.name = "m", .bytes = bytes, .len = len};
    struct wk_model *m = NULL;
    int rc = x->ops->prepare(x, &src, &m, err);
    if (rc == 0)
        x->ops->forget(x, m);
    return rc;
}

static void test_broken_files_are_refused(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct file f = read_file(OURS);
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    assert_int_equal(prepare(x, "", 0, &err), AC_EINVAL);
    assert_int_equal(prepare(x, "not an onnx file", 16, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, "ONNX"));
    for (size_t len = 1; len < f.len; len += 97)
        assert_int_not_equal(prepare(x, f.data, len, &err), 0);
    struct ac_rng rng;
    ac_rng_seed(&rng, 9);
    for (int i = 0; i < 3000; i++) {
        size_t at = ac_rng_below(&rng, f.len);
        char was = f.data[at];
        f.data[at] = (char)ac_rng_u64(&rng);
        (void)prepare(x, f.data, f.len, &err);
        f.data[at] = was;
    }
    assert_int_equal(prepare(x, f.data, f.len, &err), 0);
    /* An operator of no one's: the message names node and operator. */
    char *at = memmem(f.data, f.len, "\"\x04Tanh", 6);
    assert_non_null(at);
    memcpy(at + 2, "Tonk", 4);
    assert_int_equal(prepare(x, f.data, f.len, &err), AC_ENOTSUP);
    assert_string_equal(err.msg, "node code (operator Tonk): this operator is not supported");
    x->ops->destroy(x);
    free(f.data);
}

/* Prepares and, where that works and it is small, runs. */
static bool run_zeros(struct wk_executor *x, const struct file *f)
{
    struct ac_err err = AC_ERR_INIT;
    struct wk_source src = {.name = "m", .bytes = f->data, .len = f->len, .max_batch = 1};
    struct wk_model *m = NULL;
    if (x->ops->prepare(x, &src, &m, &err) != 0)
        return false;
    const struct wk_model_info *info = &m->info;
    bool small = info->n_inputs == 1 && info->inputs[0].row_bytes <= 1u << 17;
    for (uint32_t i = 0; i < info->n_outputs; i++)
        small = small && info->outputs[i].row_bytes <= 1u << 17;
    if (small) {
        void *in = ac_xcalloc(1, info->inputs[0].row_bytes);
        void *out[WK_MAX_IO];
        for (uint32_t i = 0; i < info->n_outputs; i++)
            out[i] = ac_xcalloc(1, info->outputs[i].row_bytes);
        struct wk_item item = {.rows = 1, .inputs = (const void *const[]){in}, .outputs = out};
        struct wk_phases ph;
        assert_int_equal(x->ops->load(x, m, &err), 0);
        int rc = x->ops->infer(x, m, 0, &item, 1, &ph, &err);
        assert_true(rc == 0 || (rc == AC_EINVAL && strstr(err.msg, "an index is out of range")));
        x->ops->unload(x, m);
        free(in);
        for (uint32_t i = 0; i < info->n_outputs; i++)
            free(out[i]);
    }
    x->ops->forget(x, m);
    return small;
}

/* Whatever a broken file still describes stays inside its memory (the sanitizers watch). */
static void test_broken_operators(void **state)
{
    (void)state;
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    for (size_t c = 0; c < AC_ARRAY_LEN(cases); c++) {
        char model[256];
        snprintf(model, sizeof(model), "services/worker/tests/data/operators/%s/model.onnx",
                 cases[c]);
        struct file f = read_file(model);
        struct ac_rng rng;
        uint32_t ran = 0, refused = 0;
        ac_rng_seed(&rng, 11 + c);
        for (int i = 0; i < 2000; i++) {
            size_t at = ac_rng_below(&rng, f.len);
            char was = f.data[at];
            f.data[at] = (char)(ac_rng_below(&rng, 2) ? ac_rng_below(&rng, 10) : ac_rng_u64(&rng));
            *(run_zeros(x, &f) ? &ran : &refused) += 1;
            f.data[at] = was;
        }
        print_message("%s: %u ran, %u refused\n", cases[c], ran, refused);
        assert_true(ran > 0 && refused > 0);
        free(f.data);
    }
    x->ops->destroy(x);
}

/* A few bytes make each of these ask for something that is not there. */
static void test_refusals_name_the_node(void **state)
{
    (void)state;
    static const struct {
        const char *model, *from, *to, *message;
    } refusals[] = {
        {"conv_residual", "SAME_UPPER", "SAME_OTHER",
         "node c (operator Conv): auto_pad is not one of NOTSET, VALID, SAME_UPPER, SAME_LOWER"},
        {"moves", "constant", "reflects", "node p (operator Pad): this mode is not supported"},
        {"conv_tiles", "MaxPool", "LpPools",
         "node y (operator LpPools): this operator is not supported"},
    };
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    for (size_t i = 0; i < AC_ARRAY_LEN(refusals); i++) {
        struct ac_err err = AC_ERR_INIT;
        char model[256];
        snprintf(model, sizeof(model), "services/worker/tests/data/operators/%s/model.onnx",
                 refusals[i].model);
        struct file f = read_file(model);
        char *at = memmem(f.data, f.len, refusals[i].from, strlen(refusals[i].from));
        assert_non_null(at);
        memcpy(at, refusals[i].to, strlen(refusals[i].to));
        assert_int_not_equal(prepare(x, f.data, f.len, &err), 0);
        assert_string_equal(err.msg, refusals[i].message);
        free(f.data);
    }
    x->ops->destroy(x);
}

/* Every size that a file states is checked before it is used; the node and the cause are named. */
static void test_impossible_operators_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model, *message;
    } refusals[] = {
        {"wide_stride", "(operator Conv): kernel, stride, dilation or pad is out of range"},
        {"zero_stride", "(operator Conv): kernel, stride, dilation or pad is out of range"},
        {"short_pads", "(operator Conv): a list of kernel, strides, dilations or pads does not"},
        {"groups", "(operator Conv): the channels do not divide into the groups"},
        {"channels", "(operator Conv): the input's channels do not match the weights"},
        {"kernel_shape", "(operator Conv): kernel_shape does not match the weights"},
        {"large_kernel", "(operator MaxPool): the kernel is larger than its input"},
        {"large_pad", "(operator MaxPool): a pad is as large as the kernel"},
        {"indices", "(operator MaxPool): the output of indices is not supported"},
        {"zero_step", "(operator Slice): a step is out of range"},
        {"axis_twice", "(operator Slice): an axis is out of range or given twice"},
        {"empty_slice", "(operator Slice): the result is empty"},
        {"negative_pad", "(operator Pad): a pad is negative or too large"},
        {"perm", "(operator Transpose): perm does not name every dimension once"},
        {"split_sum", "(operator Split): the sizes of the parts do not add up to the dimension"},
        {"other_shape", "(operator Concat): the shapes of its inputs do not match"},
        {"much_memory", "the model needs a workspace of 1152524288 bytes"},
    };
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    for (size_t i = 0; i < AC_ARRAY_LEN(refusals); i++) {
        struct ac_err err = AC_ERR_INIT;
        char model[256];
        snprintf(model, sizeof(model), "services/worker/tests/data/refused/%s.onnx",
                 refusals[i].model);
        struct file f = read_file(model);
        if (prepare(x, f.data, f.len, &err) == 0 || !strstr(err.msg, refusals[i].message))
            fail_msg("%s: %s", refusals[i].model, err.msg);
        free(f.data);
    }
    x->ops->destroy(x);
}

static void test_triton_example(void **state)
{
    (void)state;
    const char *path = DATA "triton-simple-models/simple/1/model.onnx";
    if (!ac_path_exists(path))
        skip();
    struct ac_err err = AC_ERR_INIT;
    struct wk_executor *x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    struct file f = read_file(path);
    struct wk_source src = {.name = "simple", .bytes = f.data, .len = f.len};
    struct wk_model *m = NULL;
    if (x->ops->prepare(x, &src, &m, &err) != 0)
        fail_msg("%s", err.msg);
    int32_t a[16], b[16], sum[16], diff[16];
    for (int i = 0; i < 16; i++) {
        a[i] = i;
        b[i] = 1;
    }
    const void *in[2] = {a, b};
    void *out[2] = {sum, diff};
    struct wk_item item = {.rows = 1, .inputs = in, .outputs = out};
    struct wk_phases ph;
    assert_int_equal(x->ops->load(x, m, &err), 0);
    assert_int_equal(x->ops->infer(x, m, 0, &item, 1, &ph, &err), 0);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(sum[i], i + 1);
        assert_int_equal(diff[i], i - 1);
    }
    x->ops->unload(x, m);
    x->ops->forget(x, m);
    x->ops->destroy(x);
    free(f.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_our_model),
        cmocka_unit_test(test_published_autoencoder),
        cmocka_unit_test(test_a_batch_is_its_rows),
        cmocka_unit_test(test_what_depends_on_the_batch_runs_alone),
        cmocka_unit_test(test_rows_that_look_at_others_run_alone),
        cmocka_unit_test(test_empty_places_are_valid_rows),
        cmocka_unit_test(test_broken_files_are_refused),
        cmocka_unit_test(test_triton_example),
        cmocka_unit_test(test_bad_data_is_the_request_s_own),
        cmocka_unit_test(test_published_networks),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_published_convolutions),
        cmocka_unit_test(test_broken_operators),
        cmocka_unit_test(test_refusals_name_the_node),
        cmocka_unit_test(test_impossible_operators_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

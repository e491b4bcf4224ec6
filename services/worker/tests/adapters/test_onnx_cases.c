/* The operator cases that the ONNX project publishes (Debian's libonnx-testdata): what is claimed
 * gives the stored outputs, by oneDNN and by our own loops; the table says what is not claimed. */
#include "executor.h"
#include "number.h"
#include "onnx.h"

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
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "adapters/onednn.h"

#define PACKAGED  "/usr/share/libonnx-testdata/data"
#define INSTALLED "/var/lib/dpkg/info/libonnx-testdata.list"
#define KINDS     400
#define LEAST     647 /* that passed when this was written; fewer is a step back */

enum outcome {
    PASSED,
    NOT_CLAIMED,
    FAILED,
    N_OUTCOMES
};

struct kind { /* an operator, or "several" */
    char name[64];
    unsigned n[N_OUTCOMES];
    char why[128]; /* of the last that is not claimed */
};

struct table {
    struct kind kinds[KINDS];
    unsigned n_kinds, n[N_OUTCOMES];
    const char *folder;
};

static struct kind *kind_of(struct table *t, const char *name)
{
    for (unsigned i = 0; i < t->n_kinds; i++)
        if (ac_streq(t->kinds[i].name, name))
            return &t->kinds[i];
    assert_true(t->n_kinds < KINDS);
    struct kind *k = &t->kinds[t->n_kinds++];
    snprintf(k->name, sizeof(k->name), "%s", name);
    return k;
}

struct bytes {
    char *data;
    size_t len;
};

static bool read_part(const char *dir, const char *part, struct bytes *ret)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", dir, part);
    *ret = (struct bytes){0};
    return ac_path_exists(path) && ac_file_read(path, 1u << 28, &ret->data, &ret->len, NULL) == 0;
}

/* The bound on a difference, by the precision of the type. */
static double allowed(int dtype, double want)
{
    double unit = dtype == WK_F16 ? 2e-3 : dtype == WK_BF16 ? 1e-2 : 1e-4;
    bool real = dtype == WK_F32 || dtype == WK_F64 || dtype == WK_F16 || dtype == WK_BF16;
    return real ? unit * fmax(1, fabs(want)) : 0;
}

static bool same(const struct wk_onnx_tensor *want, const void *got, char *why, size_t cap)
{
    for (size_t i = 0; i < want->elems; i++) {
        double w = wk_real_at(want->dtype, want->data, i), g = wk_real_at(want->dtype, got, i);
        if (w == g || (isnan(w) && isnan(g)) || fabs(w - g) <= allowed(want->dtype, w))
            continue;
        snprintf(why, cap, "element %zu is %.9g, not %.9g", i, g, w);
        return false;
    }
    return true;
}

/* Runs a prepared case and compares. */
static enum outcome run(struct wk_executor *x, struct wk_model *m, const char *dir, char *why,
                        size_t cap)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_arena *arena = ac_arena_create(64u << 20);
    const struct wk_model_info *info = &m->info;
    struct bytes files[2 * WK_MAX_IO] = {{0}};
    struct wk_onnx_tensor want[WK_MAX_IO], t;
    const void *in[WK_MAX_IO];
    void *out[WK_MAX_IO] = {0};
    uint32_t n = 0;
    enum outcome o = FAILED;
    char part[64];
    for (uint32_t i = 0; i < info->n_inputs + info->n_outputs; i++, n++) {
        bool given = i < info->n_inputs;
        uint32_t at = given ? i : i - info->n_inputs;
        const struct wk_io_info *io = given ? &info->inputs[at] : &info->outputs[at];
        struct wk_onnx_tensor *to = given ? &t : &want[at];
        snprintf(part, sizeof(part), "test_data_set_0/%s_%u.pb", given ? "input" : "output", at);
        if (!read_part(dir, part, &files[n]) ||
            wk_onnx_parse_tensor(files[n].data, files[n].len, arena, to, &err) != 0) {
            snprintf(why, cap, "%s cannot be read", part);
            goto out;
        }
        if (to->dtype == WK_U16 && io->dtype == WK_BF16) /* how release 1.12 stored them */
            to->dtype = WK_BF16;
        if (to->dtype != io->dtype || to->elems * wk_dtype_size(to->dtype) != io->row_bytes) {
            /* An input's shape is what the model's file says: then the vectors are at fault. */
            snprintf(why, cap, "%s does not fit the model", part);
            o = given ? NOT_CLAIMED : FAILED;
            goto out;
        }
        if (given)
            in[at] = to->data;
        else
            out[at] = ac_xcalloc(1, io->row_bytes);
    }
    struct wk_item item = {.rows = 1, .inputs = in, .outputs = out};
    struct wk_phases ph;
    assert_int_equal(x->ops->load(x, m, &err), 0);
    if (x->ops->infer(x, m, 0, &item, 1, &ph, &err) != 0) {
        snprintf(why, cap, "%s", err.msg);
        goto out;
    }
    o = PASSED;
    for (uint32_t i = 0; o == PASSED && i < info->n_outputs; i++)
        o = same(&want[i], out[i], why, cap) ? PASSED : FAILED;
out:
    for (uint32_t i = 0; i < AC_ARRAY_LEN(files); i++)
        free(files[i].data);
    for (uint32_t i = 0; i < info->n_outputs; i++)
        free(out[i]);
    ac_arena_destroy(arena);
    return o;
}

static enum outcome one_case(struct wk_executor *const x[2], const char *dir, const struct bytes *f,
                             char *why, size_t cap)
{
    enum outcome o = PASSED;
    for (int k = 0; o == PASSED && k < 2; k++) {
        struct ac_err err = AC_ERR_INIT;
        struct wk_source src = {.name = dir, .bytes = f->data, .len = f->len, .max_batch = 1};
        struct wk_model *m = NULL;
        if (x[k]->ops->prepare(x[k], &src, &m, &err) != 0) {
            snprintf(why, cap, "%s", err.msg);
            return k ? FAILED : NOT_CLAIMED;
        }
        o = run(x[k], m, dir, why, cap);
        x[k]->ops->unload(x[k], m);
        x[k]->ops->forget(x[k], m);
    }
    return o;
}

/* The only operator of a model, or "several operators". */
static void name_kind(const struct bytes *f, char *ret, size_t cap)
{
    struct ac_arena *arena = ac_arena_create(64u << 20);
    struct wk_onnx m;
    snprintf(ret, cap, "(not read)");
    if (wk_onnx_parse(f->data, f->len, arena, &m, NULL) == 0) {
        snprintf(ret, cap, "%s", m.n_nodes ? m.nodes[0].op : "(none)");
        for (uint32_t i = 1; i < m.n_nodes; i++)
            if (!ac_streq(m.nodes[i].op, m.nodes[0].op))
                snprintf(ret, cap, "several operators");
    }
    ac_arena_destroy(arena);
}

static void add_case(struct table *t, struct wk_executor *const x[2], const char *name)
{
    char dir[512], op[64], why[300] = "";
    struct bytes f;
    snprintf(dir, sizeof(dir), "%s/%s", t->folder, name);
    if (!read_part(dir, "model.onnx", &f))
        return;
    name_kind(&f, op, sizeof(op));
    enum outcome o = one_case(x, dir, &f, why, sizeof(why));
    struct kind *k = kind_of(t, op);
    k->n[o]++;
    t->n[o]++;
    if (o == NOT_CLAIMED)
        snprintf(k->why, sizeof(k->why), "%.127s", why);
    if (o == FAILED)
        print_message("FAILED %s (%s): %s\n", name, op, why);
    if (o == NOT_CLAIMED && getenv("ACESO_ONNX_EACH"))
        print_message("not claimed %s: %s\n", name, why);
    free(f.data);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kind *)a)->name, ((const struct kind *)b)->name);
}

static void run_folder(const char *folder, struct table *t)
{
    struct ac_err err = AC_ERR_INIT;
    struct wk_kernels *lib = NULL;
    if (wk_onednn_create(&lib, &err) != 0)
        fail_msg("%s", err.msg);
    struct wk_executor *x[2] = {wk_cpu_create(&wk_memory_heap, lib, &ac_clock_real),
                                wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real)};
    *t = (struct table){.folder = folder};
    struct dirent **names;
    int n = scandir(folder, &names, NULL, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.')
            add_case(t, x, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    for (int k = 0; k < 2; k++)
        x[k]->ops->destroy(x[k]);
    wk_onednn_destroy(lib);
    qsort(t->kinds, t->n_kinds, sizeof(t->kinds[0]), by_name);
    print_message("%s\n%-28s %7s %12s %7s\n", folder, "operator", "passed", "not claimed",
                  "failed");
    for (unsigned i = 0; i < t->n_kinds; i++) {
        const struct kind *k = &t->kinds[i];
        print_message("%-28s %7u %12u %7u  %s\n", k->name, k->n[PASSED], k->n[NOT_CLAIMED],
                      k->n[FAILED], k->why);
    }
    print_message("%-28s %7u %12u %7u\n", "all", t->n[PASSED], t->n[NOT_CLAIMED], t->n[FAILED]);
}

static void test_cases(void **state)
{
    static const struct {
        const char *part;
        unsigned least;
    } parts[] = {
        {"node", LEAST}, {"simple", 3}, {"pytorch-converted", 69}, {"pytorch-operator", 35}};
    (void)state;
    const char *named = getenv("ACESO_ONNX_CASES"), *root = named ? named : PACKAGED;
    if (!ac_path_exists(root)) {
        if (named || ac_path_exists(INSTALLED))
            fail_msg("no %s, although %s", root, named ? "it was named" : INSTALLED " is there");
        print_message("no %s: install libonnx-testdata, or set ACESO_ONNX_CASES\n", root);
        skip();
    }
    struct table *t = ac_xcalloc(1, sizeof(*t));
    unsigned failed = 0;
    for (size_t i = 0; i < AC_ARRAY_LEN(parts); i++) {
        char folder[512];
        snprintf(folder, sizeof(folder), "%s/%s", root, parts[i].part);
        run_folder(folder, t);
        failed += t->n[FAILED];
        assert_true(t->n[PASSED] >= parts[i].least);
    }
    free(t);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

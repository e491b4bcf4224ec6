/* An execution in the steady state: no page fault, and no memory from the heap but the table of
 * arguments that oneDNN makes in each call. Loads after the first wait for no new pages. */
#include "executor.h"
#include "kernels.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/capability.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>

#include "adapters/memory_map.h"
#include "adapters/onednn.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define OPS    "services/worker/tests/data/operators/"
#define DATA   "../shared/data/serving/"
#define ROUNDS 50

static const char *const models[] = {"services/controller/models/hotel_recommend/1/model.onnx",
                                     OPS "conv_residual/model.onnx",
                                     OPS "pools/model.onnx",
                                     OPS "moves/model.onnx",
                                     DATA "mlperf-tiny/mobilenetv1_025_vww96/model.onnx",
                                     DATA "mlperf-tiny/resnet8_cifar10/model.onnx",
                                     DATA "mlperf-tiny/tcn_streaming_wakeword/model.onnx"};

/* Calls of the heap by the thread that tests. */
static _Thread_local uint64_t n_heap;

#if defined(__SANITIZE_ADDRESS__)
#define COUNTED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COUNTED 0
#endif
#endif
#ifndef COUNTED
#define COUNTED 1
#define EXPORT  __attribute__((visibility("default")))

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

EXPORT void *malloc(size_t n)
{
    n_heap++;
    return __libc_malloc(n);
}

EXPORT void *calloc(size_t n, size_t size)
{
    n_heap++;
    return __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t n)
{
    n_heap++;
    return __libc_realloc(p, n);
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
    n_heap++;
    return __libc_memalign(align, n);
}

EXPORT int posix_memalign(void **ret_p, size_t align, size_t n)
{
    n_heap++;
    *ret_p = __libc_memalign(align, n);
    return *ret_p ? 0 : 12;
}
#endif

/* The system's mremap, or one that unmaps its target and then finds no memory. */
static bool moves_fail;
static char *targets[16]; /* of moves that failed */
static unsigned n_targets;

__attribute__((visibility("default"))) void *mremap(void *from, size_t old, size_t n, int flags,
                                                    ...)
{
    va_list ap;
    va_start(ap, flags);
    void *to = va_arg(ap, void *);
    va_end(ap);
    if (moves_fail) {
        (void)munmap(to, n);
        assert_true(n_targets < AC_ARRAY_LEN(targets));
        targets[n_targets++] = to;
        errno = ENOMEM;
        return MAP_FAILED;
    }
    union {
        long n;
        void *p;
    } at = {.n = syscall(SYS_mremap, from, old, n, flags, to)};
    return at.p;
}

/* oneDNN with what it takes from the heap counted apart. */
static struct wk_kernels *real;
static uint64_t n_library, n_runs;

static bool counted_run(struct wk_kernel *k)
{
    uint64_t before = n_heap;
    bool ok = real->run(k);
    n_library += n_heap - before;
    n_runs++;
    return ok;
}

static long page_faults(void)
{
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_THREAD, &u), 0);
    return u.ru_minflt + u.ru_majflt;
}

struct steady {
    struct wk_memory *memory;
    struct wk_kernels lib;
    struct wk_executor *x;
};

static int setup(void **state)
{
    struct steady *s = ac_xcalloc(1, sizeof(*s));
    struct ac_err err = AC_ERR_INIT;
    if (wk_onednn_create(&real, &err) != 0 ||
        wk_memory_map_create(64u << 20, 1u << 20, false, &s->memory, &err) != 0)
        fail_msg("%s", err.msg);
    s->lib = *real;
    s->lib.run = counted_run;
    s->x = wk_cpu_create(s->memory, &s->lib, &ac_clock_real);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct steady *s = *state;
    s->x->ops->destroy(s->x);
    wk_memory_map_destroy(s->memory);
    wk_onednn_destroy(real);
    free(s);
    return 0;
}

static struct wk_model *prepared(const struct steady *s, const char *path)
{
    struct ac_err err = AC_ERR_INIT;
    struct wk_source src = {.name = path};
    struct wk_model *m = NULL;
    char *bytes = NULL;
    if (ac_file_read(path, 1u << 28, &bytes, &src.len, &err) != 0)
        fail_msg("%s", err.msg);
    src.bytes = bytes;
    if (s->x->ops->prepare(s->x, &src, &m, &err) != 0)
        fail_msg("%s: %s", path, err.msg);
    free(bytes);
    return m;
}

static void execute(const struct steady *s, struct wk_model *m, const char *path, uint32_t batch)
{
    struct ac_err err = AC_ERR_INIT;
    const struct wk_model_info *info = &m->info;
    uint32_t rows = info->batched ? wk_batch_size[batch] : 1;
    const void *in[WK_MAX_IO];
    void *out[WK_MAX_IO], *given[WK_MAX_IO];
    struct wk_phases ph;
    for (uint32_t i = 0; i < info->n_inputs; i++)
        in[i] = given[i] = ac_xcalloc(rows, info->inputs[i].row_bytes);
    for (uint32_t i = 0; i < info->n_outputs; i++)
        out[i] = ac_xcalloc(rows, info->outputs[i].row_bytes);
    struct wk_item item = {.rows = rows, .inputs = in, .outputs = out};
    /* The first one in a thread: stacks, code that was just made. */
    assert_int_equal(s->x->ops->infer(s->x, m, batch, &item, 1, &ph, &err), 0);
    n_library = n_runs = 0;
    uint64_t heap = n_heap;
    long faults = page_faults();
    int rc = 0;
    for (int i = 0; i < ROUNDS; i++)
        rc |= s->x->ops->infer(s->x, m, batch, &item, 1, &ph, &err);
    faults = page_faults() - faults;
    heap = n_heap - heap;
    assert_int_equal(rc, 0);
    print_message("%s, batch %u: %ld page faults, %.1f calls of the heap by us, %.1f by the "
                  "library in %.1f runs\n",
                  path, rows, faults, (double)(heap - n_library) / ROUNDS,
                  (double)n_library / ROUNDS, (double)n_runs / ROUNDS);
    if (COUNTED) {
        assert_int_equal(faults, 0);
        assert_int_equal(heap, n_library);
        assert_true(n_runs > 0); /* by the library: it did not fall back */
        /* Five arguments and the table, for the kernel and, at most, a reorder on both sides. */
        assert_true(n_library <= n_runs * 18);
    }
    for (uint32_t i = 0; i < info->n_inputs; i++)
        free(given[i]);
    for (uint32_t i = 0; i < info->n_outputs; i++)
        free(out[i]);
}

static void test_executions_wait_for_no_memory(void **state)
{
    const struct steady *s = *state;
    struct ac_err err = AC_ERR_INIT;
    for (size_t i = 0; i < AC_ARRAY_LEN(models); i++) {
        if (!ac_path_exists(models[i]))
            continue;
        struct wk_model *m = prepared(s, models[i]);
        assert_int_equal(s->x->ops->load(s->x, m, &err), 0);
        for (uint32_t b = 0; b < WK_BATCHES; b++)
            if (m->info.compiled[b])
                execute(s, m, models[i], b);
        s->x->ops->unload(s->x, m);
        s->x->ops->forget(s->x, m);
    }
}

/* A second model gets the pages of the first; what was in them is not to be seen. */
static void test_loads_take_released_pages(void **state)
{
    const struct steady *s = *state;
    struct ac_err err = AC_ERR_INIT;
    struct wk_model *m[2] = {prepared(s, models[1]), prepared(s, models[0])};
    assert_int_equal(s->x->ops->load(s->x, m[0], &err), 0);
    s->x->ops->unload(s->x, m[0]);
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 2; i++) {
            long faults = page_faults();
            uint64_t heap = n_heap;
            int rc = s->x->ops->load(s->x, m[i], &err);
            assert_int_equal(rc, 0);
            if (COUNTED && round) {
                assert_int_equal(page_faults() - faults, 0);
                assert_int_equal(n_heap - heap, 0);
            }
            execute(s, m[i], i ? models[0] : models[1], 0);
            s->x->ops->unload(s->x, m[i]);
        }
    for (int i = 0; i < 2; i++)
        s->x->ops->forget(s->x, m[i]);
}

/* Ranges of several pages, one after another, in a stock of three. */
static void test_stock(void **state)
{
    (void)state;
    enum {
        PAGE = 64 << 10
    };
    struct ac_err err = AC_ERR_INIT;
    for (int all = 0; all < 2; all++) {
        struct wk_memory *m = NULL;
        assert_int_equal(wk_memory_map_create(3 * PAGE, PAGE, all, &m, &err), 0);
        assert_int_equal(m->page, PAGE);
        char *p[2] = {m->reserve(m->self, 2 * PAGE + 1), m->reserve(m->self, 5 * PAGE)};
        size_t bytes[2] = {2 * PAGE + 1, 5 * PAGE};
        for (int round = 0; round < 10; round++)
            for (int i = 0; i < 2; i++) {
                assert_true(m->commit(m->self, p[i], bytes[i]));
                memset(p[i], round + 1, bytes[i]);
                for (size_t at = 0; at < bytes[i]; at += PAGE / 2)
                    assert_int_equal(p[i][at], round + 1);
                if (round % 2) { /* both at once: more than the stock has room for */
                    assert_true(m->commit(m->self, p[!i], bytes[!i]));
                    memset(p[!i], 0, bytes[!i]);
                    assert_int_equal(p[i][bytes[i] - 1], round + 1);
                    m->release(m->self, p[!i], bytes[!i]);
                }
                m->release(m->self, p[i], bytes[i]);
            }
        m->drop(m->self, p[0], bytes[0]);
        m->drop(m->self, p[1], bytes[1]);
        wk_memory_map_destroy(m);
    }
}

/* Whether CAP_IPC_LOCK is in force, by which limits are not; gives what it was. */
static bool set_may_lock(bool on)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];
    uint32_t bit = 1u << CAP_IPC_LOCK;
    assert_int_equal(syscall(SYS_capget, &head, caps), 0);
    bool was = caps[0].effective & bit;
    caps[0].effective = on ? caps[0].effective | bit : caps[0].effective & ~bit;
    assert_int_equal(syscall(SYS_capset, &head, caps), 0);
    return was;
}

/* Without the right to lock, memory is still there before it is used. */
static void test_no_right_to_lock(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
    none = old;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    bool could = set_may_lock(false); /* root may, whatever the limit */
    static char here[4096];
    if (COUNTED) /* the address sanitizer's mlock does nothing */
        assert_int_not_equal(mlock(here, sizeof(here)), 0);
    struct wk_memory *m = NULL;
    assert_int_equal(wk_memory_map_create(1u << 20, 1u << 16, false, &m, &err), 0);
    char *p = m->reserve(m->self, 1u << 20);
    assert_true(m->commit(m->self, p, 1u << 20));
    long faults = page_faults();
    for (size_t i = 0; i < 1u << 20; i += 4096)
        p[i] = 1;
    faults = page_faults() - faults;
    m->release(m->self, p, 1u << 20);
    m->drop(m->self, p, 1u << 20);
    wk_memory_map_destroy(m);
    (void)set_may_lock(could);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
    if (COUNTED)
        assert_int_equal(faults, 0);
}

/* A move that fails after it unmapped its target leaves no hole for others, and costs no more than
 * the moves' gain. */
static void test_moves_that_fail(void **state)
{
    (void)state;
    enum {
        PAGE = 64 << 10
    };
    struct ac_err err = AC_ERR_INIT;
    struct wk_memory *m = NULL;
    assert_int_equal(wk_memory_map_create(3 * PAGE, PAGE, true, &m, &err), 0);
    char *p = m->reserve(m->self, 2 * PAGE), *others[64];
    for (int round = 0; round < 4; round++) {
        moves_fail = round % 2 == 0;
        assert_true(m->commit(m->self, p, 2 * PAGE));
        /* Whatever is mapped now lies elsewhere. */
        for (int i = 0; i < 64; i++) {
            others[i] = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            assert_true(others[i] + PAGE <= p || others[i] >= p + 2 * PAGE);
        }
        memset(p, round + 1, 2 * PAGE);
        assert_int_equal(p[2 * PAGE - 1], round + 1);
        for (int i = 0; i < 64; i++)
            assert_int_equal(munmap(others[i], PAGE), 0);
        moves_fail = round % 2;
        m->release(m->self, p, 2 * PAGE);
        moves_fail = false;
        /* Still ours: a request for just this place is refused. */
        assert_true(n_targets > 0);
        while (n_targets > 0)
            assert_ptr_equal(mmap(targets[--n_targets], PAGE, PROT_NONE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
                             MAP_FAILED);
    }
    m->drop(m->self, p, 2 * PAGE);
    wk_memory_map_destroy(m);
}

/* What stays (the workspace) takes nothing that was laid in for weights. */
static void test_stock_is_for_weights(void **state)
{
    (void)state;
    enum {
        PAGE = 64 << 10
    };
    struct ac_err err = AC_ERR_INIT;
    struct wk_memory *m = NULL;
    assert_int_equal(wk_memory_map_create(3 * PAGE, PAGE, true, &m, &err), 0);
    char *stays = m->reserve(m->self, 2 * PAGE), *p = m->reserve(m->self, 3 * PAGE);
    assert_true(m->extend(m->self, stays, 2 * PAGE));
    memset(stays, 1, 2 * PAGE);
    long faults = page_faults();
    bool ok = m->commit(m->self, p, 3 * PAGE);
    for (size_t i = 0; ok && i < 3 * PAGE; i += 4096)
        p[i] = 1;
    faults = page_faults() - faults;
    assert_true(ok);
    if (COUNTED)
        assert_int_equal(faults, 0);
    m->drop(m->self, stays, 2 * PAGE);
    m->drop(m->self, p, 3 * PAGE);
    wk_memory_map_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_executions_wait_for_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loads_take_released_pages, setup, teardown),
        cmocka_unit_test(test_stock),
        cmocka_unit_test(test_no_right_to_lock),
        cmocka_unit_test(test_moves_that_fail),
        cmocka_unit_test(test_stock_is_for_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

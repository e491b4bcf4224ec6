/* Executions that begin while their weights arrive: in which order these are copied, that each step
 * waits for what it reads, and what becomes of an execution whose load fails. */
#include "cpu_int.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#include "adapters/gate.h"

#define WIDE   512
#define DEEP   256
#define ROUNDS 30

/* ---- a model: mean over DEEP of (x + a constant), times two matrices ---- */

struct text {
    char *data;
    size_t len, cap;
};

static void put(struct text *t, const void *p, size_t n)
{
    ac_grow(&t->data, &t->cap, t->len + n, 1);
    memcpy(t->data + t->len, p, n);
    t->len += n;
}

static void number(struct text *t, uint64_t v)
{
    do {
        uint8_t b = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        put(t, &b, 1);
    } while (v >>= 7);
}

static void field(struct text *t, uint32_t tag, uint64_t v)
{
    number(t, tag << 3);
    number(t, v);
}

static void bytes(struct text *t, uint32_t tag, const void *p, size_t n)
{
    number(t, tag << 3 | 2);
    number(t, n);
    put(t, p, n);
}

static void string(struct text *t, uint32_t tag, const char *s)
{
    bytes(t, tag, s, strlen(s));
}

static void message(struct text *t, uint32_t tag, struct text *m)
{
    bytes(t, tag, m->data, m->len);
    free(m->data);
    *m = (struct text){0};
}

static void node(struct text *graph, const char *op, const char *a, const char *b, const char *out)
{
    struct text n = {0}, attribute = {0};
    string(&n, 1, a);
    if (b)
        string(&n, 1, b);
    string(&n, 2, out);
    string(&n, 4, op);
    if (!b) { /* ReduceMean over 1, which goes */
        string(&attribute, 1, "axes");
        field(&attribute, 8, 1);
        field(&attribute, 20, 7);
        message(&n, 5, &attribute);
        string(&attribute, 1, "keepdims");
        field(&attribute, 3, 0);
        field(&attribute, 20, 2);
        message(&n, 5, &attribute);
    }
    message(graph, 1, &n);
}

static void constant(struct text *graph, const char *name, uint64_t rows, struct ac_rng *rng)
{
    struct text t = {0};
    float *v = ac_xcalloc(rows * WIDE, sizeof(*v));
    for (size_t i = 0; i < rows * WIDE; i++)
        v[i] = (float)ac_rng_normal(rng);
    field(&t, 1, rows);
    field(&t, 1, WIDE);
    field(&t, 2, 1);
    string(&t, 8, name);
    bytes(&t, 9, v, rows * WIDE * sizeof(*v));
    message(graph, 5, &t);
    free(v);
}

static void value(struct text *graph, uint32_t tag, const char *name, bool deep)
{
    struct text dim = {0}, shape = {0}, tensor = {0}, type = {0}, info = {0};
    string(&dim, 2, "N");
    message(&shape, 1, &dim);
    if (deep) {
        field(&dim, 1, DEEP);
        message(&shape, 1, &dim);
    }
    field(&dim, 1, WIDE);
    message(&shape, 1, &dim);
    field(&tensor, 1, 1);
    message(&tensor, 2, &shape);
    message(&type, 1, &tensor);
    string(&info, 1, name);
    message(&info, 2, &type);
    message(graph, tag, &info);
}

static struct text make_model(void)
{
    struct text model = {0}, graph = {0}, opset = {0};
    struct ac_rng rng;
    ac_rng_seed(&rng, 3);
    node(&graph, "Add", "x", "c", "sum");
    node(&graph, "ReduceMean", "sum", NULL, "mean");
    node(&graph, "MatMul", "mean", "v", "hidden");
    node(&graph, "MatMul", "hidden", "w", "y");
    string(&graph, 2, "g");
    constant(&graph, "v", WIDE, &rng);
    constant(&graph, "w", WIDE, &rng);
    constant(&graph, "c", DEEP, &rng);
    value(&graph, 11, "x", true);
    value(&graph, 12, "y", false);
    field(&model, 1, 8);
    field(&opset, 2, 13);
    message(&model, 8, &opset);
    message(&model, 7, &graph);
    return model;
}

/* ---- the bed: one request of 2 rows, and what it gives with all weights there ---- */

struct bed {
    struct wk_executor *x;
    struct wk_model *m;
    struct cpu_model *cpu;
    float in[2 * DEEP * WIDE], out[2 * WIDE], want[2 * WIDE];
    struct wk_phases ph;
    struct ac_err err;
};
static struct bed bed;

static int infer(void)
{
    const void *inputs[] = {bed.in};
    void *outputs[] = {bed.out};
    struct wk_item item = {.rows = 2, .inputs = inputs, .outputs = outputs};
    memset(bed.out, 0, sizeof(bed.out));
    return bed.x->ops->infer(bed.x, bed.m, 1, &item, 1, &bed.ph, &bed.err);
}

static int setup(void **state)
{
    (void)state;
    struct text file = make_model();
    struct wk_source src = {.name = "m", .bytes = file.data, .len = file.len};
    struct ac_rng rng;
    ac_rng_seed(&rng, 4);
    for (size_t i = 0; i < AC_ARRAY_LEN(bed.in); i++)
        bed.in[i] = (float)ac_rng_normal(&rng);
    bed.x = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    if (bed.x->ops->prepare(bed.x, &src, &bed.m, &bed.err) != 0)
        fail_msg("%s", bed.err.msg);
    free(file.data);
    bed.cpu = AC_CONTAINER_OF(bed.m, struct cpu_model, base);
    assert_int_equal(bed.x->ops->load(bed.x, bed.m, &bed.err), 0);
    assert_int_equal(infer(), 0);
    memcpy(bed.want, bed.out, sizeof(bed.want));
    bed.x->ops->unload(bed.x, bed.m);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bed.x->ops->forget(bed.x, bed.m);
    bed.x->ops->destroy(bed.x);
    return 0;
}

/* What is read before it has come is not a number. */
static void poison(void)
{
    memset(bed.cpu->device, 0xff, bed.cpu->blob_bytes);
}

static size_t part_bytes(uint32_t part)
{
    return AC_MIN(CPU_PART, bed.cpu->blob_bytes - part * CPU_PART);
}

/* ---- the order of the copy ---- */

static int32_t seen;

static void on_wake(void *self, const _Atomic int32_t *at)
{
    (void)self;
    const struct cpu_model *m = bed.cpu;
    int32_t there = atomic_load(at);
    assert_int_equal(there, seen + 1 < (int32_t)m->n_parts ? seen + 1 : WK_ALL_THERE);
    seen++;
    for (uint32_t i = 0; i < m->n_parts; i++) {
        size_t part = m->parts[i] * CPU_PART;
        bool come = memcmp(m->device + part, m->blob + part, part_bytes(m->parts[i])) == 0;
        assert_int_equal(come, (int32_t)i < seen);
    }
}

static void no_wait(void *self, const _Atomic int32_t *at, int32_t was)
{
    (void)self, (void)at, (void)was;
    fail_msg("nothing is to be waited for");
}

/* The constant is the last in the blob and the first to be used. */
static void test_what_is_used_first_is_copied_first(void **state)
{
    (void)state;
    const struct wk_gate gate = {.wait = no_wait, .wake = on_wake};
    const struct cpu_model *m = bed.cpu;
    const struct plan *p = &m->plans[0];
    const size_t c = sizeof(float) * DEEP * WIDE, matrix = sizeof(float) * WIDE * WIDE;
    assert_in_range(m->blob_bytes, c + 2 * matrix, c + 2 * matrix + 4 * WIDE * sizeof(float));
    assert_true(m->parts[0] * CPU_PART >= m->blob_bytes - c - CPU_PART);
    /* c alone; then the first matrix, with a part that it shares with others at each end. */
    assert_in_range(p->steps[0].parts, c / CPU_PART, c / CPU_PART + 1);
    assert_int_equal(p->steps[p->n_steps - 1].parts, m->n_parts);
    int32_t first = 0;
    for (uint32_t i = 0; i < p->n_steps && !first; i++)
        first = p->steps[i].op == WK_DENSE ? p->steps[i].parts : 0;
    assert_in_range(first, (c + matrix) / CPU_PART, (c + matrix) / CPU_PART + 2);
    bed.x->gate = &gate;
    seen = 0;
    poison();
    wk_weights_begin(bed.m);
    assert_int_equal(bed.x->ops->load(bed.x, bed.m, &bed.err), 0);
    assert_int_equal(seen, m->n_parts);
    assert_int_equal(infer(), 0);
    assert_int_equal(bed.ph.wait_ns, 0);
    bed.x->gate = NULL;
    bed.x->ops->unload(bed.x, bed.m);
}

/* ---- an execution that is given one part at a time, when it asks for one ---- */

static int32_t lost_at; /* parts after which the load fails; 0: never */

static void one_more(void *self, const _Atomic int32_t *at, int32_t was)
{
    (void)self, (void)at;
    if (was + 1 == lost_at) {
        wk_weights_lost(bed.x, bed.m);
        return;
    }
    size_t part = bed.cpu->parts[was] * CPU_PART;
    memcpy(bed.cpu->device + part, bed.cpu->blob + part, part_bytes(bed.cpu->parts[was]));
    wk_weights_come(bed.x, bed.m, was + 1);
    seen = was + 1;
}

static void no_wake(void *self, const _Atomic int32_t *at)
{
    (void)self, (void)at;
}

static void test_each_step_waits_for_what_it_reads(void **state)
{
    (void)state;
    const struct wk_gate gate = {.wait = one_more, .wake = no_wake};
    bed.x->gate = &gate;
    lost_at = 0;
    poison();
    wk_weights_begin(bed.m);
    assert_int_equal(infer(), 0);
    assert_memory_equal(bed.out, bed.want, sizeof(bed.want));
    assert_int_equal(seen, bed.cpu->n_parts);
    assert_in_range(bed.ph.wait_ns, 1, bed.ph.exec_ns);
    bed.x->gate = NULL;
    bed.x->ops->unload(bed.x, bed.m);
}

static void test_a_load_that_fails_ends_its_execution(void **state)
{
    (void)state;
    const struct wk_gate gate = {.wait = one_more, .wake = no_wake};
    bed.x->gate = &gate;
    for (lost_at = 1; lost_at <= (int32_t)bed.cpu->n_parts; lost_at++) {
        poison();
        wk_weights_begin(bed.m);
        assert_int_equal(infer(), AC_ESTATE);
        assert_non_null(strstr(bed.err.msg, "weights"));
    }
    /* Without a load, and without a gate, nothing is waited for. */
    assert_int_equal(infer(), AC_ESTATE);
    bed.x->gate = NULL;
    wk_weights_begin(bed.m);
    assert_int_equal(infer(), AC_ESTATE);
    bed.x->ops->unload(bed.x, bed.m);
    assert_int_equal(infer(), AC_ESTATE);
}

/* ---- two threads ---- */

static bool no_memory;
static bool commit(void *self, void *p, size_t n)
{
    (void)self, (void)p, (void)n;
    return !no_memory;
}

static void *loader(void *arg)
{
    int *rc = arg;
    struct ac_err err = AC_ERR_INIT;
    *rc = bed.x->ops->load(bed.x, bed.m, &err);
    return NULL;
}

static void test_an_execution_follows_its_load(void **state)
{
    (void)state;
    struct cpu *c = AC_CONTAINER_OF(bed.x, struct cpu, base);
    bed.x->gate = &wk_gate_futex;
    c->mem.commit = commit;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t thread;
        int rc = 1;
        no_memory = i % 5 == 4;
        poison();
        wk_weights_begin(bed.m);
        assert_int_equal(pthread_create(&thread, NULL, loader, &rc), 0);
        int got = infer();
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(rc, no_memory ? AC_ENOMEM : 0);
        assert_int_equal(got, no_memory ? AC_ESTATE : 0);
        if (!no_memory) {
            assert_memory_equal(bed.out, bed.want, sizeof(bed.want));
            bed.x->ops->unload(bed.x, bed.m);
        }
    }
    bed.x->gate = NULL;
    c->mem.commit = wk_memory_heap.commit;
}

/* ---- the simulated device: eight parts, on a clock of the test ---- */

static int64_t now;
static struct wk_executor *simulated;
static struct wk_model *simulated_model;

static int64_t now_ns(void *self)
{
    (void)self;
    return now;
}

static void sleep_until(void *self, int64_t ns)
{
    (void)self;
    now = AC_MAX(now, ns);
}

/* A part comes each 1,000 from 0 on. */
static void next_part(void *self, const _Atomic int32_t *at, int32_t was)
{
    (void)self, (void)at;
    sleep_until(NULL, (was + 1) * 1000);
    wk_weights_come(simulated, simulated_model, was + 1 < 8 ? was + 1 : WK_ALL_THERE);
}

static int64_t simulated_end(int64_t begin, int64_t cost, int64_t *ret_wait)
{
    const struct ac_clock clock = {.now_ns = now_ns};
    struct wk_sim_config cfg = {.clock = &clock, .sleep_until = sleep_until, .base_ns = cost};
    const struct wk_gate gate = {.wait = next_part, .wake = no_wake};
    struct text file = make_model();
    struct wk_source src = {.name = "m", .bytes = file.data, .len = file.len};
    const void *inputs[] = {bed.in};
    void *outputs[] = {bed.out};
    struct wk_item item = {.rows = 1, .inputs = inputs, .outputs = outputs};
    struct wk_phases ph;
    cfg.load_bytes_per_s = (double)file.len / 8000 * 1e9;
    simulated = wk_sim_create(&cfg);
    simulated->gate = &gate;
    assert_int_equal(simulated->ops->prepare(simulated, &src, &simulated_model, &bed.err), 0);
    assert_int_equal(simulated->ops->infer(simulated, simulated_model, 0, &item, 1, &ph, &bed.err),
                     AC_ESTATE);
    now = 0;
    assert_int_equal(simulated->ops->load(simulated, simulated_model, &bed.err), 0);
    assert_in_range(now, 7990, 8010);
    simulated->ops->unload(simulated, simulated_model);
    now = begin;
    wk_weights_begin(simulated_model);
    wk_weights_come(simulated, simulated_model, (int32_t)(begin / 1000));
    assert_int_equal(simulated->ops->infer(simulated, simulated_model, 0, &item, 1, &ph, &bed.err),
                     0);
    *ret_wait = ph.wait_ns;
    assert_int_equal(ph.exec_ns, now - begin);
    simulated->ops->unload(simulated, simulated_model);
    simulated->ops->forget(simulated, simulated_model);
    simulated->ops->destroy(simulated);
    free(file.data);
    return now;
}

static void test_the_simulated_device_does_a_part_with_each(void **state)
{
    (void)state;
    int64_t wait;
    assert_int_equal(simulated_end(0, 800, &wait), 8000 + 800 / 8);
    assert_int_equal(wait, 8100 - 800);
    assert_int_equal(simulated_end(0, 16000, &wait), 1000 + 16000);
    assert_int_equal(wait, 1000);
    assert_int_equal(simulated_end(7000, 1600, &wait), 7000 + 1600);
    assert_int_equal(wait, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_used_first_is_copied_first),
        cmocka_unit_test(test_each_step_waits_for_what_it_reads),
        cmocka_unit_test(test_a_load_that_fails_ends_its_execution),
        cmocka_unit_test(test_an_execution_follows_its_load),
        cmocka_unit_test(test_the_simulated_device_does_a_part_with_each),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

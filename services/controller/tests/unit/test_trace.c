/* Recorded traces: both schemas, where what is wrong stands, and their arrivals. */
#include "workload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define MINUTE (60 * AC_NS_PER_S)

static const char counts[] = "HashOwner,HashApp,HashFunction,Trigger,1,2,3\n"
                             "o,a,rare,timer,0,1,0\n"
                             "o,a,busy,http,600,0,1200\n"
                             "o,b,some,queue,3,3,3\n";
static const char times[] = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                            "2023-11-16 18:15:46.5000000,374,44\n"
                            "2023-11-16 18:15:47.2500000,396,109\n"
                            "2023-11-16 18:15:47.2500000,9,1\n"
                            "2023-11-16 18:15:56.5000000,9,1\n";

static struct trace parsed(const char *text)
{
    struct trace t;
    struct ac_err err = AC_ERR_INIT;
    if (serving_trace_parse("f.csv", text, strlen(text), &t, &err) != 0)
        fail_msg("%s", err.msg);
    return t;
}

static void refused(const char *text, const char *message)
{
    struct trace t;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(serving_trace_parse("f.csv", text, strlen(text), &t, &err), AC_EINVAL);
    if (strncmp(err.msg, message, strlen(message)) != 0)
        fail_msg("\"%s\" instead of \"%s\"", err.msg, message);
}

static void test_counts(void **state)
{
    (void)state;
    struct trace t = parsed(counts);
    assert_int_equal(t.requests, 1810);
    assert_int_equal(t.span_ns, 3 * MINUTE);
    assert_int_equal(t.n_functions, 3);
    assert_int_equal(t.functions[0].calls, 1800);
    assert_int_equal(t.functions[0].n, 2);
    assert_int_equal(t.counts[t.functions[0].first + 1].minute, 2);
    assert_int_equal(t.functions[1].calls, 9);
    assert_int_equal(t.functions[2].calls, 1);
    serving_trace_free(&t);
    t = parsed("HashApp,HashFunction,HashOwner,1,2\r\nb,f,o,0,7\r\n");
    assert_int_equal(t.requests, 7);
    serving_trace_free(&t);
}

static void test_times(void **state)
{
    (void)state;
    struct trace t = parsed(times);
    assert_int_equal(t.n_times, 4);
    assert_int_equal(t.times_ns[1], 750 * AC_NS_PER_MS);
    assert_int_equal(t.times_ns[3], 10 * AC_NS_PER_S);
    assert_int_equal(t.span_ns, 10 * AC_NS_PER_S + 1);
    serving_trace_free(&t);
}

static void test_what_is_wrong_and_where(void **state)
{
    (void)state;
    refused("", "f.csv:0:1: the file is empty");
    refused("a,b,c\n1,2,3\n", "f.csv:1:1: neither HashOwner");
    refused("HashOwner,HashFunction,1,3\n", "f.csv:1:4: expected minute 2, not '3'");
    refused("HashFunction,1,2\nf,1\n", "f.csv:2:3: 2 cells where the header has 3");
    refused("HashFunction,1,2\nf,1,2\ng,1,-1\n", "f.csv:3:3: expected a whole number");
    refused("HashFunction,1\nf,10000001\n", "f.csv:2:2: expected a whole number");
    refused("HashFunction,1\nf,99999999999999999999\n", "f.csv:2:2: expected a whole number");
    refused("HashFunction,1\nf,\n", "f.csv:2:2: expected a whole number");
    refused("HashFunction,1\nf,0\n", "f.csv:2:1: the trace has no request");
    refused("TIMESTAMP,ContextTokens,GeneratedTokens\nx,1,1\n", "f.csv:2:1: expected a time");
    refused("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1\n",
            "f.csv:2:3: 2 cells");
    refused("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,1.5\n",
            "f.csv:2:3: expected a whole number");
    refused("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,1\n"
            "2023-11-16 18:15:45,1,1\n",
            "f.csv:3:1: the times go back");
    refused("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,1\n"
            "2024-11-16 18:15:45,1,1\n",
            "f.csv:3:1: more than 31 days");
}

/* Counts are kept by the minute at scale 1; other scales are right on average. */
static void test_arrivals(void **state)
{
    (void)state;
    struct trace t = parsed(counts);
    int64_t *at;
    size_t n, in[3] = {0};
    assert_int_equal(serving_trace_times(&t, 1, t.span_ns, 1, &at, &n, NULL), 0);
    assert_int_equal(n, 1810);
    double mean = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || at[i] >= at[i - 1]);
        in[at[i] / MINUTE]++;
        if (at[i] < MINUTE)
            mean += (double)at[i] / 603;
    }
    assert_true(in[0] == 603 && in[1] == 4 && in[2] == 1203);
    assert_true(mean > 0.46 * (double)MINUTE && mean < 0.54 * (double)MINUTE);
    free(at);
    assert_int_equal(serving_trace_times(&t, 0.1, t.span_ns, 1, &at, &n, NULL), 0);
    assert_true(n > 176 && n < 186);
    free(at);
    serving_trace_free(&t);
    t = parsed(times);
    assert_int_equal(serving_trace_times(&t, 2, AC_NS_PER_S, 1, &at, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_int_equal(at[2], 375 * AC_NS_PER_MS);
    free(at);
    serving_trace_free(&t);
}

struct asked {
    uint64_t n, by_minute[3], by_model[8];
    int64_t last;
};

static struct asked replayed(const struct trace *t, const struct workload_replay *r)
{
    struct costs c = {.n = 2};
    struct workload w;
    struct ac_rng rng;
    struct asked a = {0};
    serving_workload_trace(t, &c, r, &w);
    assert_true(w.n_models <= 8 && w.row[w.n_models - 1] == (w.n_models - 1) % 2);
    ac_rng_seed(&rng, r->seed);
    for (uint32_t i = 0; i < w.n_functions; i++) {
        struct workload_function f = w.functions[i];
        int64_t now = 0;
        while ((now = serving_workload_next_ns(&w, &f, now, &rng)) <= w.duration_ns) {
            a.n++;
            a.by_model[f.model]++;
            a.by_minute[AC_MIN(now / MINUTE, 2)]++;
            a.last = AC_MAX(a.last, now);
        }
    }
    serving_workload_free(&w);
    return a;
}

static void test_a_trace_as_workload(void **state)
{
    (void)state;
    struct trace t = parsed(counts);
    struct asked a = replayed(&t, &(struct workload_replay){.rate = 1, .seed = 1});
    assert_int_equal(a.n, 1810);
    assert_true(a.by_minute[0] == 603 && a.by_minute[1] == 4 && a.by_minute[2] == 1203);
    /* The busiest function has a model alone; with two models the third shares its. */
    a = replayed(&t, &(struct workload_replay){.rate = 1, .models = 2, .seed = 3});
    assert_true(a.by_model[0] == 9 || a.by_model[1] == 9);
    assert_int_equal(a.by_model[0] + a.by_model[1], 1810);
    a = replayed(&t, &(struct workload_replay){.rate = 2, .seed = 1});
    assert_int_equal(a.n, 3620);
    serving_trace_free(&t);
    t = parsed(times);
    a = replayed(&t, &(struct workload_replay){.rate = 4, .models = 8, .seed = 1});
    assert_int_equal(a.n, 4);
    assert_int_equal(a.last, 10 * AC_NS_PER_S / 4 + 1);
    serving_trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_what_is_wrong_and_where),
        cmocka_unit_test(test_arrivals),
        cmocka_unit_test(test_a_trace_as_workload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/id.h>
#include <aceso/testkit.h>

static void times_format_and_parse(void **state)
{
    (void)state;
    char s[28];
    int64_t t;
    ac_time_format(0, s, sizeof(s));
    assert_string_equal(s, "1970-01-01T00:00:00.000000Z");
    ac_time_format(-1, s, sizeof(s));
    assert_string_equal(s, "1969-12-31T23:59:59.999999Z");
    ac_time_format(1767323045000006000, s, sizeof(s));
    assert_string_equal(s, "2026-01-02T03:04:05.000006Z");
    ac_time_format(1709164800 * AC_NS_PER_S, s, sizeof(s));
    assert_string_equal(s, "2024-02-29T00:00:00.000000Z");
    assert_int_equal(ac_time_parse("2026-01-02T05:04:05.000006001+02:00", &t), 0);
    assert_int_equal(t, 1767323045000006001);
    assert_int_equal(ac_time_parse("2026-01-02 03:04:05z", &t), 0);
    assert_int_equal(t, 1767323045000000000);
    assert_int_equal(ac_time_parse("2016-12-31T23:59:60Z", &t), 0);
    assert_int_equal(t, 1483228800000000000);
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-01-02",
                                      "2026-01-02T03:04:05",
                                      "2026-13-02T03:04:05Z",
                                      "2026-02-29T03:04:05Z",
                                      "2026-01-02T24:04:05Z",
                                      "2026-01-02T03:04:05.Z",
                                      "2026-01-02T03:04:05Zx",
                                      "1500-01-01T00:00:00Z",
                                      "2300-01-01T00:00:00Z",
                                      "2026-1-02T03:04:05Z",
                                      "2026-01-02T03:04:05+2:00",
                                      " 2026-01-02T03:04:05Z"};
    t = 77;
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++)
        assert_int_equal(ac_time_parse(bad[i], &t), AC_EINVAL);
    assert_int_equal(t, 77);
}

static void times_read_back_the_same(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(5);
    for (int i = 0; i < 100000; i++) {
        int64_t t = (int64_t)ac_rng_u64(&r), back;
        t -= t % 1000; /* the text has microseconds */
        char s[28];
        ac_time_format(t, s, sizeof(s));
        assert_int_equal(strlen(s), 27);
        assert_int_equal(ac_time_parse(s, &back), 0);
        assert_int_equal(back, t);
    }
}

static void real_clock_moves_forward(void **state)
{
    (void)state;
    int64_t a = ac_clock_real.now_ns(NULL), b = ac_now_ns();
    assert_true(b >= a);
    assert_true(ac_clock_real.wall_ns(NULL) > 1700000000 * AC_NS_PER_S);
}

static void same_seed_same_sequence(void **state)
{
    (void)state;
    struct ac_rng r;
    ac_rng_seed(&r, 0);
    /* Computed from the published algorithms (splitmix64 fills xoshiro256**). */
    assert_true(ac_rng_u64(&r) == 0x99ec5f36cb75f2b4u);
    assert_true(ac_rng_u64(&r) == 0xbf6e1f784956452au);
    struct ac_rng a, b;
    ac_rng_seed(&a, 42);
    ac_rng_seed(&b, 42);
    struct ac_rng x = ac_rng_split(&a, 1), y = ac_rng_split(&b, 1), z = ac_rng_split(&a, 2);
    assert_memory_equal(&x, &y, sizeof(x));
    assert_memory_not_equal(&x, &z, sizeof(x));
    for (int i = 0; i < 100; i++)
        assert_true(ac_rng_u64(&a) == ac_rng_u64(&b));
}

static void below_is_even(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(6);
    int hits[7] = {0};
    for (int i = 0; i < 70000; i++)
        hits[ac_rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(hits[i], 9400, 10600); /* six deviations */
    for (int i = 0; i < 1000; i++) {
        assert_true(ac_rng_below(&r, 1) == 0);
        assert_true(ac_rng_below(&r, (1ull << 63) + 1) <= 1ull << 63);
    }
}

static void check_moments(double sum, double sum2, int n, double mean, double var)
{
    double m = sum / n, v = sum2 / n - m * m;
    assert_true(fabs(m - mean) < 6 * sqrt(var / n));
    assert_true(fabs(v - var) < 0.1 * var);
}

static void distributions_have_their_moments(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(7);
    enum {
        N = 100000
    };
    static const struct {
        double mean, var;
    } want[] = {{0.5, 1.0 / 12}, {0, 1}, {1, 1}, {0.5, 0.5}, {4, 4}};
    for (int kind = 0; kind < 5; kind++) {
        double sum = 0, sum2 = 0;
        for (int i = 0; i < N; i++) {
            double v = kind == 0   ? ac_rng_uniform(&r)
                       : kind == 1 ? ac_rng_normal(&r)
                       : kind == 2 ? ac_rng_exponential(&r)
                                   : ac_rng_gamma(&r, want[kind].mean);
            assert_true(isfinite(v) && (kind == 1 || v >= 0) && (kind != 0 || v < 1));
            sum += v;
            sum2 += v * v;
        }
        check_moments(sum, sum2, N, want[kind].mean, want[kind].var);
    }
}

static void shuffle_is_an_even_permutation(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(8);
    int first[5] = {0};
    for (int round = 0; round < 20000; round++) {
        struct {
            int v;
            char pad[80];
        } items[5];
        for (int i = 0; i < 5; i++)
            items[i].v = i;
        ac_rng_shuffle(&r, items, 5, sizeof(items[0]));
        int mask = 0;
        for (int i = 0; i < 5; i++)
            mask |= 1 << items[i].v;
        assert_int_equal(mask, 31);
        first[items[0].v]++;
    }
    for (int i = 0; i < 5; i++)
        assert_in_range(first[i], 3650, 4350);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    assert_true(ac_random_seed() != ac_random_seed());
}

static void ids_increase_within_a_process(void **state)
{
    (void)state;
    struct ac_id last = ac_id_new();
    for (int i = 0; i < 100000; i++) {
        struct ac_id id = ac_id_new();
        assert_int_equal(strlen(id.s), AC_ID_LEN);
        assert_int_equal(strspn(id.s, "0123456789abcdefghjkmnpqrstvwxyz"), AC_ID_LEN);
        assert_true(strcmp(id.s, last.s) > 0);
        last = id;
    }
}

static void forked_child_makes_other_ids(void **state)
{
    (void)state;
    int fds[2];
    struct ac_id mine, childs;
    ac_id_new();
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        childs = ac_id_new();
        _exit(write(fds[1], &childs, sizeof(childs)) != sizeof(childs));
    }
    mine = ac_id_new();
    assert_int_equal(read(fds[0], &childs, sizeof(childs)), sizeof(childs));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_string_not_equal(mine.s, childs.s);
    assert_string_not_equal(mine.s + 10, childs.s + 10); /* the random part */
    close(fds[0]);
    close(fds[1]);
}

#define ID_THREADS   4
#define IDS_A_THREAD 5000

static void *make_ids(void *arg)
{
    struct ac_id *ids = arg;
    for (int i = 0; i < IDS_A_THREAD; i++)
        ids[i] = ac_id_new();
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(((const struct ac_id *)a)->s, ((const struct ac_id *)b)->s);
}

static void ids_of_many_threads_are_unique(void **state)
{
    (void)state;
    static struct ac_id ids[ID_THREADS * IDS_A_THREAD];
    pthread_t t[ID_THREADS];
    for (int i = 0; i < ID_THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, make_ids, ids + (size_t)i * IDS_A_THREAD), 0);
    for (int i = 0; i < ID_THREADS; i++)
        pthread_join(t[i], NULL);
    qsort(ids, AC_ARRAY_LEN(ids), sizeof(ids[0]), compare_ids);
    for (size_t i = 1; i < AC_ARRAY_LEN(ids); i++)
        assert_string_not_equal(ids[i - 1].s, ids[i].s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_format_and_parse),
        cmocka_unit_test(times_read_back_the_same),
        cmocka_unit_test(real_clock_moves_forward),
        cmocka_unit_test(same_seed_same_sequence),
        cmocka_unit_test(below_is_even),
        cmocka_unit_test(distributions_have_their_moments),
        cmocka_unit_test(shuffle_is_an_even_permutation),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(ids_increase_within_a_process),
        cmocka_unit_test(forked_child_makes_other_ids),
        cmocka_unit_test(ids_of_many_threads_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

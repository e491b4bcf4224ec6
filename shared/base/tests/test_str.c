#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <locale.h>

#include <aceso/base.h>
#include <aceso/str.h>
#include <aceso/testkit.h>

static void comparison(void **state)
{
    (void)state;
    assert_true(ac_streq("a", "a"));
    assert_false(ac_streq("a", NULL));
    assert_true(ac_streq(NULL, NULL));
    assert_true(ac_str_starts("abc", "ab") && ac_str_starts("abc", ""));
    assert_false(ac_str_starts("a", "ab"));
    assert_true(ac_str_ends("abc", "bc") && !ac_str_ends("c", "bc"));
    assert_true(ac_str_empty(NULL) && ac_str_empty("") && !ac_str_empty("x"));
}

static void integers(void **state)
{
    (void)state;
    int64_t i = 77;
    uint64_t u = 77;
    assert_true(ac_str_to_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_true(ac_str_to_i64("9223372036854775807", &i) && i == INT64_MAX);
    assert_true(ac_str_to_i64("+5", &i) && i == 5);
    assert_true(ac_str_to_u64("18446744073709551615", &u) && u == UINT64_MAX);
    static const char *const bad[] = {
        "", " 1", "1 ", "1x", "-", "+", "--1", "-+1", "0x1", "1.0", "9223372036854775808"};
    i = 77;
    for (size_t k = 0; k < AC_ARRAY_LEN(bad); k++)
        assert_false(ac_str_to_i64(bad[k], &i));
    assert_int_equal(i, 77);
    assert_false(ac_str_to_i64(NULL, &i));
    assert_false(ac_str_to_u64("-1", &u));
    assert_false(ac_str_to_u64("18446744073709551616", &u));
}

static void doubles(void **state)
{
    (void)state;
    double v = 7;
    assert_true(ac_str_to_f64("1.5e3", &v) && v == 1500.0);
    assert_true(ac_str_to_f64("-.5", &v) && v == -0.5);
    assert_true(ac_str_to_f64("nan", &v) && isnan(v));
    assert_true(ac_str_to_f64("-inf", &v) && isinf(v) && v < 0);
    assert_true(ac_str_to_f64("1e-400", &v) && v == 0);
    static const char *const bad[] = {"",       " 1",    "1 ", "1,5", "0x10",
                                      "nan(1)", "1e999", "1e", "--1"};
    for (size_t k = 0; k < AC_ARRAY_LEN(bad); k++)
        assert_false(ac_str_to_f64(bad[k], &v));
    char text[32];
    assert_int_equal(ac_str_from_f64(text, sizeof(text), 0.1), 3);
    assert_string_equal(text, "0.1");
    ac_str_from_f64(text, sizeof(text), -INFINITY);
    assert_string_equal(text, "-inf");
    ac_str_from_f64(text, sizeof(text), NAN);
    assert_string_equal(text, "nan");
    ac_str_from_f64(text, 3, 0.125);
    assert_string_equal(text, "0.");
}

static void doubles_read_back_the_same(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(2);
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where installed: a decimal comma must not leak in */
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = ac_rng_u64(&r);
        double v, back;
        memcpy(&v, &bits, sizeof(v));
        if (i % 3 == 0)
            v = (double)(int64_t)(bits >> 40) / 1000.0;
        if (!isfinite(v))
            continue;
        char text[32];
        ac_str_from_f64(text, sizeof(text), v);
        assert_true(ac_str_to_f64(text, &back));
        assert_memory_equal(&back, &v, sizeof(v));
    }
    (void)setlocale(LC_ALL, "C");
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        int64_t ns;
    } ok[] = {
        {"5ns", 5},
        {"10us", 10000},
        {"250ms", 250000000},
        {"1.5s", 1500000000},
        {"0.1s", 100000000},
        {"0s", 0},
        {"2m", 120000000000},
        {"1h", 3600000000000},
        {"3d", 259200000000000},
        {"0.000000001s", 1},
        {"0.0000000019s", 1},
        {"1.000000000000000000001s", 1000000000},
        {"106751d", 9223286400000000000},
    };
    int64_t ns;
    for (size_t i = 0; i < AC_ARRAY_LEN(ok); i++) {
        assert_true(ac_str_to_duration_ns(ok[i].s, &ns));
        assert_int_equal(ns, ok[i].ns);
    }
    static const char *const bad[] = {"",
                                      "5",
                                      "5.s",
                                      ".5s",
                                      "-1s",
                                      "5 s",
                                      "5S",
                                      "5min",
                                      "106752d",
                                      "1h30m",
                                      "99999999999999999999s",
                                      "s",
                                      "1e3s"};
    ns = 77;
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++)
        assert_false(ac_str_to_duration_ns(bad[i], &ns));
    assert_int_equal(ns, 77);
}

static void byte_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        uint64_t v;
    } ok[] = {{"0", 0},          {"100", 100},     {"100B", 100},      {"64K", 65536},
              {"4MiB", 4 << 20}, {"1G", 1u << 30}, {"2T", 2ull << 40}, {"1k", 1024}};
    uint64_t v;
    for (size_t i = 0; i < AC_ARRAY_LEN(ok); i++) {
        assert_true(ac_str_to_bytes(ok[i].s, &v));
        assert_true(v == ok[i].v);
    }
    static const char *const bad[] = {"",    "K",   "-1",           "1.5K", "1KB",
                                      "1 K", "1Ki", "99999999999T", "1x",   "18446744073709551616"};
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++)
        assert_false(ac_str_to_bytes(bad[i], &v));
}

static void copy_split_trim(void **state)
{
    (void)state;
    char dst[4] = "zzz", text[] = "a,,b,";
    assert_true(ac_str_copy(dst, sizeof(dst), "abc"));
    assert_false(ac_str_copy(dst, sizeof(dst), "abcd"));
    assert_string_equal(dst, "abc");
    assert_false(ac_str_copy(dst, 0, "x"));
    char *rest = text;
    assert_string_equal(ac_str_next(&rest, ','), "a");
    assert_string_equal(ac_str_next(&rest, ','), "");
    assert_string_equal(ac_str_next(&rest, ','), "b");
    assert_string_equal(ac_str_next(&rest, ','), "");
    assert_null(ac_str_next(&rest, ','));
    assert_null(ac_str_next(&rest, ','));
    char t1[] = " \t a b \n", t2[] = "   ";
    assert_string_equal(ac_str_trim(t1), "a b");
    assert_string_equal(ac_str_trim(t2), "");
}

/* The plain definition, exponential in the stars. */
static bool slow_glob(const char *p, const char *s)
{
    if (!*p)
        return !*s;
    if (*p == '*')
        return slow_glob(p + 1, s) || (*s && slow_glob(p, s + 1));
    return *s && (*p == '?' || *p == *s) && slow_glob(p + 1, s + 1);
}

static void glob_equals_its_definition(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(3);
    int matches = 0;
    for (int i = 0; i < 100000; i++) {
        char p[8] = "", s[10] = "";
        size_t np = ac_rng_below(&r, sizeof(p)), ns = ac_rng_below(&r, sizeof(s));
        for (size_t k = 0; k < np; k++)
            p[k] = "ab*?"[ac_rng_below(&r, 4)];
        for (size_t k = 0; k < ns; k++)
            s[k] = "ab"[ac_rng_below(&r, 2)];
        bool want = slow_glob(p, s);
        matches += want;
        if (ac_str_glob(p, s) != want)
            fail_msg("glob '%s' on '%s'", p, s);
    }
    assert_true(matches > 1000);
    assert_true(ac_str_glob("hotel_*_seconds", "hotel_search_seconds"));
}

static void edit_distance(void **state)
{
    (void)state;
    assert_int_equal(ac_str_distance("", ""), 0);
    assert_int_equal(ac_str_distance("kitten", "sitting"), 3);
    assert_int_equal(ac_str_distance("listen", "lisetn"), 2);
    assert_int_equal(ac_str_distance("", "abc"), 3);
    assert_int_equal(ac_str_distance("aaaaaaaaaaaaaaaaaaaa", "b"), 16);
    char longer[400];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(ac_str_distance(longer, longer), 0);
    assert_int_equal(ac_str_distance(longer, "x"), 16);
}

static void hashes_spread(void **state)
{
    (void)state;
    assert_true(ac_hash_str("abc") == ac_hash_bytes("abc", 3));
    assert_true(ac_hash_bytes("", 0) != ac_hash_bytes("\0", 1));
    /* Keys that differ in the last digit fill 256 slots about evenly. */
    int slots[256] = {0};
    for (int i = 0; i < 25600; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "series-%d", i);
        slots[ac_hash_str(key) & 255]++;
    }
    for (int i = 0; i < 256; i++)
        assert_in_range(slots[i], 50, 160);
}

static void base64_there_and_back(void **state)
{
    (void)state;
    static const char *const known[][2] = {
        {"", ""},        {"f", "Zg=="},          {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe", "//4="}};
    for (size_t i = 0; i < AC_ARRAY_LEN(known); i++) {
        size_t len = 99;
        char *text = ac_base64(known[i][0], strlen(known[i][0]));
        char *back = ac_unbase64(known[i][1], &len);
        assert_string_equal(text, known[i][1]);
        assert_int_equal(len, strlen(known[i][0]));
        assert_string_equal(back, known[i][0]);
        free(text);
        free(back);
    }
    char *broken = ac_unbase64("Zm9v\nYmFy\n", NULL), *bare = ac_unbase64("Zg", NULL);
    assert_string_equal(broken, "foobar");
    assert_string_equal(bare, "f");
    free(broken);
    free(bare);
    assert_null(ac_unbase64("Zm9v!", NULL));
    assert_null(ac_unbase64("Zm=v", NULL));
    assert_null(ac_unbase64("Zm9-", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparison),
        cmocka_unit_test(integers),
        cmocka_unit_test(doubles),
        cmocka_unit_test(doubles_read_back_the_same),
        cmocka_unit_test(durations),
        cmocka_unit_test(byte_sizes),
        cmocka_unit_test(copy_split_trim),
        cmocka_unit_test(glob_equals_its_definition),
        cmocka_unit_test(edit_distance),
        cmocka_unit_test(hashes_spread),
        cmocka_unit_test(base64_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

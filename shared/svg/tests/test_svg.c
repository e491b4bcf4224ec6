/* Pictures: well-formed whatever the texts and numbers are, small however long the series is, and
 * true to its extremes. */
#include <math.h>
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
#include <aceso/svg.h>
#include <aceso/testkit.h>

#define MINUTE 60000000000LL

static char *draw(const struct ac_chart *c)
{
    struct ac_buf b;
    ac_buf_init(&b, 8u << 20);
    assert_true(ac_chart_svg(c, &b));
    return ac_buf_take(&b);
}

static void test_texts_are_escaped_and_cut(void **state)
{
    (void)state;
    struct ac_buf b;
    ac_buf_init(&b, 1000);
    assert_true(ac_svg_text(&b, "a<b> & \"c\"\x01 \xc3\xa4\xff \xef\xbf\xbf"));
    assert_string_equal(ac_buf_str(&b), "a&lt;b&gt; &amp; &quot;c&quot;\xef\xbf\xbd \xc3\xa4"
                                        "\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    ac_buf_reset(&b);
    assert_true(ac_svg_text_cut(&b, "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 3));
    assert_string_equal(ac_buf_str(&b), "\xc3\xa4\xc3\xa4\xe2\x80\xa6");
    ac_buf_reset(&b);
    assert_true(ac_svg_text_cut(&b, "abc", 3));
    assert_string_equal(ac_buf_str(&b), "abc");
    ac_buf_fini(&b);
}

/* A million points: one of them is great, and is seen. */
static void test_extremes_survive_and_size_does_not_grow(void **state)
{
    (void)state;
    size_t n = 1000000;
    double *v = ac_xmalloc(n * sizeof *v);
    uint8_t *on = ac_xcalloc(n, 1);
    for (size_t i = 0; i < n; i++)
        v[i] = (double)(i % 7);
    v[654321] = 1000;
    v[123456] = -1000;
    on[777777] = 1;
    struct ac_chart_row row = {"flagged", on, "f0"};
    struct ac_chart c = {.title = "long",
                         .n = n,
                         .t0_ns = 1500000000000000000LL,
                         .step_ns = MINUTE,
                         .values = v,
                         .events = on,
                         .rows = &row,
                         .n_rows = 1};
    char *s = draw(&c);
    ac_kit_well_formed(s);
    assert_true(strlen(s) < 60000);
    /* a margin of 80 around 2,000: the greatest lies at 76 + 250 * 80 / 2160 */
    assert_non_null(strstr(s, "85.3"));
    assert_non_null(strstr(s, "316.7"));
    assert_non_null(strstr(s, "h1.5v12.0h-1.5z")); /* a single flag is wide enough to be seen */
    free(s);
    free(v);
    free(on);
}

static void test_few_points_and_rows_without_times(void **state)
{
    (void)state;
    static const double v[3] = {1, NAN, 3};
    static const uint8_t on[3] = {0, 1, 1};
    struct ac_chart_note notes[3] = {{0, "a<b"}, {1, "second"}, {2, "third"}};
    struct ac_chart_row row = {"flagged", on, "f0"};
    struct ac_chart c = {.title = "x & y",
                         .n = 3,
                         .step_ns = MINUTE,
                         .values = v,
                         .rows = &row,
                         .n_rows = 1,
                         .notes = notes,
                         .n_notes = 3,
                         .expected = v,
                         .low = v};
    char *s = draw(&c);
    ac_kit_well_formed(s);
    assert_non_null(strstr(s, "x &amp; y"));
    assert_non_null(strstr(s, "h.8M")); /* a point alone is seen */
    assert_non_null(strstr(s, "a&lt;b"));
    assert_non_null(strstr(s, ">third<"));
    assert_null(strstr(s, "UTC")); /* no times: rows are counted */
    assert_non_null(strstr(s, "prefers-color-scheme:dark"));
    free(s);
    c.n = 1;
    c.n_notes = 0;
    s = draw(&c);
    ac_kit_well_formed(s);
    free(s);
}

/* Markers keep their distance; what has no room is counted. */
static void test_markers_do_not_touch(void **state)
{
    (void)state;
    double v[2000];
    struct ac_chart_note notes[500];
    for (size_t i = 0; i < 2000; i++)
        v[i] = (double)i;
    for (size_t i = 0; i < 500; i++)
        notes[i] = (struct ac_chart_note){i * 4, "r"};
    struct ac_chart c = {.title = "t",
                         .n = 2000,
                         .t0_ns = 1,
                         .step_ns = MINUTE,
                         .values = v,
                         .notes = notes,
                         .n_notes = 500};
    char *s = draw(&c);
    ac_kit_well_formed(s);
    double last = -100;
    size_t n = 0;
    for (const char *p = s; (p = strstr(p, "cx=\"")); p++) {
        double x = strtod(p + 4, NULL);
        if (x == 24) /* of the list below */
            continue;
        assert_true(x - last >= 18);
        last = x;
        n++;
    }
    assert_int_equal(n, AC_CHART_NOTES);
    assert_non_null(strstr(s, "and 488 more"));
    free(s);
}

static void test_any_numbers(void **state)
{
    (void)state;
    static const double odd[] = {0,        1,   -1,     1e300,     -1e300, 1.7e308, -1.7e308,
                                 INFINITY, NAN, 5e-324, -INFINITY, 42,     1e15,    1e15 + 1};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct ac_rng r;
        ac_rng_seed(&r, seed);
        size_t n = 1 + (size_t)ac_rng_below(&r, 1500), kinds = 1 + (size_t)ac_rng_below(&r, 14);
        double *v[4];
        for (size_t k = 0; k < 4; k++) {
            v[k] = ac_xmalloc(n * sizeof(double));
            for (size_t i = 0; i < n; i++)
                v[k][i] = odd[(ac_rng_below(&r, kinds) + seed) % AC_ARRAY_LEN(odd)];
        }
        static const int64_t steps[] = {1, 1000, 1000000000, MINUTE, 86400 * 1000000000LL};
        static const int64_t starts[] = {0, 1, -1000000000000LL, 1500000000000000000LL};
        struct ac_chart c = {.title = "",
                             .n = n,
                             .t0_ns = starts[ac_rng_below(&r, 4)],
                             .step_ns = steps[ac_rng_below(&r, 5)],
                             .values = v[0],
                             .expected = seed % 2 ? v[1] : NULL,
                             .low = seed % 3 ? v[2] : NULL,
                             .high = seed % 5 ? v[3] : NULL};
        char *s = draw(&c);
        ac_kit_well_formed(s);
        if (strlen(s) > 200000)
            fail_msg("seed %llu: %zu bytes", (unsigned long long)seed, strlen(s));
        free(s);
        for (size_t k = 0; k < 4; k++)
            free(v[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_are_escaped_and_cut),
        cmocka_unit_test(test_extremes_survive_and_size_does_not_grow),
        cmocka_unit_test(test_few_points_and_rows_without_times),
        cmocka_unit_test(test_markers_do_not_touch),
        cmocka_unit_test(test_any_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

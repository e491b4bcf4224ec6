/* The edges of what is allowed and of what operators mean: the last number that is taken beside the
 * first that is not, both conditions at once, times before 1970, and states that no evaluation
 * would write. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/rules.h>

#define SECOND 1000000000LL

struct made {
    struct ac_ruleset *set;
    struct ac_plan *plan;
    struct ac_eval *eval;
};

static bool takes(const char *body, char message[192])
{
    struct ac_buf b;
    struct ac_diags d;
    struct ac_ruleset *s = NULL;
    ac_buf_init(&b, 1 << 16);
    ac_buf_printf(&b, "language 1 rule \"a\" { %s }", body);
    int rc = ac_ruleset_parse(b.data, b.len, &s, &d);
    if (rc == 0)
        ac_ruleset_destroy(s);
    else
        (void)snprintf(message, 192, "%s", d.v[0].message);
    ac_buf_fini(&b);
    return rc == 0;
}

/* x is the term that is looked at. */
static struct made make(const char *x, bool truth)
{
    struct made m = {NULL, NULL, NULL};
    struct ac_buf b;
    struct ac_diags d;
    ac_buf_init(&b, 1 << 16);
    ac_buf_printf(&b, "language 1 rule \"a\" { step 1s let x = %s when x%s }", x,
                  truth ? "" : " > 0");
    if (ac_ruleset_parse(b.data, b.len, &m.set, &d) < 0)
        fail_msg("%s: %s", x, d.v[0].message);
    const struct ac_rule *r = ac_ruleset_get(m.set, 0);
    assert_int_equal(ac_plan_create(&r, 1, 0, &m.plan, NULL), 0);
    m.eval = ac_eval_create(m.plan, 1);
    ac_buf_fini(&b);
    return m;
}

static void unmake(struct made *m)
{
    ac_eval_destroy(m->eval);
    ac_plan_destroy(m->plan);
    ac_ruleset_destroy(m->set);
}

static double push(struct made *m, int64_t time_ns, double v)
{
    (void)ac_eval_push(m->eval, time_ns, v);
    return ac_eval_term(m->eval, 0, "x");
}

static void the_last_number_is_taken_and_the_next_is_not(void **st)
{
    (void)st;
    static const struct {
        const char *last, *next, *message;
    } edges[] = {
        {"when value > 1 for 3 of 3", "when value > 1 for 4 of 3", "1 <= K <= N"},
        {"when value > 1 for 1 of 3", "when value > 1 for 0 of 3", "1 <= K <= N"},
        {"when mean(value, 1000000) > 1", "when mean(value, 1000001) > 1", "1000000"},
        {"when mean(value, 1) > 1", "when mean(value, 0) > 1", "1"},
        {"when value > 1e150", "when value > 1.1e150", "number"},
        {"when ewma(value, 1) > 1", "when ewma(value, 0) > 1", "weight of ewma"},
        {"when quantile(value, 5, 1) > 1", "when quantile(value, 5, 1.01) > 1", "0 and 1"},
        {"when held(value > 1, 2, 2)", "when held(value > 1, 3, 2)", "k <= n"},
        {"when season_max(value, 5, 2, 4) > 1", "when season_max(value, 5, 2, 5) > 1", "ahead"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(edges); i++) {
        char why[192] = "";
        if (!takes(edges[i].last, why))
            fail_msg("%s: %s", edges[i].last, why);
        if (takes(edges[i].next, why) || !strstr(why, edges[i].message))
            fail_msg("%s: %s", edges[i].next, *why ? why : "taken");
    }
}

static size_t deepest(const char *open, const char *middle, const char *close)
{
    size_t most = 0;
    for (size_t n = 1; n < 150; n++) {
        char why[192] = "";
        struct ac_buf b;
        ac_buf_init(&b, 1 << 16);
        ac_buf_puts(&b, "when ");
        for (size_t i = 0; i < n; i++)
            ac_buf_puts(&b, open);
        ac_buf_puts(&b, middle);
        for (size_t i = 0; i < n; i++)
            ac_buf_puts(&b, close);
        if (takes(ac_buf_str(&b), why))
            most = n;
        else if (!strstr(why, "nest"))
            fail_msg("%zu: %s", n, why);
        ac_buf_fini(&b);
    }
    return most;
}

/* Of 100 levels the condition takes one and a number one; parentheses and calls are a condition and
 * a number each. */
static void nesting_ends_at_its_limit(void **st)
{
    (void)st;
    assert_int_equal(deepest("(", "value > 1", ")"), 49);
    assert_int_equal(deepest("not ", "value > 1", ""), 98);
    assert_int_equal(deepest("-", "value > 1", ""), 98);
}

/* Where both hold, what begins wins over what ends. */
static void both_conditions_at_once(void **st)
{
    (void)st;
    struct made m = make("latch(value >= 1, value >= 2)", true);
    static const double v[] = {0, 3, 0, 1, 3, 0}, want[] = {0, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < AC_ARRAY_LEN(v); i++)
        assert_true(push(&m, 0, v[i]) == want[i]);
    unmake(&m);
}

/* Of an odd window the greater half, small windows and large ones alike. */
static void half_of_a_window_is_known(void **st)
{
    (void)st;
    static const char *const ops[] = {"min", "max", "mean", "median", "sum", "range"};
    static const int widths[] = {5, 31, 71, 301};
    for (size_t i = 0; i < AC_ARRAY_LEN(ops) * AC_ARRAY_LEN(widths); i++) {
        char x[64];
        int w = widths[i % AC_ARRAY_LEN(widths)];
        (void)snprintf(x, sizeof x, "%s(value, %d)", ops[i / AC_ARRAY_LEN(widths)], w);
        struct made m = make(x, false);
        for (int k = 1; k <= w; k++) {
            double got = push(&m, 0, k);
            if ((got == got) != (2 * k > w))
                fail_msg("%s: %g after %d points", x, got, k);
        }
        unmake(&m);
    }
}

static void clocks_before_1970(void **st)
{
    (void)st;
    static const struct {
        const char *x;
        int64_t time_s;
        double want;
    } times[] = {
        {"day_of_week()", 0, 3},
        {"day_of_week()", -1, 2},
        {"day_of_week()", -86400, 2},
        {"day_of_week()", -86401, 1},
        {"day_of_week()", -345600, 6},
        {"time_of_day()", -1, 86399},
        {"time_of_day()", -86400, 0},
        {"time_of_week()", -1, 259199},
        {"time_of_week()", -345601, 518399},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(times); i++) {
        struct made m = make(times[i].x, false);
        double got = push(&m, times[i].time_s * SECOND, 1);
        if (got != times[i].want)
            fail_msg("%s at %lld: %g", times[i].x, (long long)times[i].time_s, got);
        unmake(&m);
    }
}

/* Two days from UTC are more than any zone has; what is beyond is no offset. */
static void an_offset_has_bounds(void **st)
{
    (void)st;
    static const struct {
        double offset, want;
    } offsets[] = {{172800, 0}, {172801, NAN}, {-172800, 0}, {-172801, NAN}, {NAN, NAN}};
    struct made m = make("time_of_day(\"A/B\")", false);
    for (size_t i = 0; i < AC_ARRAY_LEN(offsets); i++) {
        (void)ac_eval_push_with(m.eval, 0, 1, &offsets[i].offset);
        double got = ac_eval_term(m.eval, 0, "x"), want = offsets[i].want;
        if (!(got == want || (got != got && want != want)))
            fail_msg("offset %g: %g", offsets[i].offset, got);
    }
    unmake(&m);
}

/* ---- states ---- */

static void save(const struct made *m, struct ac_buf *b)
{
    ac_buf_init(b, 1 << 20);
    assert_true(ac_eval_save(m->eval, b));
}

/* A term that needs less of the past takes the newest of it. */
static void a_shorter_past_is_the_newest(void **st)
{
    (void)st;
    struct made longer = make("lag(value, 40)", false), shorter = make("lag(value, 3)", false);
    struct ac_buf b;
    for (int i = 0; i < 100; i++)
        (void)push(&longer, 0, i);
    save(&longer, &b);
    bool exact = false;
    assert_int_equal(ac_eval_restore(shorter.eval, b.data, b.len, &exact, NULL), 0);
    assert_true(exact);
    for (int i = 100; i < 110; i++)
        assert_true(push(&shorter, 0, i) == i - 3);
    ac_buf_fini(&b);
    unmake(&longer);
    unmake(&shorter);
}

static void bytes_too_many_or_too_few_are_no_state(void **st)
{
    (void)st;
    struct made m = make("mean(value, 3)", false);
    struct ac_buf b;
    (void)push(&m, 0, 1);
    save(&m, &b);
    assert_true(ac_buf_append(&b, "\0", 1));
    assert_int_equal(ac_eval_restore(m.eval, b.data, b.len, NULL, NULL), AC_EINVAL);
    assert_int_equal(ac_eval_restore(m.eval, b.data, b.len - 1, NULL, NULL), 0);
    assert_int_equal(ac_eval_restore(m.eval, b.data, b.len - 2, NULL, NULL), AC_EINVAL);
    ac_buf_fini(&b);
    unmake(&m);
}

/* The last numbers of a state are the scalars of its last operator: put is what back is from the
 * end. */
static double after_a_wrong_state(const char *x, size_t back, double put, size_t points)
{
    struct made m = make(x, false);
    struct ac_buf b;
    double got = NAN;
    save(&m, &b);
    memcpy(b.data + b.len - back * sizeof put, &put, sizeof put);
    assert_int_equal(ac_eval_restore(m.eval, b.data, b.len, NULL, NULL), 0);
    for (size_t i = 0; i < points; i++)
        got = push(&m, 0, 1 + (double)i);
    ac_buf_fini(&b);
    unmake(&m);
    return got;
}

static void numbers_out_of_their_range_are_brought_into_it(void **st)
{
    (void)st;
    static const double wrong[] = {NAN, -5, -0.5, -INFINITY};
    for (size_t i = 0; i < AC_ARRAY_LEN(wrong); i++)
        assert_true(after_a_wrong_state("run(value > 0)", 1, wrong[i], 1) == 1);
    /* Scalars of an envelope of 3 blocks: place, greatest, value, done, three of the ring. */
    static const double done[] = {NAN, -1, 3, 4, 1e300};
    for (size_t i = 0; i < AC_ARRAY_LEN(done); i++) {
        assert_true(after_a_wrong_state("envelope(value, 2, 3, 1)", 4, done[i], 4) == 4);
        assert_true(after_a_wrong_state("envelope(value, 2, 3, 1)", 4, done[i], 9) == 8);
        assert_true(after_a_wrong_state("envelope(value, 2, 3, 1)", 7, done[i], 4) == 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_number_is_taken_and_the_next_is_not),
        cmocka_unit_test(nesting_ends_at_its_limit),
        cmocka_unit_test(both_conditions_at_once),
        cmocka_unit_test(half_of_a_window_is_known),
        cmocka_unit_test(clocks_before_1970),
        cmocka_unit_test(an_offset_has_bounds),
        cmocka_unit_test(a_shorter_past_is_the_newest),
        cmocka_unit_test(bytes_too_many_or_too_few_are_no_state),
        cmocka_unit_test(numbers_out_of_their_range_are_brought_into_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

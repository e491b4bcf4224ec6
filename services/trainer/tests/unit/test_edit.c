/* Rules are changed as texts; each change is what it says, and compiles. */
#include "edit.h"
#include "evalrule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

static char *canonical(const char *text)
{
    char *t = ac_xstrdup(text);
    struct ac_err err = AC_ERR_INIT;
    if (evalrule_canonical(&t, &err) < 0)
        fail_msg("%s", err.msg);
    return t;
}

static void has(char *text, const char *part)
{
    assert_non_null(text);
    if (!strstr(text, part))
        fail_msg("no \"%s\" in %s", part, text);
    char *again = canonical(text);
    assert_string_equal(text, again);
    free(again);
    free(text);
}

#define HEAD                                                                                       \
    "language 1\nrule \"a\" {\n let limit = 4\n let b_limit = 10\n let low = 0\n let high = 20\n"
#define THREE                                                                                      \
    HEAD " when value > limit or edge(value > b_limit or value < 0, 3) or outside(value, low, "    \
         "high) != 0 }\n"

static void test_verdicts(void **state)
{
    (void)state;
    char *r = canonical(THREE);
    assert_int_equal(edit_operands(r), 3);
    has(edit_without(r, 0), "    when edge(value > b_limit or value < 0, 3) or outside");
    has(edit_without(r, 2), "    when value > limit or edge(value > b_limit or value < 0, 3)\n");
    has(edit_only(r, 1), "    when edge(value > b_limit or value < 0, 3)\n");
    has(edit_when(r, "let m = mean(value, 5)\n", "(", ") and m > 1"), ") and m > 1\n");
    has(edit_when(r, "", "edge(", ", 3)"), "    when edge(value > limit or edge(");
    has(edit_named(r, "all", "let m = run(all)\n", "all and m < 3"),
        "    let all = value > limit or edge(value > b_limit");
    assert_null(edit_named(r, "low", "", "low"));
    assert_null(edit_when(r, "let low = 1\n", "", " and low > 0")); /* the name is taken */
    assert_null(edit_when(r, "", "", " and nothing > 0"));
    assert_null(edit_without(r, 3));
    free(r);
    r = canonical(HEAD " when value > limit and value < high }\n");
    assert_int_equal(edit_operands(r), 2);
    has(edit_without(r, 1), "    when value > limit\n");
    free(r);
    r = canonical(HEAD " when value > limit for 2 of 3 }\n");
    assert_null(edit_when(r, "", "edge(", ", 3)"));
    assert_int_equal(edit_operands(r), 0);
    free(r);
    r = canonical(HEAD " when value > limit }\n");
    assert_int_equal(edit_operands(r), 1);
    assert_null(edit_without(r, 0));
    assert_null(edit_only(r, 0));
    free(r);
}

static void test_a_range_far_from_zero_keeps_its_digits(void **state)
{
    (void)state;
    char *r = canonical("language 1\nrule \"a\" {\n let low = 8589934592\n let high = 8589934594\n"
                        " when outside(value, low, high) != 0 }\n");
    has(edit_limits(r, 2), "    let low = 8589934591\n    let high = 8589934595\n");
    free(r);
}

static void test_limits(void **state)
{
    (void)state;
    char *r = canonical(THREE);
    char *all = edit_limits(r, 2);
    has(ac_xstrdup(all), "let limit = 8\n");
    has(ac_xstrdup(all), "let b_limit = 20\n");
    has(ac_xstrdup(all), "let low = -10\n");
    has(all, "let high = 30\n");
    char *one = edit_limit(r, 1, 0.5);
    has(ac_xstrdup(one), "let limit = 4\n");
    has(ac_xstrdup(one), "let low = 0\n");
    has(one, "let b_limit = 5\n");
    has(edit_limit(r, 2, 1.5), "let high = 25\n");
    assert_null(edit_limit(r, 3, 2));
    assert_null(edit_limits(r, 1));
    free(r);
    r = canonical("language 1\nrule \"a\" { let unlimited = 3 when value > unlimited }\n");
    assert_null(edit_limits(r, 2));
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_a_range_far_from_zero_keeps_its_digits),
        cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The rule language: syntax, errors with places and hints, operators, reasons, selectors. */
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
#include <aceso/rules.h>
#include <aceso/str.h>

static struct ac_ruleset *parse(const char *text)
{
    struct ac_ruleset *s = NULL;
    struct ac_diags d;
    if (ac_ruleset_parse(text, strlen(text), &s, &d) < 0)
        fail_msg("%d:%d: %s (%s)\n%s", d.v[0].line, d.v[0].column, d.v[0].message, d.v[0].hint,
                 text);
    return s;
}

static void refuse(const char *text, int line, int column, const char *message, const char *hint)
{
    struct ac_ruleset *s = NULL;
    struct ac_diags d;
    assert_int_equal(ac_ruleset_parse(text, strlen(text), &s, &d), AC_EINVAL);
    assert_null(s);
    assert_true(d.n >= 1);
    if (!strstr(d.v[0].message, message) || (hint && !strstr(d.v[0].hint, hint)) ||
        d.v[0].line != line || d.v[0].column != column)
        fail_msg("got %d:%d: %s (%s)\nfor %s", d.v[0].line, d.v[0].column, d.v[0].message,
                 d.v[0].hint, text);
}

static const char full[] = "# bought from the shop\n"
                           "language 1\n"
                           "\n"
                           "# first of two\n"
                           "rule \"slow search\" {\n"
                           "    on \"latency_*\" {service = \"search\", \"k8s.pod\" = \"s-*\"}\n"
                           "    step 1s\n"
                           "    # the usual\n"
                           "    let usual = median(lag(value, 1), 1m)\n"
                           "    let limit = 3.5\n"
                           "    let b = -(value - 2) * 3 > 1 or not (value > 1 and usual < 2)\n"
                           "    when value > limit * usual and (b or value >= 1e-05) for 2 of 3\n"
                           "    until value < usual for 5 of 5\n"
                           "    severity critical\n"
                           "    reason \"{value} against {usual}, {{limit}} {limit} \\\"q\\\"\"\n"
                           "    # done\n"
                           "}\n"
                           "\n"
                           "rule \"b\" {\n"
                           "    on \"*\"\n"
                           "    when missing(value)\n"
                           "    severity warning\n"
                           "}\n"
                           "\n"
                           "# the end\n";

static void canonical_text_is_a_fixed_point(void **st)
{
    (void)st;
    struct ac_ruleset *s = parse(full);
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    assert_true(ac_ruleset_print(s, &b));
    assert_string_equal(b.data, full);
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    assert_int_equal(ac_ruleset_len(s), 2);
    assert_string_equal(ac_rule_name(r), "slow search");
    assert_int_equal(ac_rule_severity(r), AC_SEVERITY_CRITICAL);
    assert_int_equal(ac_rule_step_ns(r), 1000000000);
    assert_false(ac_rule_equal(r, ac_ruleset_get(s, 1)));
    ac_buf_fini(&b);
    ac_ruleset_destroy(s);
}

static void comments_keep_their_clause(void **st)
{
    (void)st;
    struct ac_ruleset *s = parse("language 1 # v\nrule \"a\" { # r\n when value # w1\n > 3 # w2\n "
                                 "# s\n severity info } # end\n#tail");
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_ruleset_print(s, &b);
    assert_string_equal(b.data, "# v\nlanguage 1\n\n# r\nrule \"a\" {\n    on \"*\"\n    # w1\n    "
                                "# w2\n    when value > 3\n"
                                "    # s\n    severity info\n    # end\n}\n\n# tail\n");
    ac_buf_fini(&b);
    ac_ruleset_destroy(s);
}

/* As the printer gives it, and as it gives that again. */
static void print_twice(const char *text, struct ac_buf *b)
{
    struct ac_buf again;
    struct ac_ruleset *s = parse(text);
    assert_true(ac_ruleset_print(s, b));
    ac_ruleset_destroy(s);
    s = parse(b->data);
    ac_buf_init(&again, 1 << 20);
    assert_true(ac_ruleset_print(s, &again));
    assert_string_equal(b->data, again.data);
    ac_buf_fini(&again);
    ac_ruleset_destroy(s);
}

static void a_long_comment_is_kept_whole(void **st)
{
    (void)st;
    struct ac_buf text, b;
    ac_buf_init(&text, 1 << 20);
    ac_buf_init(&b, 1 << 20);
    ac_buf_puts(&text, "language 1\n# ");
    for (int i = 0; i < 70000; i++)
        ac_buf_putc(&text, 'x');
    ac_buf_puts(&text, "\n# y\nrule \"a\" { when true }");
    print_twice(text.data, &b);
    assert_true(b.len > 70000 && strstr(b.data, "x\n# y\nrule"));
    ac_buf_fini(&text);
    ac_buf_fini(&b);
}

static void durations_come_back_whole(void **st)
{
    (void)st;
    static const struct {
        const char *written, *printed;
    } steps[] = {{"90s", "90s"},       {"1.5m", "90s"},
                 {"120s", "2m"},       {"2w", "14d"},
                 {"1500us", "1500us"}, {"18014398509481988ns", "18014398509481988ns"},
                 {"0.5us", "500ns"}};
    for (size_t i = 0; i < AC_ARRAY_LEN(steps); i++) {
        char text[128], want[64];
        struct ac_buf b;
        ac_buf_init(&b, 4096);
        (void)snprintf(text, sizeof text, "language 1 rule \"a\" { step %s when true }",
                       steps[i].written);
        (void)snprintf(want, sizeof want, "    step %s\n", steps[i].printed);
        print_twice(text, &b);
        assert_non_null(strstr(b.data, want));
        ac_buf_fini(&b);
    }
}

static void errors_say_where_and_what_to_do(void **st)
{
    (void)st;
    refuse("", 1, 1, "expected language", "language 1");
    refuse("language 2\n", 1, 10, "knows language 1 only", NULL);
    refuse("language 1\nrule \"a\" { when vlaue > 3 }", 2, 17, "vlaue is not known",
           "did you mean value?");
    refuse("language 1\nrule \"a\" { when medain(value, 3) > 3 }", 2, 17, "no operator medain",
           "did you mean median?");
    refuse("language 1\nrule \"a\" { wehn value > 3 }", 2, 12, "expected a clause",
           "did you mean when?");
    refuse("language 1\nrule \"a\" { when value }", 2, 17, "when needs a truth value", "compare");
    refuse("language 1\nrule \"a\" { when mean(value, 5m) > 1 }", 2, 29, "needs the rule's step",
           "step 1s");
    refuse("language 1\nrule \"a\" { step 1m when mean(value, 90s) > 1 }", 2, 37, "whole number",
           "multiple of the step");
    refuse("language 1\nrule \"a\" { when mean(value, value) > 1 }", 2, 29, "whole number",
           "literal");
    refuse("language 1\nrule \"a\" { when mean(value) > 1 }", 2, 17,
           "mean needs more than 1 arguments", NULL);
    refuse("language 1\nrule \"a\" { when abs(value, 2) > 1 }", 2, 28, "abs takes 1 arguments",
           NULL);
    refuse("language 1\nrule \"a\" { when quantile(value, 9, 1.5) > 1 }", 2, 36, "between 0 and 1",
           NULL);
    refuse("language 1\nrule \"a\" { when season_min(value, 4, 2, 4) > 1 }", 2, 41, "look ahead",
           NULL);
    refuse("language 1\nrule \"a\" { when value > 3 and true or 4 }", 2, 39,
           "or needs a truth value", NULL);
    refuse("language 1\nrule \"a\" { when value = 3 }", 2, 23, "expected an operator", "==");
    refuse("language 1\nrule \"a\" { when value > 3", 2, 26, "expected a clause", NULL);
    refuse("language 1\nrule \"a\" { when value > 3 reason \"{vaule}\" }", 2, 34, "{vaule}",
           "{value}");
    refuse("language 1\nrule \"a\" { when value > 3 reason \"{largest 2 of value, vaule}\" }", 2,
           34, "{vaule}", "{value}");
    refuse("language 1\nrule \"a\" { when value > 3 reason \"{largest two of value}\" }", 2, 34,
           "without a number", "NAME");
    refuse("language 1\nrule \"a\" { when value > 3 reason \"{largest 2 value}\" }", 2, 34,
           "without a number", "NAME");
    refuse("language 1\nrule \"a\" { when value > 3 reason \"{largest 2 of value}\" }", 2, 34,
           "1 <= K", NULL);
    refuse("language 1\nrule \"a\" { when value > 3 reason \"{largest 0 of value}\" }", 2, 34,
           "1 <= K", NULL);
    refuse("language 1\nrule \"a\" { let b = value > 3 when b reason \"{largest 1 of value, b}\" }",
           2, 44, "truth value", NULL);
    refuse("language 1\nrule \"a\" { when value > 3 when value > 4 }", 2, 27, "given twice", NULL);
    refuse("language 1\nrule \"a\" { let x = 1 let x = 2 when x > 1 }", 2, 26, "given twice", NULL);
    refuse("language 1\nrule \"a\" { let when = 1 when value > 1 }", 2, 16, "expected a name",
           "belongs to the language");
    refuse("language 1\nrule \"a\" { severity info }", 2, 1, "has no when", NULL);
    refuse("language 1\nrule \"a\" { when value > 3 for 5 of 2 }", 2, 31, "1 <= K <= N", NULL);
    refuse("language 1\nrule \"a { when value > 3 }", 2, 6, "no end", "closing");
    refuse("language 1\nrule \"a\" { step 5parsec when value > 1 }", 2, 17, "unknown unit", NULL);
    refuse("language 1\nrule \"a\" { when value > 1 $ }", 2, 27, "does not know", NULL);
    refuse("language 1\nrule \"a\" { let d = 5m when value > d }", 2, 36, "duration stands",
           "seconds");
}

static void every_rule_with_an_error_is_named(void **st)
{
    (void)st;
    const char *t = "language 1\nrule \"a\" { when vlue > 3 }\nrule \"b\" { when value > 3 }\nrule "
                    "\"c\" { when 3 }\n";
    struct ac_ruleset *s = NULL;
    struct ac_diags d;
    assert_int_equal(ac_ruleset_parse(t, strlen(t), &s, &d), AC_EINVAL);
    assert_int_equal(d.n, 2);
    assert_int_equal(d.v[0].line, 2);
    assert_int_equal(d.v[1].line, 4);
}

static double run_example(const char *expr, bool truth)
{
    static const double v[] = {1, 2, 4, 8, 16};
    char text[512];
    const double zone[] = {3600};
    (void)snprintf(
        text, sizeof text,
        "language 1\nrule \"e\" {\n step 1s\n let x = %s\n when %s\n reason \"{x}\"\n}\n", expr,
        truth ? "x" : "x > 0");
    struct ac_ruleset *s = parse(text);
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    struct ac_plan *p = NULL;
    assert_int_equal(ac_plan_create(&r, 1, 0, &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(p, 1);
    assert_true(ac_plan_n_inputs(p) <= 1);
    for (int i = 0; i < 5; i++)
        ac_eval_push_with(e, i * 1000000000LL, v[i], zone);
    double x = ac_eval_term(e, 0, "x");
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
    return x;
}

static void operators_do_what_their_examples_say(void **st)
{
    (void)st;
    const struct ac_rule_op_info *ops;
    size_t n = ac_rule_ops(&ops);
    assert_true(n > 30);
    for (size_t i = 0; i < n; i++) {
        char expr[128];
        ac_str_copy(expr, sizeof expr, ops[i].example);
        char *want = strstr(expr, " => ");
        assert_non_null(want);
        *want = 0;
        want += 4;
        bool truth = ops[i].result[0] == 'b';
        double w = 0;
        if (truth)
            w = strcmp(want, "true") == 0;
        else
            assert_true(ac_str_to_f64(want, &w));
        double got = run_example(expr, truth);
        if (!(fabs(got - w) < 1e-12))
            fail_msg("%s is %.17g, not %s", expr, got, want);
        assert_true(i == 0 || strcmp(ops[i].result, "x") == 0 || ops[i].result[0] == 'b');
    }
}

static void unknown_is_neither_true_nor_false(void **st)
{
    (void)st;
    const char *t =
        "language 1\nrule \"n\" { when not (value > 3) }\nrule \"o\" { when value > 3 or true }\n"
        "rule \"a\" { when value > 3 and false }\nrule \"m\" { when missing(value / 0) }\n"
        "rule \"d\" { when value / 0 > 1 or 1 / value < 0 }";
    struct ac_ruleset *s = parse(t);
    const struct ac_rule *r[5];
    for (size_t i = 0; i < 5; i++)
        r[i] = ac_ruleset_get(s, i);
    struct ac_plan *p = NULL;
    assert_int_equal(ac_plan_create(r, 5, 0, &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(p, 1);
    assert_int_equal(ac_eval_push(e, 0, NAN), 2 | 8);
    assert_int_equal(ac_eval_push(e, 0, INFINITY), 2 | 8);
    assert_int_equal(ac_eval_push(e, 0, 1), 1 | 2 | 8);
    assert_int_equal(ac_eval_push(e, 0, 1e200), 2 | 8); /* beyond the range: missing */
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
}

static void reasons_are_filled_from_the_values(void **st)
{
    (void)st;
    struct ac_ruleset *s = parse(full);
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    struct ac_plan *p = NULL;
    assert_int_equal(ac_plan_create(&r, 1, 0, &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(p, 1);
    uint64_t m = 0;
    for (int i = 0; i < 40; i++)
        m = ac_eval_push(e, 0, 2 + 0.125 * (i % 2));
    assert_int_equal(m, 0);
    assert_int_equal(ac_eval_push(e, 0, 90), 0);
    assert_int_equal(ac_eval_push(e, 0, 95), 1); /* for 2 of 3 */
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    assert_true(ac_eval_reason(e, 0, &b));
    assert_string_equal(b.data, "95 against 2.125, {limit} 3.5 \"q\"");
    for (int i = 0; i < 4; i++)
        assert_int_equal(ac_eval_push(e, 0, 1), 1); /* held by until */
    assert_int_equal(ac_eval_push(e, 0, 1), 0);
    const char *names[4];
    assert_int_equal(ac_rule_reason_names(r, names, 4), 3);
    assert_string_equal(names[1], "usual");
    ac_buf_fini(&b);
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
}

/* The greatest first, equal ones in their order, what is missing left out. */
static void a_reason_names_the_largest_of_several(void **st)
{
    (void)st;
    struct ac_ruleset *s = parse(
        "language 1 rule \"a\" { let up = 2 * value let down = 1 - value let same = value + value "
        "let late = lag(value, 3) when value > -9 reason \"{largest 3 of down, up, same , late}; "
        "{largest 1 of late} {up}\" }");
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    static const struct {
        double v;
        const char *text;
    } shown[] = {{2, "up 4, same 4, down -1; unknown 4"},
                 {-3, "down 4, up -6, same -6; unknown -6"},
                 {0, "down 1, up 0, same 0; unknown 0"},
                 {0.5, "late 2, up 1, same 1; late 2 1"}};
    struct ac_plan *p = NULL;
    assert_int_equal(ac_plan_create(&r, 1, 0, &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(p, 1);
    for (size_t i = 0; i < AC_ARRAY_LEN(shown); i++) {
        struct ac_buf b;
        ac_buf_init(&b, 4096);
        assert_int_equal(ac_eval_push(e, 0, shown[i].v), 1);
        assert_true(ac_eval_reason(e, 0, &b));
        assert_string_equal(b.data, shown[i].text);
        ac_buf_fini(&b);
    }
    const char *names[8];
    assert_int_equal(ac_rule_reason_names(r, names, 8), 5); /* all that may be shown, and value */
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
}

static void without_a_reason_the_value_comes_first(void **st)
{
    (void)st;
    struct ac_ruleset *s = parse("language 1 rule \"a\" { let b = 2 * value let m = abs(value) "
                                 "when b > 1 and missing(lag(value, 9)) and m > 0 }");
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    static const struct {
        double v;
        const char *text;
    } shown[] = {{12345678, "value 12345678, b 24691356, m 12345678"},
                 {1.5e14, "value 150000000000000, b 300000000000000, m 150000000000000"},
                 {2e15, "value 2e+15, b 4e+15, m 2e+15"},
                 {1234.56, "value 1235, b 2469, m 1235"}};
    for (size_t i = 0; i < AC_ARRAY_LEN(shown); i++) {
        struct ac_plan *p = NULL;
        struct ac_buf b;
        ac_buf_init(&b, 4096);
        assert_int_equal(ac_plan_create(&r, 1, 0, &p, NULL), 0);
        struct ac_eval *e = ac_eval_create(p, 1);
        assert_int_equal(ac_eval_push(e, 0, shown[i].v), 1);
        assert_true(ac_eval_reason(e, 0, &b));
        assert_string_equal(b.data, shown[i].text);
        ac_eval_destroy(e);
        ac_plan_destroy(p);
        ac_buf_fini(&b);
    }
    ac_ruleset_destroy(s);
}

/* Rules that differ in one thing are not equal, and inputs that do are two. */
static void one_difference_is_enough(void **st)
{
    (void)st;
    static const char *const rules[] = {
        "on \"m\" {k = \"v\"} when value > 1",
        "on \"n\" {k = \"v\"} when value > 1",
        "on \"m\" {k = \"w\"} when value > 1",
        "on \"m\" {l = \"v\"} when value > 1",
        "on \"m\" {k = \"v\"} when value > 2",
        "on \"m\" {k = \"v\"} when value >= 1",
        "on \"m\" {k = \"v\"} step 1s when value > 1",
        "on \"m\" {k = \"v\"} let a = 1 when value > 1",
        "on \"m\" {k = \"v\"} let a = 2 when value > 1",
        "on \"m\" {k = \"v\"} when value > 1 for 1 of 2",
        "on \"m\" {k = \"v\"} when value > 1 for 2 of 2",
        "on \"m\" {k = \"v\"} when value > 1 until value < 1",
        "on \"m\" {k = \"v\"} when value > 1 until value < 1 for 1 of 2",
        "on \"m\" {k = \"v\"} when value > 1 until value < 1 for 1 of 3",
        "on \"m\" {k = \"v\"} when value > 1 severity info",
        "on \"m\" {k = \"v\"} when value > 1 reason \"x\"",
        "input x = series(\"m\") when x > 1",
        "input x = model(\"m\") when x > 1",
        "input x = series(\"n\") when x > 1",
        "input x = series(\"m\") {k = \"v\"} when x > 1",
        "input x = series(\"m\") {k = \"w\"} when x > 1",
        "input x = series(\"m\") {l = \"w\"} when x > 1",
    };
    const size_t n = AC_ARRAY_LEN(rules), first_input = 16;
    struct ac_ruleset *s[AC_ARRAY_LEN(rules)];
    const struct ac_rule *r[AC_ARRAY_LEN(rules)];
    for (size_t i = 0; i < n; i++) {
        char text[160];
        (void)snprintf(text, sizeof text, "language 1 rule \"a\" { %s }", rules[i]);
        s[i] = parse(text);
        r[i] = ac_ruleset_get(s[i], 0);
    }
    struct ac_plan *p = NULL;
    assert_int_equal(ac_plan_create(r, n, 0, &p, NULL), 0);
    assert_int_equal(ac_plan_n_inputs(p), n - first_input);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            if (ac_rule_equal(r[i], r[k]) != (i == k))
                fail_msg("%s, %s", rules[i], rules[k]);
        }
        if (i >= first_input)
            assert_int_equal(ac_plan_find_input(p, ac_rule_input(r[i], 0)), i - first_input);
    }
    ac_plan_destroy(p);
    for (size_t i = 0; i < n; i++)
        ac_ruleset_destroy(s[i]);
}

static void selectors_match_metric_and_labels(void **st)
{
    (void)st;
    struct ac_ruleset *s = parse(full);
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    struct ac_label l[] = {{"service", "search"}, {"k8s.pod", "s-1"}};
    assert_true(ac_rule_matches(r, "latency_p99", l, 2));
    assert_false(ac_rule_matches(r, "latency_p99", l, 1));
    assert_false(ac_rule_matches(r, "errors", l, 2));
    assert_true(ac_rule_matches(ac_ruleset_get(s, 1), "errors", NULL, 0));
    ac_ruleset_destroy(s);
}

static void cost_is_bounded_and_equal_terms_are_shared(void **st)
{
    (void)st;
    struct ac_ruleset *s =
        parse("language 1\nrule \"a\" { when std(value, 60) > 1 and mean(value, 60) > 2 }\n"
              "rule \"b\" { when std(value, 60) > 1 and mean(value, 60) > 3 }");
    const struct ac_rule *r[] = {ac_ruleset_get(s, 0), ac_ruleset_get(s, 1)};
    struct ac_plan *one = NULL, *two = NULL;
    assert_int_equal(ac_plan_create(r, 1, 0, &one, NULL), 0);
    assert_int_equal(ac_plan_create(r, 2, 0, &two, NULL), 0);
    struct ac_cost c1 = ac_plan_cost(one), c2 = ac_plan_cost(two);
    assert_int_equal(c1.lookback, 60);
    assert_int_equal(c2.operators, c1.operators + 3);
    assert_true(c2.state_bytes < 2 * c1.state_bytes);
    ac_plan_destroy(one);
    ac_plan_destroy(two);
    ac_ruleset_destroy(s);
    refuse("language 1\nrule \"a\" { when median(value, 1000000) > mad(lag(value, 9), 1000000) and "
           "max(value, 999999) > median(value, 999998) }",
           2, 70, "bytes of state", NULL);
}

static void text_that_explodes_when_expanded_is_cheap(void **st)
{
    (void)st;
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_buf_puts(&b, "language 1\nrule \"a\" { let a0 = 1 let b0 = value\n");
    for (int i = 1; i < 1000; i++)
        ac_buf_printf(&b, "let a%d = a%d + a%d let b%d = b%d * b%d\n", i, i - 1, i - 1, i, i - 1,
                      i - 1);
    ac_buf_puts(&b, "when a999 > 1 or b999 > 1 }");
    struct ac_ruleset *s = parse(b.data);
    ac_ruleset_destroy(s);
    ac_buf_reset(&b);
    ac_buf_puts(&b, "language 1\nrule \"a\" { when ");
    for (int i = 0; i < 5000; i++)
        ac_buf_puts(&b, "(");
    struct ac_diags d;
    assert_int_equal(ac_ruleset_parse(b.data, b.len, &s, &d), AC_EINVAL);
    assert_non_null(strstr(d.v[0].message, "nested"));
    ac_buf_fini(&b);
}

/* A text of n times a line with its number, between a beginning and an end. */
static const char *repeated(struct ac_buf *b, const char *begin, const char *before,
                            const char *after, int n, const char *end)
{
    ac_buf_reset(b);
    ac_buf_puts(b, begin);
    for (int i = 0; i < n; i++)
        ac_buf_printf(b, "%s%d%s", before, i, after);
    ac_buf_puts(b, end);
    return b->data;
}

/* Each limit that docs/rules.md states: what reaches it passes, what goes beyond is told. */
static void the_names_of_a_largest_are_counted(void **st)
{
    (void)st;
    for (int n = 64; n <= 65; n++) {
        struct ac_buf b;
        struct ac_diags d;
        struct ac_ruleset *s = NULL;
        ac_buf_init(&b, 4096);
        ac_buf_puts(&b, "language 1 rule \"a\" { when value > 3 reason \"{largest 1 of value");
        for (int i = 1; i < n; i++)
            ac_buf_puts(&b, ", value");
        ac_buf_puts(&b, "}\" }");
        assert_int_equal(ac_ruleset_parse(b.data, b.len, &s, &d), n > 64 ? AC_EINVAL : 0);
        assert_true(n <= 64 || strstr(d.v[0].message, "at most 64 names"));
        ac_ruleset_destroy(s);
        ac_buf_fini(&b);
    }
}

static void limits_hold(void **st)
{
    (void)st;
    struct ac_buf b;
    struct ac_diags d;
    ac_buf_init(&b, 8u << 20);
    static const struct {
        const char *begin, *before, *after, *end, *message;
        int most;
    } limits[] = {
        {"language 1\n", "rule \"r", "\" { when true }\n", "", "more than 4096 rules", 4096},
        {"language 1 rule \"a\" {", " let x", " = 1", " when true }", "at most 2048 lets", 2048},
        {"language 1 rule \"a\" {", " input x", " = model(\"m\")", " when true }",
         "at most 32 inputs", 32},
        {"language 1 rule \"a\" { when ar(value, [0", ", ", "", "]) > 1 }", "at most 512 numbers",
         511},
        {"language 1 rule \"a\" { on \"m\" {", "l", " = \"x\",", "z = \"x\"} when true }",
         "expected }", 31},
        {"language 1 rule \"a\" { when ar(value, [0]) > 1", " #", "\n", " }", NULL, 10000},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(limits); i++) {
        for (int over = 0; over < 2; over++) {
            struct ac_ruleset *s = NULL;
            repeated(&b, limits[i].begin, limits[i].before, limits[i].after, limits[i].most + over,
                     limits[i].end);
            int rc = ac_ruleset_parse(b.data, b.len, &s, &d);
            if (rc == 0 && (!over || !limits[i].message))
                ac_ruleset_destroy(s);
            else if (rc == 0 || !over || !strstr(d.v[0].message, limits[i].message))
                fail_msg("limit %zu, over %d: %s", i, over, rc ? d.v[0].message : "taken");
        }
    }
    refuse("language 1 rule \"a\" { when spectral_residual(value, 2048) > 1 }", 1, 53, "power of 2",
           "64");
    refuse("language 1 rule \"a\" { step 1m when season_mean(value, 10, 500, 5, \"A/B\") > 1 }", 1,
           36, "too far", NULL);
    refuse("language 1 rule \"a\" { when season_mean(value, 10, 5, 5, \"A/B\") > 1 }", 1, 57,
           "needs the rule's step", "step 1m");
    refuse("language 1 rule \"a\" { when rate(value, 5) > 1 }", 1, 28, "needs the rule's step",
           NULL);
    refuse("language 1 rule \"a\" { when time_of_day(\"no zone\") > 1 }", 1, 40,
           "the name of a time zone", "Europe/Berlin");
    static const struct {
        const char *term, *message;
    } constants[] = {
        {"ewma(value, 0)", "the weight of ewma"},
        {"ewma(value, 1.01)", "the weight of ewma"},
        {"ratio(value, 2, 0)", "least divisor"},
        {"run(flat(value, 1))", "2 points or more"},
        {"run(flat(value, 2, -1))", "0 or more"},
        {"run(held(value > 1, 4, 3))", "needs k <= n"},
        {"envelope(value, 2, 100001, 0.5)", "100000 blocks"},
        {"envelope(value, 2, 2, 1.5)", "between 0 and 1"},
        {"season_mean(value, 1000, 1000, 1)", "too far"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(constants); i++) {
        struct ac_ruleset *none = NULL;
        ac_buf_reset(&b);
        ac_buf_printf(&b, "language 1 rule \"a\" { when %s > 1 }", constants[i].term);
        assert_int_equal(ac_ruleset_parse(b.data, b.len, &none, &d), AC_EINVAL);
        if (!strstr(d.v[0].message, constants[i].message))
            fail_msg("%s: %s", constants[i].term, d.v[0].message);
    }
    refuse("language 1 rule \"a\" { input value = model(\"m\") when true }", 1, 29,
           "expected a name", NULL);
    refuse("language 1 rule \"a\" { input x = modle(\"m\") when true }", 1, 33,
           "series, model or share", "did you mean model?");
    refuse("language 1 rule \"a\" { when true severity critcal }", 1, 42, "a severity",
           "did you mean critical?");
    refuse("language 1 rule \"\xff\" { when true }", 1, 17, "not UTF-8", NULL);
    refuse("language 1 # \xc3\nrule \"a\" { when true }", 2, 1, "not UTF-8", NULL);
    static const char nul[] = "language 1 # a\0b\nrule \"a\" { when true }";
    struct ac_ruleset *s = NULL;
    assert_int_equal(ac_ruleset_parse(nul, sizeof nul - 1, &s, &d), AC_EINVAL);
    assert_string_equal(d.v[0].message, "the comment before this is not UTF-8");
    ac_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_text_is_a_fixed_point),
        cmocka_unit_test(comments_keep_their_clause),
        cmocka_unit_test(a_long_comment_is_kept_whole),
        cmocka_unit_test(durations_come_back_whole),
        cmocka_unit_test(errors_say_where_and_what_to_do),
        cmocka_unit_test(every_rule_with_an_error_is_named),
        cmocka_unit_test(operators_do_what_their_examples_say),
        cmocka_unit_test(unknown_is_neither_true_nor_false),
        cmocka_unit_test(reasons_are_filled_from_the_values),
        cmocka_unit_test(a_reason_names_the_largest_of_several),
        cmocka_unit_test(without_a_reason_the_value_comes_first),
        cmocka_unit_test(one_difference_is_enough),
        cmocka_unit_test(selectors_match_metric_and_labels),
        cmocka_unit_test(cost_is_bounded_and_equal_terms_are_shared),
        cmocka_unit_test(text_that_explodes_when_expanded_is_cheap),
        cmocka_unit_test(the_names_of_a_largest_are_counted),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

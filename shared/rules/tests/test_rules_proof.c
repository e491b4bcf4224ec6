/* Proofs, readings and differences: what made a verdict true is told with its values, and nothing
 * that is told is wrong; random rules and series. */
#include "rulegen.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rules_proof.h>
#include <aceso/str.h>

#define N 300

static struct ac_ruleset *parse(const char *text)
{
    struct ac_ruleset *s = NULL;
    struct ac_diags d;
    if (ac_ruleset_parse(text, strlen(text), &s, &d) < 0)
        fail_msg("%d:%d: %s\n%s", d.v[0].line, d.v[0].column, d.v[0].message, text);
    return s;
}

/* "... (12 > 6.3)" at the end of a line holds, or does not where the line says so. */
static void facts_hold(const char *line, const char *end, uint64_t seed)
{
    const char *open = end;
    while (open > line && *open != '(')
        open--;
    char in[128], *rest = in;
    if (end[-1] != ')' || (size_t)(end - open) > sizeof in || open == line)
        return;
    memcpy(in, open + 1, (size_t)(end - open - 2));
    in[end - open - 2] = 0;
    const char *left = ac_str_next(&rest, ' '), *op = ac_str_next(&rest, ' ');
    double a, b;
    if (!left || !op || !rest || !ac_str_to_f64(left, &a) || !ac_str_to_f64(rest, &b) || a == b)
        return; /* equal as they are rounded for reading: nothing can be said */
    bool less = strcmp(op, "<") == 0 || strcmp(op, "<=") == 0;
    bool more = strcmp(op, ">") == 0 || strcmp(op, ">=") == 0;
    bool holds = less ? a < b : more ? a > b : strcmp(op, "!=") == 0;
    bool denied = open - line > 9 && memcmp(open - 9, ": not so ", 9) == 0;
    if (holds == denied)
        fail_msg("seed %llu: %.*s", (unsigned long long)seed, (int)(end - line), line);
}

struct checking {
    const struct ac_proof *p;
    struct ac_buf b;
    uint64_t seed;
    size_t flags, facts;
};

static void on_flag(struct ac_eval *e, size_t rule, size_t point, void *arg)
{
    struct checking *c = arg;
    (void)rule, (void)point;
    ac_buf_reset(&c->b);
    assert_true(ac_proof_put(c->p, e, &c->b));
    c->flags++;
    for (const char *s = ac_buf_str(&c->b); *s; c->facts++) {
        const char *end = strchr(s, '\n');
        facts_hold(s, end, c->seed);
        s = end + 1;
    }
}

static void what_is_told_holds(void **st)
{
    (void)st;
    double *v = malloc(N * sizeof *v);
    uint8_t *plain = malloc(N), *proven = malloc(N);
    struct checking c = {.flags = 0};
    struct ac_buf text;
    ac_buf_init(&c.b, 1u << 20);
    ac_buf_init(&text, 1u << 20);
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct rulegen g = {.lets = 0};
        struct ac_ruleset *s = NULL;
        ac_rng_seed(&g.rng, seed);
        ac_buf_reset(&text);
        ac_buf_puts(&text, "language 1\n");
        rg_rule(&g, &text, 0);
        if (ac_ruleset_parse(text.data, text.len, &s, NULL) < 0)
            continue;
        const struct ac_rule *r = ac_ruleset_get(s, 0);
        struct ac_proof *p = NULL;
        struct ac_plan *plan = NULL;
        assert_int_equal(ac_plan_create(&r, 1, 0, &plan, NULL), 0);
        assert_int_equal(ac_proof_create(r, &p, NULL), 0);
        c.p = p;
        c.seed = seed;
        rg_series(&g.rng, v, N);
        struct ac_eval_batch b = {.values = v, .n = N, .step_ns = 1000000000, .flags = plain};
        struct ac_eval *e = ac_eval_create(plan, 64);
        ac_eval_run(e, &b);
        ac_eval_destroy(e);
        b.flags = proven;
        b.on_flag = on_flag;
        b.arg = &c;
        e = ac_eval_create(ac_proof_plan(p), 64);
        ac_eval_run(e, &b);
        ac_eval_destroy(e);
        assert_memory_equal(plain, proven, N);
        ac_buf_reset(&c.b);
        assert_true(ac_rule_explain(r, &c.b));
        assert_null(strstr(c.b.data, "{0"));
        ac_plan_destroy(plan);
        ac_proof_destroy(p);
        ac_ruleset_destroy(s);
    }
    assert_true(c.flags > 1000 && c.facts > c.flags / 2);
    ac_buf_fini(&c.b);
    ac_buf_fini(&text);
    free(v);
    free(plain);
    free(proven);
}

static void a_proof_names_what_decided(void **st)
{
    (void)st;
    struct ac_ruleset *s =
        parse("language 1 rule \"a\" { let high = value > 10 let quiet = not (value > "
              "2) when high and value < 100 or quiet and false or flat(value, 2) "
              "for 2 of 3 until value < 5 }");
    struct ac_proof *p = NULL;
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    assert_int_equal(ac_proof_create(ac_ruleset_get(s, 0), &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(ac_proof_plan(p), 1);
    static const struct {
        double v;
        const char *text;
    } steps[] = {{3, ""},
                 {20, ""},
                 {30,
                  "value > 10 (30 > 10)\nvalue < 100 (30 < 100)\ntrue on at least 2 of the last 3 "
                  "points\n"},
                 {200, "true on at least 2 of the last 3 points, not on this one\n"},
                 {8, "it was flagged before, and until has not come true since\n"},
                 {4, ""}};
    for (size_t i = 0; i < AC_ARRAY_LEN(steps); i++) {
        (void)ac_eval_push(e, 0, steps[i].v);
        ac_buf_reset(&b);
        assert_true(ac_proof_put(p, e, &b));
        assert_string_equal(ac_buf_str(&b), steps[i].text);
    }
    const char *names[8];
    assert_int_equal(ac_rule_reason_names(ac_ruleset_get(s, 0), names, 8), 1);
    assert_string_equal(names[0], "value");
    ac_eval_destroy(e);
    ac_proof_destroy(p);
    ac_ruleset_destroy(s);
    ac_buf_fini(&b);
}

static void a_rule_is_read_out(void **st)
{
    (void)st;
    struct ac_ruleset *s = parse(
        "language 1 rule \"a\" { on \"m*\" {pod = \"p-?\"} step 1m input y = series(\"z\") {k = "
        "\"v\"} let a = "
        "season_median(value, 1d, 7, 1, \"Europe/Berlin\") let f = flat(value, 5m, 0.5) # "
        "dead\nwhen value "
        "- "
        "y > 3 * (a + 1) and (f or value < 2) for 3 of 3 until held(f, 2, 3) severity info }");
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    assert_true(ac_rule_explain(ac_ruleset_get(s, 0), &b));
    assert_string_equal(
        b.data,
        "Rule \"a\", of severity info, follows the series \"m*\" where pod is like \"p-?\", a "
        "point "
        "every 1m.\n  y is the series \"z\" with the same labels where k is \"v\".\n  a is the "
        "median "
        "of the value within 1 point of this phase in the last 7 seasons of 1d by the clock of "
        "\"Europe/Berlin\".\n  f means: the value has stayed "
        "within 0.5 over the last 5m (dead).\nIt flags a point when the value minus y is above 3 "
        "times (a "
        "plus 1) and (f or the value is below 2), on 3 points in a row.\nThen it goes on flagging "
        "until (f) on 2 of the last 3 points.\n");
    ac_buf_fini(&b);
    ac_ruleset_destroy(s);
}

static void every_operator_has_words(void **st)
{
    (void)st;
    const struct ac_rule_op_info *ops;
    size_t n = ac_rule_ops(&ops);
    for (size_t i = 0; i < n; i++) {
        char text[256], call[32];
        struct ac_buf b;
        const char *arrow = strstr(ops[i].example, " => ");
        (void)snprintf(text, sizeof text,
                       "language 1 rule \"a\" { step 1s let t = %.*s when true }",
                       (int)(arrow - ops[i].example), ops[i].example);
        (void)snprintf(call, sizeof call, "%s(", ops[i].name);
        struct ac_ruleset *s = parse(text);
        ac_buf_init(&b, 4096);
        assert_true(ac_rule_explain(ac_ruleset_get(s, 0), &b));
        if (strstr(b.data, call) || strpbrk(b.data, "{}|"))
            fail_msg("%s: %s", ops[i].name, b.data);
        ac_buf_fini(&b);
        ac_ruleset_destroy(s);
    }
}

static void on_change(const struct ac_rule_change *c, void *arg)
{
    ac_buf_printf(arg, "%s/%s/%s: %s => %s\n", c->rule, c->what, c->name, c->before, c->after);
}

static void on_state(const struct ac_rule_state *s, void *arg)
{
    ac_buf_printf(arg, "%s keeps %zu of %zu, %zu\n", s->rule, s->kept, s->operators,
                  s->cold_points);
}

static void no_change(const struct ac_rule_change *c, void *arg)
{
    (void)c;
    (void)arg;
}

static void differences(void **st)
{
    (void)st;
    struct ac_buf b;
    ac_buf_init(&b, 1u << 16);
    const struct ac_rule_diff_cb cb = {on_change, on_state, &b};
    struct ac_ruleset *old = parse(
        "language 1\nrule \"a\" { input y = model(\"m\") let m = mean(value, 60) let l = 3 when m "
        "> l and y > 1 "
        "for 2 of 3 severity info }\nrule \"b\" { when value > 1 }\nrule \"c\" { when value > 2 }");
    struct ac_ruleset *new = parse("language 1\nrule \"a\" { input y = model(\"n\") let mm = "
                                   "mean(value, 60) let l = 4 when mm > l and y "
                                   "> 1 for 3 of 3 severity critical }\nrule \"bb\" { when value > "
                                   "1 }\nrule \"d\" { when value > "
                                   "3 }");
    assert_int_equal(ac_ruleset_diff(old, old, &cb), 0);
    assert_string_equal(b.data, "a keeps 4 of 4, 0\nb keeps 0 of 0, 0\nc keeps 0 of 0, 0\n");
    ac_buf_reset(&b);
    assert_int_equal(ac_ruleset_diff(old, new, &cb), 9);
    assert_string_equal(b.data, "a/when for/: 2 of 3 => 3 of 3\n"
                                "a/severity/: info => critical\n"
                                "a/input/y: model \"m\" => model \"n\"\n"
                                "a/let renamed/mm: m => mm\n"
                                "a/number/l: 3 => 4\n"
                                "a/when/: m > l and y > 1 => mm > l and y > 1\n"
                                "a keeps 2 of 4, 3\n"
                                "bb/renamed/: b => bb\n"
                                "bb keeps 0 of 0, 0\n"
                                "c/removed/:  => \n"
                                "d/added/:  => \n");
    ac_ruleset_destroy(old);
    ac_ruleset_destroy(new);
    ac_buf_fini(&b);
}

/* What looks back at something that has started cold is cold for longer. */
static void cold_windows_add_up(void **st)
{
    (void)st;
    static const struct {
        const char *old, *new, *says;
    } pairs[] = {
        {"mean(mean(value, 100), 200)", "mean(mean(value, 120), 200)", "a keeps 0 of 3, 320\n"},
        {"mean(mean(value, 100), 200)", "mean(mean(value, 100), 220)", "a keeps 1 of 3, 320\n"},
        {"mean(value, 100) / max(value, 9)", "mean(value, 90) / max(value, 9)",
         "a keeps 1 of 2, 90\n"},
        {"lag(ewma(value, 0.5), 30)", "lag(ewma(value, 0.5), 40)", "a keeps 0 of 1, 40\n"},
        {"mean(value, 1m)", "mean(value, 2m)", "a keeps 0 of 2, 120\n"},
        {"envelope(value, 60, 7, 0.5)", "envelope(value, 60, 8, 0.5)", "a keeps 0 of 1, 480\n"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(pairs); i++) {
        char a[128], z[128];
        struct ac_buf b;
        ac_buf_init(&b, 4096);
        (void)snprintf(a, sizeof a, "language 1 rule \"a\" { step 1s when %s > 1 }", pairs[i].old);
        (void)snprintf(z, sizeof z, "language 1 rule \"a\" { step 1s when %s > 1 }", pairs[i].new);
        struct ac_ruleset *old = parse(a), *new = parse(z);
        const struct ac_rule_diff_cb cb = {no_change, on_state, &b};
        assert_int_equal(ac_ruleset_diff(old, new, &cb), 1);
        assert_string_equal(b.data, pairs[i].says);
        ac_ruleset_destroy(old);
        ac_ruleset_destroy(new);
        ac_buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_holds), cmocka_unit_test(a_proof_names_what_decided),
        cmocka_unit_test(a_rule_is_read_out), cmocka_unit_test(every_operator_has_words),
        cmocka_unit_test(differences),        cmocka_unit_test(cold_windows_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

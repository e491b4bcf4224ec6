/* Rules as JSON and back: random rules keep every bit; mistakes are told by their path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/json.h>
#include <aceso/rules_json.h>

#include "../../rules/tests/rulegen.h"

/* text -> tree -> JSON -> tree: the same text and the same JSON again. */
static void round_trip(const char *text, size_t len, uint64_t seed)
{
    struct ac_ruleset *s = NULL, *again = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (ac_ruleset_parse(text, len, &s, NULL) < 0)
        return; /* random seasons may look ahead */
    struct ac_buf json, json2, text1, text2;
    ac_buf_init(&json, 1u << 20);
    ac_buf_init(&json2, 1u << 20);
    ac_buf_init(&text1, 1u << 20);
    ac_buf_init(&text2, 1u << 20);
    assert_true(ac_ruleset_json(s, &json));
    if (ac_ruleset_from_json("made", json.data, json.len, &again, &err) < 0)
        fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, err.msg, json.data);
    assert_true(ac_ruleset_json(again, &json2));
    assert_string_equal(json.data, json2.data);
    assert_true(ac_ruleset_print(s, &text1) && ac_ruleset_print(again, &text2));
    assert_string_equal(text1.data, text2.data);
    for (size_t i = 0; i < ac_ruleset_len(s); i++)
        assert_true(ac_rule_equal(ac_ruleset_get(s, i), ac_ruleset_get(again, i)));
    ac_ruleset_destroy(s);
    ac_ruleset_destroy(again);
    ac_buf_fini(&json);
    ac_buf_fini(&json2);
    ac_buf_fini(&text1);
    ac_buf_fini(&text2);
}

static void random_rules_go_there_and_back(void **st)
{
    (void)st;
    struct ac_buf b;
    ac_buf_init(&b, 1u << 20);
    for (uint64_t seed = 1; seed <= 600; seed++) {
        struct rulegen g = {.lets = 0};
        ac_rng_seed(&g.rng, seed);
        ac_buf_reset(&b);
        ac_buf_puts(&b, "# first\nlanguage 1\n");
        for (int i = 0; i < 3; i++)
            rg_rule(&g, &b, i);
        round_trip(b.data, b.len, seed);
    }
    ac_buf_fini(&b);
}

static void every_clause_goes_there_and_back(void **st)
{
    (void)st;
    static const char text[] =
        "# a\nlanguage 1\n# b\nrule \"\\\"q\\\\ \303\244\" { # c\n on \"m*\" {\"k 8\" = \"x\\n\"} "
        "# d\n step 90s # "
        "e\n# f\n input y = series(\"z\") {a = \"b\", c = \"\"}\n input w = model(\"w\")\n# g\n "
        "let v = [-0, "
        "1e-320, 0.1]\n let d = 2w let t = true\n when - -value > 1e150 and not (t or ar(value, v) "
        "- (1 "
        "- 2) < -3) or time_of_day(\"Europe/Berlin\") * (2 / 3) / 4 > 5 for 2 of 3\n # h\n until y "
        "== w for 4 of 5 severity info reason \"{value} {{ {y}\" # i\n}\n# j\n";
    struct ac_ruleset *s = NULL;
    struct ac_diags d;
    if (ac_ruleset_parse(text, strlen(text), &s, &d) < 0)
        fail_msg("%d:%d %s", d.v[0].line, d.v[0].column, d.v[0].message);
    ac_ruleset_destroy(s);
    round_trip(text, strlen(text), 0);
}

static void one_rules_object_is_enough(void **st)
{
    (void)st;
    static const char json[] =
        "{\"name\": \"a\", \"when\": {\"op\": \">\", \"args\": [\"value\", -3]}}";
    struct ac_ruleset *s = NULL;
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    assert_int_equal(ac_ruleset_from_json("x", json, strlen(json), &s, NULL), 0);
    assert_true(ac_rule_print(ac_ruleset_get(s, 0), &b));
    assert_string_equal(b.data,
                        "language 1\n\nrule \"a\" {\n    on \"*\"\n    when value > -3\n    "
                        "severity warning\n}\n");
    ac_buf_fini(&b);
    ac_ruleset_destroy(s);
}

static void refuse(const char *json, const char *message)
{
    struct ac_ruleset *s = NULL;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(ac_ruleset_from_json("x.json", json, strlen(json), &s, &err), AC_EINVAL);
    assert_null(s);
    if (strncmp(err.msg, "x.json:", 7) != 0 || !strstr(err.msg, message))
        fail_msg("got %s\nwanted %s", err.msg, message);
}

#define RULE(rest) "{\"language\": 1, \"rules\": [{\"name\": \"a\", " rest "}]}"

static void mistakes_are_told_by_their_path(void **st)
{
    (void)st;
    refuse("[", "x.json:1:");
    refuse("[]", "an object is expected");
    refuse("{\"language\": 2, \"rules\": []}",
           "language: the text is in language 2; this program knows");
    refuse("{\"language\": 1, \"rule\": []}", "there is no key rule here");
    refuse("{\"language\": 1, \"rules\": [7]}", "rules[0]: an object");
    refuse(RULE("\"severity\": \"info\""), "rules[0]: the key when is missing");
    refuse(RULE("\"when\": {\"op\": \"medain\", \"args\": [\"value\", 3]}"),
           "rules[0].when: there is no operator medain (did you mean median?)");
    refuse(RULE("\"when\": {\"op\": \"and\", \"args\": [true, 4]}"),
           "rules[0].when.args[1]: and needs");
    refuse(RULE("\"when\": {\"op\": \">\", \"args\": [\"valu\", 4]}"),
           "rules[0].when.args[0]: the name valu is not known (did you mean value?)");
    refuse(RULE("\"lets\": [{\"name\": \"x\", \"expr\": {\"op\": \"mean\", \"args\": [\"value\", "
                "0]}}], "
                "\"when\": true"),
           "rules[0].lets[0].expr.args[1]: mean needs a whole number");
    refuse(RULE("\"when\": \"a or b\""), "rules[0].when: a or b is no name");
    refuse(RULE("\"when\": {\"op\": \"a) or (b\", \"args\": []}"),
           "rules[0].when: there is no operator");
    refuse(RULE("\"step\": \"1s when true\", \"when\": true"), "rules[0].step: 1s when true is no");
    refuse(RULE("\"when\": true, \"severity\": \"info }\""), "rules[0].severity: info } is no");
    refuse(RULE("\"when\": true, \"severity\": \"bad\""), "rules[0].severity: expected a severity");
    refuse(RULE("\"when\": true, \"reason\": \"{x}\""), "rules[0].reason: the reason shows {x}");
    refuse(RULE("\"when\": true, \"when_for\": [3, 2]"), "rules[0].when_for: for K of N");
    refuse(RULE("\"when\": true, \"comments\": {\"on\": 5}"),
           "rules[0].comments.on: a string is expected here");
    refuse(RULE("\"when\": true, \"labels\": [[\"a\"]]"), "rules[0].labels[0]: a label is");
    refuse(
        RULE("\"when\": true, \"inputs\": [{\"name\": \"x\", \"kind\": \"modle\", \"of\": \"m\"}]"),
        "rules[0].inputs[0]: expected series, model or share");
}

static void hostile_trees_end_soon(void **st)
{
    (void)st;
    struct ac_buf b;
    ac_buf_init(&b, 16u << 20);
    ac_buf_puts(&b, "{\"name\": \"a\", \"when\": ");
    for (int i = 0; i < 900; i++)
        ac_buf_puts(&b, "{\"op\": \"not\", \"args\": [");
    ac_buf_puts(&b, "true");
    for (int i = 0; i < 900; i++)
        ac_buf_puts(&b, "]}");
    ac_buf_puts(&b, "}");
    refuse(b.data, "nested too deeply");
    ac_buf_reset(&b);
    ac_buf_puts(&b, "{\"name\": \"a\", \"when\": {\"op\": \"mean\", \"args\": [1");
    for (int i = 0; i < 3000000; i++)
        ac_buf_puts(&b, ", 1");
    ac_buf_puts(&b, "]}}");
    refuse(b.data, "longer than");
    ac_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rules_go_there_and_back),
        cmocka_unit_test(every_clause_goes_there_and_back),
        cmocka_unit_test(one_rules_object_is_enough),
        cmocka_unit_test(mistakes_are_told_by_their_path),
        cmocka_unit_test(hostile_trees_end_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

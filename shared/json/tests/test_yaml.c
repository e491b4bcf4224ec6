#include <math.h>
#include <string.h>

#include <aceso/buf.h>
#include <aceso/json.h>
#include <aceso/str.h>
#include <aceso/testkit.h>
#include <aceso/yaml.h>

static struct ac_yaml_doc *parse(const char *text)
{
    struct ac_yaml_doc *d = NULL;
    struct ac_err e = AC_ERR_INIT;
    if (ac_yaml_parse("test.yaml", text, strlen(text), &d, &e))
        fail_msg("%s\n%s", e.msg, text);
    return d;
}

static void nodes_know_their_place(void **state)
{
    (void)state;
    struct ac_yaml_doc *d = parse("# comment\nname: hotel\nports:\n  - 80\n  - \"81\"\nempty:\n"
                                  "map: {a: 1, 'b c': two}\n---\nsecond\n---\n");
    assert_int_equal(ac_yaml_documents(d), 3);
    const struct ac_yaml *root = ac_yaml_root(d, 0), *ports = ac_yaml_get(root, "ports");
    assert_int_equal(root->kind, AC_YAML_MAP);
    assert_int_equal(root->len, 4);
    assert_string_equal(ac_yaml_str(root, "name", "?"), "hotel");
    assert_int_equal(ac_yaml_get(root, "name")->line, 2);
    assert_int_equal(ac_yaml_get(root, "name")->column, 7);
    assert_int_equal(ports->kind, AC_YAML_SEQ);
    assert_int_equal(ports->items[1]->line, 5);
    assert_int_equal(ports->items[1]->column, 5);
    assert_true(ports->items[1]->quoted && !ports->items[0]->quoted);
    assert_string_equal(ac_yaml_str(root, "empty", "?"), "");
    assert_string_equal(ac_yaml_str(root, "ports", "?"), "?");
    assert_string_equal(ac_yaml_str(ac_yaml_get(root, "map"), "b c", "?"), "two");
    assert_null(ac_yaml_get(root, "absent"));
    assert_null(ac_yaml_get(ports, "80"));
    assert_null(ac_yaml_get(NULL, "x"));
    assert_string_equal(ac_yaml_root(d, 1)->scalar, "second");
    assert_null(ac_yaml_root(d, 2));
    assert_null(ac_yaml_root(d, 3));
    struct ac_err e = AC_ERR_INIT;
    assert_int_equal(ac_yaml_err(d, ports->items[0], &e, "port %d is taken", 80), AC_EINVAL);
    assert_string_equal(e.msg, "test.yaml:4:5: port 80 is taken");
    ac_yaml_destroy(d);
    d = parse("");
    assert_int_equal(ac_yaml_documents(d), 0);
    ac_yaml_destroy(d);
    ac_yaml_destroy(NULL);
}

static void malformed_text_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } t[] = {
        {"a: [1, 2", "t:2:1:"},
        {"a: 1\nb: 2\na: 3\n", "t:3:1: this key is given twice"},
        {"a: &x 1\nb: *x\n", "t:2:4: aliases are not supported"},
        {"a: !custom 1\n", "t:1:4: this tag is not supported"},
        {"[a]: 1\n", "t:1:1: a key must be a scalar"},
        {"a: \"x\\0y\"\n", "t:1:4: a NUL character"},
        {"a: b: c\n", "t:1:"},
        {"\ta: 1\n", "t:1:1:"},
        {"a: \xff\n", "t: byte 3:"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++) {
        struct ac_yaml_doc *d = NULL;
        struct ac_err e = AC_ERR_INIT;
        assert_int_equal(ac_yaml_parse("t", t[i].text, strlen(t[i].text), &d, &e), AC_EINVAL);
        assert_null(d);
        if (!ac_str_starts(e.msg, t[i].msg))
            fail_msg("got '%s', not '%s'", e.msg, t[i].msg);
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    char text[400];
    memset(text, '[', 200);
    memset(text + 200, ']', 200);
    struct ac_yaml_doc *d = NULL;
    struct ac_err e = AC_ERR_INIT;
    assert_int_equal(ac_yaml_parse("t", text, sizeof(text), &d, &e), AC_EINVAL);
    assert_non_null(strstr(e.msg, "deeply"));
}

static void core_schema(void **state)
{
    (void)state;
    struct ac_yaml_doc *d = parse(
        "- null\n- ~\n-\n- true\n- False\n- 7\n- -3\n- +4\n- 0o17\n- 0x1F\n- 1.5\n- 1e3\n- .5\n"
        "- 08\n- 1.2.3\n- yes\n- '7'\n- !!str 8\n- 9223372036854775808\n- nan\n- .inf\n"
        "- 2026-01-02\n- --\n- 1_000\n");
    ac_cleanup_json j = ac_yaml_to_json(ac_yaml_root(d, 0));
    ac_cleanup(ac_free_p) char *text = ac_json_text(j);
    assert_string_equal(
        text, "[null,null,null,true,false,7,-3,4,15,31,1.5,1000.0,0.5,8,\"1.2.3\",\"yes\","
              "\"7\",\"8\",9.223372036854776e+18,\"nan\",\".inf\",\"2026-01-02\",\"--\","
              "\"1_000\"]");
    ac_yaml_destroy(d);
    ac_cleanup_json none = ac_yaml_to_json(NULL);
    assert_true(json_is_null(none));
}

static void json_as_yaml(void **state)
{
    (void)state;
    json_error_t je;
    ac_cleanup_json j =
        json_loads("{\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":"
                   "[\"-x\",\"1\"]},{\"name\":\"on\"}],\"none\":[],\"m\":{}},"
                   "\"nested\":[[1,2],[3]]}",
                   0, &je);
    ac_cleanup(ac_free_p) char *text = ac_yaml_from_json(j);
    assert_string_equal(text, "kind: Pod\n"
                              "spec:\n"
                              "  containers:\n"
                              "  - name: a\n"
                              "    args:\n"
                              "    - \"-x\"\n"
                              "    - \"1\"\n"
                              "  - name: \"on\"\n"
                              "  none: []\n"
                              "  m: {}\n"
                              "nested:\n"
                              "- - 1\n"
                              "  - 2\n"
                              "- - 3\n");
}

static json_t *random_json(struct ac_rng *r, int depth)
{
    switch (ac_rng_below(r, depth > 4 ? 5 : 8)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(ac_rng_below(r, 2));
    case 2:
        return json_integer((json_int_t)ac_rng_u64(r));
    case 3:
        return json_real(ac_rng_normal(r) * pow(10, (double)ac_rng_below(r, 40) - 20));
    case 4: {
        static const char *const s[] = {"",      "a",      "x: y",  "- b",  "null",      "7",
                                        "1e3",   "yes",    "\"q\"", "a\nb", "h\xc3\xa9", "#c",
                                        "a b",   "~",      "true",  "@x",   "?",         "0x1",
                                        " lead", "trail ", "%d",    "*a",   "&b",        "!t"};
        return json_string(s[ac_rng_below(r, AC_ARRAY_LEN(s))]);
    }
    case 5: {
        json_t *a = json_array();
        for (uint64_t n = ac_rng_below(r, 4); n > 0; n--)
            json_array_append_new(a, random_json(r, depth + 1));
        return a;
    }
    default: {
        json_t *o = json_object();
        static const char *const k[] = {"k", "two words", "a.b/c", "on", "5", "", "-", "x:"};
        for (uint64_t n = ac_rng_below(r, 4); n > 0; n--)
            json_object_set_new(o, k[ac_rng_below(r, AC_ARRAY_LEN(k))], random_json(r, depth + 1));
        return o;
    }
    }
}

static void any_json_value_reads_back_from_its_yaml(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(2);
    for (int i = 0; i < 5000; i++) {
        ac_cleanup_json j = random_json(&r, 0);
        ac_cleanup(ac_free_p) char *text = ac_yaml_from_json(j);
        struct ac_yaml_doc *d = parse(text);
        ac_cleanup_json back = ac_yaml_to_json(ac_yaml_root(d, 0));
        if (!json_equal(j, back))
            fail_msg("%s", text);
        ac_yaml_destroy(d);
    }
}

static int parse_run(void *arg)
{
    struct ac_yaml_doc *d = NULL;
    int rc = ac_yaml_parse("t", arg, strlen(arg), &d, NULL);
    ac_yaml_destroy(d);
    return rc;
}

static void parsing_survives_a_failing_heap(void **state)
{
    (void)state;
    struct ac_buf b;
    ac_buf_init(&b, 1 << 16);
    for (int i = 0; i < 200; i++)
        ac_buf_puts(&b, "- {some: thing, of: [1, 2]}\n");
    ac_cleanup(ac_free_p) char *text = ac_buf_take(&b);
    assert_true(ac_kit_alloc_sweep(parse_run, text) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_know_their_place),
        cmocka_unit_test(malformed_text_is_refused_with_its_place),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(core_schema),
        cmocka_unit_test(json_as_yaml),
        cmocka_unit_test(any_json_value_reads_back_from_its_yaml),
        cmocka_unit_test(parsing_survives_a_failing_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <math.h>
#include <string.h>

#include <aceso/json.h>
#include <aceso/testkit.h>

static json_t *parse(const char *text)
{
    json_t *j = NULL;
    struct ac_err e = AC_ERR_INIT;
    if (ac_json_parse("test", text, strlen(text), &j, &e))
        fail_msg("%s", e.msg);
    return j;
}

static void errors_name_line_and_column(void **state)
{
    (void)state;
    json_t *j = NULL;
    struct ac_err e = AC_ERR_INIT;
    static const char text[] = "{\n  \"a\": 1,\n  \"b\": }\n";
    assert_int_equal(ac_json_parse("f.json", text, strlen(text), &j, &e), AC_EINVAL);
    assert_memory_equal(e.msg, "f.json:3:", 9);
    assert_null(j);
    assert_int_equal(ac_json_parse("f", "", 0, &j, &e), AC_EINVAL);
    assert_int_equal(ac_json_parse("f", "\"\\u0000\"", 8, &j, &e), AC_EINVAL);
    assert_int_equal(ac_json_parse("f", "\"\xff\"", 3, &j, &e), AC_EINVAL);
    assert_int_equal(ac_json_load_file("/nonexistent", &j, &e), AC_ENOTFOUND);
    ac_cleanup(ac_free_p) char *deep = ac_xmalloc(100001);
    memset(deep, '[', 100000);
    deep[100000] = '\0';
    assert_int_equal(ac_json_parse("f", deep, 100000, &j, &e), AC_EINVAL);
}

static void text_is_compact_ordered_and_reads_back(void **state)
{
    (void)state;
    static const char text[] =
        "{\"z\":[1,-2.5,1e+300,0.1,3.0],\"a\":{\"s\":\"q\\\"\\n\",\"n\":null},"
        "\"e\":{},\"l\":[],\"t\":true,\"f\":false}";
    ac_cleanup_json j = parse(text);
    ac_cleanup(ac_free_p) char *out = ac_json_text(j);
    assert_string_equal(out, text);
    ac_cleanup(ac_free_p) char *none = ac_json_text(NULL);
    assert_string_equal(none, "null");
}

static json_t *random_json(struct ac_rng *r, int depth)
{
    switch (ac_rng_below(r, depth > 3 ? 5 : 7)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(ac_rng_below(r, 2));
    case 2:
        return json_integer((json_int_t)ac_rng_u64(r));
    case 3:
        return json_real(ac_rng_normal(r) * pow(10, (double)ac_rng_below(r, 40) - 20));
    case 4: {
        static const char *const s[] = {"",    "a",   "x: y",  "- b",         "null",      "7",
                                        "1e3", "yes", "\"q\"", "line\nbreak", "h\xc3\xa9", "#c",
                                        "a b", "~",   "true",  "@x"};
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
        static const char *const k[] = {"k", "two words", "a.b/c", "on", "5", "", "-"};
        for (uint64_t n = ac_rng_below(r, 4); n > 0; n--)
            json_object_set_new(o, k[ac_rng_below(r, AC_ARRAY_LEN(k))], random_json(r, depth + 1));
        return o;
    }
    }
}

static void any_value_reads_back_from_its_text(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(1);
    for (int i = 0; i < 5000; i++) {
        ac_cleanup_json j = random_json(&r, 0);
        ac_cleanup(ac_free_p) char *text = ac_json_text(j);
        ac_cleanup_json back = parse(text);
        if (!json_equal(j, back))
            fail_msg("%s", text);
    }
}

static void paths(void **state)
{
    (void)state;
    ac_cleanup_json j =
        parse("{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\",\"cpu\":2,"
              "\"f\":1.5,\"on\":true}],\"app.io/x\":\"dots\"},\"n\":null}");
    assert_string_equal(ac_json_str(j, "spec.containers[1].name", "?"), "b");
    assert_string_equal(ac_json_str(j, "spec.containers[2].name", "?"), "?");
    assert_string_equal(ac_json_str(j, "spec[\"app.io/x\"]", "?"), "dots");
    assert_string_equal(ac_json_str(j, "spec.containers[1].cpu", "?"), "?");
    assert_int_equal(ac_json_i64(j, "spec.containers[1].cpu", 7), 2);
    assert_int_equal(ac_json_i64(j, "spec.containers[1].f", 7), 7);
    assert_true(ac_json_f64(j, "spec.containers[1].cpu", 7) == 2.0);
    assert_true(ac_json_f64(j, "spec.containers[1].f", 7) == 1.5);
    assert_true(ac_json_bool(j, "spec.containers[1].on", false));
    assert_true(ac_json_bool(j, "spec.containers[0].on", true));
    assert_ptr_equal(ac_json_at(j, ""), j);
    assert_true(json_is_null(ac_json_at(j, "n")));
    static const char *const odd[] = {"x",       "spec.",   "spec..a", "spec[",
                                      "spec[\"", "spec[x]", "n.x",     "[0]"};
    for (size_t i = 0; i < AC_ARRAY_LEN(odd); i++)
        assert_null(ac_json_at(j, odd[i]));
    assert_null(ac_json_at(NULL, "a"));
}

static void required_values_complain_with_their_path(void **state)
{
    (void)state;
    ac_cleanup_json j = parse("{\"a\":[1],\"s\":\"x\",\"i\":4}");
    struct ac_err e = AC_ERR_INIT;
    const char *s;
    int64_t i;
    assert_int_equal(ac_json_need_str(j, "a", &s, &e), AC_EINVAL);
    assert_string_equal(e.msg, "a: expected a string, got an array");
    assert_int_equal(ac_json_need_str(j, "b.c", &s, &e), AC_EINVAL);
    assert_string_equal(e.msg, "b.c: missing");
    assert_int_equal(ac_json_need_str(j, "s", &s, &e), 0);
    assert_string_equal(s, "x");
    assert_int_equal(ac_json_need_i64(j, "i", &i, &e), 0);
    assert_int_equal(i, 4);
    assert_int_equal(ac_json_need_i64(j, "s", &i, &e), AC_EINVAL);
    assert_string_equal(e.msg, "s: expected an integer, got a string");
}

/* The table of RFC 7386, appendix A. */
static void merge_patch_follows_the_rfc(void **state)
{
    (void)state;
    static const char *const t[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++) {
        ac_cleanup_json target = parse(t[i][0]);
        ac_cleanup_json patch = parse(t[i][1]);
        ac_cleanup_json before = json_deep_copy(target);
        ac_cleanup_json out = ac_json_merge_patch(target, patch);
        ac_cleanup(ac_free_p) char *text = ac_json_text(out);
        assert_string_equal(text, t[i][2]);
        assert_true(json_equal(before, target));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(text_is_compact_ordered_and_reads_back),
        cmocka_unit_test(any_value_reads_back_from_its_text),
        cmocka_unit_test(paths),
        cmocka_unit_test(required_values_complain_with_their_path),
        cmocka_unit_test(merge_patch_follows_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

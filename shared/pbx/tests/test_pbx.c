#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/test/v1/kinds.pb-c.h>
#include <aceso/testkit.h>

typedef Aceso__Test__V1__Kinds kinds;
#define DESC (&aceso__test__v1__kinds__descriptor)

static kinds *unpack(const void *data, size_t len, struct ac_arena *a)
{
    ProtobufCMessage *m = NULL;
    struct ac_err e = AC_ERR_INIT;
    if (ac_pb_unpack(DESC, data, len, a, &m, &e))
        fail_msg("%s", e.msg);
    return (kinds *)m;
}

static void messages_survive_the_round_trip(void **state)
{
    (void)state;
    kinds child = ACESO__TEST__V1__KINDS__INIT, m = ACESO__TEST__V1__KINDS__INIT;
    double doubles[] = {1.5, -2};
    char one[] = "one", text[] = "hello";
    char *texts[] = {one};
    child.i64 = -7;
    m.i32 = -1;
    m.text = text;
    m.raw = (ProtobufCBinaryData){3, (uint8_t *)text};
    m.child = &child;
    m.n_doubles = 2;
    m.doubles = doubles;
    m.n_texts = 1;
    m.texts = texts;
    struct ac_buf b;
    struct ac_err e = AC_ERR_INIT;
    ac_buf_init(&b, 1000);
    assert_int_equal(ac_pb_pack(&m.base, &b, &e), 0);
    struct ac_arena *a = ac_arena_create(1 << 20);
    kinds *back = unpack(b.data, b.len, a);
    assert_int_equal(back->i32, -1);
    assert_string_equal(back->text, "hello");
    assert_int_equal(back->raw.len, 3);
    assert_int_equal(back->child->i64, -7);
    assert_true(back->doubles[1] == -2);
    kinds *copy = (kinds *)ac_pb_copy(&back->base, a);
    assert_string_equal(copy->texts[0], "one");
    assert_ptr_not_equal(copy->texts, back->texts);
    ac_buf_fini(&b);
    ac_buf_init(&b, 10);
    assert_int_equal(ac_pb_pack(&m.base, &b, &e), AC_EAGAIN);
    ac_buf_fini(&b);
    ac_arena_destroy(a);
    a = ac_arena_create(64);
    assert_null(ac_pb_copy(&m.base, a));
    ac_arena_destroy(a);
}

static void malformed_and_oversized_bytes_differ(void **state)
{
    (void)state;
    struct ac_arena *a = ac_arena_create(4096);
    ProtobufCMessage *m = NULL;
    struct ac_err e = AC_ERR_INIT;
    assert_int_equal(ac_pb_unpack(DESC, "\x6a\x05hi", 4, a, &m, &e), AC_EPROTO);
    assert_null(m);
    assert_non_null(strstr(e.msg, "aceso.test.v1.Kinds"));
    /* Unknown fields unpack to many times their size: the cap is on memory, not on bytes. */
    uint8_t flood[600];
    for (size_t i = 0; i < sizeof(flood); i += 3)
        memcpy(flood + i, "\xa0\x06\x00", 3);
    assert_int_equal(ac_pb_unpack(DESC, flood, sizeof(flood), a, &m, &e), AC_EAGAIN);
    ac_arena_reset(a);
    assert_int_equal(ac_pb_unpack(DESC, flood, 30, a, &m, &e), 0);
    ac_arena_destroy(a);
    assert_int_equal(ac_pb_unpack_heap(DESC, flood, sizeof(flood), 4096, &m, &e), AC_EAGAIN);
    assert_int_equal(ac_pb_unpack_heap(DESC, "\x6a\x05hi", 4, 4096, &m, &e), AC_EPROTO);
    assert_int_equal(ac_pb_unpack_heap(DESC, flood, 30, 4096, &m, &e), 0);
    protobuf_c_message_free_unpacked(m, NULL);
}

static int heap_run(void *arg)
{
    struct ac_buf *b = arg;
    ProtobufCMessage *m = NULL;
    int rc = ac_pb_unpack_heap(DESC, b->data, b->len, 1 << 20, &m, NULL);
    if (rc == 0)
        protobuf_c_message_free_unpacked(m, NULL);
    return rc;
}

static void unpacking_survives_a_failing_heap(void **state)
{
    (void)state;
    kinds child = ACESO__TEST__V1__KINDS__INIT, m = ACESO__TEST__V1__KINDS__INIT;
    char text[] = "x";
    char *texts[] = {text, text, text};
    child.text = text;
    m.child = &child;
    m.n_texts = 3;
    m.texts = texts;
    struct ac_buf b;
    ac_buf_init(&b, 1000);
    assert_int_equal(ac_pb_pack(&m.base, &b, NULL), 0);
    assert_true(ac_kit_alloc_sweep(heap_run, &b) >= 6);
    ac_buf_fini(&b);
}

static void json_of_every_kind(void **state)
{
    (void)state;
    kinds child = ACESO__TEST__V1__KINDS__INIT, m = ACESO__TEST__V1__KINDS__INIT;
    char text[] = "q\"";
    double doubles[] = {0.1, NAN, -INFINITY};
    protobuf_c_boolean bools[] = {1, 0};
    Aceso__Test__V1__Colour colours[] = {ACESO__TEST__V1__COLOUR__COLOUR_BLUE, 9};
    kinds *children[] = {&child};
    ProtobufCBinaryData raws[] = {{0, NULL}, {1, (uint8_t *)text}};
    Aceso__Test__V1__Kinds__CountsEntry entry = ACESO__TEST__V1__KINDS__COUNTS_ENTRY__INIT;
    Aceso__Test__V1__Kinds__CountsEntry *counts[] = {&entry};
    char key[] = "k";
    entry.key = key;
    entry.value = 3;
    m.i64 = INT64_MIN;
    m.u64 = UINT64_MAX;
    m.single = 0.1f;
    m.yes = 1;
    m.colour = ACESO__TEST__V1__COLOUR__COLOUR_RED;
    m.text = text;
    m.raw = (ProtobufCBinaryData){2, (uint8_t *)text};
    m.choice_case = ACESO__TEST__V1__KINDS__CHOICE_NUMBER;
    m.number = 0;
    m.n_doubles = 3;
    m.doubles = doubles;
    m.n_bools = 2;
    m.bools = bools;
    m.n_colours = 2;
    m.colours = colours;
    m.n_children = 1;
    m.children = children;
    m.n_raws = 2;
    m.raws = raws;
    m.n_counts = 1;
    m.counts = counts;
    struct ac_buf b;
    ac_buf_init(&b, 1 << 16);
    ac_pb_to_json(&m.base, &b);
    static const char *const parts[] = {
        "\"i64\":-9223372036854775808,",
        "\"u64\":18446744073709551615,",
        "\"single\":0.1,",
        "\"yes\":true,",
        "\"colour\":\"COLOUR_RED\",",
        "\"text\":\"q\\\"\",",
        "\"raw\":\"cSI=\",",
        "\"number\":0,",
        "\"doubles\":[0.1,\"NaN\",\"-Infinity\"],",
        "\"bools\":[true,false],",
        "\"colours\":[\"COLOUR_BLUE\",9],",
        "\"raws\":[\"\",\"cQ==\"],",
        "\"texts\":[],",
        "\"counts\":[{\"key\":\"k\",\"value\":3}]",
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(parts); i++) {
        if (!strstr(ac_buf_str(&b), parts[i]))
            fail_msg("no %s in %s", parts[i], ac_buf_str(&b));
    }
    assert_null(strstr(ac_buf_str(&b), "\"name\""));
    assert_null(strstr(ac_buf_str(&b), "\"child\":"));
    ac_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_the_round_trip),
        cmocka_unit_test(malformed_and_oversized_bytes_differ),
        cmocka_unit_test(unpacking_survives_a_failing_heap),
        cmocka_unit_test(json_of_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

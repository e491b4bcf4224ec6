#include <stdlib.h>
#include <string.h>

#include <aceso/arena.h>
#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/list.h>
#include <aceso/testkit.h>

static void products_do_not_wrap(void **state)
{
    (void)state;
    assert_true(ac_mul_size(3, 4) == 12);
    assert_true(ac_mul_size(SIZE_MAX, 2) == SIZE_MAX);
    assert_true(ac_mul_size((size_t)1 << 32, (size_t)1 << 32) == SIZE_MAX);
    assert_true(ac_mul_size(0, SIZE_MAX) == 0);
}

static void grow_keeps_the_content(void **state)
{
    (void)state;
    int *v = NULL;
    size_t cap = 0;
    for (int i = 0; i < 1000; i++) {
        ac_grow(&v, &cap, (size_t)i + 1, sizeof(*v));
        v[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(v[i], i);
    assert_true(cap >= 1000 && cap < 4000);
    free(v);
}

/* Blocks are aligned, do not overlap, and their sum never passes the cap. */
static void arena_property(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(1);
    for (int round = 0; round < 200; round++) {
        size_t cap = ac_rng_below(&r, 100000) + 1, sum = 0;
        struct ac_arena *a = ac_arena_create(cap);
        unsigned char *blocks[300];
        size_t sizes[300], n = 0;
        while (n < 300) {
            size_t size = ac_rng_below(&r, ac_rng_below(&r, 10) == 0 ? 20000 : 200);
            unsigned char *p = ac_arena_alloc(a, size);
            size_t rounded = size ? (size + 15) / 16 * 16 : 16;
            if (!p) {
                assert_true(sum + rounded > cap);
                break;
            }
            sum += rounded;
            assert_true((uintptr_t)p % 16 == 0);
            memset(p, (int)(n & 0xff), size);
            blocks[n] = p;
            sizes[n++] = size;
        }
        assert_true(sum <= cap && ac_arena_used(a) == sum);
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(blocks[i][k], i & 0xff);
        }
        ac_arena_destroy(a);
    }
    ac_arena_destroy(NULL);
}

static void arena_failure_is_sticky_until_reset(void **state)
{
    (void)state;
    struct ac_arena *a = ac_arena_create(64);
    assert_non_null(ac_arena_alloc(a, 10));
    assert_null(ac_arena_alloc(a, 64));
    assert_true(ac_arena_failed(a));
    assert_null(ac_arena_alloc(a, 1)); /* although it would fit */
    assert_null(ac_arena_strdup(a, "x"));
    ac_arena_reset(a);
    assert_false(ac_arena_failed(a));
    assert_int_equal(ac_arena_used(a), 0);
    assert_string_equal(ac_arena_strdup(a, "x"), "x");
    assert_null(ac_arena_alloc(a, SIZE_MAX));
    ac_arena_reset(a);
    assert_null(ac_arena_calloc(a, SIZE_MAX / 2, 4));
    ac_arena_destroy(a);
}

static void arena_strings(void **state)
{
    (void)state;
    struct ac_arena *a = ac_arena_create(1 << 20);
    assert_string_equal(ac_arena_printf(a, "%s-%d", "pod", 3), "pod-3");
    assert_string_equal(ac_arena_strndup(a, "abcdef", 3), "abc");
    assert_string_equal(ac_arena_strndup(a, "ab", 30), "ab");
    assert_null(ac_arena_strdup(a, NULL));
    assert_false(ac_arena_failed(a));
    assert_memory_equal(ac_arena_memdup(a, "xyz", 3), "xyz", 3);
    const char *z = ac_arena_calloc(a, 4, 4);
    for (int i = 0; i < 16; i++)
        assert_int_equal(z[i], 0);
    ac_arena_destroy(a);
}

static int arena_run(void *arg)
{
    (void)arg;
    struct ac_arena *a = ac_arena_create(1 << 20);
    for (int i = 0; i < 100; i++)
        ac_arena_alloc(a, 500);
    int rc = ac_arena_failed(a) ? AC_ENOMEM : 0;
    ac_arena_destroy(a);
    return rc;
}

static void arena_survives_a_failing_heap(void **state)
{
    (void)state;
    assert_true(ac_kit_alloc_sweep(arena_run, NULL) >= 3);
}

static void buf_collects_and_terminates(void **state)
{
    (void)state;
    struct ac_buf b;
    ac_buf_init(&b, 1000);
    assert_string_equal(ac_buf_str(&b), "");
    assert_true(ac_buf_puts(&b, "a"));
    assert_true(ac_buf_putc(&b, 'b'));
    assert_true(ac_buf_append(&b, "cde", 3));
    assert_true(ac_buf_printf(&b, "-%0200d-", 7));
    assert_int_equal(b.len, 207);
    assert_int_equal(b.data[b.len], '\0');
    assert_true(ac_buf_append(&b, NULL, 0));
    char *s = ac_buf_take(&b);
    assert_memory_equal(s, "abcde-0", 7);
    free(s);
    s = ac_buf_take(&b);
    assert_string_equal(s, "");
    free(s);
    ac_buf_fini(&b);
}

static void buf_overflow_is_sticky(void **state)
{
    (void)state;
    struct ac_buf b;
    ac_buf_init(&b, 5);
    assert_true(ac_buf_puts(&b, "abcde"));
    assert_false(b.failed);
    assert_false(ac_buf_putc(&b, 'f'));
    assert_string_equal(ac_buf_str(&b), "abcde");
    ac_buf_reset(&b);
    assert_string_equal(ac_buf_str(&b), "");
    assert_true(ac_buf_puts(&b, "ab"));
    assert_false(ac_buf_printf(&b, "%s", "cdef"));
    assert_string_equal(ac_buf_str(&b), "ab");
    assert_false(ac_buf_putc(&b, 'c')); /* although it would fit */
    ac_buf_reset(&b);
    assert_true(ac_buf_printf(&b, "%s", "cdefg"));
    ac_buf_fini(&b);
    ac_buf_init(&b, 0);
    assert_true(ac_buf_puts(&b, ""));
    assert_false(ac_buf_putc(&b, 'x'));
    ac_buf_fini(&b);
}

static const char *json_of(struct ac_buf *b, const char *s)
{
    ac_buf_reset(b);
    ac_buf_put_json_str(b, s);
    return ac_buf_str(b);
}

static void utf8_is_told_from_bytes(void **state)
{
    (void)state;
    assert_true(ac_utf8_valid(""));
    assert_true(ac_utf8_valid("a\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    assert_false(ac_utf8_valid("\xc0\xaf"));     /* overlong */
    assert_false(ac_utf8_valid("\xed\xa0\x80")); /* surrogate */
    assert_false(ac_utf8_valid("a\xe2\x82"));    /* cut short */
    assert_false(ac_utf8_valid("\xf5\x80\x80\x80"));
}

static void json_strings_are_escaped_and_valid_utf8(void **state)
{
    (void)state;
    struct ac_buf b;
    ac_buf_init(&b, 1000);
    assert_string_equal(json_of(&b, ""), "\"\"");
    assert_string_equal(json_of(&b, "a\"b\\c\n\r\t\x01\x7f"),
                        "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\"");
    assert_string_equal(json_of(&b, "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
                        "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
#define BAD "\xef\xbf\xbd"
    assert_string_equal(json_of(&b, "x\xff"), "\"x" BAD "\"");
    assert_string_equal(json_of(&b, "\xc3"), "\"" BAD "\"");                 /* cut */
    assert_string_equal(json_of(&b, "\xc0\xaf"), "\"" BAD BAD "\"");         /* overlong */
    assert_string_equal(json_of(&b, "\xed\xa0\x80"), "\"" BAD BAD BAD "\""); /* surrogate */
    assert_string_equal(json_of(&b, "\xf4\x90\x80\x80"), "\"" BAD BAD BAD BAD "\"");
    ac_buf_fini(&b);
}

struct item {
    int v;
    struct ac_list node;
};

static void list_keeps_order_through_removal_and_splice(void **state)
{
    (void)state;
    struct ac_list a, b;
    struct item it[6];
    ac_list_init(&a);
    ac_list_init(&b);
    assert_null(ac_list_pop_front(&a));
    for (int i = 0; i < 6; i++) {
        it[i].v = i;
        ac_list_push_back(i < 3 ? &a : &b, &it[i].node);
    }
    ac_list_splice(&a, &b);
    assert_true(ac_list_empty(&b));
    ac_list_splice(&a, &b);
    AC_LIST_FOREACH(n, &a)
    {
        struct item *i = AC_LIST_ENTRY(n, struct item, node);
        if (i->v % 2)
            ac_list_remove(n);
    }
    ac_list_remove(&it[1].node); /* an unlinked one: nothing happens */
    ac_list_push_front(&a, &it[5].node);
    static const int want[] = {5, 0, 2, 4};
    for (int i = 0; i < 4; i++)
        assert_int_equal(AC_LIST_ENTRY(ac_list_pop_front(&a), struct item, node)->v, want[i]);
    assert_true(ac_list_empty(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_do_not_wrap),
        cmocka_unit_test(grow_keeps_the_content),
        cmocka_unit_test(arena_property),
        cmocka_unit_test(arena_failure_is_sticky_until_reset),
        cmocka_unit_test(arena_strings),
        cmocka_unit_test(arena_survives_a_failing_heap),
        cmocka_unit_test(buf_collects_and_terminates),
        cmocka_unit_test(buf_overflow_is_sticky),
        cmocka_unit_test(json_strings_are_escaped_and_valid_utf8),
        cmocka_unit_test(utf8_is_told_from_bytes),
        cmocka_unit_test(list_keeps_order_through_removal_and_splice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

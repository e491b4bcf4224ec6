#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>
#include <aceso/str.h>
#include <aceso/testkit.h>

static int freed;

static void count_free(void *p)
{
    free(p);
    freed++;
}

static void values_are_freed_once(void **state)
{
    (void)state;
    freed = 0;
    struct ac_map *m = ac_map_create(count_free);
    ac_map_set(m, "a", ac_xstrdup("1"));
    ac_map_set(m, "a", ac_xstrdup("2"));
    assert_int_equal(freed, 1);
    assert_string_equal(ac_map_get(m, "a"), "2");
    void *same = ac_map_get(m, "a");
    ac_map_set(m, "a", same);
    assert_int_equal(freed, 1);
    free(ac_map_take(m, "a"));
    assert_int_equal(freed, 1);
    assert_null(ac_map_take(m, "a"));
    assert_false(ac_map_remove(m, "a"));
    ac_map_set(m, "b", ac_xstrdup("3"));
    assert_true(ac_map_remove(m, "b"));
    assert_int_equal(freed, 2);
    ac_map_set(m, "c", ac_xstrdup("4"));
    ac_map_set(m, "d", ac_xstrdup("5"));
    ac_map_clear(m);
    assert_int_equal(freed, 4);
    assert_int_equal(ac_map_len(m), 0);
    ac_map_set(m, "e", ac_xstrdup("6"));
    ac_map_destroy(m);
    assert_int_equal(freed, 5);
    ac_map_destroy(NULL);
}

static void empty_map_and_empty_key(void **state)
{
    (void)state;
    struct ac_map *m = ac_map_create(NULL);
    size_t it = 0;
    assert_null(ac_map_get(m, "x"));
    assert_null(ac_map_take(m, "x"));
    assert_false(ac_map_next(m, &it, NULL, NULL));
    ac_map_clear(m);
    ac_map_set(m, "", &it);
    assert_ptr_equal(ac_map_get(m, ""), &it);
    ac_map_destroy(m);
}

/* A model: keys in order of insertion in an array. */
struct model {
    char keys[4000][8];
    void *values[4000];
    size_t n;
};

static size_t model_find(const struct model *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->keys[i], key) == 0)
            return i;
    }
    return SIZE_MAX;
}

static void model_remove(struct model *m, size_t i)
{
    memmove(m->keys + i, m->keys + i + 1, (m->n - i - 1) * sizeof(m->keys[0]));
    memmove(m->values + i, m->values + i + 1, (m->n - i - 1) * sizeof(m->values[0]));
    m->n--;
}

static void compare(const struct ac_map *map, const struct model *m)
{
    size_t i = 0;
    const char *key;
    void *value;
    for (size_t it = 0; ac_map_next(map, &it, &key, &value); i++) {
        assert_true(i < m->n);
        assert_string_equal(key, m->keys[i]);
        assert_ptr_equal(value, m->values[i]);
    }
    assert_int_equal(i, m->n);
    assert_int_equal(ac_map_len(map), m->n);
}

static void map_equals_the_model(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(4);
    static struct model m;
    for (int round = 0; round < 30; round++) {
        struct ac_map *map = ac_map_create(NULL);
        m.n = 0;
        uint64_t space = ac_rng_below(&r, 500) + 1;
        for (int op = 0; op < 3000; op++) {
            char key[8];
            (void)snprintf(key, sizeof(key), "%d", (int)ac_rng_below(&r, space));
            void *value = (void *)(uintptr_t)(ac_rng_u64(&r) | 1);
            size_t i = model_find(&m, key);
            if (ac_rng_below(&r, 2)) {
                ac_map_set(map, key, value);
                if (i == SIZE_MAX)
                    memcpy(m.keys[i = m.n++], key, sizeof(key));
                m.values[i] = value;
            } else {
                assert_ptr_equal(ac_map_take(map, key), i == SIZE_MAX ? NULL : m.values[i]);
                if (i != SIZE_MAX)
                    model_remove(&m, i);
            }
            i = model_find(&m, key);
            assert_ptr_equal(ac_map_get(map, key), i == SIZE_MAX ? NULL : m.values[i]);
        }
        compare(map, &m);
        ac_map_destroy(map);
    }
}

static void current_entry_may_be_removed_while_iterating(void **state)
{
    (void)state;
    struct ac_map *m = ac_map_create(NULL);
    char key[16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        ac_map_set(m, key, m);
    }
    int seen = 0;
    const char *k;
    for (size_t it = 0; ac_map_next(m, &it, &k, NULL); seen++)
        assert_true(ac_map_remove(m, k));
    assert_int_equal(seen, 100);
    assert_int_equal(ac_map_len(m), 0);
    ac_map_set(m, "again", m);
    assert_ptr_equal(ac_map_get(m, "again"), m);
    ac_map_destroy(m);
}

/* A queue through a map, for ever: memory and time a step must not grow with the steps. */
static void churn_stays_small(void **state)
{
    (void)state;
    struct ac_map *m = ac_map_create(NULL);
    char key[24];
    for (int i = 0; i < 1000000; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        ac_map_set(m, key, m);
        (void)snprintf(key, sizeof(key), "%d", i - 10);
        ac_map_take(m, key);
    }
    assert_int_equal(ac_map_len(m), 10);
    size_t it = 0;
    assert_true(ac_map_next(m, &it, NULL, NULL));
    assert_true(it < 200);
    ac_map_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_freed_once),
        cmocka_unit_test(empty_map_and_empty_key),
        cmocka_unit_test(map_equals_the_model),
        cmocka_unit_test(current_entry_may_be_removed_while_iterating),
        cmocka_unit_test(churn_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Unary calls: both sides, errors, deadlines, cancel, metadata, limits. */
#include "rpc_rig.h"

static void unary_body(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    echo_response *r = NULL;
    q.text = (char[]){"hello"};
    q.value = 42;
    CHECK(g, rig_call(g, "Unary", &q, &r, &err) == AC_OK);
    CHECK(g, r && r->value == 42 && strcmp(r->text, "hello") == 0);
    /* the deadline came along, on the server's clock */
    CHECK(g, r && r->deadline_left_ns > 0 && r->deadline_left_ns <= RIG_WAIT);
    rig_free(r);
    CHECK(g, rig_call(g, "UnaryInline", &q, NULL, &err) == AC_OK);

    struct waiter w = {.g = g, .over = EVENT_INIT, .method = ECHO "Unary", .q = &q, .unary = true};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK && w.value == 42 && w.has_reply && w.raw_len > 0);
    CHECK(g, atomic_load(&g->handled) == 3);
}

static void test_unary(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), unary_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <errno.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/testkit.h>

static void codes_are_negative_and_distinct(void **state)
{
    (void)state;
    assert_int_equal(AC_OK, 0);
    assert_int_equal(AC_EINVAL, -1);
    assert_int_equal(AC_ENOTFOUND, -2);
    for (int code = -1; code > -(int)AC_ORD_END; code--) {
        assert_string_not_equal(ac_err_name(code), "?");
        assert_string_not_equal(ac_err_text(code), "");
        assert_in_range(ac_err_grpc_status(code), 1, 16);
    }
    assert_string_equal(ac_err_name(AC_ETIMEOUT), "ETIMEOUT");
    assert_string_equal(ac_err_name(0), "OK");
    assert_string_equal(ac_err_name(1), "?");
    assert_string_equal(ac_err_name(-1000), "?");
    assert_int_equal(ac_err_grpc_status(-1000), 13);
    assert_false(ac_err_retryable(-1000));
    assert_true(ac_err_retryable(AC_ENET));
    assert_false(ac_err_retryable(AC_EINVAL));
}

static void every_grpc_status_has_a_code(void **state)
{
    (void)state;
    assert_int_equal(ac_err_from_grpc_status(0), AC_OK);
    for (int s = 1; s <= 16; s++) {
        int code = ac_err_from_grpc_status(s);
        assert_true(code < 0);
        if (s != 2) /* UNKNOWN has no code of ours */
            assert_int_equal(ac_err_grpc_status(code), s);
    }
    assert_int_equal(ac_err_from_grpc_status(13), AC_EINTERNAL);
    assert_int_equal(ac_err_from_grpc_status(8), AC_EAGAIN);
    assert_int_equal(ac_err_from_grpc_status(99), AC_EINTERNAL);
}

static void texts_are_set_wrapped_and_cut(void **state)
{
    (void)state;
    struct ac_err e = AC_ERR_INIT;
    assert_int_equal(ac_err_set(&e, AC_EINVAL, "port %d", 7), AC_EINVAL);
    assert_string_equal(e.msg, "port 7");
    assert_int_equal(ac_err_wrap(&e, "%s", "listener"), AC_EINVAL);
    assert_string_equal(e.msg, "listener: port 7");
    ac_err_set(&e, AC_EIO, "%s again", e.msg); /* from its own text */
    assert_string_equal(e.msg, "listener: port 7 again");
    for (int i = 0; i < 100; i++)
        assert_int_equal(ac_err_wrap(&e, "layer %d", i), AC_EIO);
    assert_int_equal(strlen(e.msg), AC_ERR_MSG_MAX - 1);
    assert_int_equal(ac_err_set(NULL, AC_EPERM, "x"), AC_EPERM);
    assert_int_equal(ac_err_wrap(NULL, "x"), AC_EINTERNAL);
}

static void errno_becomes_code_and_text(void **state)
{
    (void)state;
    struct ac_err e = AC_ERR_INIT;
    assert_int_equal(ac_err_errno(&e, ENOENT, "open %s", "f"), AC_ENOTFOUND);
    assert_string_equal(e.msg, "open f: No such file or directory");
    assert_int_equal(ac_err_errno(NULL, EACCES, "x"), AC_EPERM);
    assert_int_equal(ac_err_errno(NULL, ECONNREFUSED, "x"), AC_ENET);
    assert_int_equal(ac_err_errno(NULL, ENOSPC, "x"), AC_EIO);
    char name[400];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    ac_err_errno(&e, ENOENT, "%s", name);
    assert_int_equal(strlen(e.msg), AC_ERR_MSG_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_negative_and_distinct),
        cmocka_unit_test(every_grpc_status_has_a_code),
        cmocka_unit_test(texts_are_set_wrapped_and_cut),
        cmocka_unit_test(errno_becomes_code_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The reader of training parts hands out nothing of a test part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "readers/train_source.h"

static void check(const char *head, enum train_share share, size_t n, size_t stated)
{
    char path[] = "/tmp/test_source.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    (void)fprintf(f, "%svalue,label\n", head);
    for (int i = 0; i < 100; i++)
        (void)fprintf(f, "%d,%d\n", i, i % 10 == 0);
    assert_int_equal(fclose(f), 0);
    struct train_source *s = NULL;
    struct ac_err err = AC_ERR_INIT;
    int rc = train_source_open(path, share, &s, &err);
    (void)unlink(path);
    assert_int_equal(rc, 0);
    const struct train_part *p = train_source_part(s);
    assert_int_equal(p->n, n);
    assert_int_equal(train_source_stated(s), stated);
    for (size_t i = 0; i < n; i++)
        assert_true(p->values[i] == (double)i && p->labels[i] == (i % 10 == 0));
    train_source_close(s);
}

static void test_parts(void **state)
{
    (void)state;
    static const char head[] = "# x n_train=60 n_test=40\n";
    check(head, TRAIN_SHARE_STATED, 60, 60);
    check(head, TRAIN_SHARE_HALF, 60, 60);
    check(head, TRAIN_SHARE_ARGOS, 42, 60);
    check("", TRAIN_SHARE_STATED, 100, SIZE_MAX);
    check("", TRAIN_SHARE_HALF, 50, 50);
    check("", TRAIN_SHARE_ARGOS, 35, 50);
}

static void test_a_missing_file_is_named(void **state)
{
    (void)state;
    struct train_source *s = NULL;
    struct ac_err err = AC_ERR_INIT;
    assert_true(train_source_open("/nonexistent/x.csv", TRAIN_SHARE_HALF, &s, &err) < 0);
    assert_non_null(strstr(err.msg, "/nonexistent/x.csv"));
    train_source_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts),
                                       cmocka_unit_test(test_a_missing_file_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

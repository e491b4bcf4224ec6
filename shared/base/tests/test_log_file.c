#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/log.h>
#include <aceso/str.h>
#include <aceso/testkit.h>

static int saved_stderr;

static void capture(void)
{
    (void)fflush(stderr);
    ac_cleanup(ac_free_p) char *path = ac_kit_file("log", NULL);
    saved_stderr = dup(2);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && dup2(fd, 2) == 2);
    close(fd);
}

static char *captured(void)
{
    dup2(saved_stderr, 2);
    close(saved_stderr);
    ac_cleanup(ac_free_p) char *path = ac_kit_file("log", NULL);
    char *text;
    size_t len;
    assert_int_equal(ac_file_read(path, 1 << 20, &text, &len, NULL), 0);
    return text;
}

static int evaluated;

static int costly(void)
{
    return ++evaluated;
}

static void lines_are_json_with_the_given_keys(void **state)
{
    (void)state;
    assert_int_equal(ac_log_configure("rca", "info", NULL), 0);
    struct ac_err e = AC_ERR_INIT;
    ac_err_set(&e, AC_ENET, "peer \"gone\"");
    capture();
    ac_log_set_trace("abc123");
    AC_LOGI("rpc", "listening", AC_KS("address", "127.0.0.1"), AC_KI("port", 80),
            AC_KF("load", 0.5), AC_KF("bad", NAN), AC_KB("tls", true), AC_KERR(&e),
            AC_KS("none", NULL));
    ac_log_set_trace(NULL);
    AC_LOGW("rpc", "bare");
    ac_cleanup(ac_free_p) char *text = captured();
    char *second = strchr(text, '\n') + 1;
    second[-1] = '\0';
    assert_non_null(strstr(text, "\"lvl\":\"info\",\"svc\":\"rca\",\"comp\":\"rpc\","
                                 "\"event\":\"listening\",\"trace_id\":\"abc123\","
                                 "\"address\":\"127.0.0.1\",\"port\":80,\"load\":0.5,"
                                 "\"bad\":\"nan\",\"tls\":true,\"err\":\"ENET\","
                                 "\"msg\":\"peer \\\"gone\\\"\",\"none\":\"\"}"));
    assert_true(ac_str_ends(second, "\"lvl\":\"warn\",\"svc\":\"rca\",\"comp\":\"rpc\","
                                    "\"event\":\"bare\"}\n"));
}

static void levels_go_by_component_and_spare_the_arguments(void **state)
{
    (void)state;
    assert_int_equal(ac_log_configure("x", "rpc:debug, bus:error ,warn", NULL), 0);
    assert_true(ac_log_enabled(AC_LOG_DEBUG, "rpc") && !ac_log_enabled(AC_LOG_TRACE, "rpc"));
    assert_true(!ac_log_enabled(AC_LOG_WARN, "bus") && ac_log_enabled(AC_LOG_ERROR, "bus"));
    assert_true(ac_log_enabled(AC_LOG_WARN, "pg") && !ac_log_enabled(AC_LOG_INFO, "pg"));
    AC_LOGI("pg", "quiet", AC_KI("n", costly()));
    assert_int_equal(evaluated, 0);
}

static void bad_level_specs_are_refused(void **state)
{
    (void)state;
    struct ac_err e = AC_ERR_INIT;
    assert_int_equal(ac_log_configure("x", "loud", &e), AC_EINVAL);
    assert_non_null(strstr(e.msg, "'loud'"));
    assert_int_equal(ac_log_configure("x", ":info", &e), AC_EINVAL);
    assert_int_equal(ac_log_configure("x", "rpc:", &e), AC_EINVAL);
    assert_int_equal(ac_log_configure("x", NULL, &e), 0);
}

static void floods_are_limited_and_counted(void **state)
{
    (void)state;
    assert_int_equal(ac_log_configure("x", "info", NULL), 0);
    uint64_t before = ac_log_suppressed();
    capture();
    for (int i = 0; i < 1000; i++)
        AC_LOGI("flood", "drop");
    AC_LOGI("flood", "other");
    ac_cleanup(ac_free_p) char *text = captured();
    int lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    assert_in_range(lines, 101, 201); /* two seconds may be touched */
    assert_int_equal(ac_log_suppressed() - before, 1001 - lines);
    assert_non_null(strstr(text, "\"other\""));
}

static void huge_values_are_cut(void **state)
{
    (void)state;
    char *big = ac_xmalloc(100001);
    memset(big, 'a', 100000);
    big[100000] = '\0';
    capture();
    AC_LOGI("log", "big", AC_KS("v", big), AC_KI("after", 1));
    free(big);
    ac_cleanup(ac_free_p) char *text = captured();
    assert_in_range(strlen(text), 2048, 2300);
    assert_true(ac_str_ends(text, "\",\"after\":1}\n"));
}

static void files_are_written_whole_and_read_with_a_limit(void **state)
{
    (void)state;
    ac_cleanup(ac_free_p) char *path = ac_kit_file("f", NULL);
    struct ac_err e = AC_ERR_INIT;
    char *data = NULL;
    size_t len = 7;
    assert_int_equal(ac_file_read(path, 10, &data, &len, &e), AC_ENOTFOUND);
    assert_non_null(strstr(e.msg, path));
    assert_int_equal(ac_file_write_atomic(path, "a\0bc", 4, 0640, &e), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(ac_file_read(path, 3, &data, &len, &e), AC_ERANGE);
    assert_null(data);
    assert_int_equal(len, 7);
    assert_int_equal(ac_file_read(path, 4, &data, &len, &e), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "a\0bc", 5);
    free(data);
    assert_int_equal(ac_file_write_atomic(path, "", 0, 0600, &e), 0);
    assert_int_equal(ac_file_read(path, 4, &data, &len, &e), 0);
    assert_int_equal(len, 0);
    free(data);
    data = NULL;
    assert_int_equal(ac_file_read("/", 4, &data, &len, &e), AC_EINVAL);
    assert_int_equal(ac_file_read("/dev/zero", 1000, &data, &len, &e), AC_ERANGE);
    assert_int_equal(ac_file_read("/proc/self/status", 1 << 20, &data, &len, &e), 0);
    assert_true(len > 100 && strlen(data) == len);
    free(data);
    assert_int_equal(ac_file_write_atomic("/nonexistent/x", "a", 1, 0600, &e), AC_ENOTFOUND);
    /* What is no file stays what it is. */
    ac_cleanup(ac_free_p) char *device = ac_xasprintf("%s.link", path);
    assert_int_equal(symlink("/dev/full", device), 0);
    assert_int_not_equal(ac_file_write_atomic(device, "a", 1, 0600, &e), 0);
    assert_non_null(strstr(e.msg, device));
    assert_int_equal(lstat(device, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static int read_run(void *path)
{
    char *data = NULL;
    size_t len;
    int rc = ac_file_read(path, 1 << 20, &data, &len, NULL);
    free(data);
    return rc;
}

static void reading_survives_a_failing_heap(void **state)
{
    (void)state;
    char proc[] = "/proc/self/smaps"; /* its size is not known before */
    assert_true(ac_kit_alloc_sweep(read_run, proc) >= 2);
}

static void directories(void **state)
{
    (void)state;
    struct ac_err e = AC_ERR_INIT;
    ac_cleanup(ac_free_p) char *top = ac_kit_file("top", NULL);
    ac_cleanup(ac_free_p) char *deep = ac_xasprintf("%s/a//b/c/", top);
    ac_cleanup(ac_free_p) char *file = ac_xasprintf("%s/a/file", top);
    ac_cleanup(ac_free_p) char *link = ac_xasprintf("%s/a/link", top);
    ac_cleanup(ac_free_p) char *below = ac_xasprintf("%s/a/file/x", top);
    ac_cleanup(ac_free_p) char *keep = ac_kit_file("keep", "x");
    assert_int_equal(ac_dir_create(deep, 0755, &e), 0);
    assert_int_equal(ac_dir_create(deep, 0755, &e), 0);
    assert_int_equal(ac_file_write_atomic(file, "x", 1, 0600, &e), 0);
    assert_true(ac_dir_create(below, 0755, &e) < 0);
    assert_int_equal(ac_dir_create(file, 0755, &e), AC_EEXISTS);
    assert_int_equal(ac_dir_create("", 0755, &e), AC_EINVAL);
    assert_int_equal(symlink(ac_kit_dir(), link), 0);
    assert_int_equal(ac_dir_remove(top, &e), 0);
    assert_false(ac_path_exists(top));
    assert_true(ac_path_exists(keep)); /* the link was not followed */
    assert_int_equal(ac_dir_remove(top, &e), 0);
}

static void programs_are_found(void **state)
{
    (void)state;
    assert_true(ac_exe_dir()[0] == '/');
    ac_cleanup(ac_free_p) char *sh = ac_find_program("sh", NULL);
    assert_non_null(sh);
    assert_true(ac_str_ends(sh, "/sh"));
    ac_cleanup(ac_free_p) char *tool = ac_kit_file("my-tool", "#!/bin/sh\n");
    const char *const dirs[] = {"/nonexistent", ac_kit_dir(), NULL};
    assert_null(ac_find_program("my-tool", dirs)); /* not executable */
    assert_int_equal(chmod(tool, 0755), 0);
    ac_cleanup(ac_free_p) char *found = ac_find_program("my-tool", dirs);
    assert_string_equal(found, tool);
    ac_cleanup(ac_free_p) char *same = ac_find_program(tool, NULL);
    assert_string_equal(same, tool);
    assert_null(ac_find_program("", NULL));
    assert_null(ac_find_program("/", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json_with_the_given_keys),
        cmocka_unit_test(levels_go_by_component_and_spare_the_arguments),
        cmocka_unit_test(bad_level_specs_are_refused),
        cmocka_unit_test(floods_are_limited_and_counted),
        cmocka_unit_test(huge_values_are_cut),
        cmocka_unit_test(files_are_written_whole_and_read_with_a_limit),
        cmocka_unit_test(reading_survives_a_failing_heap),
        cmocka_unit_test(directories),
        cmocka_unit_test(programs_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

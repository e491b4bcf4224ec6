/* The agents' kubectl: how it is called, with and without a kubeconfig. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <aceso/base.h>
#include <aceso/testkit.h>

#include "adapters/shell.h"

/* A kubectl that tells its arguments and its environment. */
static void install_kubectl(void)
{
    char *path = ac_kit_file("kubectl", "#!/bin/sh\necho \"$@\"\nenv\nexit 3\n");
    assert_int_equal(chmod(path, 0755), 0);
    *strrchr(path, '/') = '\0';
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(path);
}

static void call(const char *kubeconfig, struct ac_buf *out)
{
    struct lab_command c;
    struct ac_err err = AC_ERR_INIT;
    ac_buf_init(out, 1 << 16);
    assert_int_equal(lab_guard("kubectl get pods", "shop", &c, &err), 0);
    assert_int_equal(lab_shell_run(&c, kubeconfig, "shop", out, &err), 0);
}

static void test_kubeconfig(void **state)
{
    (void)state;
    struct ac_buf out;
    call("/k/config", &out);
    const char *text = ac_buf_str(&out);
    assert_memory_equal(text, "--kubeconfig=/k/config --namespace=shop get pods\n", 49);
    assert_non_null(strstr(text, "exit code 3"));
    assert_null(strstr(text, "ACESO_SECRET"));
    assert_non_null(strstr(text, "HOME=/proc\n")); /* else kubectl makes the directory */
    ac_buf_fini(&out);
}

static void test_service_account_of_the_pod(void **state)
{
    (void)state;
    struct ac_buf out;
    assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1), 0);
    assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", "443", 1), 0);
    static const char *const none[] = {NULL, ""};
    for (size_t i = 0; i < AC_ARRAY_LEN(none); i++) {
        call(none[i], &out);
        const char *text = ac_buf_str(&out);
        assert_memory_equal(text, "--namespace=shop get pods\n", 26);
        assert_non_null(strstr(text, "KUBERNETES_SERVICE_HOST=10.0.0.1\n"));
        assert_non_null(strstr(text, "KUBERNETES_SERVICE_PORT=443\n"));
        ac_buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubeconfig),
        cmocka_unit_test(test_service_account_of_the_pod),
    };
    install_kubectl();
    (void)setenv("ACESO_SECRET", "x", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

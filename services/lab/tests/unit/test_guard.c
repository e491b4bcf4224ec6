/* What an agent's shell may run. */
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

static int guard(const char *line, struct lab_command *c, struct ac_err *err)
{
    *err = (struct ac_err){0};
    return lab_guard(line, "hotel-1", c, err);
}

static void words_are_split_as_a_shell_does(void **state)
{
    (void)state;
    struct lab_command c;
    struct ac_err err;
    assert_int_equal(guard(" kubectl  get pods -o 'jsonpath={.items[*].metadata.name}' ", &c, &err),
                     0);
    assert_int_equal(c.n, 5);
    assert_string_equal(c.argv[4], "jsonpath={.items[*].metadata.name}");
    assert_null(c.argv[5]);
    assert_int_equal(
        guard("kubectl patch deploy/user -p \"{\\\"spec\\\":{\\\"replicas\\\":1}}\"", &c, &err), 0);
    assert_string_equal(c.argv[4], "{\"spec\":{\"replicas\":1}}");
    assert_int_equal(guard("kubectl annotate pod a x='a|b;c'", &c, &err), 0);
    assert_string_equal(c.argv[4], "x=a|b;c");
    assert_int_equal(guard("kubectl get pods 'x", &c, &err), AC_EINVAL);
}

static void what_an_operator_needs_is_allowed(void **state)
{
    (void)state;
    static const char *const lines[] = {"kubectl get pods -owide",
                                        "kubectl get pods -n hotel-1",
                                        "kubectl get pods --namespace=hotel-1 -l app=user",
                                        "kubectl describe pod user-1",
                                        "kubectl logs deploy/user --tail=20 -p",
                                        "kubectl delete pod user-1 --grace-period=0 --force",
                                        "kubectl rollout undo deployment/user --to-revision=1",
                                        "kubectl scale deployment user --replicas=2",
                                        "kubectl set image deployment/user user=aceso/app:2",
                                        "kubectl get nodes",
                                        "kubectl get events --sort-by=.lastTimestamp"};
    for (size_t i = 0; i < AC_ARRAY_LEN(lines); i++) {
        struct lab_command c;
        struct ac_err err;
        if (guard(lines[i], &c, &err) != 0)
            fail_msg("%s: %s", lines[i], err.msg);
    }
}

static void what_reaches_further_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"",
                                        "kubectl",
                                        "ls -l",
                                        "sh -c kubectl",
                                        "kubectl get pods; ls",
                                        "kubectl get pods | cat",
                                        "kubectl get pods && ls",
                                        "kubectl get $(cat /etc/passwd)",
                                        "kubectl get pods `id`",
                                        "kubectl get pods > /tmp/x",
                                        "kubectl get pods\nls",
                                        "kubectl get pods -n aceso-chaos",
                                        "kubectl get pods -naceso-chaos",
                                        "kubectl get pods --namespace aceso-chaos",
                                        "kubectl get pods --namespace=aceso-chaos",
                                        "kubectl get pods -A",
                                        "kubectl get pods -An",
                                        "kubectl get pods --all-namespaces",
                                        "kubectl --kubeconfig=/etc/x get pods",
                                        "kubectl get pods --kubeconfig /etc/x",
                                        "kubectl get --raw /api",
                                        "kubectl get pods -o jsonpath-file=/etc/passwd",
                                        "kubectl get pods -o=go-template-file=/etc/passwd",
                                        "kubectl exec user-1 -- sh",
                                        "kubectl cp a:/etc/passwd /tmp/a",
                                        "kubectl run x --image=busybox",
                                        "kubectl apply -f /tmp/x.yaml",
                                        "kubectl create token x",
                                        "kubectl config view",
                                        "kubectl proxy",
                                        "kubectl patch deploy user --patch-file /etc/x",
                                        "kubectl delete ns aceso-chaos",
                                        "kubectl delete namespace/aceso-chaos",
                                        "kubectl delete pods,namespaces --all",
                                        "kubectl label nodes --all a=b"};
    for (size_t i = 0; i < AC_ARRAY_LEN(lines); i++) {
        struct lab_command c;
        struct ac_err err;
        if (guard(lines[i], &c, &err) == 0)
            fail_msg("let through: %s", lines[i]);
        assert_true(err.msg[0]);
    }
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    struct lab_command c;
    struct ac_err err;
    char line[2 * LAB_LINE_MAX];
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = 0;
    assert_int_equal(guard(line, &c, &err), AC_ERANGE);
    for (size_t i = 0; i + 1 < LAB_LINE_MAX; i++)
        line[i] = i % 2 ? ' ' : 'a';
    line[LAB_LINE_MAX - 1] = 0;
    assert_int_equal(guard(line, &c, &err), AC_ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split_as_a_shell_does),
        cmocka_unit_test(what_an_operator_needs_is_allowed),
        cmocka_unit_test(what_reaches_further_is_refused),
        cmocka_unit_test(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

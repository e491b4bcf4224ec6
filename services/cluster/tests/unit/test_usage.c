/* What `kubectl top` reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

#include "core/discovery.h"
#include "core/js.h"
#include "core/usage.h"

#define AT 1700000000000000000LL

static json_t *text(const char *s)
{
    json_t *j = json_loads(s, 0, NULL);
    assert_non_null(j);
    return j;
}

static void usage_of_a_pod_is_that_of_its_containers(void **state)
{
    (void)state;
    js_auto pod = text("{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u1\","
                       "\"labels\":{\"app\":\"x\"}}}");
    const struct cl_usage rows[] = {
        {"u1", "a", 0.25, 2048}, {"u2", "b", 9, 9e9}, {"u1", "c", -1, 0}};
    js_auto got = cl_usage_pod(pod, rows, AC_ARRAY_LEN(rows), AT, 1000000000);
    js_auto want = text(
        "{\"kind\":\"PodMetrics\",\"apiVersion\":\"metrics.k8s.io/v1beta1\",\"metadata\":{\"name\":"
        "\"p\",\"namespace\":\"n\",\"labels\":{\"app\":\"x\"},\"creationTimestamp\":"
        "\"2023-11-14T22:13:20Z\"},\"timestamp\":\"2023-11-14T22:13:20Z\",\"window\":\"1.000s\","
        "\"containers\":[{\"name\":\"a\",\"usage\":{\"cpu\":\"250000000n\",\"memory\":\"2Ki\"}},"
        "{\"name\":\"c\",\"usage\":{\"cpu\":\"0n\",\"memory\":\"0Ki\"}}]}");
    assert_true(json_equal(got, want));
    assert_null(cl_usage_pod(pod, rows + 1, 1, AT, 1000000000));
}

static void a_node_has_no_namespace(void **state)
{
    (void)state;
    js_auto node = text("{\"metadata\":{\"name\":\"node\"}}");
    const struct cl_usage row = {.cpu = 1.5, .memory = 1048576};
    js_auto got = cl_usage_node(node, &row, AT, 500000000);
    assert_null(js_at(got, "metadata.namespace"));
    assert_string_equal(js_str(got, "usage.cpu", ""), "1500000000n");
    assert_string_equal(js_str(got, "usage.memory", ""), "1024Ki");
    assert_string_equal(js_str(got, "window", ""), "0.500s");
    js_auto list = cl_usage_list("NodeMetrics", json_pack("[O]", got));
    assert_string_equal(js_str(list, "kind", ""), "NodeMetricsList");
    assert_int_equal(json_array_size(js_at(list, "items")), 1);
}

static void the_group_is_discovered(void **state)
{
    (void)state;
    js_auto resources = cl_discovery_resources("metrics.k8s.io", "v1beta1");
    assert_int_equal(json_array_size(js_at(resources, "resources")), 2);
    assert_null(cl_discovery_resources("metrics.k8s.io", "v1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_of_a_pod_is_that_of_its_containers),
        cmocka_unit_test(a_node_has_no_namespace),
        cmocka_unit_test(the_group_is_discovered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Store, selectors, patches, controllers, chaos records. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

#include "core/chaos.h"
#include "core/js.h"
#include "core/kpb.h"
#include "core/patch.h"
#include "core/podspec.h"
#include "core/podstatus.h"
#include "core/selector.h"
#include "core/status.h"
#include "core/table.h"

#define WEB                                                                                        \
    "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},\"spec\":{\"replicas\":2,"         \
    "\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{\"labels\":{"    \
    "\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}"

static json_t *js(const char *text)
{
    json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(j);
    return j;
}

static bool selects(const char *selector, const char *object)
{
    struct cl_selector *s = NULL;
    struct ac_err err = AC_ERR_INIT;
    js_auto o = js(object);
    assert_int_equal(cl_selector_parse(selector, &s, &err), 0);
    bool is = cl_selector_labels(s, o);
    cl_selector_destroy(s);
    return is;
}

static void selectors(void **state)
{
    const char *o = "{\"metadata\":{\"labels\":{\"app\":\"web\",\"tier\":\"x\"}}}";
    struct cl_selector *s = NULL;
    struct ac_err err = AC_ERR_INIT;
    (void)state;
    assert_true(selects("", o));
    assert_true(selects("app=web,tier!=y", o));
    assert_true(selects("app in (a, web),!absent,tier", o));
    assert_false(selects("app notin (web)", o));
    assert_false(selects("absent", o));
    assert_int_equal(cl_selector_parse("app in web", &s, &err), AC_EPROTO);
    assert_int_equal(cl_selector_parse("=x", &s, &err), AC_EPROTO);
}

static void patched(const char *kind, const char *target, const char *patch, const char *want)
{
    struct ac_err err = AC_ERR_INIT;
    js_auto t = js(target);
    js_auto p = js(patch);
    js_auto w = js(want);
    js_auto got = NULL;
    if (strcmp(kind, "merge") == 0)
        got = cl_patch_merge(t, p);
    else if (strcmp(kind, "json") == 0)
        assert_int_equal(cl_patch_json(t, p, &got, &err), 0);
    else
        assert_int_equal(cl_patch_strategic(t, p, &got, &err), 0);
    assert_true(json_equal(got, w));
}

static void patches(void **state)
{
    (void)state;
    patched("merge", "{\"a\":1,\"b\":{\"c\":2}}", "{\"a\":null,\"b\":{\"d\":3}}",
            "{\"b\":{\"c\":2,\"d\":3}}");
    patched(
        "json", "{\"a\":[1,2]}",
        "[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":3},{\"op\":\"remove\",\"path\":\"/a/0\"}]",
        "{\"a\":[2,3]}");
    patched("json", "{\"a/b\":1}", "[{\"op\":\"move\",\"from\":\"/a~1b\",\"path\":\"/c\"}]",
            "{\"c\":1}");
    patched("strategic", "{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\"}]}",
            "{\"containers\":[{\"name\":\"a\",\"image\":\"2\"},{\"$patch\":\"delete\",\"name\":"
            "\"b\"},{\"name\":\"c\"}]}",
            "{\"containers\":[{\"name\":\"a\",\"image\":\"2\"},{\"name\":\"c\"}]}");
    patched("strategic", "{\"env\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
            "{\"$setElementOrder/env\":[{\"name\":\"b\"},{\"name\":\"a\"}],\"env\":[{\"name\":"
            "\"a\",\"value\":\"1\"}]}",
            "{\"env\":[{\"name\":\"b\"},{\"name\":\"a\",\"value\":\"1\"}]}");
    patched("strategic", "{\"finalizers\":[\"x\",\"y\"]}",
            "{\"$deleteFromPrimitiveList/finalizers\":[\"x\"]}", "{\"finalizers\":[\"y\"]}");
}

static void a_stale_update_is_a_conflict(void **state)
{
    struct world w;
    struct ac_err err = AC_ERR_INIT;
    (void)state;
    world_open(&w);
    js_auto stale = json_deep_copy(
        world_add(&w, CL_CONFIGMAP, "{\"metadata\":{\"name\":\"c\",\"namespace\":\"default\"}}"));
    js_auto first = json_deep_copy(stale);
    js_set_str(first, "data.k", "1");
    assert_int_equal(cl_store_update(w.store, CL_CONFIGMAP, first, NULL, &err), 0);
    js_set_str(stale, "data.k", "2");
    assert_int_equal(cl_store_update(w.store, CL_CONFIGMAP, stale, NULL, &err), AC_EABORTED);
    assert_int_equal(cl_status_http(AC_EABORTED), 409);
    world_close(&w);
}

static void old_watches_expire(void **state)
{
    struct world w;
    struct ac_err err = AC_ERR_INIT;
    (void)state;
    world_open(&w);
    uint64_t rv = cl_store_rv(w.store);
    js_auto o = json_deep_copy(
        world_add(&w, CL_CONFIGMAP, "{\"metadata\":{\"name\":\"c\",\"namespace\":\"default\"}}"));
    js_del(o, "metadata.resourceVersion");
    assert_true(cl_store_log_has(w.store, rv));
    for (int i = 0; i < CL_STORE_LOG_LEN + 1; i++) {
        js_set_int(o, "data.k", i);
        assert_int_equal(cl_store_update(w.store, CL_CONFIGMAP, o, NULL, &err), 0);
    }
    assert_false(cl_store_log_has(w.store, rv));
    world_close(&w);
}

static int64_t replicas_ready(struct world *w)
{
    return js_int(cl_store_get(w->store, CL_DEPLOYMENT, "default", "web"), "status.readyReplicas",
                  0);
}

static void deployments_roll_and_keep_revisions(void **state)
{
    struct world w;
    struct ac_err err = AC_ERR_INIT;
    (void)state;
    world_open(&w);
    (void)world_add(&w, CL_DEPLOYMENT, WEB);
    world_settle(&w);
    assert_int_equal(replicas_ready(&w), 2);
    js_auto d = json_deep_copy(cl_store_get(w.store, CL_DEPLOYMENT, "default", "web"));
    js_set_str(d, "spec.template.metadata.annotations.restarted", "now");
    assert_int_equal(cl_store_update(w.store, CL_DEPLOYMENT, d, NULL, &err), 0);
    world_settle(&w);
    const json_t *now = cl_store_get(w.store, CL_DEPLOYMENT, "default", "web");
    assert_string_equal(js_annotation(now, "deployment.kubernetes.io/revision"), "2");
    assert_int_equal(js_int(now, "status.updatedReplicas", 0), 2);
    assert_int_equal(cl_store_count(w.store, CL_REPLICASET), 2);
    assert_int_equal(cl_store_count(w.store, CL_POD), 2);
    struct cl_delete how = {.grace_s = -1};
    assert_int_equal(cl_store_delete(w.store, CL_DEPLOYMENT, "default", "web", &how, NULL, &err),
                     0);
    world_settle(&w);
    assert_int_equal(cl_store_count(w.store, CL_REPLICASET), 0);
    assert_int_equal(cl_store_count(w.store, CL_POD), 0);
    world_close(&w);
}

static void namespaces_go_with_what_is_in_them(void **state)
{
    struct world w;
    struct ac_err err = AC_ERR_INIT;
    struct cl_delete how = {.grace_s = -1};
    (void)state;
    world_open(&w);
    (void)world_add(&w, CL_DEPLOYMENT, WEB);
    world_settle(&w);
    assert_int_equal(cl_store_delete(w.store, CL_NAMESPACE, NULL, "default", &how, NULL, &err), 0);
    world_settle(&w);
    assert_null(cl_store_get(w.store, CL_NAMESPACE, NULL, "default"));
    assert_int_equal(cl_store_count(w.store, CL_POD), 0);
    world_close(&w);
}

static void chaos_binds_to_the_pods_of_its_injection(void **state)
{
    struct world w;
    struct ac_err err = AC_ERR_INIT;
    struct cl_delete how = {.grace_s = -1};
    struct cl_net_fault f[4];
    (void)state;
    world_open(&w);
    (void)world_add(&w, CL_DEPLOYMENT, WEB);
    world_settle(&w);
    (void)world_add(&w, CL_NETWORKCHAOS,
                    "{\"metadata\":{\"name\":\"d\",\"namespace\":\"chaos\"},\"spec\":{\"action\":"
                    "\"delay\",\"mode\":\"one\",\"delay\":{\"latency\":\"10ms\"},\"selector\":{"
                    "\"namespaces\":[\"default\"],\"labelSelectors\":{\"app\":\"web\"}}}}");
    world_settle(&w);
    assert_int_equal(cl_chaos_net_faults(w.store, f, 4), 1);
    assert_int_equal(json_array_size(f[0].sources), 1);
    assert_int_equal(f[0].latency_ns, 10000000);
    ac_cleanup(ac_free_p) char *uid =
        ac_xstrdup(json_string_value(json_array_get(f[0].sources, 0)));
    cl_net_fault_fini(&f[0]);
    /* The pod is replaced: the record stays with the old one. */
    const json_t *pod = cl_store_get_uid(w.store, CL_POD, uid);
    ac_cleanup(ac_free_p) char *name = ac_xstrdup(js_name(pod));
    assert_int_equal(cl_store_delete(w.store, CL_POD, "default", name, &how, NULL, &err), 0);
    world_settle(&w);
    assert_int_equal(cl_store_count(w.store, CL_POD), 2);
    assert_null(cl_store_get_uid(w.store, CL_POD, uid));
    assert_int_equal(cl_chaos_net_faults(w.store, f, 4), 1);
    assert_string_equal(json_string_value(json_array_get(f[0].sources, 0)), uid);
    cl_net_fault_fini(&f[0]);
    assert_int_equal(cl_store_delete(w.store, CL_NETWORKCHAOS, "chaos", "d", &how, NULL, &err), 0);
    world_settle(&w);
    assert_int_equal(cl_store_count(w.store, CL_NETWORKCHAOS), 0);
    world_close(&w);
}

static void a_pod_kill_happens_once(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    (void)world_add(&w, CL_DEPLOYMENT, WEB);
    world_settle(&w);
    uint64_t before = cl_store_rv(w.store);
    (void)world_add(&w, CL_PODCHAOS,
                    "{\"metadata\":{\"name\":\"k\",\"namespace\":\"chaos\"},\"spec\":{\"action\":"
                    "\"pod-kill\",\"mode\":\"all\",\"duration\":\"30s\",\"selector\":{"
                    "\"namespaces\":[\"default\"]}}}");
    world_settle(&w);
    assert_int_equal(cl_store_count(w.store, CL_POD), 2);
    assert_true(cl_store_rv(w.store) > before);
    before = cl_store_rv(w.store);
    world_settle(&w);
    assert_int_equal(cl_store_rv(w.store), before);
    w.now_ns += 31LL * 1000000000;
    world_settle(&w);
    const json_t *k = cl_store_get(w.store, CL_PODCHAOS, "chaos", "k");
    assert_string_equal(js_str(k, "status.experiment.desiredPhase", ""), "Stop");
    world_close(&w);
}

static void environment_and_paths(void **state)
{
    struct world w;
    struct ac_err err = AC_ERR_INIT;
    (void)state;
    world_open(&w);
    js_auto pod = js("{\"metadata\":{\"name\":\"p\",\"namespace\":\"default\"},\"spec\":{"
                     "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"env\":[{\"name\":\"IP\","
                     "\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}},{\"name\":"
                     "\"URL\",\"value\":\"http://$(IP)/$$x\"}]}]}}");
    const struct cl_pod_ctx x = {w.store, pod, "127.77.0.9", "127.0.0.1"};
    json_t *container = json_array_get(js_at(pod, "spec.containers"), 0);
    js_auto env = NULL;
    assert_int_equal(cl_pod_env(&x, container, &env, &err), 0);
    assert_string_equal(js_str(env, "URL", ""), "http://127.77.0.9/$x");
    json_array_append_new(js_at(container, "env"),
                          js("{\"name\":\"S\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"no\","
                             "\"key\":\"k\"}}}"));
    js_auto none = NULL;
    assert_int_equal(cl_pod_env(&x, container, &none, &err), AC_ENOTFOUND);
    assert_string_equal(err.msg, "secret \"no\" not found");
    js_auto mounts = js("[{\"mountPath\":\"/etc/app\",\"real\":\"/s/1\"},{\"mountPath\":\"/etc/"
                        "app/sub\",\"real\":\"/s/2\"}]");
    ac_cleanup(ac_free_p) char *text =
        cl_rewrite_paths("--a=/etc/app/x /etc/apple /etc/app/sub/y /x/etc/app", mounts);
    assert_string_equal(text, "--a=/s/1/x /etc/apple /s/2/y /x/etc/app");
    world_close(&w);
}

static void back_off_doubles_to_its_cap(void **state)
{
    (void)state;
    assert_int_equal(cl_backoff_ns(0, 10, 100), 0);
    assert_int_equal(cl_backoff_ns(1, 10, 100), 10);
    assert_int_equal(cl_backoff_ns(3, 10, 100), 40);
    assert_int_equal(cl_backoff_ns(60, 10, 100), 100);
}

static void protobuf_bodies(void **state)
{
    /* Namespace "p1" in the envelope that kubectl sends. */
    static const char body[] = "k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x06\x0a\x04\x0a\x02p1";
    struct ac_err err = AC_ERR_INIT;
    js_auto o = NULL;
    (void)state;
    assert_int_equal(cl_kpb_decode(body, sizeof(body) - 1, &o, &err), 0);
    assert_string_equal(js_name(o), "p1");
    assert_string_equal(js_str(o, "kind", ""), "Namespace");
    js_auto bad = NULL;
    assert_int_equal(cl_kpb_decode(body, sizeof(body) - 3, &bad, &err), AC_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selectors),
        cmocka_unit_test(patches),
        cmocka_unit_test(a_stale_update_is_a_conflict),
        cmocka_unit_test(old_watches_expire),
        cmocka_unit_test(deployments_roll_and_keep_revisions),
        cmocka_unit_test(namespaces_go_with_what_is_in_them),
        cmocka_unit_test(chaos_binds_to_the_pods_of_its_injection),
        cmocka_unit_test(a_pod_kill_happens_once),
        cmocka_unit_test(environment_and_paths),
        cmocka_unit_test(back_off_doubles_to_its_cap),
        cmocka_unit_test(protobuf_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "world.h"

#include <aceso/base.h>

#include "core/js.h"
#include "core/podstatus.h"

static int64_t wall(void *self)
{
    return ((struct world *)self)->now_ns;
}

static void random_bytes(void *self, void *p, size_t n)
{
    struct world *w = self;
    for (size_t i = 0; i < n; i++) {
        w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
        ((uint8_t *)p)[i] = (uint8_t)(w->seed >> 56);
    }
}

json_t *world_add(struct world *w, enum cl_kind_id k, const char *json_text)
{
    struct ac_err err = AC_ERR_INIT;
    json_t *made = NULL;
    js_auto o = json_loads(json_text, 0, NULL);
    AC_ASSERT(o != NULL);
    int r = cl_prepare(w->store, k, o, NULL, &err);
    if (r == 0)
        r = cl_store_add(w->store, k, o, &made, &err);
    AC_ASSERT(r == 0);
    return made;
}

void world_open(struct world *w)
{
    const struct cl_ports ports = {w, wall, random_bytes};
    w->now_ns = 1700000000LL * 1000000000;
    w->seed = 7;
    w->store = cl_store_create(&ports);
    w->ctl = (struct cl_ctl){.store = w->store, .net = {77, 1, 1}, .node = "n"};
    (void)world_add(w, CL_NAMESPACE, "{\"metadata\":{\"name\":\"default\"}}");
    (void)world_add(w, CL_NAMESPACE, "{\"metadata\":{\"name\":\"chaos\"}}");
    (void)world_add(w, CL_NODE, "{\"metadata\":{\"name\":\"n\",\"labels\":{\"disk\":\"ssd\"}}}");
}

void world_close(struct world *w)
{
    cl_store_destroy(w->store);
}

static void run_pod(struct world *w, json_t *pod)
{
    struct ac_err err = AC_ERR_INIT;
    char ip[16];
    if (js_str(pod, "spec.nodeName", NULL) == NULL)
        return;
    if (js_deleting(pod)) {
        cl_store_drop(w->store, CL_POD, js_ns(pod), js_name(pod));
        return;
    }
    if (js_str(pod, "status.podIP", NULL) != NULL)
        return;
    AC_ASSERT(cl_net_pod_ip(&w->ctl.net, w->store, ip, &err) == 0);
    const struct cl_container_state c = {.name = "c",
                                         .image = "i",
                                         .state = CL_C_RUNNING,
                                         .ready = true,
                                         .started = true,
                                         .started_ns = w->now_ns};
    const struct cl_pod_states st = {
        .main = &c, .n_main = 1, .pod_ip = ip, .host_ip = "127.0.0.1", .now_ns = w->now_ns};
    AC_ASSERT(cl_store_set_status(w->store, CL_POD, js_ns(pod), js_name(pod),
                                  cl_pod_status(pod, &st), &err) == 0);
}

void world_settle(struct world *w)
{
    uint64_t before;
    do {
        before = cl_store_rv(w->store);
        cl_ctl_run(&w->ctl);
        json_t *pod;
        for (size_t it = 0; (pod = cl_store_next(w->store, CL_POD, NULL, &it)) != NULL;) {
            js_auto held = json_incref(pod);
            run_pod(w, held);
        }
    } while (cl_store_rv(w->store) != before);
}

#include "wiring.h"

#include "api.h"
#include "config.h"
#include "events.h"
#include "images.h"
#include "persist.h"
#include "pki.h"
#include "proxy.h"
#include "runtime.h"
#include "telemetry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fcntl.h>

#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/log.h>
#include <aceso/rng.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#include "core/chaos.h"
#include "core/js.h"
#include "core/podspec.h"

#define NODE_NAME "aceso-node"
#define HOST_IP   "127.0.0.1"
#define GRACE_NS  (3 * AC_NS_PER_S)

struct wiring {
    struct ac_svc *svc;
    const struct cluster_conf *conf;
    struct cl_store *store;
    struct cl_ctl ctl;
    struct persist *persist;
    struct pki pki;
    struct api *api;
    struct runtime *runtime;
    struct proxy *proxy;
    struct telemetry *telemetry;
    struct events *events;
    json_t *images;
    struct ac_timer *timer;
    bool queued, stopping;
    int lock_fd, net_fd;
    char *ready_more, *state_dir, *base_dir;
};

static int64_t wall(void *self)
{
    (void)self;
    return ac_wall_ns();
}

static void random_bytes(void *self, void *p, size_t n)
{
    (void)self;
    ac_random_bytes(p, n);
}

/* ---- the controllers' turn ---- */

static void run_controllers(void *arg)
{
    struct wiring *w = arg;
    w->queued = false;
    if (w->stopping)
        return;
    cl_ctl_run(&w->ctl);
    runtime_sync(w->runtime);
    proxy_sync(w->proxy);
    int64_t wait = w->ctl.wake_ns == INT64_MAX ? 60 * AC_NS_PER_S : w->ctl.wake_ns - ac_wall_ns();
    ac_timer_start(w->timer, AC_MAX(wait, AC_NS_PER_MS), 0);
}

static void kick(void *arg)
{
    struct wiring *w = arg;
    if (w->queued || w->stopping)
        return;
    w->queued = true;
    ac_loop_post(w->svc->loop, run_controllers, w);
}

static void on_change(const struct cl_event *ev, void *arg)
{
    /* Events change nothing that a controller looks at. */
    if (ev->kind != CL_EVENT)
        kick(arg);
}

/* ---- start ---- */

static int take_lock(struct wiring *w, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/lock", w->state_dir);
    w->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (w->lock_fd < 0)
        return ac_err_errno(err, errno, "%s", path);
    if (flock(w->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return ac_err_set(err, AC_EEXISTS,
                          "%s is in use by another aceso-cluster: stop it, or give another "
                          "--state-dir",
                          w->state_dir);
    return 0;
}

/* One instance owns 127.N.0.0/16: an abstract socket named after N says so. Begins at the number
 * that the directory's name hashes to. */
static int take_net(struct wiring *w, struct ac_err *err)
{
    unsigned first = (unsigned)(ac_hash_str(w->state_dir) % 200);
    for (unsigned i = 0; i < 200; i++) {
        unsigned net = 20 + (first + i) % 200;
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "aceso-cluster-net-%u", net);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return ac_err_errno(err, errno, "socket");
        socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
        if (bind(fd, (struct sockaddr *)&sa, len) == 0) {
            w->net_fd = fd;
            w->ctl.net = (struct cl_net){net, 1, 1};
            return 0;
        }
        close(fd);
    }
    return ac_err_set(err, AC_EAGAIN, "200 clusters run on this machine already");
}

/* Objects of an earlier run may have addresses of another range: services get new ones, pods get
 * theirs when they are started. */
static void readdress(struct wiring *w)
{
    char prefix[16];
    struct ac_err err = AC_ERR_INIT;
    json_t *o;
    snprintf(prefix, sizeof(prefix), "127.%u.", w->ctl.net.net);
    for (size_t it = 0; (o = cl_store_next(w->store, CL_SERVICE, NULL, &it)) != NULL;) {
        const char *ip = js_str(o, "spec.clusterIP", "None");
        if (ac_streq(ip, "None") || ac_str_starts(ip, prefix))
            continue;
        js_auto copy = json_deep_copy(o);
        js_del(copy, "spec.clusterIP");
        (void)!cl_store_update(w->store, CL_SERVICE, copy, NULL, &err);
    }
}

static void make_node(struct wiring *w)
{
    struct utsname u = {0};
    struct ac_err err = AC_ERR_INIT;
    char now[32], cpus[16], pods[24];
    if (cl_store_get(w->store, CL_NODE, NULL, NODE_NAME) != NULL)
        return;
    (void)uname(&u);
    js_time(ac_wall_ns(), now, sizeof(now));
    snprintf(cpus, sizeof(cpus), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    snprintf(pods, sizeof(pods), "%lld", (long long)w->conf->max_pods);
    ac_cleanup(ac_free_p) char *mem =
        ac_xasprintf("%ldKi", sysconf(_SC_PHYS_PAGES) / 1024 * sysconf(_SC_PAGESIZE));
    js_auto node = json_pack(
        "{s:{s:s,s:{s:s,s:s,s:s}},s:{},s:{s:{s:s,s:s,s:s},s:{s:s,s:s,s:s},s:[{s:s,s:s}],"
        "s:[{s:s,s:s,s:s,s:s,s:s,s:s}],s:{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}}}",
        "metadata", "name", NODE_NAME, "labels", "kubernetes.io/hostname", NODE_NAME,
        "kubernetes.io/os", "linux", "kubernetes.io/arch", "amd64", "spec", "status", "capacity",
        "cpu", cpus, "memory", mem, "pods", pods, "allocatable", "cpu", cpus, "memory", mem, "pods",
        pods, "addresses", "type", "InternalIP", "address", HOST_IP, "conditions", "type", "Ready",
        "status", "True", "reason", "KubeletReady", "message", "the cluster runs pods",
        "lastHeartbeatTime", now, "lastTransitionTime", now, "nodeInfo", "kubeletVersion",
        "v1.32.0+aceso", "kubeProxyVersion", "v1.32.0+aceso", "osImage", "host", "kernelVersion",
        u.release, "operatingSystem", "linux", "architecture", "amd64", "containerRuntimeVersion",
        "process://1", "machineID", "", "systemUUID", "", "bootID", "");
    if (node == NULL || cl_store_add(w->store, CL_NODE, node, NULL, &err) != 0)
        AC_LOGE("cluster", "no_node", AC_KERR(&err));
}

static void make_namespaces(struct wiring *w)
{
    static const char *const names[] = {"default", "kube-system", "kube-public"};
    for (size_t i = 0; i < AC_ARRAY_LEN(names); i++) {
        struct ac_err err = AC_ERR_INIT;
        if (cl_store_get(w->store, CL_NAMESPACE, NULL, names[i]) != NULL)
            continue;
        js_auto ns = json_pack("{s:{s:s}}", "metadata", "name", names[i]);
        if (cl_prepare(w->store, CL_NAMESPACE, ns, NULL, &err) == 0)
            (void)!cl_store_add(w->store, CL_NAMESPACE, ns, NULL, &err);
    }
}

/* The port of the first start is kept, so that a kubeconfig stays good. */
static int listen_api(struct wiring *w, struct ac_err *err)
{
    struct api_deps d = {w->svc->loop, w->svc->metrics, w->store,    &w->ctl,
                         &w->pki,      w->runtime,      w->telemetry};
    ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/api-address", w->state_dir);
    ac_cleanup(ac_free_p) char *saved = NULL;
    size_t n;
    int r = AC_ENOTFOUND;
    bool any = ac_str_ends(w->conf->api_listen, ":0");
    if (any && ac_path_exists(path) && ac_file_read(path, 256, &saved, &n, err) == 0) {
        r = api_start(&d, ac_str_trim(saved), &w->api, err);
        if (r != 0)
            AC_LOGW("cluster", "api_port_taken", AC_KS("address", saved),
                    AC_KS("hint", "another process has it: a new port is taken"));
    }
    if (r != 0)
        r = api_start(&d, w->conf->api_listen, &w->api, err);
    if (r != 0)
        return ac_err_wrap(err, "--api-listen");
    char host[128];
    ac_str_copy(host, sizeof(host), w->conf->api_listen);
    char *colon = strrchr(host, ':');
    if (colon != NULL)
        *colon = '\0';
    ac_cleanup(ac_free_p) char *address = ac_xasprintf("%s:%d", host, api_port(w->api));
    r = ac_file_write_atomic(path, address, strlen(address), 0600, err);
    if (r != 0)
        return r;
    ac_cleanup(ac_free_p) char *server = ac_xasprintf("https://%s", address);
    ac_cleanup(ac_free_p) char *kubeconfig = ac_str_empty(w->conf->kubeconfig)
                                                 ? ac_xasprintf("%s/kubeconfig", w->state_dir)
                                                 : ac_xstrdup(w->conf->kubeconfig);
    r = pki_write_kubeconfig(&w->pki, server, kubeconfig, err);
    struct ac_buf more;
    ac_buf_init(&more, 16384);
    ac_buf_puts(&more, "\"server\":");
    ac_buf_put_json_str(&more, server);
    ac_buf_puts(&more, ",\"kubeconfig\":");
    ac_buf_put_json_str(&more, kubeconfig);
    w->ready_more = ac_buf_take(&more);
    w->svc->ready_more = w->ready_more;
    return r;
}

static int open_state(struct wiring *w, struct ac_err *err)
{
    const struct cl_ports ports = {NULL, wall, random_bytes};
    char real[4096];
    if (ac_str_empty(w->svc->conf.state_dir))
        return ac_err_set(err, AC_EINVAL,
                          "give --state-dir DIR: where the cluster keeps its files");
    int r = ac_dir_create(w->svc->conf.state_dir, 0711, err);
    if (r != 0)
        return r;
    if (realpath(w->svc->conf.state_dir, real) == NULL)
        return ac_err_errno(err, errno, "%s", w->svc->conf.state_dir);
    w->state_dir = ac_xstrdup(real);
    r = take_lock(w, err);
    if (r == 0)
        r = take_net(w, err);
    if (r != 0)
        return r;
    ac_cleanup(ac_free_p) char *pki_dir = ac_xasprintf("%s/pki", w->state_dir);
    r = pki_open(pki_dir, &w->pki, err);
    if (r != 0)
        return r;
    w->store = cl_store_create(&ports);
    r = persist_open(w->store, w->state_dir, &w->persist, err);
    if (r != 0)
        return r;
    w->ctl.store = w->store;
    w->ctl.node = NODE_NAME;
    w->ctl.gc_rv = cl_store_rv(w->store);
    readdress(w);
    return 0;
}

static int start_parts(struct wiring *w, struct ac_err *err)
{
    const struct cluster_conf *c = w->conf;
    w->base_dir = runtime_base_open(w->state_dir, err);
    if (w->base_dir == NULL)
        return err->code;
    int r = images_load(w->base_dir, c->images, &w->images, err);
    if (r != 0)
        return r;
    struct runtime_opts ro = {.state_dir = w->state_dir,
                              .base_dir = w->base_dir,
                              .host_ip = HOST_IP,
                              .cluster_id = w->state_dir,
                              .images = w->images,
                              .net = &w->ctl.net,
                              .pod_user = c->pod_user,
                              .backoff_ns = c->backoff_ns,
                              .backoff_max_ns = c->backoff_max_ns,
                              .log_bytes = c->log_bytes,
                              .max_pods = c->max_pods};
    r = runtime_create(w->svc->loop, w->store, &ro, &w->runtime, err);
    if (r == 0)
        r = proxy_create(w->svc->metrics, w->store, w->runtime, &w->proxy, err);
    if (r == 0)
        r = events_open(w->svc, w->store, &w->events, err);
    if (r == 0)
        r = telemetry_open(w->svc, w->runtime, c->collector_addr, c->metrics_ns, &w->telemetry,
                           err);
    if (r == 0)
        r = listen_api(w, err);
    return r;
}

int cluster_start(struct ac_svc *s, struct ac_err *err)
{
    struct wiring *w = ac_xcalloc(1, sizeof(*w));
    s->state = w;
    w->svc = s;
    w->conf = s->spec->conf;
    w->lock_fd = w->net_fd = -1;
    int r = open_state(w, err);
    if (r == 0)
        r = start_parts(w, err);
    if (r != 0)
        return r;
    w->timer = ac_timer_create(s->loop, kick, w);
    cl_store_observe(w->store, on_change, w);
    make_namespaces(w);
    make_node(w);
    kick(w);
    return 0;
}

void cluster_ready(struct ac_svc *s)
{
    struct wiring *w = s->state;
    AC_LOGI("cluster", "up", AC_KS("state", w->state_dir), AC_KI("net", w->ctl.net.net));
}

static void stopped(void *arg)
{
    struct ac_svc *s = arg;
    ac_svc_stopped(s);
}

void cluster_stop(struct ac_svc *s)
{
    struct wiring *w = s->state;
    w->stopping = true;
    ac_timer_stop(w->timer);
    api_stop(w->api);
    runtime_stop(w->runtime, GRACE_NS, stopped, s);
}

void cluster_fini(struct ac_svc *s)
{
    struct wiring *w = s->state;
    if (w == NULL)
        return;
    api_stop(w->api);
    telemetry_close(w->telemetry);
    events_close(w->events);
    proxy_destroy(w->proxy);
    runtime_destroy(w->runtime);
    runtime_base_close(w->base_dir, w->state_dir);
    ac_timer_destroy(w->timer);
    persist_close(w->persist);
    cl_store_destroy(w->store);
    api_destroy(w->api);
    json_decref(w->images);
    pki_fini(&w->pki);
    if (w->lock_fd >= 0)
        close(w->lock_fd);
    if (w->net_fd >= 0)
        close(w->net_fd);
    free(w->ready_more);
    free(w->state_dir);
    free(w->base_dir);
    free(w);
    s->ready_more = NULL;
}

/* aceso.workers.<name>: that the worker is there, told on the bus; may be lost. */
#include "worker_service.h"

#include <stdio.h>

#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define EVERY_NS (2 * AC_NS_PER_S)

void wk_presence_tell(struct wk_service *s)
{
    static char connected[] = "CONNECTED", gone[] = "LOST";
    struct ac_err err = AC_ERR_INIT;
    if (!s->bus)
        return;
    Aceso__V1__ServingWorker m = ACESO__V1__SERVING_WORKER__INIT;
    char subject[WK_NAME_MAX + 32];
    snprintf(subject, sizeof(subject), "aceso.workers.%s", s->name);
    m.name = s->name;
    m.executor = s->conf->executor;
    m.state = s->welcome ? connected : gone;
    m.memory_bytes = s->conf->memory_bytes;
    m.free_bytes = (uint64_t)wk_lanes_pages_free(s->lanes) * s->conf->page_bytes;
    if (ac_bus_publish_pb(s->bus, subject, &m, &err) != 0)
        AC_LOGW("presence", "not_published", AC_KERR(&err));
}

static void on_heartbeat(void *arg)
{
    wk_presence_tell(arg);
}

int wk_presence_start(struct wk_service *s, struct ac_err *err)
{
    const struct ac_svc_conf *c = &s->svc->conf;
    if (ac_str_empty(c->nats_url))
        return 0;
    struct ac_bus_opts o = {.url = c->nats_url,
                            .creds = ac_str_empty(c->nats_creds) ? NULL : c->nats_creds,
                            .name = "aceso-worker"};
    int rc = ac_bus_connect(s->svc->loop, s->svc->metrics, &o, &s->bus, err);
    if (rc)
        return rc;
    s->heartbeat = ac_timer_create(s->svc->loop, on_heartbeat, s);
    ac_timer_start(s->heartbeat, EVERY_NS, EVERY_NS);
    return 0;
}

void wk_presence_free(struct wk_service *s)
{
    ac_timer_destroy(s->heartbeat);
    if (s->bus)
        ac_bus_close(s->bus);
    s->bus = NULL;
}

/* What happens to the workers, told on the bus; without NATS nobody is told. */
#include "controller_service.h"

#include <aceso/log.h>
#include <aceso/str.h>

int ctl_events_start(struct ctl_service *s, struct ac_err *err)
{
    const struct ac_svc_conf *c = &s->svc->conf;
    if (ac_str_empty(c->nats_url))
        return 0;
    struct ac_bus_opts o = {.url = c->nats_url,
                            .creds = ac_str_empty(c->nats_creds) ? NULL : c->nats_creds,
                            .name = "aceso-controller"};
    return ac_bus_connect(s->svc->loop, s->svc->metrics, &o, &s->bus, err);
}

void ctl_events_free(struct ctl_service *s)
{
    if (s->bus)
        ac_bus_close(s->bus);
    s->bus = NULL;
}

void ctl_event_worker(const struct ctl_worker *w)
{
    Aceso__V1__ServingWorker m;
    struct ac_err err = AC_ERR_INIT;
    if (!w->s->bus)
        return;
    ctl_worker_status(w, &m);
    if (ac_bus_publish_pb(w->s->bus, AC_SUBJECT_SERVING, &m, &err) != 0)
        AC_LOGW("events", "not_published", AC_KERR(&err));
}

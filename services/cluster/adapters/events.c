#include "events.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/bus.h>
#include <aceso/log.h>
#include <aceso/str.h>

#include "core/js.h"

struct events {
    struct ac_bus *bus;
};

static void on_change(const struct cl_event *ev, void *arg)
{
    struct events *e = arg;
    char subject[320];
    struct ac_err err = AC_ERR_INIT;
    if (ev->kind != CL_EVENT || ev->change == CL_DELETED)
        return;
    char *text = json_dumps(ev->object, JSON_COMPACT);
    if (text == NULL)
        return;
    snprintf(subject, sizeof(subject), AC_SUBJECT_CLUSTER ".%.250s", js_ns(ev->object));
    if (ac_bus_publish(e->bus, subject, text, strlen(text), &err) != 0)
        AC_LOGD("cluster", "event_not_published", AC_KERR(&err));
    free(text);
}

int events_open(struct ac_svc *s, struct cl_store *store, struct events **ret, struct ac_err *err)
{
    struct ac_bus_opts o = {.url = s->conf.nats_url,
                            .creds = ac_str_empty(s->conf.nats_creds) ? NULL : s->conf.nats_creds,
                            .name = "aceso-cluster"};
    *ret = NULL;
    if (ac_str_empty(s->conf.nats_url))
        return 0;
    struct events *e = ac_xcalloc(1, sizeof(*e));
    int r = ac_bus_connect(s->loop, s->metrics, &o, &e->bus, err);
    if (r != 0) {
        free(e);
        return r;
    }
    cl_store_observe(store, on_change, e);
    *ret = e;
    return 0;
}

void events_close(struct events *e)
{
    if (e == NULL)
        return;
    ac_bus_close(e->bus);
    free(e);
}

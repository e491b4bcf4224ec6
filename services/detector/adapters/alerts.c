/* Alerts from the engine to JetStream, and then to the store. */
#include "detector_service.h"

#include <stdio.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>

#include "adapters/convert_pb.h"

struct sent {
    struct det_service *s;
    struct outbox_item *m;
};

static void answered(int code, void *arg)
{
    struct sent *x = arg;
    struct det_service *s = x->s;
    struct outbox_item *m = x->m;
    free(x);
    if (!s->outbox)
        return; /* the bus closes after everything was freed */
    outbox_answered(s->outbox, m, code == 0);
    if (code == 0) {
        m->next = s->told;
        s->told = m;
        ac_metric_add(s->m_alerts, 1);
        outbox_pump(s->outbox);
        det_advance(s);
    } else if (code != AC_ECANCELED) { /* the bus closes */
        AC_LOGW("detector", "alert_not_taken", AC_KS("alert", m->id),
                AC_KS("err", ac_err_name(code)));
    }
}

static bool send(struct outbox_item *m, void *arg)
{
    struct det_service *s = arg;
    struct ac_err err = AC_ERR_INIT;
    char subject[200], id[72];
    (void)snprintf(subject, sizeof subject, AC_SUBJECT_ALERTS ".%s", m->ns);
    (void)snprintf(id, sizeof id, "%s.%llu", m->id, (unsigned long long)m->sequence);
    struct sent *x = ac_xmalloc(sizeof *x);
    *x = (struct sent){s, m};
    if (ac_bus_js_publish(s->svc->bus, subject, id, m->body, m->len, answered, x, &err) == 0)
        return true;
    free(x);
    AC_LOGD("detector", "alert_waits", AC_KS("alert", m->id), AC_KERR(&err));
    return false; /* again with the next tick */
}

static void emit(const struct engine_alert *a, void *arg)
{
    struct det_service *s = arg;
    const struct det_repeat *told = ac_map_get(s->repeats, a->id);
    if (told && a->sequence <= told->sequence) {
        ac_metric_add(s->m_repeats, 1);
        return;
    }
    AC_LOGI("detector", "alert", AC_KS("alert", a->id), AC_KS("state", a->state),
            AC_KI("sequence", a->sequence), AC_KS("namespace", a->series->ns),
            AC_KS("component", a->series->component), AC_KS("rule", a->rule),
            AC_KS("reason", a->reason));
    struct outbox_item *m = det_alert_to_item(a, s->svc->conf.tenant, s->source, ac_wall_ns());
    m->stream_seq = s->position;
    m->stream_ns = s->stream_ns;
    outbox_add(s->outbox, m);
}

static void zone_free(void *z)
{
    ac_zone_destroy(z);
}

/* Zones are read once: a process sees one edition of the tables, however long it runs. */
static const struct ac_zone *zone(const char *name, void *arg)
{
    struct det_service *s = arg;
    struct ac_zone *z = ac_map_get(s->zones, name);
    struct ac_err err = AC_ERR_INIT;
    if (z)
        return z;
    if (ac_zone_load(NULL, name, &z, &err) < 0) {
        AC_LOGW("detector", "zone_unknown", AC_KS("zone", name), AC_KS("msg", err.msg));
        return NULL;
    }
    ac_map_set(s->zones, name, z);
    return z;
}

void det_alerts_init(struct det_service *s)
{
    s->zones = ac_map_create(zone_free);
    const struct engine_opts o = {.silence_ns = s->conf->silence_ns,
                                  .forget_ns = s->conf->forget_ns,
                                  .state_max = s->conf->state_max_bytes,
                                  .zone = zone,
                                  .zone_arg = s};
    s->engine = engine_create(&o, emit, s);
    s->outbox = outbox_create(send, s);
    s->repeats = ac_map_create(free);
}

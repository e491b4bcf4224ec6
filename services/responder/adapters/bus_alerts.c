/* Alerts from JetStream into the core. A message is acknowledged once what it changed is stored. */
#include "responder_service.h"

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/pbx.h>

#include "adapters/convert_pb.h"

#define ALERT_MAX_BYTES (4u << 20)

/* The message that closes an alert tells the values that ended it ("errors: 0, limit 0.05"). Why
 * there was an alert is what the one before said: that stays. */
static void keep_reason(const struct resp_service *s, Aceso__V1__Alert *m, struct ac_arena *a,
                        struct ac_buf *packed, struct ac_alert_in *in)
{
    const struct ac_inc_alert *known = ac_responder_find_alert(s->core, in->id);
    Aceso__V1__Alert *before;
    if (in->open || !known || known->blob_len == 0 ||
        AC_PB_UNPACK(aceso__v1__alert, known->blob, known->blob_len, a, &before, NULL) != 0)
        return;
    m->reason = before->reason;
    m->values = before->values;
    m->n_values = before->n_values;
    if (ac_pb_pack(&m->base, packed, NULL) == 0) {
        in->blob = packed->data;
        in->blob_len = packed->len;
    }
}

static void on_alert(const struct ac_bus_msg *m, struct ac_bus_ack *ack, void *arg)
{
    struct resp_service *s = arg;
    struct ac_arena *a = ac_arena_create(ALERT_MAX_BYTES);
    Aceso__V1__Alert *alert;
    struct ac_alert_in in;
    struct ac_err err = AC_ERR_INIT;
    struct ac_buf packed;
    ac_buf_init(&packed, ALERT_MAX_BYTES);
    ac_metric_add(s->n_alerts, 1);
    if (AC_PB_UNPACK(aceso__v1__alert, m->data, m->len, a, &alert, &err) != 0 ||
        resp_alert_from_pb(alert, m->data, m->len, &in, &err) != 0) {
        AC_LOGW("responder", "alert_refused", AC_KS("subject", m->subject), AC_KERR(&err));
        ac_bus_term(ack); /* it will not get better */
    } else {
        keep_reason(s, alert, a, &packed, &in);
        const struct ac_incident *i = ac_responder_alert(s->core, ac_wall_ns(), &in);
        if (i)
            resp_engine_after_store(s, i->id, ack);
        else
            ac_bus_ack(ack);
    }
    ac_buf_fini(&packed);
    ac_arena_destroy(a);
}

int resp_alerts_start(struct resp_service *s, struct ac_err *err)
{
    const struct ac_bus_consumer c = {
        .stream = AC_STREAM_ALERTS,
        .durable = "responder",
        .filter = AC_SUBJECT_ALERTS ".>",
    };
    return ac_bus_consume(s->svc->bus, &c, on_alert, s, &s->alerts, err);
}

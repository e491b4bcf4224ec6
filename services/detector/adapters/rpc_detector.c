/* aceso.v1.Detector. */
#include "detector_service.h"

#include <aceso/base.h>

static void on_list(struct ac_rpc_call *c, const void *req, void *self)
{
    det_store_list(self, c, req);
}

static void on_status(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)req;
    const struct det_service *s = self;
    struct engine_counts n = engine_counts(s->engine);
    Aceso__V1__DetectorStatus m = ACESO__V1__DETECTOR_STATUS__INIT;
    m.series = n.series;
    m.rules = n.rules;
    m.points = n.points;
    m.alerts_open = n.open;
    m.rules_revision = s->stored_revision;
    ac_rpc_reply(c, &m);
}

void det_rpc_add(struct det_service *s)
{
    static const struct ac_rpc_method m[] = {
        {.name = "ListAlerts", .kind = AC_RPC_UNARY, .handler = on_list},
        {.name = "Status", .kind = AC_RPC_UNARY, .handler = on_status},
    };
    ac_rpc_server_add(s->svc->server, &aceso__v1__detector__descriptor, m, AC_ARRAY_LEN(m), s);
}

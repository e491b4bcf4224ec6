/* The console: what its files share. Everything runs on the loop thread. It reads, and changes
 * nothing anywhere. */
#pragma once

#include "events.h"
#include "fleet.h"
#include "query.h"

#include <aceso/list.h>
#include <aceso/svc.h>

struct console_conf {
    int64_t probe_ns, max_watchers;
    struct {
        char *grpc, *http;
    } at[CONSOLE_NSERVICES];
};

struct console_service {
    struct ac_svc *svc;
    const struct console_conf *conf;
    struct console_fleet fleet;
    struct ac_rpc_channel *channel[CONSOLE_NSERVICES]; /* NULL = no address is known */

    /* probes.c */
    struct ac_http_client *client;
    struct ac_worker *pg;
    struct ac_timer *probe_timer;
    unsigned round;
    bool asked[CONSOLE_NROWS]; /* a check is under way */

    /* live.c */
    struct ac_list watchers;
    unsigned n_watchers;
    struct ac_bus_sub *sub[3];
    struct ac_timer *beat;
    struct console_throttle throttle;
    struct ac_metric *watching, *relayed, *dropped, *slow;
};

/* adapters/assets.c: the page's files, part of the program */
struct console_asset {
    const char *name, *type;
    const void *data;
    size_t len;
    const char *etag; /* of the content */
};
/** NULL when there is none of this name. Loop thread. */
const struct console_asset *console_asset_find(const char *name);

/* adapters/http_routes.c */
void console_http(struct ac_http_req *r, struct ac_svc *svc);

/* adapters/upstream.c: questions of the page to the services */
void console_ask_incidents(struct console_service *s, struct ac_http_req *r,
                           const struct console_list_query *q);
void console_ask_incident(struct console_service *s, struct ac_http_req *r, const char *id);
void console_ask_alerts(struct console_service *s, struct ac_http_req *r,
                        const struct console_list_query *q);
void console_ask_sessions(struct console_service *s, struct ac_http_req *r,
                          const struct console_list_query *q);
void console_ask_series(struct console_service *s, struct ac_http_req *r,
                        const struct console_series_query *q);

/* adapters/probes.c */
void console_probes_start(struct console_service *s);
void console_probes_stop(struct console_service *s);

/* adapters/live.c */
int console_live_start(struct console_service *s, struct ac_err *err) AC_MUST_USE;
void console_live_stop(struct console_service *s);
/** Answers with a stream of events, or 503 when there are enough. */
void console_live_watch(struct console_service *s, struct ac_http_req *r);
/** To every page that follows. */
void console_live_send(struct console_service *s, const char *event, const struct ac_buf *json);
void console_live_fleet(struct console_service *s);

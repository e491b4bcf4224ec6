/* Requests of browsers: who may ask, what, and with which headers the answer goes out. */
#include "console_service.h"

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

static void set_headers(struct ac_http_req *r)
{
    static const char *const headers[][2] = {
        /* Nothing from elsewhere, nothing inline: a text that got in as markup could not run. */
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
         "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(headers); i++)
        ac_http_set_header(r, headers[i][0], headers[i][1]);
}

static void reply_asset(struct ac_http_req *r, const char *name)
{
    const struct console_asset *a = console_asset_find(name);
    if (!a) {
        ac_http_reply_text(r, 404, "nothing here; the page is at /\n");
        return;
    }
    ac_http_set_header(r, "Cache-Control", "no-cache"); /* asked again, answered by 304 */
    ac_http_set_header(r, "ETag", a->etag);
    if (ac_streq(ac_http_header(r, "If-None-Match"), a->etag))
        ac_http_reply(r, 304, NULL, NULL, 0);
    else
        ac_http_reply(r, 200, a->type, a->data, a->len);
}

static void reply_services(struct console_service *s, struct ac_http_req *r)
{
    struct ac_buf b;
    ac_buf_init(&b, 256u << 10);
    console_fleet_json(&s->fleet, ac_wall_ns(), &b);
    ac_http_reply(r, 200, "application/json", ac_buf_str(&b), b.len);
    ac_buf_fini(&b);
}

static const char *query_get(const void *arg, const char *key, unsigned i)
{
    return ac_http_query_n(arg, key, i);
}

static void ask_series(struct console_service *s, struct ac_http_req *r,
                       const struct console_params *p)
{
    struct console_series_query q;
    struct ac_err err = AC_ERR_INIT;
    if (console_series_parse(p, &q, &err) < 0)
        ac_http_reply_err(r, &err);
    else
        console_ask_series(s, r, &q);
}

static void ask_list(struct console_service *s, struct ac_http_req *r, enum console_route route,
                     const struct console_params *p)
{
    struct console_list_query q;
    struct ac_err err = AC_ERR_INIT;
    if (console_list_parse(p, &q, &err) < 0)
        ac_http_reply_err(r, &err);
    else if (route == CONSOLE_INCIDENTS)
        console_ask_incidents(s, r, &q);
    else if (route == CONSOLE_ALERTS)
        console_ask_alerts(s, r, &q);
    else
        console_ask_sessions(s, r, &q);
}

static void answer_api(struct console_service *s, struct ac_http_req *r, enum console_route route,
                       const char *rest)
{
    const struct console_params p = {.get = query_get, .arg = r};
    struct ac_err err = AC_ERR_INIT;
    ac_http_set_header(r, "Cache-Control", "no-store");
    switch (route) {
    case CONSOLE_SERVICES:
        reply_services(s, r);
        break;
    case CONSOLE_INCIDENT:
        if (console_id_check(rest, &err) < 0)
            ac_http_reply_err(r, &err);
        else
            console_ask_incident(s, r, rest);
        break;
    case CONSOLE_INCIDENTS:
    case CONSOLE_ALERTS:
    case CONSOLE_SESSIONS:
        ask_list(s, r, route, &p);
        break;
    case CONSOLE_SERIES:
        ask_series(s, r, &p);
        break;
    case CONSOLE_EVENTS:
        console_live_watch(s, r);
        break;
    default:
        (void)ac_err_set(&err, AC_ENOTFOUND, "no such thing in the console's interface");
        ac_http_reply_err(r, &err);
        break;
    }
}

void console_http(struct ac_http_req *r, struct ac_svc *svc)
{
    struct console_service *s = svc->state;
    const char *rest, *method = ac_http_method(r);
    enum console_route route = console_route_of(ac_http_path(r), &rest);
    set_headers(r);
    if (!console_host_allowed(svc->conf.http_listen, ac_http_header(r, "Host"))) {
        ac_http_reply_text(r, 403, "this console answers to localhost and loopback addresses\n");
    } else if (!ac_streq(method, "GET") && !(ac_streq(method, "HEAD") && route != CONSOLE_EVENTS)) {
        ac_http_set_header(r, "Allow", "GET, HEAD");
        ac_http_reply_text(r, 405, "the console only reads: use GET\n");
    } else if (route == CONSOLE_ASSET) {
        reply_asset(r, rest);
    } else {
        answer_api(s, r, route, rest);
    }
}

/* aceso-console: one page for people: health, incidents, live. */
#include "console_service.h"

#include <stddef.h>

#include <aceso/base.h>

/* Static: callbacks of what was under way may come until the loop ends, after fini. */
static struct console_service service;
static struct console_conf conf;

static const struct ac_conf_opt opts[] = {
#define AC_OPT(field, key, type, def, lo, hi, flags, help)                                         \
    {key, type, offsetof(struct console_conf, field), def, lo, hi, flags, help},
#include "config.def"
#undef AC_OPT
};

static int start(struct ac_svc *svc, struct ac_err *err)
{
    struct console_service *s = &service;
    s->svc = svc;
    s->conf = &conf;
    svc->state = s;
    int rc = ac_svc_ensure_streams(svc->bus, err);
    if (rc == AC_OK)
        rc = console_live_start(s, err);
    if (rc == AC_OK)
        console_probes_start(s);
    return rc;
}

static void stop(struct ac_svc *svc)
{
    struct console_service *s = svc->state;
    console_probes_stop(s);
    console_live_stop(s);
    ac_svc_stopped(svc);
}

static void fini(struct ac_svc *svc)
{
    struct console_service *s = svc->state;
    if (!s)
        return;
    console_probes_stop(s);
    console_live_stop(s);
    for (unsigned i = 0; i < CONSOLE_NSERVICES; i++)
        ac_rpc_channel_destroy(s->channel[i]);
}

int main(int argc, char **argv)
{
    const struct ac_svc_spec spec = {
        .name = "console",
        .summary = "the page for people: services, incidents, live",
        .opts = opts,
        .n_opts = AC_ARRAY_LEN(opts),
        .conf = &conf,
        .uses_bus = true,
        .max_body_bytes = 1024, /* nothing is posted here */
        .start = start,
        .http = console_http,
        .stop = stop,
        .fini = fini,
    };
    return ac_svc_main(&spec, argc, argv);
}

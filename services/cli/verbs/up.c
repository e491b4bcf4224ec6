/* aceso up: the whole system on this machine. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include <aceso/json.h>
#include <aceso/str.h>

#include "supervisor/instance.h"
#include "supervisor/status.h"

static int cmd_up(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_up = {
    "up", "start the whole system on this machine", cmd_up,
    "  aceso up [--state DIR] [--timeout 90s]\n\n"
    "Starts a private PostgreSQL and nats-server and every service, and waits until all are "
    "healthy.\n"
    "  --state DIR     where everything is kept (default: $ACESO_STATE, /var/lib/aceso for root)\n"
    "  --timeout T     how long to wait\n"
    "ACESO_PG_URL and ACESO_NATS_URL name servers to use instead of private ones.\n"};

static int cmd_up(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *state = NULL, *timeout = "90s";
    const struct cli_opt opts[] = {{.name = "--state", .has_value = true, .value = &state},
                                   {.name = "--timeout", .has_value = true, .value = &timeout}};
    int npos;
    int rc = cli_parse(&cli_verb_up, argc, argv, opts, 2, &npos);
    if (rc != 0)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    int64_t timeout_ns;
    if (npos > 0)
        return cli_usage("up", "unexpected argument '%s'", argv[1]);
    if (!ac_str_to_duration_ns(timeout, &timeout_ns))
        return cli_usage("up", "--timeout: '%s' is no duration (as 90s)", timeout);
    struct ac_err err = AC_ERR_INIT;
    struct cli_layout layout;
    bool started;
    ac_cleanup_json status = NULL;
    if (cli_layout_find(state, &layout, &err) != 0)
        return cli_fail("up", &err);
    cli_instance_catch_signals();
    if (cli_instance_up(&layout, timeout_ns, &started, &status, &err) != 0)
        return cli_fail("up", &err);
    if (ctx->json) {
        json_object_set_new(status, "state", json_string(layout.dir));
        ac_cleanup(ac_free_p) char *text = ac_json_text(status);
        puts(text);
    } else {
        cli_status_print(status);
    }
    return CLI_OK;
}

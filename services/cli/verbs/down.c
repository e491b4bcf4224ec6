/* aceso down: stops an instance; its state stays. */
#include "verbs.h"

#include <stdio.h>

#include "supervisor/instance.h"

static int cmd_down(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_down = {
    "down", "stop it; state is kept", cmd_down,
    "  aceso down [--state DIR]\n\n"
    "Stops the services in reverse order, then nats-server and PostgreSQL. State is kept.\n"};

static int cmd_down(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *state = NULL;
    const struct cli_opt opts[] = {{.name = "--state", .has_value = true, .value = &state}};
    int npos;
    int rc = cli_parse(&cli_verb_down, argc, argv, opts, 1, &npos);
    if (rc != 0)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    struct ac_err err = AC_ERR_INIT;
    struct cli_layout layout;
    if (cli_layout_find(state, &layout, &err) != 0 || cli_instance_down(&layout, &err) != 0)
        return cli_fail("down", &err);
    if (ctx->json)
        puts("{\"stopped\":true}");
    return CLI_OK;
}

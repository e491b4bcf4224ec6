/* aceso supervise: the supervisor itself, started by `up`; not listed in the help. */
#include "supervisor/supervise.h"

#include "verbs.h"

#include <aceso/log.h>

static int cmd_supervise(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_supervise = {
    "supervise", NULL, cmd_supervise,
    "  aceso supervise [--state DIR]   run in the foreground what `aceso up` starts\n"};

static int cmd_supervise(int argc, char **argv, const struct cli_ctx *ctx)
{
    (void)ctx;
    const char *state = NULL;
    const struct cli_opt opts[] = {{.name = "--state", .has_value = true, .value = &state}};
    int npos;
    int rc = cli_parse(&cli_verb_supervise, argc, argv, opts, 1, &npos);
    if (rc != 0)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    struct ac_err err = AC_ERR_INIT;
    struct cli_layout layout;
    if (cli_layout_find(state, &layout, &err) != 0 || cli_layout_create(&layout, &err) != 0)
        return cli_fail("supervise", &err);
    if (ac_log_configure("supervisor", "info", &err) != 0)
        return cli_fail("supervise", &err);
    return cli_supervise(&layout);
}

/* aceso status: the services of an instance. */
#include "supervisor/status.h"

#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/json.h>

static int cmd_status(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_status = {
    "status", "the services and their health", cmd_status,
    "  aceso status [--state DIR]\n\nExit 0 when all services are healthy, else 1.\n"};

static int cmd_status(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *state = NULL;
    const struct cli_opt opts[] = {{.name = "--state", .has_value = true, .value = &state}};
    int npos, healthy, total;
    int rc = cli_parse(&cli_verb_status, argc, argv, opts, 1, &npos);
    if (rc != 0)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    struct ac_err err = AC_ERR_INIT;
    struct cli_layout layout;
    ac_cleanup_json status = NULL;
    if (cli_layout_find(state, &layout, &err) != 0 || cli_status_read(&layout, &status, &err) != 0)
        return cli_fail("status", &err);
    cli_status_count(status, &healthy, &total);
    if (ctx->json) {
        ac_cleanup(ac_free_p) char *text = ac_json_text(status);
        puts(text);
    } else {
        cli_status_print(status);
        const char *error = ac_json_str(status, "error", NULL);
        if (error)
            printf("last error: %s\n", error);
    }
    return total > 0 && healthy == total ? CLI_OK : CLI_FAILED;
}

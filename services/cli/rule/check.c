/* aceso rule check: mistakes with their places, or what the rules cost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/rules_zone.h>
#include <aceso/str.h>

#include "rule/rule.h"

#define METRICS_MAX (16u << 20)

/* 0, or the exit code; without a diagnostic it has been told why. */
static int check_metrics(const struct ac_ruleset *s, const char *path, struct ac_diags *d)
{
    struct ac_err err = AC_ERR_INIT;
    char *text = NULL;
    size_t len = 0, n = 0, cap = 0;
    if (ac_file_read(path, METRICS_MAX, &text, &len, &err) < 0)
        return cli_fail_input("rule check", &err);
    const char **names = NULL;
    char *rest = text;
    for (char *w; (w = ac_str_next(&rest, '\n'));) {
        w = ac_str_trim(w);
        if (!*w || *w == '#')
            continue;
        ac_grow(&names, &cap, n + 1, sizeof *names);
        names[n++] = w;
    }
    bool ok = ac_ruleset_check_metrics(s, names, n, d);
    free(names);
    free(text);
    return ok ? CLI_OK : CLI_USAGE;
}

/* Zones that this machine does not know would be refused by eval and by the trainer. */
static int check_zones(const struct ac_ruleset *s, struct ac_diags *d)
{
    for (size_t i = 0; i < ac_ruleset_len(s); i++) {
        const struct ac_rule *r = ac_ruleset_get(s, i);
        for (size_t k = 0; k < ac_rule_n_inputs(r); k++) {
            const struct ac_rule_input *in = ac_rule_input(r, k);
            struct ac_zone *z = NULL;
            struct ac_err err = AC_ERR_INIT;
            if (in->kind != AC_INPUT_ZONE || d->n == AC_RULES_DIAGS_MAX)
                continue;
            if (ac_zone_load(NULL, in->of, &z, &err) < 0) {
                struct ac_diag *x = &d->v[d->n++];
                *x = (struct ac_diag){.line = in->line, .column = in->column};
                (void)snprintf(x->message, sizeof x->message, "%.191s", err.msg);
            }
            ac_zone_destroy(z);
        }
    }
    return d->n ? CLI_USAGE : CLI_OK;
}

int rule_check_cmd(const struct rule_args *a, const struct cli_ctx *ctx)
{
    const char *path = a->file;
    struct ac_ruleset *s = NULL;
    struct ac_diags d = {.n = 0};
    struct ac_plan *p = NULL;
    struct ac_err err = AC_ERR_INIT;
    bool json = false;
    int code = rule_load("rule check", path, &s, &d, &json);
    if (code && !d.n)
        return code;
    if (!code && rule_plan(s, 0, &p, &err) < 0) {
        ac_ruleset_destroy(s);
        return cli_fail("rule check", &err);
    }
    if (!code && a->metrics)
        code = check_metrics(s, a->metrics, &d);
    if (!code)
        code = check_zones(s, &d);
    if (code && !d.n) {
        ac_plan_destroy(p);
        ac_ruleset_destroy(s);
        return code;
    }
    for (size_t i = 0; s && json && i < d.n; i++)
        d.v[i].line = d.v[i].column = 0;
    struct ac_cost c = p ? ac_plan_cost(p) : (struct ac_cost){0};
    if (ctx->json) {
        struct ac_buf b;
        ac_buf_init(&b, 1 << 20);
        ac_buf_printf(&b, "{\"ok\": %s, \"errors\": [", code ? "false" : "true");
        rule_put_diags(&b, &d);
        ac_buf_printf(
            &b,
            "], \"rules\": %zu, \"state_bytes\": %zu, \"ops_per_point\": %.6g, \"lookback\": %zu}",
            s ? ac_ruleset_len(s) : 0, c.state_bytes, c.ops_per_point, c.lookback);
        printf("%s\n", ac_buf_str(&b));
        ac_buf_fini(&b);
    } else if (code) {
        rule_print_diags(stderr, path, &d);
    } else {
        printf("%s: ok; %zu rules, %zu bytes of state a series, %.0f steps a point, looks back %zu "
               "points\n",
               path, ac_ruleset_len(s), c.state_bytes, c.ops_per_point, c.lookback);
    }
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
    return code;
}

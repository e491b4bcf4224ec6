/* aceso rule diff: what changed between two files of rules, and which state lives on. */
#include <stdio.h>
#include <string.h>

#include <aceso/rules_proof.h>

#include "rule/rule.h"

struct report {
    struct ac_buf changes, states; /* JSON objects */
    bool json;
    char rule[128]; /* whose changes are being printed */
};

static void put_pair(struct ac_buf *b, const char *key, const char *text, bool first)
{
    ac_buf_printf(b, "%s\"%s\": ", first ? "" : ", ", key);
    ac_buf_put_json_str(b, text);
}

static void print_change(struct report *r, const struct ac_rule_change *c)
{
    if (strncmp(r->rule, c->rule, sizeof r->rule - 1) != 0) {
        (void)snprintf(r->rule, sizeof r->rule, "%s", c->rule);
        printf("rule \"%s\"\n", c->rule);
    }
    printf("  %s%s%s", c->what, *c->name ? " " : "", c->name);
    if (*c->before && *c->after)
        printf(": %s -> %s\n", c->before, c->after);
    else if (*c->before || *c->after)
        printf("%s: %s\n", *c->after ? " added" : " removed", *c->after ? c->after : c->before);
    else
        putchar('\n');
}

static void on_change(const struct ac_rule_change *c, void *arg)
{
    struct report *r = arg;
    ac_buf_puts(&r->changes, r->changes.len ? ", {" : "{");
    put_pair(&r->changes, "rule", c->rule, true);
    put_pair(&r->changes, "what", c->what, false);
    put_pair(&r->changes, "name", c->name, false);
    put_pair(&r->changes, "before", c->before, false);
    put_pair(&r->changes, "after", c->after, false);
    ac_buf_putc(&r->changes, '}');
    if (!r->json)
        print_change(r, c);
}

static void on_state(const struct ac_rule_state *s, void *arg)
{
    struct report *r = arg;
    ac_buf_puts(&r->states, r->states.len ? ", {" : "{");
    put_pair(&r->states, "rule", s->rule, true);
    ac_buf_printf(&r->states, ", \"operators\": %zu, \"kept\": %zu, \"cold_points\": %zu}",
                  s->operators, s->kept, s->cold_points);
    if (!r->json && strncmp(r->rule, s->rule, sizeof r->rule - 1) == 0) {
        if (s->kept == s->operators)
            printf("  state: all of it lives on\n");
        else
            printf(
                "  state: %zu of %zu operators keep theirs, the others know again after up to %zu "
                "points\n",
                s->kept, s->operators, s->cold_points);
    }
}

int rule_diff_cmd(const struct rule_args *a, const struct cli_ctx *ctx)
{
    struct ac_ruleset *before = NULL, *after = NULL;
    struct report r = {.json = ctx->json};
    int code = rule_load_ok("rule diff", a->file, &before);
    if (!code)
        code = rule_load_ok("rule diff", a->other, &after);
    if (!code) {
        ac_buf_init(&r.changes, 256u << 20);
        ac_buf_init(&r.states, 4u << 20);
        const struct ac_rule_diff_cb cb = {on_change, on_state, &r};
        size_t n = ac_ruleset_diff(before, after, &cb);
        if (ctx->json && (r.changes.failed || r.states.failed))
            code = cli_usage("rule diff", "there are too many changes to show");
        else if (ctx->json)
            printf("{\"same\": %s, \"changes\": [%s], \"state\": [%s]}\n", n ? "false" : "true",
                   ac_buf_str(&r.changes), ac_buf_str(&r.states));
        else if (!n)
            printf("the same rules\n");
        ac_buf_fini(&r.changes);
        ac_buf_fini(&r.states);
    }
    ac_ruleset_destroy(before);
    ac_ruleset_destroy(after);
    return code;
}

/* aceso rule ops: the operators of the language, for people or as the reference manual. */
#include <stdio.h>

#include "rule/rule.h"

int rule_ops_cmd(const struct rule_args *a, const struct cli_ctx *ctx)
{
    struct ac_buf b;
    const struct ac_rule_op_info *ops;
    size_t n = ac_rule_ops(&ops);
    ac_buf_init(&b, 1u << 20);
    if (a->markdown) {
        (void)ac_rule_manual(&b);
        fputs(ac_buf_str(&b), stdout);
    } else if (ctx->json) {
        ac_buf_puts(&b, "{\"operators\": [");
        for (size_t i = 0; i < n; i++) {
            ac_buf_puts(&b, i ? ", {\"name\": " : "{\"name\": ");
            ac_buf_put_json_str(&b, ops[i].name);
            const char *const keys[] = {"group", "formula", "warmup", "missing",
                                        "state", "cost",    "example"};
            const char *const texts[] = {ops[i].group,   ops[i].formula, ops[i].warmup,
                                         ops[i].missing, ops[i].state,   ops[i].cost,
                                         ops[i].example};
            for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
                ac_buf_printf(&b, ", \"%s\": ", keys[k]);
                ac_buf_put_json_str(&b, texts[k]);
            }
            ac_buf_putc(&b, '}');
        }
        printf("%s]}\n", ac_buf_str(&b));
    } else {
        for (size_t i = 0; i < n; i++) {
            ac_buf_reset(&b);
            (void)ac_rule_op_usage(&ops[i], &b);
            printf("%s\n    %s\n    warm-up: %s; missing points: %s\n    state: %s; steps a point: "
                   "%s\n"
                   "    %s\n",
                   ac_buf_str(&b), ops[i].formula, ops[i].warmup, ops[i].missing, ops[i].state,
                   ops[i].cost, ops[i].example);
        }
    }
    ac_buf_fini(&b);
    return CLI_OK;
}

/* aceso rule fmt: the canonical text, or the syntax tree as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "rule/rule.h"

int rule_fmt_cmd(const struct rule_args *a, const struct cli_ctx *ctx)
{
    const char *path = a->file;
    struct ac_ruleset *s = NULL;
    struct ac_err err = AC_ERR_INIT;
    int code = rule_load_ok("rule fmt", path, &s);
    if (code)
        return code;
    struct ac_buf b;
    ac_buf_init(&b, 16 * (size_t)AC_RULES_TEXT_MAX);
    if (ac_streq(a->to, "json"))
        ac_ruleset_json(s, &b), ac_buf_putc(&b, '\n');
    else
        ac_ruleset_print(s, &b);
    if (b.failed)
        (void)ac_err_set(&err, AC_ERANGE, "%s: the result is too long", path);
    if (b.failed) {
        code = cli_fail("rule fmt", &err);
    } else if (a->write && ac_file_write_atomic(path, b.data, b.len, 0644, &err) < 0) {
        code = cli_fail("rule fmt", &err);
    } else if (ctx->json) {
        struct ac_buf j;
        ac_buf_init(&j, 16 * (size_t)AC_RULES_TEXT_MAX);
        ac_buf_puts(&j, "{\"ok\": true, \"errors\": [], \"text\": ");
        ac_buf_put_json_str(&j, b.data);
        printf("%s}\n", ac_buf_str(&j));
        ac_buf_fini(&j);
    } else if (!a->write) {
        fputs(ac_buf_str(&b), stdout);
    }
    ac_buf_fini(&b);
    ac_ruleset_destroy(s);
    return code;
}

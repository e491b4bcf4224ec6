/* aceso rule: what its actions share. One file an action. */
#pragma once

#include "verbs.h"

#include <stddef.h>
#include <stdio.h>

#include <aceso/buf.h>
#include <aceso/rules.h>

struct rule_args {
    const char *file, *other; /* other: the second file of diff */
    const char *series, *out, *to, *metrics, *plot;
    bool stream, write, markdown;
    size_t explain; /* flags whose reasons are shown */
};

int rule_check_cmd(const struct rule_args *a, const struct cli_ctx *ctx);
int rule_fmt_cmd(const struct rule_args *a, const struct cli_ctx *ctx);
int rule_eval_cmd(const struct rule_args *a, const struct cli_ctx *ctx);
int rule_diff_cmd(const struct rule_args *a, const struct cli_ctx *ctx);
int rule_explain_cmd(const struct rule_args *a, const struct cli_ctx *ctx);
int rule_ops_cmd(const struct rule_args *a, const struct cli_ctx *ctx);

/** Reads and parses a file. 0, or the exit code; when d is empty then, it has been told why.
 * ret_json (may be NULL): it is a syntax tree, in which lines and columns of rules have no meaning.
 */
int rule_load(const char *verb, const char *path, struct ac_ruleset **ret, struct ac_diags *d,
              bool *ret_json);
/** The same, and tells about the text's mistakes. */
int rule_load_ok(const char *verb, const char *path, struct ac_ruleset **ret);
/** One plan of all rules of the set. */
int rule_plan(const struct ac_ruleset *s, unsigned flags, struct ac_plan **ret,
              struct ac_err *err) AC_MUST_USE;
/** "name": value, ... of what the rule's reason and condition speak of. */
void rule_put_values(struct ac_buf *b, const struct ac_eval *e, size_t rule,
                     const struct ac_rule *r);
void rule_put_diags(struct ac_buf *b, const struct ac_diags *d); /* JSON objects */
/** Errors as people read them: one line each, with the place; the hint behind. */
void rule_print_diags(FILE *to, const char *path, const struct ac_diags *d);

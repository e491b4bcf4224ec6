#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/rules_json.h>
#include <aceso/str.h>

#include "rule/rule.h"

#define JSON_MAX (16u << 20)

void rule_put_diags(struct ac_buf *b, const struct ac_diags *d)
{
    for (size_t i = 0; i < d->n; i++) {
        ac_buf_printf(b, "%s{\"line\": %d, \"column\": %d, \"message\": ", i ? ", " : "",
                      d->v[i].line, d->v[i].column);
        ac_buf_put_json_str(b, d->v[i].message);
        ac_buf_puts(b, ", \"hint\": ");
        ac_buf_put_json_str(b, d->v[i].hint);
        ac_buf_putc(b, '}');
    }
}

void rule_print_diags(FILE *to, const char *path, const struct ac_diags *d)
{
    for (size_t i = 0; i < d->n; i++) {
        fprintf(to, "%s:", path);
        if (d->v[i].line) /* in JSON the message has the path of the value */
            fprintf(to, "%d:%d:", d->v[i].line, d->v[i].column);
        fprintf(to, " %s%s%s%s\n", d->v[i].message, d->v[i].hint[0] ? " (" : "", d->v[i].hint,
                d->v[i].hint[0] ? ")" : "");
    }
}

/* A mistake in JSON. Its text names the file already, and the path of the value in place of a line.
 */
static int note_json(struct ac_diags *d, const char *path, const struct ac_err *err)
{
    size_t n = strlen(path);
    bool named = strncmp(err->msg, path, n) == 0 && err->msg[n] == ':';
    const char *s = named ? err->msg + n + 1 : err->msg;
    char *colon, *end;
    long line = strtol(s, &colon, 10);
    d->n = 1;
    d->v[0] = (struct ac_diag){.line = 0};
    if (line > 0 && *colon == ':') { /* no JSON at all: that has a place */
        d->v[0].line = (int)line;
        d->v[0].column = (int)strtol(colon + 1, &end, 10);
        s = *end == ':' ? end + 1 : end;
    }
    ac_str_copy(d->v[0].message, sizeof d->v[0].message, s + strspn(s, " "));
    return CLI_USAGE;
}

int rule_load(const char *verb, const char *path, struct ac_ruleset **ret, struct ac_diags *d,
              bool *ret_json)
{
    struct ac_err err = AC_ERR_INIT;
    char *text = NULL;
    size_t len = 0;
    if (ac_file_read(path, JSON_MAX, &text, &len, &err) < 0)
        return cli_fail_input(verb, &err);
    size_t first = strspn(text, " \t\r\n");
    int rc;
    if (ret_json)
        *ret_json = text[first] == '{';
    if (text[first] == '{') { /* no rule text begins so: this is its syntax tree */
        rc = ac_ruleset_from_json(path, text, len, ret, &err);
        free(text);
        return rc < 0 ? note_json(d, path, &err) : CLI_OK;
    }
    rc = len > AC_RULES_TEXT_MAX
             ? ac_err_set(&err, AC_EINVAL, "%s: longer than %u bytes", path, AC_RULES_TEXT_MAX)
             : ac_ruleset_parse(text, len, ret, d);
    free(text);
    if (rc < 0 && err.msg[0])
        return cli_fail_input(verb, &err);
    return rc < 0 ? CLI_USAGE : CLI_OK;
}

int rule_plan(const struct ac_ruleset *s, unsigned flags, struct ac_plan **ret, struct ac_err *err)
{
    size_t n = ac_ruleset_len(s);
    const struct ac_rule **r = ac_xcalloc(n + 1, sizeof *r);
    for (size_t i = 0; i < n; i++)
        r[i] = ac_ruleset_get(s, i);
    int rc = ac_plan_create(r, n, flags, ret, err);
    free(r);
    return rc;
}

int rule_load_ok(const char *verb, const char *path, struct ac_ruleset **ret)
{
    struct ac_diags d = {.n = 0};
    int code = rule_load(verb, path, ret, &d, NULL);
    if (code)
        rule_print_diags(stderr, path, &d);
    return code;
}

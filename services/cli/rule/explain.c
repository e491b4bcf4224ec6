/* aceso rule explain: rules in plain words; with a series, what made each flagged row one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules_proof.h>

#include "rule/inputs.h"
#include "rule/rule.h"

struct told {
    const struct ac_rule *rule;
    const struct ac_proof *proof;
    struct ac_buf *json;
    bool text;
    size_t left; /* rows still to tell, of all rules */
};

static void put_facts(struct told *t, const char *facts)
{
    bool first = true;
    ac_buf_puts(t->json, ", \"because\": [");
    for (const char *s = facts; *s;) {
        size_t n = strcspn(s, "\n");
        char *line = ac_xmalloc(n + 1);
        memcpy(line, s, n);
        line[n] = 0;
        ac_buf_puts(t->json, first ? "" : ", ");
        ac_buf_put_json_str(t->json, line);
        if (t->text)
            printf("    %s\n", line);
        free(line);
        first = false;
        s += n + (s[n] == '\n');
    }
    ac_buf_puts(t->json, "]}");
}

static void on_flag(struct ac_eval *e, size_t rule, size_t row, void *arg)
{
    struct told *t = arg;
    struct ac_buf reason, facts;
    if (!t->left)
        return;
    t->left--;
    ac_buf_init(&reason, 64u << 10);
    ac_buf_init(&facts, 1u << 20);
    (void)ac_eval_reason(e, rule, &reason);
    (void)ac_proof_put(t->proof, e, &facts);
    ac_buf_printf(t->json, "%s{\"row\": %zu, \"rule\": ", t->json->len ? ", " : "", row);
    ac_buf_put_json_str(t->json, ac_rule_name(t->rule));
    ac_buf_puts(t->json, ", \"reason\": ");
    ac_buf_put_json_str(t->json, ac_buf_str(&reason));
    ac_buf_puts(t->json, ", \"values\": {");
    rule_put_values(t->json, e, rule, t->rule);
    ac_buf_putc(t->json, '}');
    if (t->text)
        printf("row %zu: %s\n", row, ac_buf_str(&reason));
    put_facts(t, ac_buf_str(&facts));
    ac_buf_fini(&reason);
    ac_buf_fini(&facts);
}

static int tell_rows(struct told *t, const char *series, struct ac_err *err)
{
    struct series_file f;
    struct rule_inputs in;
    struct ac_proof *proof = NULL;
    int rc = ac_proof_create(t->rule, &proof, err);
    if (rc < 0)
        return rc;
    rc = rule_inputs_read(series, ac_proof_plan(proof), &f, &in, err);
    if (rc == 0) {
        t->proof = proof;
        struct ac_eval *e = ac_eval_create(ac_proof_plan(proof), 512);
        const struct ac_eval_batch b = {.values = f.values,
                                        .n = f.n,
                                        .t0_ns = f.t0_ns,
                                        .step_ns = f.step_ns,
                                        .inputs = (const double *const *)in.column,
                                        .on_flag = on_flag,
                                        .arg = t};
        ac_eval_run(e, &b);
        ac_eval_destroy(e);
        rule_inputs_fini(&in);
        series_file_fini(&f);
    }
    ac_proof_destroy(proof);
    return rc;
}

int rule_explain_cmd(const struct rule_args *a, const struct cli_ctx *ctx)
{
    struct ac_ruleset *s = NULL;
    struct ac_err err = AC_ERR_INIT;
    int code = rule_load_ok("rule explain", a->file, &s), rc = 0;
    if (code)
        return code;
    struct ac_buf rules, rows, words;
    ac_buf_init(&rules, 256u << 20);
    ac_buf_init(&rows, 256u << 20);
    ac_buf_init(&words, 64u << 20);
    struct told t = {.json = &rows, .text = !ctx->json, .left = a->explain};
    for (size_t i = 0; i < ac_ruleset_len(s) && rc == 0; i++) {
        t.rule = ac_ruleset_get(s, i);
        ac_buf_reset(&words);
        (void)ac_rule_explain(t.rule, &words);
        ac_buf_puts(&rules, i ? ", {\"name\": " : "{\"name\": ");
        ac_buf_put_json_str(&rules, ac_rule_name(t.rule));
        ac_buf_puts(&rules, ", \"text\": ");
        ac_buf_put_json_str(&rules, ac_buf_str(&words));
        ac_buf_putc(&rules, '}');
        if (!ctx->json)
            printf("%s%s", i ? "\n" : "", ac_buf_str(&words));
        if (a->series)
            rc = tell_rows(&t, a->series, &err);
    }
    if (rc < 0)
        code = cli_fail("rule explain", &err);
    else if (ctx->json)
        printf("{\"rules\": [%s], \"explained\": [%s]}\n", ac_buf_str(&rules), ac_buf_str(&rows));
    ac_buf_fini(&rules);
    ac_buf_fini(&rows);
    ac_buf_fini(&words);
    ac_ruleset_destroy(s);
    return code;
}

/* aceso rule explain: rules in plain words; with a series, what made each flagged row one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules_proof.h>

#include "rule/inputs.h"
#include "rule/rule.h"

#define JSON_MAX (256u << 20)

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

/* The series and what all rules read besides. */
struct history {
    struct ac_plan *plan; /* of all rules: whose inputs the columns are */
    struct series_file f;
    struct rule_inputs in;
};

static int read_history(const char *path, const struct ac_ruleset *s, struct history *ret,
                        struct ac_err *err)
{
    int rc = rule_plan(s, 0, &ret->plan, err);
    return rc < 0 ? rc : rule_inputs_read(path, ret->plan, &ret->f, &ret->in, err);
}

static int tell_rows(struct told *t, const struct history *h, struct ac_err *err)
{
    struct ac_proof *proof = NULL;
    int rc = ac_proof_create(t->rule, &proof, err);
    if (rc < 0)
        return rc;
    const struct ac_plan *p = ac_proof_plan(proof);
    size_t n = ac_plan_n_inputs(p);
    const double **inputs = ac_xcalloc(n + 1, sizeof *inputs);
    for (size_t i = 0; i < n; i++)
        inputs[i] = h->in.column[ac_plan_find_input(h->plan, ac_plan_input(p, i))];
    t->proof = proof;
    struct ac_eval *e = ac_eval_create(p, 512);
    const struct ac_eval_batch b = {.values = h->f.values,
                                    .n = h->f.n,
                                    .t0_ns = h->f.t0_ns,
                                    .step_ns = h->f.step_ns,
                                    .inputs = inputs,
                                    .on_flag = on_flag,
                                    .arg = t};
    ac_eval_run(e, &b);
    ac_eval_destroy(e);
    free(inputs);
    ac_proof_destroy(proof);
    return 0;
}

static void tell_rule(struct told *t, struct ac_buf *rules)
{
    struct ac_buf words;
    ac_buf_init(&words, 64u << 20);
    (void)ac_rule_explain(t->rule, &words);
    if (t->text)
        printf("%s%s", rules->len ? "\n" : "", ac_buf_str(&words));
    ac_buf_puts(rules, rules->len ? ", {\"name\": " : "{\"name\": ");
    ac_buf_put_json_str(rules, ac_rule_name(t->rule));
    ac_buf_puts(rules, ", \"text\": ");
    ac_buf_put_json_str(rules, ac_buf_str(&words));
    ac_buf_putc(rules, '}');
    ac_buf_fini(&words);
}

int rule_explain_cmd(const struct rule_args *a, const struct cli_ctx *ctx)
{
    struct ac_ruleset *s = NULL;
    struct ac_err err = AC_ERR_INIT;
    struct history h = {.plan = NULL};
    int code = rule_load_ok("rule explain", a->file, &s);
    if (code)
        return code;
    int rc = a->series ? read_history(a->series, s, &h, &err) : 0;
    bool read = a->series && rc == 0;
    struct ac_buf rules, rows;
    ac_buf_init(&rules, JSON_MAX);
    ac_buf_init(&rows, JSON_MAX);
    struct told t = {.json = &rows, .text = !ctx->json, .left = a->explain};
    for (size_t i = 0; i < ac_ruleset_len(s) && rc == 0; i++) {
        t.rule = ac_ruleset_get(s, i);
        tell_rule(&t, &rules);
        if (read && t.left)
            rc = tell_rows(&t, &h, &err);
    }
    if (rc == 0 && ctx->json && (rules.failed || rows.failed))
        rc = ac_err_set(&err, AC_ERANGE, "%s: the answer is too long: fewer rows", a->file);
    if (rc < 0)
        code = cli_fail("rule explain", &err);
    else if (ctx->json)
        printf("{\"rules\": [%s], \"explained\": [%s]}\n", ac_buf_str(&rules), ac_buf_str(&rows));
    ac_buf_fini(&rules);
    ac_buf_fini(&rows);
    if (read) {
        rule_inputs_fini(&h.in);
        series_file_fini(&h.f);
    }
    ac_plan_destroy(h.plan);
    ac_ruleset_destroy(s);
    return code;
}

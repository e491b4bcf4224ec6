#include "evalrule.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules.h>

static int compile(const char *text, size_t len, unsigned flags, struct ac_ruleset **ret_set,
                   struct ac_plan **ret_plan, struct ac_err *err)
{
    struct ac_diags d;
    if (ac_ruleset_parse(text, len, ret_set, &d) < 0)
        return ac_err_set(err, AC_EINTERNAL, "%d:%d: %s", d.v[0].line, d.v[0].column,
                          d.v[0].message);
    const struct ac_rule *r = ac_ruleset_get(*ret_set, 0);
    int rc = ac_plan_create(&r, 1, flags, ret_plan, err);
    if (rc < 0)
        ac_ruleset_destroy(*ret_set);
    return rc;
}

int evalrule_columns(const struct bank_lets *l, int64_t step_ns, const double *v, size_t n,
                     const char *const *names, size_t n_names, double *const *ret_cols,
                     struct ac_err *err)
{
    struct ac_buf b;
    ac_buf_init(&b, AC_RULES_TEXT_MAX);
    ac_buf_printf(&b, "language 1\nrule \"columns\" {\n step %lldns\n", (long long)step_ns);
    bank_print_used(l, names, n_names, &b);
    ac_buf_puts(&b, " when value > 0\n}\n");
    struct ac_ruleset *set = NULL;
    struct ac_plan *plan = NULL;
    int rc = compile(b.data, b.len, AC_PLAN_ALL_TERMS, &set, &plan, err);
    ac_buf_fini(&b);
    if (rc < 0)
        return rc;
    struct ac_eval *e = ac_eval_create(plan, 512);
    struct ac_eval_batch batch = {.values = v,
                                  .n = n,
                                  .step_ns = step_ns,
                                  .n_terms = n_names,
                                  .term_names = names,
                                  .terms = ret_cols};
    ac_eval_run(e, &batch);
    ac_eval_destroy(e);
    ac_plan_destroy(plan);
    ac_ruleset_destroy(set);
    return 0;
}

int evalrule_flags(const char *text, const double *v, size_t n, uint8_t *ret_flags,
                   double *ret_score, struct ac_err *err)
{
    struct ac_ruleset *set = NULL;
    struct ac_plan *plan = NULL;
    int rc = compile(text, strlen(text), ret_score ? AC_PLAN_ALL_TERMS : 0, &set, &plan, err);
    if (rc < 0)
        return rc;
    struct ac_eval *e = ac_eval_create(plan, 512);
    const char *name = ac_eval_has_term(e, 0, "score") ? "score" : "value";
    struct ac_eval_batch batch = {.values = v,
                                  .n = n,
                                  .flags = ret_flags,
                                  .n_terms = ret_score ? 1 : 0,
                                  .term_names = &name,
                                  .terms = &ret_score};
    ac_eval_run(e, &batch);
    ac_eval_destroy(e);
    ac_plan_destroy(plan);
    ac_ruleset_destroy(set);
    return 0;
}

int evalrule_term(const char *text, const char *name, const double *v, size_t n, double *ret,
                  struct ac_err *err)
{
    struct ac_ruleset *set = NULL;
    struct ac_plan *plan = NULL;
    int rc = compile(text, strlen(text), AC_PLAN_ALL_TERMS, &set, &plan, err);
    if (rc < 0)
        return rc;
    struct ac_eval *e = ac_eval_create(plan, 512);
    struct ac_eval_batch batch = {
        .values = v, .n = n, .n_terms = 1, .term_names = &name, .terms = &ret};
    if (ac_eval_has_term(e, 0, name))
        ac_eval_run(e, &batch);
    else
        rc = ac_err_set(err, AC_ENOTFOUND, "the rule has no let named %s", name);
    ac_eval_destroy(e);
    ac_plan_destroy(plan);
    ac_ruleset_destroy(set);
    return rc;
}

int evalrule_cost(const char *text, struct ac_cost *ret, struct ac_err *err)
{
    struct ac_ruleset *set = NULL;
    struct ac_plan *plan = NULL;
    int rc = compile(text, strlen(text), 0, &set, &plan, err);
    if (rc < 0)
        return rc;
    *ret = ac_plan_cost(plan);
    ac_plan_destroy(plan);
    ac_ruleset_destroy(set);
    return 0;
}

int evalrule_canonical(char **text, struct ac_err *err)
{
    struct ac_ruleset *set = NULL;
    struct ac_diags d;
    if (ac_ruleset_parse(*text, strlen(*text), &set, &d) < 0)
        return ac_err_set(err, AC_EINTERNAL, "%d:%d: %s", d.v[0].line, d.v[0].column,
                          d.v[0].message);
    struct ac_buf b;
    ac_buf_init(&b, 2 * (size_t)AC_RULES_TEXT_MAX);
    (void)ac_ruleset_print(set, &b);
    ac_ruleset_destroy(set);
    free(*text);
    *text = ac_buf_take(&b);
    return 0;
}

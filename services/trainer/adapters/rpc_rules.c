/* aceso.v1.Rules over the store. */
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules.h>
#include <aceso/rules_zone.h>

#include "adapters/service.h"

static void answered(struct store_req *q, int code, const struct ac_err *err)
{
    struct ac_rpc_call *c = q->arg;
    struct ac_err own = AC_ERR_INIT;
    if (code < 0) {
        (void)ac_err_set(&own, code, "%s", err && err->msg[0] ? err->msg : ac_err_text(code));
        ac_rpc_fail(c, &own);
    } else if (q->op == STORE_LIST) {
        Aceso__V1__ListRulesResponse r = ACESO__V1__LIST_RULES_RESPONSE__INIT;
        r.rules = q->rules;
        r.n_rules = q->n_rules;
        r.revision = q->revision;
        ac_rpc_reply(c, &r);
    } else if (q->op == STORE_DELETE) {
        Aceso__V1__DeleteRulesResponse r = ACESO__V1__DELETE_RULES_RESPONSE__INIT;
        r.deleted = q->deleted;
        ac_rpc_reply(c, &r);
    } else if (!q->n_rules) {
        (void)ac_err_set(&own, AC_ENOTFOUND, "there is no rule %s in %s", q->name, q->ns);
        ac_rpc_fail(c, &own);
    } else {
        ac_rpc_reply(c, q->rules[0]);
    }
}

static void ask(struct trainer *t, struct ac_rpc_call *c, enum store_op op, const char *ns,
                const char *name)
{
    struct store_req *q = store_req_new(t, op, ns, name);
    q->done = answered;
    q->arg = c;
    store_submit(q);
}

/* A rule is evaluated at every point of every series that it matches. */
#define OPS_MAX   50000.0
#define STATE_MAX (8u << 20)

static int check_cost(struct ac_cost c, struct ac_err *err)
{
    if (c.ops_per_point > OPS_MAX)
        return ac_err_set(err, AC_ERANGE, "the rule takes %.0f steps a point, the limit is %.0f",
                          c.ops_per_point, OPS_MAX);
    if (c.state_bytes > STATE_MAX)
        return ac_err_set(err, AC_ERANGE,
                          "the rule needs %zu bytes of state a series, the limit is %u",
                          c.state_bytes, STATE_MAX);
    return 0;
}

/* What the detectors can give a rule: its series, and the clocks of time zones. */
static int check_inputs(const struct ac_rule *r, struct ac_err *err)
{
    for (size_t i = 0; i < ac_rule_n_inputs(r); i++) {
        const struct ac_rule_input *in = ac_rule_input(r, i);
        struct ac_zone *z = NULL;
        if (in->kind != AC_INPUT_ZONE)
            return ac_err_set(
                err, AC_EINVAL,
                "the rule reads %s = %s(\"%.64s\"), but a detector follows each series "
                "by itself: use such a rule on files (aceso rule eval)",
                in->name, ac_input_kind_name(in->kind), in->of);
        if (ac_zone_load(NULL, in->of, &z, err) < 0)
            return AC_EINVAL;
        ac_zone_destroy(z);
    }
    return 0;
}

static bool fail_if_empty(struct ac_rpc_call *c, const char *v, const char *what)
{
    struct ac_err err = AC_ERR_INIT;
    if (*v)
        return false;
    (void)ac_err_set(&err, AC_EINVAL, "%s must not be empty", what);
    ac_rpc_fail(c, &err);
    return true;
}

static void put(struct ac_rpc_call *c, const void *req, void *self)
{
    const Aceso__V1__PutRuleRequest *r = req;
    struct ac_ruleset *set = NULL;
    struct ac_diags d;
    struct ac_err err = AC_ERR_INIT;
    if (fail_if_empty(c, r->namespace_, "namespace"))
        return;
    if (ac_ruleset_parse(r->text, strlen(r->text), &set, &d) < 0) {
        (void)ac_err_set(&err, AC_EINVAL, "%d:%d: %s%s%s", d.v[0].line, d.v[0].column,
                         d.v[0].message, d.v[0].hint[0] ? "; " : "", d.v[0].hint);
        ac_rpc_fail(c, &err);
        return;
    }
    struct ac_plan *p = NULL;
    const struct ac_rule *rule = ac_ruleset_len(set) == 1 ? ac_ruleset_get(set, 0) : NULL;
    if (!rule)
        (void)ac_err_set(&err, AC_EINVAL, "one call puts one rule");
    if (!rule || ac_plan_create(&rule, 1, 0, &p, &err) < 0 ||
        check_cost(ac_plan_cost(p), &err) < 0 || check_inputs(rule, &err) < 0) {
        ac_rpc_fail(c, &err);
    } else {
        struct ac_buf b;
        ac_buf_init(&b, 4 * (size_t)AC_RULES_TEXT_MAX);
        (void)ac_ruleset_print(set, &b);
        struct store_req *q = store_req_new(self, STORE_PUT, r->namespace_, ac_rule_name(rule));
        q->put = ac_xcalloc(1, sizeof *q->put);
        q->n_put = 1;
        q->put[0] =
            (struct stored_rule){ac_xstrdup(ac_rule_name(rule)), ac_buf_take(&b),
                                 ac_xstrdup(*r->origin ? r->origin : "user"),
                                 ac_plan_cost(p).state_bytes, ac_plan_cost(p).ops_per_point};
        q->disabled = r->disabled;
        q->done = answered;
        q->arg = c;
        store_submit(q);
    }
    ac_plan_destroy(p);
    ac_ruleset_destroy(set);
}

static void get(struct ac_rpc_call *c, const void *req, void *self)
{
    const Aceso__V1__GetRuleRequest *r = req;
    if (!fail_if_empty(c, r->namespace_, "namespace") && !fail_if_empty(c, r->name, "name"))
        ask(self, c, STORE_GET, r->namespace_, r->name);
}

static void list(struct ac_rpc_call *c, const void *req, void *self)
{
    const Aceso__V1__ListRulesRequest *r = req;
    ask(self, c, STORE_LIST, r->namespace_, "");
}

static void delete (struct ac_rpc_call *c, const void *req, void *self)
{
    const Aceso__V1__DeleteRulesRequest *r = req;
    if (!fail_if_empty(c, r->namespace_, "namespace"))
        ask(self, c, STORE_DELETE, r->namespace_, r->name);
}

void rpc_rules_add(struct trainer *t)
{
    static const struct ac_rpc_method m[] = {
        {.name = "Put", .kind = AC_RPC_UNARY, .handler = put},
        {.name = "Get", .kind = AC_RPC_UNARY, .handler = get},
        {.name = "List", .kind = AC_RPC_UNARY, .handler = list},
        {.name = "Delete", .kind = AC_RPC_UNARY, .handler = delete},
    };
    ac_rpc_server_add(t->svc->server, &aceso__v1__rules__descriptor, m, AC_ARRAY_LEN(m), t);
}

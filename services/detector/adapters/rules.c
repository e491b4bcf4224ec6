/* Rules from the trainer: asked for at start, when it says that they changed, and now and then, for
 * an announcement may be lost. */
#include "detector_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/pbx.h>
#include <aceso/v1/rules.pb-c.h>

#include "adapters/convert_pb.h"

#define ASK_TIMEOUT_NS (5 * AC_NS_PER_S)
#define AGAIN_NS       (500 * AC_NS_PER_MS)
#define RULES_MEMORY   (512u << 20)

static void ask(void *arg);

bool det_rules_take(struct det_service *s, struct det_rules r)
{
    struct ac_arena *a = ac_arena_create(RULES_MEMORY);
    Aceso__V1__ListRulesResponse *m = NULL;
    struct engine_rule_in *in = NULL;
    bool ok = AC_PB_UNPACK(aceso__v1__list_rules_response, r.bytes, r.len, a, &m, NULL) == 0;
    if (ok) {
        in = ac_xcalloc(m->n_rules + 1, sizeof *in);
        size_t n = 0;
        for (size_t i = 0; i < m->n_rules; i++) {
            const Aceso__V1__Rule *x = m->rules[i];
            if (x->enabled && det_namespace_ok(x->namespace_))
                in[n++] = (struct engine_rule_in){x->namespace_, x->name, x->text, x->version};
        }
        size_t bad = engine_set_rules(s->engine, in, n);
        AC_LOGI("detector", "rules", AC_KI("revision", r.revision), AC_KI("rules", n - bad),
                AC_KI("left_out", m->n_rules - n + bad));
        free(s->rules.bytes);
        s->rules = r;
    } else {
        free(r.bytes);
    }
    free(in);
    ac_arena_destroy(a);
    return ok;
}

static bool news(const struct det_service *s, const struct ac_rpc_result *res)
{
    const struct det_rules *known = s->next.bytes ? &s->next : &s->rules;
    return known->len != res->raw_len || !known->bytes ||
           memcmp(known->bytes, res->raw, res->raw_len) != 0;
}

static void answered(const struct ac_rpc_result *res, void *arg)
{
    struct det_service *s = arg;
    s->asking = false;
    if (s->stopping)
        return;
    if (res->code < 0) {
        if (!s->unreachable)
            AC_LOGW("detector", "rules_unknown", AC_KS("trainer", s->conf->trainer_addr),
                    AC_KS("msg", res->message), AC_KI("rules", engine_counts(s->engine).rules));
        s->unreachable = true;
        ac_timer_start(s->poll, AC_MIN(AGAIN_NS, s->conf->poll_ns), 0);
        return;
    }
    s->unreachable = false;
    const Aceso__V1__ListRulesResponse *m = res->reply;
    /* No rules are no bytes: they are as good an answer as any. */
    if (news(s, res)) {
        free(s->next.bytes);
        s->next.bytes = ac_xmalloc(res->raw_len + 1);
        if (res->raw_len)
            memcpy(s->next.bytes, res->raw, res->raw_len);
        s->next.len = res->raw_len;
        s->next.revision = m->revision;
        det_advance(s);
    }
    ac_timer_start(s->poll, s->ask_again ? 0 : s->conf->poll_ns, 0);
    s->ask_again = false;
}

static void ask(void *arg)
{
    struct det_service *s = arg;
    Aceso__V1__ListRulesRequest req = ACESO__V1__LIST_RULES_REQUEST__INIT;
    const struct ac_rpc_call_opts o = {.timeout_ns = ASK_TIMEOUT_NS};
    if (s->asking) {
        s->ask_again = true;
        return;
    }
    s->asking = true;
    (void)ac_rpc_unary(s->trainer, "/aceso.v1.Rules/List", &req,
                       &aceso__v1__list_rules_response__descriptor, &o, answered, s);
}

static void on_change(const struct ac_bus_msg *m, void *arg)
{
    (void)m; /* what it says is in the answer to the question */
    ask(arg);
}

int det_rules_start(struct det_service *s, struct ac_err *err)
{
    s->poll = ac_timer_create(s->svc->loop, ask, s);
    int rc = ac_bus_subscribe(s->svc->bus, AC_SUBJECT_RULES, NULL, on_change, s, &s->changes, err);
    if (!rc)
        ask(s);
    return rc;
}

void det_rules_stop(struct det_service *s)
{
    if (s->changes)
        ac_bus_unsubscribe(s->changes);
    s->changes = NULL;
    ac_timer_destroy(s->poll);
    s->poll = NULL;
}

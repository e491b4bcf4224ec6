/* Any bytes: a rule text, then after a NUL the bytes of a saved state. What parses must print to a
 * fixed point and run; a state either restores or is refused, and the evaluation runs on, alone and
 * in a lane beside others, with the same flags. */
#include <stdint.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void points(struct ac_eval *e)
{
    static const double v[] = {1, 2, 3, 2, 1e300, -4, 0, 0, 0, 5};
    for (size_t i = 0; i < AC_ARRAY_LEN(v); i++)
        (void)ac_eval_push(e, (int64_t)i * 1000000000, i == 4 ? __builtin_nan("") : v[i]);
}

/* The state goes into the middle one of three lanes; the outer ones must not feel it. */
static void lanes(const struct ac_plan *p, const uint8_t *state, size_t len)
{
    static const double v[] = {3, 1, 4, 1, 5, 9, 2, 6, -0.0, 0};
    struct ac_eval *many = ac_eval_create_lanes(p, 3), *one = ac_eval_create(p, 1);
    struct ac_eval *fresh = ac_eval_create(p, 1);
    struct ac_buf a, b;
    ac_eval_lane(many, 1);
    int rc = ac_eval_restore(many, state, len, NULL, NULL);
    AC_ASSERT(ac_eval_restore(one, state, len, NULL, NULL) == rc);
    AC_ASSERT(ac_eval_points(many) == ac_eval_points(one));
    for (size_t i = 0; i < AC_ARRAY_LEN(v); i++) {
        double values[3] = {v[i], v[i], v[i]};
        int64_t times[3] = {(int64_t)i, (int64_t)i, (int64_t)i};
        uint64_t flags[3];
        ac_eval_push_lanes(many, times, values, NULL, flags);
        AC_ASSERT(flags[1] == ac_eval_push(one, (int64_t)i, v[i]));
        uint64_t want = ac_eval_push(fresh, (int64_t)i, v[i]);
        AC_ASSERT(flags[0] == want && flags[2] == want);
    }
    ac_buf_init(&a, 4u << 20);
    ac_buf_init(&b, 4u << 20);
    AC_ASSERT(ac_eval_save(many, &a) && ac_eval_save(one, &b));
    AC_ASSERT(a.len == b.len);
    bool exact = false;
    AC_ASSERT(ac_eval_restore(many, a.data, a.len, &exact, NULL) == 0 && exact);
    ac_buf_fini(&a);
    ac_buf_fini(&b);
    ac_eval_destroy(many);
    ac_eval_destroy(one);
    ac_eval_destroy(fresh);
}

static void evaluate(const struct ac_ruleset *s, const uint8_t *state, size_t len)
{
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    struct ac_plan *p = NULL;
    if (ac_plan_create(&r, 1, 0, &p, NULL) < 0)
        return;
    if (ac_plan_cost(p).state_bytes < (1u << 20)) {
        struct ac_eval *e = ac_eval_create(p, 4);
        if (ac_eval_restore(e, state, len, NULL, NULL) < 0)
            AC_ASSERT(ac_eval_points(e) == 0);
        points(e);
        struct ac_buf b;
        ac_buf_init(&b, 4u << 20);
        AC_ASSERT(ac_eval_save(e, &b));
        bool exact = false;
        AC_ASSERT(ac_eval_restore(e, b.data, b.len, &exact, NULL) == 0 && exact);
        ac_buf_reset(&b);
        (void)ac_eval_reason(e, 0, &b);
        ac_buf_fini(&b);
        ac_eval_destroy(e);
        lanes(p, state, len);
    }
    ac_plan_destroy(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t len = nul ? (size_t)(nul - data) : size;
    struct ac_ruleset *s = NULL;
    struct ac_diags d;
    if (ac_ruleset_parse((const char *)data, len, &s, &d) < 0) {
        AC_ASSERT(d.n > 0 && d.v[0].line > 0 && d.v[0].column > 0);
        return 0;
    }
    struct ac_buf a, b;
    ac_buf_init(&a, 16u << 20);
    ac_buf_init(&b, 16u << 20);
    AC_ASSERT(ac_ruleset_print(s, &a));
    struct ac_ruleset *again = NULL;
    AC_ASSERT(ac_ruleset_parse(a.data, a.len, &again, NULL) == 0);
    AC_ASSERT(ac_ruleset_print(again, &b) && strcmp(a.data, b.data) == 0);
    if (ac_ruleset_len(s))
        evaluate(s, nul ? nul + 1 : data, nul ? size - len - 1 : 0);
    ac_ruleset_destroy(again);
    ac_ruleset_destroy(s);
    ac_buf_fini(&a);
    ac_buf_fini(&b);
    return 0;
}

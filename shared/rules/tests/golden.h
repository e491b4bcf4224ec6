/* The bits of every operator on a fixed series: a hash over all points, and the last ones. What is
 * fed in is made of whole numbers, so that it is the same everywhere, too. */
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/rules.h>

#define GOLDEN_POINTS 3000

static inline double golden_value(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint32_t kind = (uint32_t)(*state >> 60), r = (uint32_t)(*state >> 33);
    double v = (double)(int32_t)(r & 0xfffff) / 4096 - 96;
    return kind == 0 ? NAN : kind == 1 ? 7.25 : kind == 2 ? v * 1e7 : kind == 3 ? v / 65536 : v;
}

/* Arguments of an operator by its signature; wide: windows that are kept as trees. */
static inline void golden_expr(const struct ac_rule_op_info *op, bool wide, struct ac_buf *b)
{
    bool season = strncmp(op->name, "season", 6) == 0, held = strcmp(op->name, "held") == 0,
         spectral = strcmp(op->name, "spectral_residual") == 0;
    size_t x = 0, n = 0;
    ac_buf_printf(b, "%s(", op->name);
    for (const char *s = op->signature; *s; s++) {
        if (*s == '?')
            continue;
        ac_buf_puts(b, s == op->signature || (s == op->signature + 1 && s[-1] == '?') ? "" : ", ");
        if (*s == 'x')
            ac_buf_puts(b, x++ == 0 ? "value / 32" : x == 2 ? "lag(value, 3) / 32" : "value + 1");
        else if (*s == 'b')
            ac_buf_puts(b, x++ == 0 ? "value > 20" : "value < 0");
        else if (*s == 'v')
            ac_buf_puts(b, "[0.7, -0.31, 0.05]");
        else if (*s == 'c')
            ac_buf_puts(b, "0.3");
        else if (*s == 'z')
            ac_buf_puts(b, "\"Made/Up\"");
        else if (season)
            ac_buf_puts(b, n++ == 0 ? "24" : n == 2 ? "3" : "1");
        else if (spectral)
            ac_buf_puts(b, wide ? "256" : "32");
        else if (held)
            ac_buf_puts(b, n++ == 0 ? "2" : wide ? "400" : "5");
        else
            ac_buf_puts(b, n++ ? "6" : wide ? "400" : "11");
    }
    ac_buf_putc(b, ')');
}

struct golden {
    uint64_t hash;
    double last;
};

static inline uint64_t golden_bits(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return v == v ? u : 0x7ff8000000000000u; /* which NaN it is means nothing */
}

static inline struct golden golden_run(const char *expr, bool truth)
{
    struct ac_buf b;
    struct ac_ruleset *s = NULL;
    struct ac_plan *p = NULL;
    struct ac_diags d;
    ac_buf_init(&b, 4096);
    ac_buf_printf(&b, "language 1 rule \"g\" { step 1h let x = %s when %s reason \"{x}\" }", expr,
                  truth ? "x" : "x > 0");
    if (ac_ruleset_parse(b.data, b.len, &s, &d) < 0) {
        (void)fprintf(stderr, "%s: %s\n", b.data, d.v[0].message);
        AC_ASSERT(!"a golden rule does not compile");
    }
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    AC_ASSERT(ac_plan_create(&r, 1, 0, &p, NULL) == 0);
    struct ac_eval *e = ac_eval_create(p, 1);
    struct golden g = {0xcbf29ce484222325u, NAN};
    uint64_t state = 42;
    for (int i = 0; i < GOLDEN_POINTS; i++) {
        const double zone[] = {i < 1000 || i > 2000 ? 3600 : 7200};
        (void)ac_eval_push_with(e, i * 3600000000000LL, golden_value(&state), zone);
        double x = ac_eval_term(e, 0, "x");
        g.hash = (g.hash ^ golden_bits(x)) * 0x100000001b3u;
        g.hash ^= g.hash >> 29;
        g.last = x == x ? x : g.last;
    }
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
    ac_buf_fini(&b);
    return g;
}

/* Calls for every operator, narrow and, where it has a window, wide. */
static inline void golden_each(void (*fn)(const char *expr, struct golden g, void *arg), void *arg)
{
    const struct ac_rule_op_info *ops;
    size_t n = ac_rule_ops(&ops);
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    for (size_t i = 0; i < n; i++) {
        bool window = strchr(ops[i].signature, 'n') && strncmp(ops[i].name, "season", 6) != 0;
        int kinds = window ? 2 : 1;
        for (int wide = 0; wide < kinds; wide++) {
            ac_buf_reset(&b);
            golden_expr(&ops[i], wide, &b);
            fn(b.data, golden_run(b.data, ops[i].result[0] == 'b'), arg);
        }
    }
    ac_buf_fini(&b);
}

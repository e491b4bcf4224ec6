/* Random rules and series for property tests and benchmarks: everything from one seed. */
#pragma once

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/buf.h>
#include <aceso/rng.h>
#include <aceso/rules.h>

/* How the numbers that the value itself is compared with are written. */
enum rg_thresholds {
    RG_CONSTANT,
    RG_SHIFTED, /* as other constants */
    RG_INPUT    /* as inputs th0, th1 .., declared in the rule */
};
#define RG_THRESHOLDS_MAX 24 /* of a rule: more cannot be declared */

struct rulegen {
    struct ac_rng rng;
    struct ac_buf *b;
    int lets, inputs; /* x0.., in0.. so far */
    enum rg_thresholds thresholds;
    int n_thresholds;     /* in this rule */
    double threshold[72]; /* and those before, if each has RG_THRESHOLDS_MAX at most */
    int first_threshold;
};

static inline uint32_t rg_below(struct rulegen *g, uint32_t n)
{
    return (uint32_t)ac_rng_below(&g->rng, n);
}

static inline void rg_threshold(struct rulegen *g)
{
    double t = floor(300 * ac_rng_normal(&g->rng)) / 100;
    int i = g->first_threshold + g->n_thresholds++;
    if (g->thresholds == RG_SHIFTED)
        t += 0.50371; /* two decimals and then this: equal to none of the others */
    if (g->n_thresholds <= RG_THRESHOLDS_MAX && i < 72)
        g->threshold[i] = t;
    if (g->thresholds == RG_INPUT)
        ac_buf_printf(g->b, "th%d", i);
    else
        ac_buf_printf(g->b, "%.17g", t);
}

static void rg_expr(struct rulegen *g, char type, int depth);

static inline void rg_arg(struct rulegen *g, char sig, int depth, const char *op, int index)
{
    if (sig == 'x' || sig == 'b') {
        rg_expr(g, sig, depth - 1);
    } else if (sig == 'v') {
        ac_buf_putc(g->b, '[');
        for (uint32_t i = 0, n = rg_below(g, 6); i < n; i++)
            ac_buf_printf(g->b, "%s%.3f", i ? ", " : "", ac_rng_normal(&g->rng));
        ac_buf_putc(g->b, ']');
    } else if (sig == 'z') {
        ac_buf_printf(g->b, "\"Zone/%u\"", rg_below(g, 3));
    } else if (sig == 'n') {
        if (strcmp(op, "held") == 0) {
            ac_buf_printf(g->b, "%u", index == 1 ? 1 + rg_below(g, 3) : 3 + rg_below(g, 20));
            return;
        }
        if (strcmp(op, "spectral_residual") == 0) {
            ac_buf_printf(g->b, "%u", 8u << rg_below(g, 4));
            return;
        }
        if (strcmp(op, "flat") == 0) {
            ac_buf_printf(g->b, "%u", 2 + rg_below(g, 20));
            return;
        }
        bool season = op[0] == 's' && op[1] == 'e';
        uint32_t n = season ? (index == 1   ? 8 + rg_below(g, 20)
                               : index == 2 ? 1 + rg_below(g, 4) * (rg_below(g, 8) ? 1 : 5)
                                            : rg_below(g, 3) + (rg_below(g, 8) ? 0 : 6))
                            : 1 + rg_below(g, rg_below(g, 8) ? 20 : 400);
        ac_buf_printf(g->b, "%u", n);
    } else {
        ac_buf_printf(g->b, "%.2f", 0.05 + 0.9 * ac_rng_uniform(&g->rng));
    }
}

static void rg_expr(struct rulegen *g, char type, int depth)
{
    if (depth <= 0 || rg_below(g, 6) == 0) {
        if (type == 'b') {
            ac_buf_printf(g->b, "value %s ", rg_below(g, 2) ? ">" : "<=");
            rg_threshold(g);
        } else if (g->lets && rg_below(g, 2))
            ac_buf_printf(g->b, "x%u", rg_below(g, (uint32_t)g->lets));
        else if (g->inputs && rg_below(g, 4) == 0)
            ac_buf_printf(g->b, "in%u", rg_below(g, (uint32_t)g->inputs));
        else if (rg_below(g, 4))
            ac_buf_puts(g->b, "value");
        else
            ac_buf_printf(g->b, "%.3f", 5 * ac_rng_uniform(&g->rng));
        return;
    }
    if (rg_below(g, 3) == 0) {
        static const char *const num[] = {"+", "-", "*", "/"}, *const cmp[] = {"<",  "<=", ">",
                                                                               ">=", "==", "!="},
                                 *const log[] = {"and", "or"};
        bool compare = type == 'b' && rg_below(g, 2);
        char in = type == 'x' || compare ? 'x' : 'b';
        ac_buf_puts(g->b, rg_below(g, 8) == 0 ? (type == 'x' ? "-(" : "not (") : "(");
        rg_expr(g, in, depth - 1);
        ac_buf_printf(g->b, " %s ",
                      type == 'x' ? num[rg_below(g, 4)]
                      : compare   ? cmp[rg_below(g, 6)]
                                  : log[rg_below(g, 2)]);
        rg_expr(g, in, depth - 1);
        ac_buf_putc(g->b, ')');
        return;
    }
    const struct ac_rule_op_info *ops;
    size_t n = ac_rule_ops(&ops), i;
    do
        i = rg_below(g, (uint32_t)n);
    while (ops[i].result[0] != type);
    ac_buf_printf(g->b, "%s(", ops[i].name);
    int k = 0;
    for (const char *s = ops[i].signature; *s; s++) {
        if (*s == '?' && rg_below(g, 2))
            break;
        if (*s == '?')
            continue;
        if (k)
            ac_buf_puts(g->b, ", ");
        rg_arg(g, *s, depth, ops[i].name, k++);
    }
    ac_buf_putc(g->b, ')');
}

static inline void rg_rule(struct rulegen *g, struct ac_buf *b, int id)
{
    g->b = b;
    g->lets = 0;
    ac_buf_printf(b, "rule \"r%d\" {\n on \"m*\" {a = \"x?\"}\n step 1s\n", id);
    g->inputs = rg_below(g, 2) ? (int)rg_below(g, 4) : 0;
    for (int i = 0; i < g->inputs; i++) {
        static const char *const kinds[] = {"series(\"m%u\") {pod = \"*\"}", "model(\"m%u\")",
                                            "share(\"m%u\")"};
        uint32_t kind = rg_below(g, 3), of = rg_below(g, 2);
        ac_buf_printf(b, " input in%d = ", i);
        for (const char *s = kinds[kind]; *s; s++) {
            if (*s == '%' && s++)
                ac_buf_printf(b, "%u", of);
            else
                ac_buf_putc(b, *s);
        }
        ac_buf_putc(b, '\n');
    }
    g->first_threshold = id * RG_THRESHOLDS_MAX;
    g->n_thresholds = 0;
    for (int i = 0; g->thresholds == RG_INPUT && i < RG_THRESHOLDS_MAX; i++)
        ac_buf_printf(b, " input th%d = series(\"th%d\")\n", g->first_threshold + i,
                      g->first_threshold + i);
    for (uint32_t i = 0, n = rg_below(g, 5); i < n; i++) {
        ac_buf_printf(b, " let x%u = ", i);
        rg_expr(g, 'x', 3);
        ac_buf_putc(b, '\n');
        g->lets = (int)i + 1;
    }
    ac_buf_puts(b, " when ");
    rg_expr(g, 'b', 4);
    if (rg_below(g, 2)) {
        uint32_t w = 1 + rg_below(g, 9);
        ac_buf_printf(b, " for %u of %u", 1 + rg_below(g, w), w);
    }
    if (rg_below(g, 3) == 0) {
        ac_buf_puts(b, "\n until ");
        rg_expr(g, 'b', 2);
    }
    ac_buf_printf(b, "\n reason \"value {value}%s\"\n}\n",
                  g->lets > 1 ? " x {x0}, {largest 2 of x1, value, x0}"
                  : g->lets   ? " x {x0}"
                              : "");
}

/* Level, noise, season, spikes, constants, gaps, infinities and huge numbers. */
static inline void rg_series(struct ac_rng *r, double *v, size_t n)
{
    double level = 3 * ac_rng_normal(r), noise = ac_rng_uniform(r) * 2;
    uint64_t kind = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
        if (!left) {
            kind = ac_rng_below(r, 12);
            left = 1 + ac_rng_below(r, 40);
        }
        left--;
        v[i] = level + noise * ac_rng_normal(r) + 2 * sin((double)i / 4);
        if (kind == 1)
            v[i] = level;
        else if (kind == 2)
            v[i] = (double)(int)ac_rng_below(r, 3);
        else if (kind == 3 && ac_rng_below(r, 2))
            v[i] = NAN;
        else if (kind == 4 && ac_rng_below(r, 3) == 0)
            v[i] = ac_rng_below(r, 2) ? INFINITY : -INFINITY;
        else if (kind == 5)
            v[i] = ac_rng_below(r, 4) ? -0.0 : v[i] * 1e9;
        else if (kind == 6 && ac_rng_below(r, 8) == 0)
            v[i] = 1e200 * v[i];
        else if (kind == 7)
            v[i] = NAN;
        else if (kind == 8) /* a counter, reset whenever another one follows */
            v[i] = 3.0 * (double)(40 - left);
    }
}

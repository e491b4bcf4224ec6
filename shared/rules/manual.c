/* The operator table as text: usages, and the reference manual. */
#include "rules_impl.h"

#include <string.h>

#include <aceso/base.h>

/* Parameters are called as the formulas call them. */
static const char *const parameters[][5] = {
    {"clip", "x", "low", "high"},
    {"outside", "x", "low", "high"},
    {"envelope", "x", "n", "m", "c"},
    {"held", "b", "k", "n"},
    {"latch", "a", "b"},
    {"if", "b", "x", "y"},
};

static void put_parameter(struct ac_buf *b, const char *op, char sig, size_t i, size_t same)
{
    for (size_t k = 0; k < AC_ARRAY_LEN(parameters); k++) {
        if (strcmp(parameters[k][0], op) == 0) {
            ac_buf_puts(b, parameters[k][i + 1]);
            return;
        }
    }
    if (sig == 'v')
        ac_buf_puts(b, "[c_1, c_2, ...]");
    else if (sig == 'z')
        ac_buf_puts(b, "\"ZONE\"");
    else if (sig == 'n')
        ac_buf_putc(b, "nmh"[same]);
    else
        ac_buf_printf(b, "%c", same && sig == 'x' ? 'y' : sig);
}

bool ac_rule_op_usage(const struct ac_rule_op_info *op, struct ac_buf *b)
{
    ac_buf_printf(b, "%s(", op->name);
    size_t i = 0;
    bool optional = false;
    for (const char *s = op->signature; *s; s++) {
        if (*s == '?') {
            optional = true;
            ac_buf_puts(b, "[");
            continue;
        }
        size_t same = 0;
        for (const char *t = op->signature; t < s; t++)
            same += *t == *s;
        if (i)
            ac_buf_puts(b, ", ");
        put_parameter(b, op->name, *s, i++, same);
    }
    ac_buf_puts(b, optional ? "])" : ")");
    return !b->failed;
}

static void put_cell(struct ac_buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '|')
            ac_buf_putc(b, '\\');
        ac_buf_putc(b, *s);
    }
}

static void put_op(struct ac_buf *b, const struct ac_rule_op_info *op)
{
    ac_buf_puts(b, "\n### `");
    (void)ac_rule_op_usage(op, b);
    ac_buf_printf(b,
                  "` : %s\n\n%s.\n\n| warm-up | missing points | state | steps a point |\n"
                  "|---|---|---|---|\n| ",
                  strcmp(op->result, "b") == 0 ? "truth value" : "number", op->formula);
    const char *const cells[] = {op->warmup, op->missing, op->state, op->cost};
    for (size_t i = 0; i < AC_ARRAY_LEN(cells); i++) {
        put_cell(b, cells[i]);
        ac_buf_puts(b, i + 1 < AC_ARRAY_LEN(cells) ? " | " : " |\n\n");
    }
    const char *arrow = strstr(op->example, " => ");
    ac_buf_printf(b, "Example: `%.*s` is %s.\n", (int)(arrow - op->example), op->example,
                  arrow + 4);
}

static const char head[] =
    "# rules: the operators\n\n"
    "<!-- Made by `aceso rule ops --markdown` from shared/rules/ops.def; a test keeps it so. "
    "-->\n\n"
    "What the language is: [rules.md](rules.md). Here is each of its operators: formula, warm-up,\n"
    "what missing points do, state and cost, and an example on the series 1, 2, 4, 8, 16 (its "
    "last\n"
    "point; points 1 s apart from 1970-01-01 00:00 UTC; zones one hour ahead) that a test runs.\n\n"
    "`x`, `y` are numbers, `a`, `b` truth values, `n`, `m`, `h`, `k` whole numbers of points or\n"
    "durations, `c` constants, `ZONE` a time zone; what stands in `[ ]` may be left out. x[t-i] is "
    "x i\n"
    "points ago. Histories are 8 bytes a point, sorted windows 8 to 24 bytes a point, queues 16\n"
    "a point; operators of one series share histories, and `aceso rule check` states the sum for a "
    "rule.\n";

bool ac_rule_manual(struct ac_buf *b)
{
    const struct ac_rule_op_info *ops;
    size_t n = ac_rule_ops(&ops);
    ac_buf_puts(b, head);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(ops[i].group, ops[i - 1].group) != 0)
            ac_buf_printf(b, "\n## %c%s\n", ops[i].group[0] - 'a' + 'A', ops[i].group + 1);
        put_op(b, &ops[i]);
    }
    return !b->failed;
}

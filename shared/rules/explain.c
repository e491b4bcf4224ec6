/* A rule in plain words. */
#include "rules_impl.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/rules_proof.h>
#include <aceso/str.h>

/* How an operator is read: {0}, {1} .. are its arguments, {0c} .. counts without "points"; of
 * [with {2}|without] the first is said when that argument is there. An operator without a line here
 * is read as it is written. */
static const struct {
    const char *op, *words;
} words[] = {
    {"lag", "{0} {1} ago"},
    {"diff", "the change of {0} since {1} ago"},
    {"change", "the relative change of {0} since {1} ago"},
    {"increase", "the increase of the counter {0}"},
    {"rate", "the rate a second of the counter {0} over the last {1}"},
    {"unchanged", "the number of points since {0} changed"},
    {"mean", "the mean of {0} over the last {1}"},
    {"std", "the standard deviation of {0} over the last {1}"},
    {"sum", "the sum of {0} over the last {1}"},
    {"min", "the minimum of {0} over the last {1}"},
    {"max", "the maximum of {0} over the last {1}"},
    {"range", "the range of {0} over the last {1}"},
    {"median", "the median of {0} over the last {1}"},
    {"mad", "the median deviation of {0} from its median over the last {1}"},
    {"quantile", "the {2} quantile of {0} over the last {1}"},
    {"slope", "the slope a point of {0} over the last {1}"},
    {"count", "on how many of the last {1} {0}"},
    {"envelope", "the {3} quantile of the maxima of {0} in the last {2c} blocks of {1}"},
    {"flat", "{0} has stayed within [{2}|one value] over the last {1}"},
    {"z", "how many standard deviations[ (each at least {2})|] {0} lies from the mean of the {1} "
          "before"},
    {"robust_z", "how many robust deviations[ (each at least {2})|] {0} lies from the median of "
                 "the {1} before"},
    {"ewma", "the moving average of {0} with weight {1}"},
    {"predict", "what the points before predict for {0}"},
    {"ar", "by how much {0} is off what the points before predict"},
    {"spectral_residual", "how salient {0} is in the spectrum of the last {1}"},
    {"outside", "how far {0} lies outside {1} to {2}"},
    {"ratio", "{0} divided by {1} (where that is at least {2})"},
    {"season_max", "the maximum of {0} within {3} of this phase in the last {2c} seasons of {1}[ "
                   "by the clock of {4}|]"},
    {"season_mean", "the mean of {0} within {3} of this phase in the last {2c} seasons of {1}[ by "
                    "the clock of {4}|]"},
    {"season_median", "the median of {0} within {3} of this phase in the last {2c} seasons of {1}[ "
                      "by the clock of {4}|]"},
    {"season_min", "the minimum of {0} within {3} of this phase in the last {2c} seasons of {1}[ "
                   "by the clock of {4}|]"},
    {"time_of_day", "the seconds since midnight ([{0}|UTC])"},
    {"time_of_week", "the seconds since Monday 00:00 ([{0}|UTC])"},
    {"day_of_week", "the day of the week (0 is Monday; [{0}|UTC])"},
    {"run", "the number of points in a row on which {0}"},
    {"edge", "({0}) for the first time in {1}"},
    {"held", "({0}) on {1c} of the last {2}"},
    {"latch", "({0}) was true since ({1}) was"},
    {"abs", "the size of {0}"},
    {"sign", "the sign of {0}"},
    {"floor", "{0} rounded down"},
    {"sqrt", "the square root of {0}"},
    {"exp", "e to the {0}"},
    {"log", "the logarithm of {0}"},
    {"pow", "{0} to the {1}"},
    {"least", "the lesser of {0} and {1}"},
    {"greatest", "the greater of {0} and {1}"},
    {"clip", "{0} limited to {1} .. {2}"},
    {"if", "{1} where ({0}) and else {2}"},
    {"coalesce", "{0}, or {1} where that is missing"},
    {"missing", "{0} is missing"},
};

static void put(struct ac_buf *b, const struct ac_rule *r, const struct expr *e);

static void put_points(struct ac_buf *b, const struct ac_rule *r, const struct expr *e, bool count)
{
    double n = 0;
    (void)rule_points(r, e, &n);
    while (e->kind == EX_LET)
        e = r->lets[e->let].expr;
    if (e->kind == EX_DURATION)
        rule_put_duration(b, e->ns);
    else
        ac_buf_printf(b, count ? "%.0f" : n == 1 ? "%.0f point" : "%.0f points", n);
}

static void put_arg(struct ac_buf *b, const struct ac_rule *r, const struct expr *e, uint32_t i,
                    bool count)
{
    uint32_t k = 0;
    const char *s = e->op->sig;
    for (; *s; s++) {
        if (*s != '?' && k++ == i)
            break;
    }
    if (*s == 'n')
        put_points(b, r, e->args[i], count);
    else
        put(b, r, e->args[i]);
}

static void put_words(struct ac_buf *b, const struct ac_rule *r, const struct expr *e,
                      const char *s, const char *end)
{
    for (; s < end; s++) {
        if (*s == '[') {
            const char *bar = strchr(s, '|'), *close = strchr(s, ']');
            bool with = (uint32_t)(strchr(s, '{')[1] - '0') < e->n;
            put_words(b, r, e, with ? s + 1 : bar + 1, with ? bar : close);
            s = close;
        } else if (*s == '{') {
            put_arg(b, r, e, (uint32_t)(s[1] - '0'), s[2] == 'c');
            s = strchr(s, '}');
        } else {
            ac_buf_putc(b, *s);
        }
    }
}

static void put_call(struct ac_buf *b, const struct ac_rule *r, const struct expr *e)
{
    const char *s = NULL;
    for (size_t i = 0; i < AC_ARRAY_LEN(words) && !s; i++)
        s = strcmp(words[i].op, e->op->name) == 0 ? words[i].words : NULL;
    if (s)
        put_words(b, r, e, s, s + strlen(s));
    else
        rule_put_expr(b, r, e);
}

/* An operand, in parentheses where words would run into each other. */
static void put_operand(struct ac_buf *b, const struct ac_rule *r, const struct expr *e)
{
    bool plain = e->kind != EX_BIN && e->kind != EX_CALL;
    ac_buf_puts(b, plain ? "" : "(");
    put(b, r, e);
    ac_buf_puts(b, plain ? "" : ")");
}

static void put_bin(struct ac_buf *b, const struct ac_rule *r, const struct expr *e)
{
    static const char *const names[] = {
        " or ", " and ",    " is below ", " is at most ", " is above ", " is at least ",
        " is ", " is not ", " plus ",     " minus ",      " times ",    " divided by "};
    bool compare = e->bin >= BIN_LT && e->bin <= BIN_NE;
    for (int i = 0; i < 2; i++) {
        const struct expr *x = e->args[i];
        bool same = x->kind == EX_BIN && x->bin == e->bin && (e->bin <= BIN_AND || i == 0);
        bool looser = x->kind == EX_BIN && (rule_level(x) < rule_level(e) || x->bin == BIN_AND);
        if (compare || same || (e->bin <= BIN_AND && !looser))
            put(b, r, x);
        else
            put_operand(b, r, x);
        ac_buf_puts(b, i ? "" : names[e->bin]);
    }
}

static void put(struct ac_buf *b, const struct ac_rule *r, const struct expr *e)
{
    switch (e->kind) {
    case EX_NOT:
        ac_buf_puts(b, "not ");
        put_operand(b, r, e->args[0]);
        break;
    case EX_BIN:
        put_bin(b, r, e);
        break;
    case EX_CALL:
        put_call(b, r, e);
        break;
    case EX_VALUE:
        ac_buf_puts(b, "the value");
        break;
    case EX_NEG:
        ac_buf_puts(b, "minus ");
        put_operand(b, r, e->args[0]);
        break;
    default: /* names, numbers, zones: as they are written */
        rule_put_expr(b, r, e);
        break;
    }
}

static void put_labels(struct ac_buf *b, const struct ac_label *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ac_buf_printf(b, "%s%s %s \"%s\"", i ? " and " : " where ", l[i].key,
                      strpbrk(l[i].value, "*?") ? "is like" : "is", l[i].value);
}

static void put_head(struct ac_buf *b, const struct ac_rule *r)
{
    ac_buf_printf(b, "Rule \"%s\", of severity %s, follows ", r->name,
                  ac_severity_name(r->severity));
    if (strcmp(r->metric, "*") == 0)
        ac_buf_puts(b, "every series");
    else
        ac_buf_printf(b, "the series \"%s\"", r->metric);
    put_labels(b, r->labels, r->n_labels);
    if (r->step_ns) {
        ac_buf_puts(b, ", a point every ");
        rule_put_duration(b, r->step_ns);
    }
    ac_buf_puts(b, ".\n");
}

static void put_inputs(struct ac_buf *b, const struct ac_rule *r)
{
    for (size_t i = 0; i < r->n_inputs; i++) {
        const struct ac_rule_input *in = &r->inputs[i].in;
        static const char *const what[] = {"the series \"%s\" with the same labels",
                                           "the score that the model \"%s\" gives the point",
                                           "the share flagged by the rule \"%s\" of its series",
                                           ""};
        if (in->kind == AC_INPUT_ZONE)
            continue;
        ac_buf_printf(b, "  %s is ", in->name);
        const char *s = what[in->kind], *at = strstr(s, "%s");
        ac_buf_append(b, s, (size_t)(at - s));
        ac_buf_puts(b, in->of);
        ac_buf_puts(b, at + 2);
        put_labels(b, in->labels, in->n_labels);
        ac_buf_puts(b, ".\n");
    }
}

/* What the author says of a let, behind how it reads. */
static void put_note(struct ac_buf *b, const char *comment)
{
    if (!comment || !*comment)
        return;
    ac_buf_puts(b, " (");
    for (const char *s = comment; *s; s++) {
        if (*s != '\n')
            ac_buf_putc(b, *s);
        else if (s[1])
            ac_buf_putc(b, ' ');
    }
    ac_buf_putc(b, ')');
}

static void put_for(struct ac_buf *b, struct persist p)
{
    if (p.n == p.k && p.n > 1)
        ac_buf_printf(b, ", on %u points in a row", p.n);
    else if (p.n > 1)
        ac_buf_printf(b, ", on at least %u of %u points", p.k, p.n);
    ac_buf_puts(b, ".\n");
}

bool ac_rule_explain(const struct ac_rule *r, struct ac_buf *b)
{
    put_head(b, r);
    put_inputs(b, r);
    for (size_t i = 0; i < r->n_lets; i++) {
        const struct let *l = &r->lets[i];
        ac_buf_printf(b, l->expr->type == TY_BOOL ? "  %s means: " : "  %s is ", l->name);
        put(b, r, l->expr);
        put_note(b, l->comment);
        ac_buf_puts(b, ".\n");
    }
    ac_buf_puts(b, "It flags a point when ");
    put(b, r, r->when);
    put_for(b, r->when_for);
    if (r->until) {
        ac_buf_puts(b, "Then it goes on flagging until ");
        put(b, r, r->until);
        put_for(b, r->until_for);
    }
    if (r->reason)
        ac_buf_printf(b, "It says: %s\n", r->reason);
    return !b->failed;
}

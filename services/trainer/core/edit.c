#include "edit.h"

#include "evalrule.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/rules.h>
#include <aceso/str.h>

#define WHEN "\n    when "

/* The verdict's expression; a rule that holds it over several points (for) has none to edit. */
static bool find_when(const char *rule, const char **ret_start, const char **ret_end)
{
    const char *w = strstr(rule, WHEN);
    if (!w)
        return false;
    const char *s = w + strlen(WHEN), *e = strchr(s, '\n');
    if (!e || strstr(s, WHEN))
        return false;
    const char *f = strstr(s, " for ");
    if (f && f < e)
        return false;
    *ret_start = s;
    *ret_end = e;
    return true;
}

static char *compiled(char *text)
{
    struct ac_cost c;
    if (evalrule_canonical(&text, NULL) == 0 && evalrule_cost(text, &c, NULL) == 0)
        return text;
    free(text);
    return NULL;
}

char *edit_when(const char *rule, const char *lets, const char *before, const char *after)
{
    const char *s, *e;
    if (!find_when(rule, &s, &e))
        return NULL;
    int head = (int)(s - rule - (ptrdiff_t)strlen(WHEN));
    return compiled(ac_xasprintf("%.*s\n%s%s%s%.*s%s%s", head, rule, lets, &WHEN[1], before,
                                 (int)(e - s), s, after, e));
}

char *edit_named(const char *rule, const char *name, const char *lets, const char *when)
{
    const char *s, *e;
    if (!find_when(rule, &s, &e))
        return NULL;
    int head = (int)(s - rule - (ptrdiff_t)strlen(WHEN));
    return compiled(ac_xasprintf("%.*s\n    let %s = %.*s\n%s%s%s%s", head, rule, name,
                                 (int)(e - s), s, lets, &WHEN[1], when, e));
}

/* "    let NAME = NUMBER" at a line's start. */
static bool number_let(const char *line, const char **ret_name, size_t *ret_len,
                       const char **ret_at, double *ret_value)
{
    static const char let[] = "    let ";
    if (strncmp(line, let, sizeof let - 1) != 0)
        return false;
    const char *n = line + sizeof let - 1, *eq = strstr(n, " = "), *e = strchr(n, '\n');
    if (!eq || !e || eq > e || e - eq > 40)
        return false;
    char num[48];
    (void)snprintf(num, sizeof num, "%.*s", (int)(e - eq - 3), eq + 3);
    *ret_name = n;
    *ret_len = (size_t)(eq - n);
    *ret_at = eq + 3;
    return ac_str_to_f64(num, ret_value);
}

static bool named(const char *name, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(name, want, len) == 0;
}

static bool is_limit(const char *name, size_t len)
{
    static const char end[] = "_limit";
    return named(name, len, "limit") ||
           (len > sizeof end - 1 &&
            memcmp(name + len - (sizeof end - 1), end, sizeof end - 1) == 0);
}

static bool find_range(const char *rule, double *ret_low, double *ret_high)
{
    bool low = false, high = false;
    for (const char *l = rule; l; l = strchr(l, '\n')) {
        l += *l == '\n';
        const char *name, *at;
        size_t len;
        double v;
        if (!number_let(l, &name, &len, &at, &v))
            continue;
        if (named(name, len, "low"))
            *ret_low = v, low = true;
        if (named(name, len, "high"))
            *ret_high = v, high = true;
    }
    return low && high;
}

/* only: SIZE_MAX for all; a range counts as the limit after the others. */
static char *scaled(const char *rule, size_t only, double factor)
{
    double low = 0, high = 0;
    bool range = find_range(rule, &low, &high), any = false;
    double more = (factor - 1) * (high - low) / 2;
    struct ac_buf b;
    ac_buf_init(&b, 2 * (size_t)AC_RULES_TEXT_MAX);
    size_t k = 0, limits = 0;
    for (const char *l = rule; *l;) {
        const char *e = strchr(l, '\n'), *name, *at;
        size_t len;
        double v;
        limits += number_let(l, &name, &len, &at, &v) && is_limit(name, len);
        l = e ? e + 1 : l + strlen(l);
    }
    for (const char *l = rule; *l;) {
        const char *e = strchr(l, '\n'), *name, *at;
        size_t len;
        double v;
        e = e ? e + 1 : l + strlen(l);
        if (number_let(l, &name, &len, &at, &v)) {
            double to = v;
            if (is_limit(name, len)) {
                to = only == SIZE_MAX || only == k ? v * factor : v;
                k++;
            } else if (range && (only == SIZE_MAX || only == limits)) {
                to = named(name, len, "low") ? v - more : named(name, len, "high") ? v + more : v;
            }
            if (to != v) {
                any = true;
                ac_buf_printf(&b, "%.*s%.*g\n", (int)(at - l), l, is_limit(name, len) ? 6 : 12, to);
                l = e;
                continue;
            }
        }
        ac_buf_append(&b, l, (size_t)(e - l));
        l = e;
    }
    char *text = ac_buf_take(&b);
    if (any)
        return compiled(text);
    free(text);
    return NULL;
}

char *edit_limits(const char *rule, double factor)
{
    return scaled(rule, SIZE_MAX, factor);
}

char *edit_limit(const char *rule, size_t i, double factor)
{
    return scaled(rule, i, factor);
}

#define OPERANDS_MAX 16

struct operands {
    const char *a[OPERANDS_MAX], *b[OPERANDS_MAX]; /* [a, b) */
    size_t n;
    const char *join; /* " or " or " and " */
};

/* Of the outermost or; where there is none, of the outermost and. */
static struct operands split(const char *s, const char *e)
{
    static const char *const joins[] = {" or ", " and "};
    struct operands o = {.n = 0};
    for (size_t j = 0; j < 2; j++) {
        int depth = 0;
        o = (struct operands){.join = joins[j], .n = 1};
        o.a[0] = s;
        for (const char *p = s; p < e; p++) {
            depth += (*p == '(' || *p == '[') - (*p == ')' || *p == ']');
            if (depth || strncmp(p, o.join, strlen(o.join)) != 0 || o.n == OPERANDS_MAX)
                continue;
            o.b[o.n - 1] = p;
            o.a[o.n++] = p + strlen(o.join);
        }
        o.b[o.n - 1] = e;
        if (o.n > 1)
            return o;
    }
    return o;
}

size_t edit_operands(const char *rule)
{
    const char *s, *e;
    return find_when(rule, &s, &e) ? split(s, e).n : 0;
}

static char *keep(const char *rule, size_t i, bool only)
{
    const char *s, *e;
    if (!find_when(rule, &s, &e))
        return NULL;
    struct operands o = split(s, e);
    if (o.n < 2 || i >= o.n)
        return NULL;
    struct ac_buf b;
    ac_buf_init(&b, 2 * (size_t)AC_RULES_TEXT_MAX);
    ac_buf_append(&b, rule, (size_t)(s - rule));
    const char *sep = "";
    for (size_t k = 0; k < o.n; k++) {
        if ((k == i) != only)
            continue;
        ac_buf_printf(&b, "%s%.*s", sep, (int)(o.b[k] - o.a[k]), o.a[k]);
        sep = o.join;
    }
    ac_buf_puts(&b, e);
    return compiled(ac_buf_take(&b));
}

char *edit_without(const char *rule, size_t i)
{
    return keep(rule, i, false);
}

char *edit_only(const char *rule, size_t i)
{
    return keep(rule, i, true);
}

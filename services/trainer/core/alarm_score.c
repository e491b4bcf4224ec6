#include "alarm_score.h"

#include "bank.h"
#include "edit.h"
#include "evalrule.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/rules.h>

#define QUIET 3 /* points: an event's echo in the innovations */

/* The change's own sizes; the lets that say them to *l. */
static int fit(const struct train_part *p, struct bank_lets *l, char *name, struct ac_err *err)
{
    struct bank_fit f;
    int rc = bank_fit_residuals(&f, p->values, p->n, p->step_ns, err);
    if (rc < 0)
        return rc;
    bank_put_residuals(l, &f);
    double *col = ac_xmalloc((p->n + 1) * sizeof *col);
    const char *ar10 = bank_resid_name(R_AR10);
    rc = evalrule_columns(l, p->step_ns, p->values, p->n, &ar10, 1, &col, err);
    if (rc == 0)
        bank_fit_scale(&f, R_AR10, col, p->n);
    free(col);
    if (rc == 0 && !f.used[R_AR10])
        rc = AC_ENOTSUP;
    if (rc == 0)
        bank_put_scaled(l, &f, R_AR10, SC_MIX, name);
    return rc;
}

/* Lets of the library that the rule does not have yet; a comment goes with its let. */
static void put_missing(const struct bank_lets *l, const char *name, const char *rule,
                        struct ac_buf *out)
{
    struct ac_buf b;
    ac_buf_init(&b, AC_RULES_TEXT_MAX);
    bank_print_used(l, &name, 1, &b);
    const char *from = ac_buf_str(&b);
    for (const char *at = from, *end; *at && (end = strchr(at, '\n')); at = end + 1) {
        if (strncmp(at, "    let ", 8) != 0)
            continue;
        const char *eq = strchr(at, '=');
        char *let = ac_xasprintf("%.*s", (int)(eq - at + 1), at);
        if (!strstr(rule, let))
            ac_buf_printf(out, "%.*s\n", (int)(end - from), from);
        free(let);
        from = end + 1;
    }
    ac_buf_fini(&b);
}

int alarm_score_add(const struct train_part *p, const char *rule, char **ret, struct ac_err *err)
{
    struct bank_lets l = {0};
    char name[24];
    *ret = NULL;
    int rc = fit(p, &l, name, err);
    if (rc == 0) {
        struct ac_buf b;
        ac_buf_init(&b, AC_RULES_TEXT_MAX);
        put_missing(&l, name, rule, &b);
        ac_buf_printf(&b,
                      "    let alarm_change = abs(%s)\n"
                      "    # once for an event, whatever the threshold\n"
                      "    let " ALARM_SCORE_NAME " = coalesce(if(alarm_change > "
                      "coalesce(max(lag(alarm_change, 1), %d), 0), alarm_change, 0), 0)\n",
                      name, QUIET);
        char *lets = ac_buf_take(&b);
        *ret = edit_when(rule, lets, "", "");
        free(lets);
    }
    bank_lets_fini(&l);
    return rc == AC_ENOTSUP ? 0 : rc;
}

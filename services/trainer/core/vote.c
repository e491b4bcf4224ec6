#include "vote.h"

#include "bank.h"
#include "edit.h"
#include "evalrule.h"
#include "threshold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/rules.h>

#define QUIET_SPIKE 3 /* points: a spike's echo in the innovations */
#define QUIET_STEP  7
#define WEIGHT_MAX  3.0 /* logarithms: a single voter does not outweigh all others */

/* Spikes by several predictions and against several usual sizes: what one of them sees by accident
 * the others do not. */
static const struct {
    enum bank_resid resid;
    enum bank_scale scale;
} voters[] = {{R_AR3, SC_G}, {R_AR10, SC_G},   {R_AR40, SC_G}, {R_ARE, SC_G},
              {R_D1, SC_G},  {R_AR10, SC_DAY}, {R_AR10, SC_H}};
#define VOTERS AC_ARRAY_LEN(voters)

struct vote {
    const struct train_part *part;
    struct threshold_data data;
    struct bank_fit fit;
    struct bank_lets lets;
    char names[VOTERS][24];
    double theta[VOTERS], limit; /* limit: of the mean */
    size_t n;
};

static double *columns(const struct vote *v, const char *const *names, size_t n, struct ac_err *err)
{
    double *cols[VOTERS];
    double *block = ac_try_malloc(ac_mul_size(ac_mul_size(n, v->part->n), sizeof *block));
    if (!block) {
        (void)ac_err_set(err, AC_ENOMEM, "the series is too long to train on");
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        cols[i] = block + i * v->part->n;
    if (evalrule_columns(&v->lets, v->part->step_ns, v->part->values, v->part->n, names, n, cols,
                         err) < 0) {
        free(block);
        return NULL;
    }
    return block;
}

static int fit_sizes(struct vote *v, struct ac_err *err)
{
    for (size_t i = 0; i < VOTERS; i++) {
        enum bank_resid r = voters[i].resid;
        const char *name = bank_resid_name(r);
        if (!v->fit.used[r] || v->fit.g[r] > 0)
            continue;
        double *col = columns(v, &name, 1, err);
        if (!col)
            return err->code;
        bank_fit_scale(&v->fit, r, col, v->part->n);
        free(col);
    }
    return 0;
}

/* NaN stays NaN: comparisons with it are false. */
static double weight(double strength)
{
    double w = log(strength + 1e-9);
    return w > WEIGHT_MAX ? WEIGHT_MAX : w < -WEIGHT_MAX ? -WEIGHT_MAX : w;
}

/* Each voter's own threshold, then that of their mean. */
static int fit_limits(struct vote *v, struct ac_err *err)
{
    size_t len = v->part->n;
    double *sum = ac_xcalloc(len + 1, sizeof *sum);
    for (size_t i = 0; i < VOTERS; i++) {
        struct threshold t;
        const char *name = v->names[v->n];
        if (!v->fit.used[voters[i].resid])
            continue;
        bank_put_scaled(&v->lets, &v->fit, voters[i].resid, voters[i].scale, v->names[v->n]);
        double *col = columns(v, &name, 1, err);
        if (!col) {
            free(sum);
            return err->code;
        }
        if (threshold_fit(&v->data, col, 1, true, &t)) {
            v->theta[v->n++] = bank_round(t.theta);
            for (size_t k = 0; k < len; k++)
                sum[k] += weight(fabs(col[k]) / t.theta);
        }
        free(col);
    }
    for (size_t k = 0; k < len; k++)
        sum[k] = exp(sum[k] / (double)v->n);
    struct threshold t;
    if (v->n && threshold_fit(&v->data, sum, 1, false, &t))
        v->limit = bank_round(t.theta);
    free(sum);
    return 0;
}

/* Lets of the library that the rule does not have yet; a comment goes with its let. */
static void put_missing(const struct vote *v, const char *rule, struct ac_buf *out)
{
    const char *names[VOTERS];
    for (size_t i = 0; i < v->n; i++)
        names[i] = v->names[i];
    struct ac_buf b;
    ac_buf_init(&b, AC_RULES_TEXT_MAX);
    bank_print_used(&v->lets, names, v->n, &b);
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

/* x where it exceeds the n points before, else 0. */
static void put_once(struct ac_buf *b, const char *x, int n)
{
    ac_buf_printf(b, "coalesce(if(%s > coalesce(max(lag(%s, 1), %d), 0), %s, 0), 0)", x, x, n, x);
}

static char *print(const struct vote *v, const char *rule)
{
    struct ac_buf b;
    ac_buf_init(&b, AC_RULES_TEXT_MAX);
    put_missing(v, rule, &b);
    ac_buf_puts(&b, "    let alarm_vote = exp((");
    for (size_t i = 0; i < v->n; i++)
        ac_buf_printf(&b, "%sclip(log(abs(%s) / %.6g + 1e-9), %g, %g)", i ? " + " : "", v->names[i],
                      v->theta[i], -WEIGHT_MAX, WEIGHT_MAX);
    ac_buf_printf(&b, ") / %zu) / %.6g\n", v->n, v->limit);
    bool step = strstr(rule, "    let step_strength =") != NULL;
    ac_buf_puts(&b, "    let " VOTE_NAME " = ");
    if (step)
        ac_buf_puts(&b, "greatest(");
    put_once(&b, "alarm_vote", QUIET_SPIKE);
    if (step) {
        ac_buf_puts(&b, ", ");
        put_once(&b, "step_strength", QUIET_STEP);
        ac_buf_puts(&b, " / step_limit)");
    }
    ac_buf_puts(&b, "\n");
    return ac_buf_take(&b);
}

int vote_add(const struct train_part *p, size_t delay, const char *rule, char **ret,
             struct ac_err *err)
{
    struct vote v = {.part = p};
    struct score_segment *events = NULL;
    v.data = (struct threshold_data){.labels = p->labels, .n = p->n, .delay = delay};
    v.data.n_events = score_segments(p->labels, p->n, &events);
    v.data.events = events;
    *ret = NULL;
    int rc =
        v.data.n_events ? bank_fit_residuals(&v.fit, p->values, p->n, p->step_ns, err) : AC_ENOTSUP;
    if (rc == 0) {
        bank_put_residuals(&v.lets, &v.fit);
        rc = fit_sizes(&v, err);
    }
    if (rc == 0)
        rc = fit_limits(&v, err);
    if (rc == 0 && v.limit > 0) {
        char *lets = print(&v, rule);
        *ret = edit_when(rule, lets, "", "");
        free(lets);
    }
    bank_lets_fini(&v.lets);
    free(events);
    return rc == AC_ENOTSUP ? 0 : rc;
}

#include "rule/bench_nab.h"

#include "evalrule.h"
#include "streaming.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/rules.h>

#include "rule/nab_corpus.h"
#include "rule/rule.h"

/* Windows as labels, for the measures that all data sets have. */
struct others {
    double whole, vus, auc, days;
    size_t alarms, counted;
};

static const char *const keys[NAB_PROFILES] = {"nab_standard", "nab_low_fp", "nab_low_fn"};

static int load_rule(const char *path, char **ret)
{
    struct ac_ruleset *set = NULL;
    if (!path) {
        *ret = ac_xstrdup(streaming_rule);
        return CLI_OK;
    }
    int code = rule_load_ok("train bench", path, &set);
    if (code)
        return code;
    struct ac_buf b;
    ac_buf_init(&b, 2 * (size_t)AC_RULES_TEXT_MAX);
    bool whole = ac_ruleset_print(set, &b);
    ac_ruleset_destroy(set);
    *ret = ac_buf_take(&b);
    double none = 0;
    if (whole && evalrule_term(*ret, "score", &none, 0, &none, NULL) == 0)
        return CLI_OK;
    free(*ret);
    return cli_usage("train bench", "the rule has no let named score");
}

static int run_series(struct nab_file *f, const char *rule, struct others *o, struct ac_err *err)
{
    uint8_t *flags = ac_xcalloc(f->n + 1, 1), *labels = ac_xcalloc(f->n + 1, 1);
    int rc = evalrule_flags(rule, f->values, f->n, flags, f->score, err);
    size_t a = nab_probation(f->n);
    for (size_t k = 0; k < f->n_windows; k++)
        memset(labels + f->windows[k].a, 1, f->windows[k].b - f->windows[k].a + 1);
    struct score_input in = {.labels = labels + a,
                             .flags = flags + a,
                             .score = f->score + a,
                             .n = f->n - a,
                             .delay = SCORE_NO_DELAY,
                             .step_ns = f->step_ns};
    struct score_report r;
    if (rc == 0) {
        score_report(&in, &r);
        o->alarms += r.alarms;
        o->days += r.days;
    }
    if (rc == 0 && r.segments) {
        o->counted++;
        o->whole += r.whole.f1;
        o->vus += r.vus_pr;
        o->auc += r.auc_pr;
    }
    free(flags);
    free(labels);
    return rc;
}

/* For each group of series the threshold of all others: what the score is worth on series that it
 * was not set on. Raw scores add up; the sum is scaled as the benchmark does. */
static double left_out(const struct nab_corpus *c, const struct nab_series *all,
                       const struct nab_profile *p)
{
    struct nab_series *in = ac_xcalloc(c->n + 1, sizeof *in),
                      *out = ac_xcalloc(c->n + 1, sizeof *out);
    double raw = 0, null = 0, windows = 0;
    for (size_t g = 0; g < c->groups; g++) {
        struct nab_score best, got, none;
        size_t n_in = 0, n_out = 0;
        for (size_t i = 0; i < c->n; i++) {
            if (c->files[i].group == g)
                out[n_out++] = all[i];
            else
                in[n_in++] = all[i];
        }
        nab_score_best(in, n_in, p, &best);
        nab_score_at(out, n_out, p, best.threshold, &got);
        nab_score_at(out, n_out, p, INFINITY, &none);
        raw += got.raw;
        null += none.raw;
        windows += (double)got.windows;
    }
    free(in);
    free(out);
    return p->tp * windows > null ? 100.0 * (raw - null) / (p->tp * windows - null) : 0;
}

static void print_result(const struct nab_corpus *c, const struct others *o, double seconds,
                         const struct cli_ctx *ctx)
{
    struct nab_series *s = ac_xcalloc(c->n + 1, sizeof *s);
    for (size_t i = 0; i < c->n; i++)
        s[i] = (struct nab_series){c->files[i].score, c->files[i].n, c->files[i].windows,
                                   c->files[i].n_windows};
    struct nab_score best[NAB_PROFILES];
    double held[NAB_PROFILES];
    for (size_t k = 0; k < NAB_PROFILES; k++) {
        nab_score_best(s, c->n, &nab_profiles[k], &best[k]);
        held[k] = left_out(c, s, &nab_profiles[k]);
    }
    double n = o->counted ? (double)o->counted : 1;
    double alarms = o->days > 0 ? (double)o->alarms / o->days : 0;
    for (size_t i = 0; !ctx->json && i < c->n; i++) {
        struct nab_score r;
        nab_score_at(&s[i], 1, &nab_profiles[0], best[0].threshold, &r);
        printf("%-60s %zu of %zu windows, %zu false points\n", c->files[i].name, r.hit, r.windows,
               r.false_points);
    }
    free(s);
    if (!ctx->json) {
        for (size_t k = 0; k < NAB_PROFILES; k++)
            printf("%-20s %.2f (%zu of %zu windows, %zu false points, threshold %.6g); threshold "
                   "from the other groups: %.2f\n",
                   nab_profiles[k].name, best[k].score, best[k].hit, best[k].windows,
                   best[k].false_points, best[k].threshold, held[k]);
        printf("%zu series, %.3f alarms a day by the rule's own limit, %.1f s\n", c->n, alarms,
               seconds);
        return;
    }
    printf("{");
    for (size_t k = 0; k < NAB_PROFILES; k++)
        printf("\"%s\": %.4f, \"%s_left_out\": %.4f, ", keys[k], best[k].score, keys[k], held[k]);
    printf("\"event_f1_delay\": null, \"event_f1\": %.6f, \"vus_pr\": %.6f, \"auc_pr\": %.6f, "
           "\"alarms_per_day\": %.6f, \"worse_than_base\": null, \"series\": %zu, \"seconds\": "
           "%.3f}\n",
           o->whole / n, o->vus / n, o->auc / n, alarms, c->n, seconds);
}

int bench_nab(const char *dir, const char *rule_path, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    struct nab_corpus c;
    struct others o = {0};
    char *rule = NULL;
    int code = load_rule(rule_path, &rule);
    if (code)
        return code;
    if (nab_corpus_read(dir, &c, &err) < 0) {
        free(rule);
        return cli_fail_input("train bench", &err);
    }
    int64_t start = ac_now_ns();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c.n; i++)
        rc = run_series(&c.files[i], rule, &o, &err);
    if (rc == 0)
        print_result(&c, &o, (double)(ac_now_ns() - start) / 1e9, ctx);
    nab_corpus_fini(&c);
    free(rule);
    return rc < 0 ? cli_fail("train bench", &err) : CLI_OK;
}

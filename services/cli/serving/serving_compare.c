/* aceso serve compare: every policy on the same arrivals, as a table and as bars. */
#include <stdio.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/svg.h>

#include "../../controller/core/baseline.h"
#include "serving/serving_cdf.h"
#include "serving/serving_picture.h"
#include "serving/serving_sim.h"

#define WIDTH  760
#define LEFT   130 /* names of the policies stand there */
#define PLOT   390
#define TOP    74
#define ROW    34
#define BAR    12
#define BOTTOM 44

#define NAME_BYTES   (1u << 16) /* of a workload, as JSON */
#define TUNE_SEED    1000       /* added to the seed that is reported on */
#define TUNE_SECONDS 20

struct compared {
    const char *name;
    struct sim_stats st;
    struct baseline_params params; /* that it ran with */
    uint32_t tried;                /* of how many sets these did best; 0: not sought */
};

/* ---- the picture: a share in time, and beneath it the answers in time beside the most ---- */

/* Work that has all day must not hide what others miss: the class that fares worst. */
static double least_attainment(const struct sim_stats *s)
{
    double least = s->attainment;
    for (uint32_t i = 0; i < s->n_classes; i++)
        if (s->classes[i].requests)
            least = AC_MIN(least, cli_sim_class_attainment(s, i));
    return least;
}

static bool bar(struct ac_buf *b, const char *css, double y, double share)
{
    return ac_buf_printf(b,
                         "<rect class=\"%s r\" x=\"%d\" y=\"%.0f\" width=\"%.1f\" "
                         "height=\"%d\"/>\n",
                         css, LEFT, y, AC_MAX(share * PLOT, 0.5), BAR);
}

static bool grid(struct ac_buf *b, double bottom)
{
    bool ok = true;
    for (int i = 0; ok && i <= 4; i++) {
        double x = LEFT + PLOT * i / 4.0;
        ok =
            ac_buf_printf(b,
                          "<path class=\"%s\" d=\"M%.1f %d V%.0f\"/><text class=\"d m\" x=\"%.1f\" "
                          "y=\"%.0f\" text-anchor=\"middle\">%d %%</text>\n",
                          i ? "g" : "a", x, TOP - 8, bottom, x, bottom + 16, 25 * i);
    }
    return ok;
}

static bool policy_bars(struct ac_buf *b, const struct compared *c, int row, double most)
{
    double y = TOP + row * ROW;
    return bar(b, "own", y, least_attainment(&c->st)) &&
           bar(b, "e", y + BAR + 2, most > 0 ? c->st.goodput_rps / most : 0) &&
           ac_buf_printf(b, "<text class=\"t\" x=\"%d\" y=\"%.0f\" text-anchor=\"end\">", LEFT - 8,
                         y + BAR + 5) &&
           ac_svg_text(b, c->name) &&
           ac_buf_printf(b,
                         "</text><text class=\"t m\" x=\"%d\" y=\"%.0f\">%.2f %% in time, %.1f a "
                         "second</text>\n",
                         LEFT + PLOT + 12, y + BAR + 5, 100 * least_attainment(&c->st),
                         c->st.goodput_rps);
}

static bool picture(const struct compared *all, int n, const char *title, struct ac_buf *b)
{
    double most = 0, bottom = TOP + n * ROW;
    for (int i = 0; i < n; i++)
        most = AC_MAX(most, all[i].st.goodput_rps);
    bool ok =
        ac_svg_open(b, WIDTH, (int)bottom + BOTTOM, title) &&
        ac_buf_printf(b, "<text class=\"t h\" x=\"16\" y=\"26\">") && ac_svg_text(b, title) &&
        ac_buf_printf(
            b, "</text><rect class=\"own\" x=\"16\" y=\"40\" width=\"12\" "
               "height=\"12\"/><text class=\"d m\" x=\"34\" y=\"50\">requests answered "
               "in time, worst class</text><rect class=\"e r\" x=\"276\" y=\"40\" width=\"12\" "
               "height=\"12\"/><text class=\"d m\" x=\"294\" y=\"50\">answers in time a "
               "second, of the best policy's</text>\n") &&
        grid(b, bottom);
    for (int i = 0; ok && i < n; i++)
        ok = policy_bars(b, &all[i], i, most);
    return ok && ac_svg_close(b);
}

static int plot_write(const struct compared *all, int n, const char *title, const char *path,
                      struct ac_err *err)
{
    struct ac_buf b;
    ac_buf_init(&b, CLI_PICTURE_BYTES);
    return cli_picture_write(&b, picture(all, n, title, &b), path, err);
}

/* ---- the table ---- */

static void print_table(const struct compared *all, int n)
{
    printf("%-16s %10s %10s %9s %9s %9s %6s %9s %9s\n", "policy", "in time/s", "attainment",
           "p50 ms", "p99 ms", "p99.99", "batch", "cold", "rejected");
    for (int i = 0; i < n; i++) {
        const struct sim_stats *s = &all[i].st;
        printf("%-16s %10.1f %10.5f %9.2f %9.2f %9.2f %6.2f %9lu %9lu\n", all[i].name,
               s->goodput_rps, s->attainment, s->p50_ms, s->p99_ms, s->p9999_ms, s->mean_batch,
               (unsigned long)s->cold_starts, (unsigned long)cli_sim_rejected(s));
        for (uint32_t k = 0; s->n_classes > 1 && k < s->n_classes; k++)
            printf("  class %-8u %10.1f %10.5f\n", k, (double)s->classes[k].on_time / s->seconds,
                   cli_sim_class_attainment(s, k));
    }
}

static void print_json(const struct compared *all, int n, const char *workload,
                       const struct cli_sim *sim)
{
    struct ac_buf name;
    ac_buf_init(&name, NAME_BYTES);
    printf("{\"workload\": %s, \"seed\": %lu, \"gpus\": %u, \"policies\": [",
           ac_buf_put_json_str(&name, workload) ? name.data : "\"\"",
           (unsigned long)sim->config.seed, sim->config.gpus);
    ac_buf_fini(&name);
    for (int i = 0; i < n; i++) {
        printf("%s", i ? ", " : "");
        cli_sim_print_json(all[i].name, &all[i].st);
    }
    printf("]}\n");
}

/* ---- what baselines are run with ---- */

/* Answers in time a second: of those that have less than all day, and then of all. */
static double merit(const struct sim_stats *st, const struct workload *w)
{
    double timed = 0, all = 0;
    for (uint32_t i = 0; i < st->n_classes; i++) {
        double good = (double)st->classes[i].on_time / st->seconds;
        all += good;
        timed += w->classes[i].objective_ns < 3600 * AC_NS_PER_S ? good : 0;
    }
    return timed + all * 1e-6;
}

static int seek(struct compared *c, const struct policy_ops *policy, struct sim_config *config,
                const struct workload *w)
{
    struct baseline_params p;
    double best = -1;
    config->policy = policy;
    config->sched.baseline = &p;
    for (uint32_t i = 0; baseline_candidate(policy, i, &p); i++) {
        struct sim_stats st;
        struct ac_err err = AC_ERR_INIT;
        if (serving_sim_run(config, &st, &err) != 0)
            return cli_fail("serve", &err);
        c->tried++;
        if (merit(&st, w) <= best)
            continue;
        best = merit(&st, w);
        c->params = p;
    }
    return CLI_OK;
}

/* Each baseline's best on another seed, for as long as that takes. */
static int tune(const struct cli_sim_args *a, uint64_t seed, struct compared *all)
{
    struct cli_sim_args other = *a;
    struct cli_sim sim;
    char text[24];
    (void)snprintf(text, sizeof(text), "%lu", (unsigned long)(seed + TUNE_SEED));
    other.seed = text;
    int rc = cli_sim_prepare(&other, &sim);
    struct workload *w = &sim.workload;
    if (rc == CLI_OK && w->classes[0].objective_grows == 0)
        w->duration_ns = AC_MIN(w->duration_ns, w->warmup_ns + (int64_t)TUNE_SECONDS * AC_NS_PER_S);
    sim.config.timer = sim.config.cpu = NULL;
    for (int i = 0; rc == CLI_OK && i < POLICY_COUNT; i++)
        rc = seek(&all[i], policy_all[i], &sim.config, w);
    cli_sim_fini(&sim);
    return rc;
}

static void print_params(const struct compared *all, int n)
{
    for (int i = 0; i < n; i++) {
        const struct baseline_params *p = &all[i].params;
        if (all[i].tried)
            printf("%s, best of %u on seed +%d: replicas %u, share of the objective %g, delay "
                   "%g ms, preferred batch %u, instances %u, epoch %g s\n",
                   all[i].name, all[i].tried, TUNE_SEED, p->replicas, p->share,
                   (double)p->delay_ns * 1e-6, p->preferred, p->instances,
                   (double)p->epoch_ns * 1e-9);
    }
}

/* ---- latencies of the first class ---- */

struct listener {
    struct cli_cdf *cdf;
    int64_t from_ns;
};

static void on_request(void *self, const struct sim_seen_request *r)
{
    struct listener *l = self;
    bool answered = r->outcome == POLICY_ON_TIME || r->outcome == POLICY_LATE;
    if (r->class == 0 && r->came_ns >= l->from_ns)
        cli_cdf_add(l->cdf, answered ? r->done_ns - r->came_ns : -1);
}

static void on_action(void *self, const struct sim_seen_action *x)
{
    (void)self;
    (void)x;
}

static int run_all(struct cli_sim *sim, struct compared *all, struct cli_cdf *cdfs)
{
    struct ac_err err = AC_ERR_INIT;
    for (int i = 0; i < POLICY_COUNT; i++) {
        struct listener l = {.from_ns = sim->workload.warmup_ns};
        const struct sim_watch watch = {&l, on_request, on_action};
        all[i].name = policy_all[i]->name;
        sim->config.policy = policy_all[i];
        sim->config.sched.baseline = all[i].tried ? &all[i].params : NULL;
        if (cdfs) {
            l.cdf = &cdfs[i];
            l.cdf->name = all[i].name;
            sim->config.watch = &watch;
        }
        if (serving_sim_run(&sim->config, &all[i].st, &err) != 0)
            return cli_fail("serve", &err);
    }
    return CLI_OK;
}

static int draw(const struct cli_sim_args *a, const struct cli_sim *sim, const struct compared *all,
                const struct cli_cdf *cdfs)
{
    struct ac_err err = AC_ERR_INIT;
    char title[160], full[200];
    cli_sim_title(a, sim, title, sizeof(title));
    (void)snprintf(full, sizeof(full), "answered within: %s", title);
    if (a->plot && plot_write(all, POLICY_COUNT, title, a->plot, &err) != 0)
        return cli_fail("serve", &err);
    if (a->cdf && cli_cdf_plot(cdfs, POLICY_COUNT, full, a->cdf, &err) != 0)
        return cli_fail("serve", &err);
    return CLI_OK;
}

int cli_serving_compare(const struct cli_sim_args *a, const struct cli_ctx *ctx)
{
    struct cli_sim sim;
    struct compared all[POLICY_COUNT] = {0};
    if (a->policy)
        return cli_usage("serve", "compare runs every policy: leave --policy out");
    if (a->request_log || a->action_log || a->errors)
        return cli_usage("serve",
                         "--request-log, --action-log and --errors: of one policy, with serve sim");
    ac_cleanup(ac_free_p) struct cli_cdf *cdfs =
        a->cdf ? ac_xcalloc(POLICY_COUNT, sizeof(*cdfs)) : NULL;
    int rc = cli_sim_prepare(a, &sim);
    if (rc == CLI_OK && a->tune)
        rc = tune(a, sim.config.seed, all);
    if (rc == CLI_OK)
        rc = run_all(&sim, all, cdfs);
    if (rc == CLI_OK)
        rc = draw(a, &sim, all, cdfs);
    if (rc == CLI_OK && ctx->json) {
        print_json(all, POLICY_COUNT, a->workload ? a->workload : "fig5", &sim);
    } else if (rc == CLI_OK) {
        print_table(all, POLICY_COUNT);
        print_params(all, POLICY_COUNT);
    }
    cli_sim_fini(&sim);
    return rc;
}

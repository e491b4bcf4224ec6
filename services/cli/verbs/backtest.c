/* aceso backtest: history under one rule set, or under two and what differs. No service is needed.
 */
#include "nab.h"
#include "score.h"
#include "verbs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>
#include <aceso/svg.h>

#include "rule/out_name.h"
#include "rule/replay.h"

#define FILES_MAX 4096

static int cmd_backtest(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_backtest = {
    "backtest", "replay history under one rule set, or compare two", cmd_backtest,
    "usage: aceso backtest --series CSV... --rules OLD [--against NEW] [--delay K] [--test] "
    "[--list N] "
    "[--plot DIR]\n\n"
    "  --series CSV     one or more series files; each is replayed from its first point\n"
    "  --rules OLD      rule text, or its syntax tree in JSON\n"
    "  --against NEW    the rules to compare with; alarms that only one side has are listed\n"
    "  --delay K        an event counts as found in its first K + 1 points (default 7)\n"
    "  --test           count only what lies behind the training part that the file states\n"
    "  --list N         people's text shows at most N differing alarms a series (default 20)\n"
    "  --plot DIR       DIR/<series>.svg: the series, its events, the flags and their reasons\n"};

struct request {
    const char *const *series; /* files */
    const char *old, *new, *plot;
    size_t delay, list;
    bool test;
    struct out_name *names; /* of the pictures */
    size_t n_names;
};

/* An alarm of one side that shares no point with one of the other. */
struct difference {
    const struct rule_replay *of;
    const struct replay_alarm *alarm;
    char *note;
};

struct comparison {
    struct request *req;
    struct rule_replay old, new;
    size_t from; /* first row that counts */
    struct score_report reports[2];
    double nab[2];
    struct difference *v;
    size_t n, cap;
};

static struct score_report measure(const struct comparison *c, const struct rule_replay *r)
{
    struct score_report s;
    struct score_input in = {.labels = r->f.labels + c->from,
                             .flags = r->any + c->from,
                             .score = r->score ? r->score + c->from : NULL,
                             .n = r->f.n - c->from,
                             .delay = c->req->delay,
                             .step_ns = r->f.step_ns};
    score_report(&in, &s);
    return s;
}

/* NAB's score of the flags as they are, standard profile; its windows are the labelled segments. */
static double nab_of(const struct comparison *c, const struct rule_replay *r)
{
    struct score_segment *windows = NULL;
    struct nab_score s;
    size_t n = r->f.n - c->from, k = score_segments(r->f.labels + c->from, n, &windows);
    double *score = ac_xmalloc((n + 1) * sizeof *score);
    for (size_t i = 0; i < n; i++)
        score[i] = r->any[c->from + i];
    nab_score_at(&(struct nab_series){score, n, windows, k}, 1, &nab_profiles[0], 1, &s);
    free(score);
    free(windows);
    return s.windows ? s.score : NAN;
}

static bool any_set(const uint8_t *v, const struct replay_alarm *a)
{
    for (size_t i = a->from; i <= a->to; i++) {
        if (v[i])
            return true;
    }
    return false;
}

static void find_differences(struct comparison *c, const struct rule_replay *of,
                             const struct rule_replay *other)
{
    for (size_t i = 0; i < of->n_alarms; i++) {
        const struct replay_alarm *a = &of->alarms[i];
        if (a->to < c->from || any_set(other->any, a))
            continue;
        ac_grow(&c->v, &c->cap, c->n + 1, sizeof *c->v);
        c->v[c->n++] = (struct difference){of, a, NULL};
    }
}

static int by_row(const void *a, const void *b)
{
    const struct difference *x = a, *y = b;
    return (x->alarm->from > y->alarm->from) - (x->alarm->from < y->alarm->from);
}

static bool hits(const struct difference *d)
{
    return any_set(d->of->f.labels, d->alarm);
}

static const char *side(const struct comparison *c, const struct difference *d)
{
    return d->of == &c->old ? "old" : "new";
}

static const char *rule_of(const struct difference *d)
{
    return ac_rule_name(ac_ruleset_get(d->of->set, d->alarm->rule));
}

/* The time of a row; rows of files without times have none. */
static void time_of(const struct rule_replay *r, size_t row, char dst[40])
{
    dst[0] = 0;
    if (r->f.t0_ns)
        ac_time_format(r->f.t0_ns + (int64_t)row * r->f.step_ns, dst, 40);
}

/* ---- as JSON ---- */

static void put_number(struct ac_buf *b, const char *key, double v, bool known)
{
    if (known && isfinite(v))
        ac_buf_printf(b, ", \"%s\": %.6f", key, v);
    else
        ac_buf_printf(b, ", \"%s\": null", key);
}

static void put_report(struct ac_buf *b, const struct score_report *s, double nab, bool labelled)
{
    ac_buf_printf(b, "{\"alarms\": %zu", s->alarms);
    put_number(b, "alarms_per_day", s->alarms_per_day, true);
    put_number(b, "flaps_per_hour", s->flaps_per_hour, true);
    put_number(b, "event_f1_delay", s->with_delay.f1, labelled);
    if (labelled)
        ac_buf_printf(b, ", \"tp\": %zu, \"fp\": %zu, \"fn\": %zu", s->with_delay.tp,
                      s->with_delay.fp, s->with_delay.fn);
    else
        ac_buf_puts(b, ", \"tp\": null, \"fp\": null, \"fn\": null");
    put_number(b, "event_f1", s->whole.f1, labelled);
    put_number(b, "point_f1", s->point_f1, labelled);
    put_number(b, "pa_f1", s->adjusted_f1, labelled);
    put_number(b, "auc_pr", s->auc_pr, labelled);
    put_number(b, "vus_pr", s->vus_pr, labelled);
    put_number(b, "nab", nab, labelled);
    put_number(b, "detect_median_s", s->detect_median_s, labelled);
    put_number(b, "detect_p90_s", s->detect_p90_s, labelled);
    ac_buf_putc(b, '}');
}

static void put_difference(struct ac_buf *b, const struct comparison *c, const struct difference *d)
{
    char when[40];
    time_of(d->of, d->alarm->from, when);
    ac_buf_printf(b, "{\"set\": \"%s\", \"row\": %zu, \"points\": %zu, \"time\": ", side(c, d),
                  d->alarm->from, d->alarm->to - d->alarm->from + 1);
    if (when[0])
        ac_buf_put_json_str(b, when);
    else
        ac_buf_puts(b, "null");
    ac_buf_puts(b, ", \"rule\": ");
    ac_buf_put_json_str(b, rule_of(d));
    ac_buf_puts(b, ", \"reason\": ");
    ac_buf_put_json_str(b, d->alarm->reason);
    ac_buf_printf(b, ", \"hit\": %s}", !d->of->f.labelled ? "null" : hits(d) ? "true" : "false");
}

static void put_json(struct ac_buf *b, const struct comparison *c, const char *plot)
{
    const struct rule_replay *r = &c->old;
    ac_buf_puts(b, b->len ? ", {\"name\": " : "{\"name\": ");
    ac_buf_put_json_str(b, r->f.name);
    ac_buf_printf(b, ", \"points\": %zu, \"segments\": %zu, \"uneven\": %zu, \"days\": %.6f",
                  c->reports[0].points, c->reports[0].segments, r->f.uneven, c->reports[0].days);
    ac_buf_puts(b, ", \"old\": ");
    put_report(b, &c->reports[0], c->nab[0], r->f.labelled);
    ac_buf_puts(b, ", \"new\": ");
    if (c->req->new)
        put_report(b, &c->reports[1], c->nab[1], r->f.labelled);
    else
        ac_buf_puts(b, "null");
    ac_buf_puts(b, ", \"differing\": [");
    for (size_t i = 0; i < c->n; i++) {
        ac_buf_puts(b, i ? ", " : "");
        put_difference(b, c, &c->v[i]);
    }
    ac_buf_puts(b, "], \"plot\": ");
    if (plot)
        ac_buf_put_json_str(b, plot);
    else
        ac_buf_puts(b, "null");
    ac_buf_putc(b, '}');
}

/* ---- as text ---- */

static void print_row(const char *name, int digits, double a, double b, bool two)
{
    char x[32] = "-", y[32] = "-";
    if (isfinite(a))
        (void)snprintf(x, sizeof x, "%.*f", digits, a);
    if (isfinite(b))
        (void)snprintf(y, sizeof y, "%.*f", digits, b);
    printf("  %-26s %12s", name, x);
    if (two)
        printf(" %12s", y);
    putchar('\n');
}

static void print_text(const struct comparison *c)
{
    const struct score_report *a = &c->reports[0], *b = &c->reports[1];
    bool two = c->req->new;
    printf("%s: %zu points, %.2f days%s\n", c->old.f.name, a->points, a->days,
           c->old.f.labelled ? "" : ", no labels");
    if (c->old.f.uneven)
        printf("  %zu rows are not one step behind the row before them\n", c->old.f.uneven);
    if (two)
        printf("  %-26s %12s %12s\n", "", "old", "new");
    print_row("alarms", 0, (double)a->alarms, (double)b->alarms, two);
    print_row("alarms a day", 3, a->alarms_per_day, b->alarms_per_day, two);
    print_row("changes an hour", 3, a->flaps_per_hour, b->flaps_per_hour, two);
    if (c->old.f.labelled) {
        print_row("event F1 with delay", 4, a->with_delay.f1, b->with_delay.f1, two);
        print_row("  events found", 0, (double)a->with_delay.tp, (double)b->with_delay.tp, two);
        print_row("  events missed", 0, (double)a->with_delay.fn, (double)b->with_delay.fn, two);
        print_row("  false alarm points", 0, (double)a->with_delay.fp, (double)b->with_delay.fp,
                  two);
        print_row("event F1", 4, a->whole.f1, b->whole.f1, two);
        print_row("point F1", 4, a->point_f1, b->point_f1, two);
        print_row("point-adjusted F1", 4, a->adjusted_f1, b->adjusted_f1, two);
        print_row("AUC-PR of the deviation", 4, a->auc_pr, b->auc_pr, two);
        print_row("VUS-PR of the deviation", 4, a->vus_pr, b->vus_pr, two);
        print_row("NAB, standard profile", 2, c->nab[0], c->nab[1], two);
        print_row("time to detect, median s", 0, a->detect_median_s, b->detect_median_s, two);
        print_row("time to detect, 90 % s", 0, a->detect_p90_s, b->detect_p90_s, two);
    }
    if (two)
        printf("  %zu alarms are of one side alone\n", c->n);
    for (size_t i = 0; i < c->n && i < c->req->list; i++) {
        const struct difference *d = &c->v[i];
        char when[40];
        time_of(d->of, d->alarm->from, when);
        printf("  %s only: row %zu%s%s, %zu points, %s: %s%s\n", side(c, d), d->alarm->from,
               when[0] ? ", " : "", when, d->alarm->to - d->alarm->from + 1, rule_of(d),
               d->alarm->reason,
               !d->of->f.labelled ? ""
               : hits(d)          ? " [hits an event]"
                                  : " [hits no event]");
    }
    if (c->n > c->req->list)
        printf("  and %zu more (--list)\n", c->n - c->req->list);
}

/* ---- one series ---- */

static int plot(struct comparison *c, char **ret_path, struct ac_err *err)
{
    struct request *req = c->req;
    int rc = out_name_add(req->names, req->n_names, req->series, c->old.f.name, err);
    if (rc == 0)
        rc = ac_dir_create(req->plot, 0755, err);
    if (rc < 0)
        return rc;
    char *path = ac_xasprintf("%s/%s.svg", req->plot, req->names[req->n_names++].text);
    struct ac_chart_note *notes = ac_xcalloc(c->n + 1, sizeof *notes);
    for (size_t i = 0; i < c->n; i++) {
        c->v[i].note = ac_xasprintf("%s only: %s", side(c, &c->v[i]), c->v[i].alarm->reason);
        notes[i] = (struct ac_chart_note){c->v[i].alarm->from, c->v[i].note};
    }
    rc = c->req->new ? rule_chart_write(path, &c->old, &c->new, notes, c->n, err)
                     : rule_replay_chart(path, &c->old, err);
    free(notes);
    if (rc < 0)
        free(path);
    else
        *ret_path = path;
    return rc;
}

static int compare(struct comparison *c, struct ac_buf *json, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    char *path = NULL;
    c->from = c->req->test ? AC_MIN(c->old.f.n_train, c->old.f.n) : 0;
    c->reports[0] = measure(c, &c->old);
    c->nab[0] = nab_of(c, &c->old);
    if (c->req->new) {
        c->reports[1] = measure(c, &c->new);
        c->nab[1] = nab_of(c, &c->new);
        find_differences(c, &c->old, &c->new);
        find_differences(c, &c->new, &c->old);
        if (c->n)
            qsort(c->v, c->n, sizeof *c->v, by_row);
    }
    int code = CLI_OK;
    if (c->req->plot && plot(c, &path, &err) < 0)
        code = cli_fail("backtest", &err);
    else if (ctx->json)
        put_json(json, c, path);
    else
        print_text(c);
    for (size_t i = 0; i < c->n; i++)
        free(c->v[i].note);
    free(c->v);
    free(path);
    return code;
}

static int backtest_one(struct request *req, const char *series, struct ac_buf *json,
                        const struct cli_ctx *ctx)
{
    struct comparison c = {.req = req};
    int code = rule_replay("backtest", req->old, series, &c.old);
    if (code)
        return code;
    if (req->new)
        code = rule_replay("backtest", req->new, series, &c.new);
    if (code == CLI_OK) {
        /* each side reads the columns that its rules want: the file must not change meanwhile */
        if (req->new &&c.new.f.n != c.old.f.n)
            code = cli_usage("backtest", "%s: the file changed while it was read", series);
        else
            code = compare(&c, json, ctx);
        if (req->new)
            rule_replay_fini(&c.new);
    }
    rule_replay_fini(&c.old);
    return code;
}

static int cmd_backtest(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *series[FILES_MAX], *delay = NULL, *list = NULL, *test = NULL;
    struct request req = {.series = series, .delay = 7, .list = 20};
    int n = 0, npos = 0;
    struct cli_opt opts[] = {{.name = "--series",
                              .has_value = true,
                              .value = series,
                              .repeat = true,
                              .max = FILES_MAX,
                              .count = &n},
                             {.name = "--rules", .has_value = true, .value = &req.old},
                             {.name = "--against", .has_value = true, .value = &req.new},
                             {.name = "--delay", .has_value = true, .value = &delay},
                             {.name = "--list", .has_value = true, .value = &list},
                             {.name = "--plot", .has_value = true, .value = &req.plot},
                             {.name = "--test", .value = &test}};
    int rc = cli_parse(&cli_verb_backtest, argc, argv, opts, AC_ARRAY_LEN(opts), &npos);
    if (rc)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    uint64_t k = req.delay, most = req.list;
    if (!n || npos)
        return cli_usage("backtest", "name series files with --series");
    if (!req.old)
        return cli_usage("backtest", "name a rule file with --rules");
    if (delay && (!ac_str_to_u64(delay, &k) || k > 1000000))
        return cli_usage("backtest", "--delay is a number of points");
    if (list && (!ac_str_to_u64(list, &most) || most > 1000000))
        return cli_usage("backtest", "--list is a number of alarms");
    req.delay = (size_t)k;
    req.list = (size_t)most;
    req.test = test;
    struct ac_buf json;
    ac_buf_init(&json, 1u << 30);
    req.names = ac_xcalloc((size_t)n, sizeof *req.names);
    int code = CLI_OK;
    for (int i = 0; i < n && code == CLI_OK; i++)
        code = backtest_one(&req, series[i], &json, ctx);
    if (code == CLI_OK && json.failed)
        code = cli_usage("backtest",
                         "the answer would be longer than a gigabyte: fewer series at once");
    if (code == CLI_OK && ctx->json)
        printf("{\"delay\": %zu, \"series\": [%s]}\n", req.delay, ac_buf_str(&json));
    ac_buf_fini(&json);
    free(req.names);
    return code;
}

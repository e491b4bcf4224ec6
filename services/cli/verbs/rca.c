/* aceso rca: root causes from files. No service is needed. */
#include "rca_answer.h"
#include "rca_picture.h"
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>
#include <aceso/team.h>

#include "rca/bench.h"
#include "rca/bench_bnlearn.h"
#include "rca/bench_edges.h"
#include "rca/bench_learn.h"
#include "rca/discover.h"
#include "rca/graph.h"

static int cmd_rca(int argc, char **argv, const struct cli_ctx *ctx);

#define NAME_OF(id, name) name ", "
#define SCORERS           AC_RCA_SCORERS(NAME_OF)

const struct cli_verb cli_verb_rca = {
    "rca", "find root causes in recorded metrics; score the method on a data set", cmd_rca,
    "usage: aceso rca discover --method pc|fci|ges|lingam|pcmci|granger --data FILE [--alpha A]\n"
    "                          [--test fisherz|chisq|gsq] [--max-given K] [--lag L] [--knowledge "
    "FILE]\n"
    "       aceso rca synthesise [--docs DIR] [--traces FILE] [--metrics FILE|DIR]\n"
    "                            [--knowledge FILE] [--observed] [--out FILE]\n"
    "       aceso rca diff OLD NEW\n"
    "       aceso rca plot GRAPH [--format svg|dot|graphml|matrix] [--out FILE]\n"
    "       aceso rca feedback GRAPH --path CAUSE,...,SYMPTOM --incident NAME [--time T] | "
    "--answer "
    "FILE\n"
    "                          --confirmed|--refuted [--out FILE]\n"
    "       aceso rca localise --metrics FILE|DIR [--time T] [--window-s S] [--graph FILE]\n"
    "                          [--plot FILE]\n"
    "       aceso rca bench --dataset sockshop|petshop|nezha|rcaeval|causal-learn|bnlearn|edges "
    "DIR\n"
    "                       [--late-s S] [--no-graph] [--no-edge-latency] [--no-records]\n"
    "                       [--scorer NAME] [--without PARTS] [--graph "
    "FILE]\n\n"
    "  --data FILE     a row a sample, a column a variable; commas, tabs or blanks\n"
    "  --alpha A       level of the tests (default 0.05; over time 0.01)\n"
    "  --test NAME     fisherz for numbers, chisq or gsq for classes (ges: BIC or BDeu)\n"
    "  --max-given K   largest set to condition on, or number of parents\n"
    "  --threads N     default: all processors; the result does not depend on it\n"
    "  --lag L         samples that pcmci and granger look back (default 3)\n"
    "  --docs DIR      Kubernetes manifests, compose files, .proto, OpenAPI, Markdown\n"
    "  --traces FILE   who calls whom: traces (OTLP, CSV), CSV caller,callee[,evidence], or an\n"
    "                  adjacency matrix\n"
    "  --knowledge FILE  YAML: root, leaf (lists of nodes), require, forbid (lists of pairs),\n"
    "                  measurements ({NODE: {unit: U, bad: high|low|both}}; synthesise)\n"
    "  --observed      take measurements that the metrics do not have out of the graph\n"
    "  --metrics FILE  CSV: time,<component>_<metric>,... (Unix seconds), or a folder with\n"
    "                  normal.csv and anomalous.csv, or with metrics.csv and, where known,\n"
    "                  logs.csv|json, traces.csv|json, calls.csv, inject_time.txt\n"
    "  --path LIST     components or measurements that the fault travelled along, or did not\n"
    "  --incident NAME  whose answer was confirmed or refuted; with --time one of several of that\n"
    "                  name. A later verdict on the same incident replaces the earlier one\n"
    "  --answer FILE   the answer itself (localise --json): its path, unless --path corrects it\n"
    "  --time T        when the incident began: Unix seconds or RFC 3339; found when absent\n"
    "  --window-s S    length of the incident in seconds (default 300)\n"
    "  --graph FILE    CSV: caller,callee[,evidence], an adjacency matrix, or a graph (.json) of "
    "synthesise;\n"
    "                  bench: instead of the calls of the data set, and for the scorers what "
    "drives what\n"
    "  --plot FILE     SVG of the answer: what deviates in order of onset, and how it travels\n"
    "  --dataset NAME  sockshop: DIR/<service>-<fault>/<repetition>/{normal,anomalous}.csv\n"
    "                  petshop: DIR/<scenario>/{graph.csv,noissue,train,test}\n"
    "                  nezha: DIR/rca_data/<day>/{metric,<day>-fault_list.json}\n"
    "                  rcaeval: DIR/<service>_<fault>/<repetition>/{simple_metrics.csv,"
    "inject_time.txt}\n"
    "  --max-variables N  bnlearn, edges: larger networks are left out (default 100)\n"
    "  --late-s S      state the time S seconds too late\n"
    "  --scorer NAME   instead of the recipe, to compare with: " SCORERS "\n"
    "  --without PARTS leave parts of the recipe out: cpu,lat,gap,..., explained, onset\n"
    "  --no-graph, --no-edge-latency, --no-records  leave these inputs out (records: logs, "
    "spans)\n"};

static void print_text(const struct ac_rca_case *c, const struct ac_rca_result *r)
{
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_rca_text(c, r, &b);
    printf("%s\n", ac_buf_str(&b));
    for (size_t i = 0; !r->abstained && i < r->ncauses && i < 5 && r->causes[i].score > 0.0; i++)
        printf("%zu. %-24s %8.3f  %s\n", i + 1, c->components[r->causes[i].component],
               r->causes[i].score, ac_rca_cause_metric(c, &r->causes[i]));
    for (size_t i = 0; !r->abstained && i < r->npath; i++) {
        struct ac_buf t[3];
        for (int j = 0; j < 3; j++)
            ac_buf_init(&t[j], 4096);
        ac_rca_step_texts(c, r, &r->path[i], &t[0], &t[1], &t[2]);
        printf("   %s; %s; %s\n", ac_buf_str(&t[0]), ac_buf_str(&t[1]), ac_buf_str(&t[2]));
        for (int j = 0; j < 3; j++)
            ac_buf_fini(&t[j]);
    }
    ac_buf_reset(&b);
    ac_rca_change_texts(c, r, &b);
    ac_cleanup(ac_free_p) char *all = ac_buf_take(&b);
    char *rest = all, *line;
    for (bool first = true; (line = ac_str_next(&rest, '\n')); first = false)
        printf("%s   %s\n", first ? "What would change the answer:\n" : "", line);
}

static int load(const char *metrics, const char *graph, struct ac_rca_case **ret,
                int64_t *ret_t0_ns, struct ac_err *err)
{
    int rc = rca_load_case(metrics, ret, ret_t0_ns, err);
    if (!rc && graph)
        rc = rca_load_calls(graph, *ret, err);
    return rc;
}

static bool parse_time(const char *s, int64_t *ret_ns)
{
    double v;
    if (ac_str_to_f64(s, &v)) {
        if (!(v >= 0 && v < 4.2e9))
            return false;
        *ret_ns = (int64_t)(v * 1e9);
        return true;
    }
    return ac_time_parse(s, ret_ns) == 0;
}

static int plot_answer(const struct ac_rca_case *c, const struct ac_rca_result *r, const char *path,
                       struct ac_err *err)
{
    struct ac_buf b;
    ac_buf_init(&b, 16u << 20);
    int rc = ac_rca_picture(c, r, &b) ? ac_file_write_atomic(path, b.data, b.len, 0644, err)
                                      : ac_err_set(err, AC_ERANGE, "%s: too large to draw", path);
    ac_buf_fini(&b);
    return rc;
}

/* An incident of which nothing was recorded is a wrong time, not a quiet one. */
static int check_time(const struct ac_rca_case *c, int64_t t0_ns, int64_t window_ns,
                      struct ac_err *err)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    char when[40], from[40], to[40];
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->n == 0)
            continue;
        first = AC_MIN(first, m->t_ns[0]);
        last = AC_MAX(last, m->t_ns[m->n - 1]);
    }
    if (first > last)
        return ac_err_set(err, AC_EINVAL, "the recording holds no number");
    if (t0_ns <= last && t0_ns + window_ns > first)
        return 0;
    ac_time_format(t0_ns, when, sizeof(when));
    ac_time_format(first, from, sizeof(from));
    ac_time_format(last, to, sizeof(to));
    return ac_err_set(err, AC_EINVAL,
                      "nothing was recorded in the incident of %s: the recording is from %s to %s",
                      when, from, to);
}

struct localise_args { /* as given; NULL: not */
    const char *metrics, *time, *graph, *plot;
    double window_s;
};

static int localise(const struct localise_args *a, const struct cli_ctx *ctx)
{
    struct ac_rca_case *c = NULL;
    struct ac_rca_result r;
    struct ac_err err = AC_ERR_INIT;
    int64_t t0 = INT64_MIN, known;
    if (!a->metrics)
        return cli_usage("rca", "localise needs --metrics FILE");
    if (a->time && !parse_time(a->time, &t0))
        return cli_usage("rca", "--time %s is neither Unix seconds nor RFC 3339", a->time);
    int rc = load(a->metrics, a->graph, &c, &known, &err);
    if (!rc) {
        int64_t begin = ac_now_ns();
        if (t0 == INT64_MIN)
            t0 = known != INT64_MIN ? known : ac_rca_find_time(c);
        struct ac_rca_params p = ac_rca_params_default(t0, (int64_t)(a->window_s * 1e9));
        rc = check_time(c, t0, p.incident_ns, &err);
        if (!rc) {
            p.team = ac_team_create(ac_team_processors());
            p.threshold = ac_rca_calibrate(c, &p, t0 - 120 * AC_NS_PER_S);
            rc = ac_rca_localise(c, &p, &r, &err);
            ac_team_destroy(p.team);
        }
        double seconds = (double)(ac_now_ns() - begin) / 1e9;
        bool made = !rc;
        if (made && a->plot)
            rc = plot_answer(c, &r, a->plot, &err);
        if (!rc && ctx->json) {
            struct ac_buf b;
            ac_buf_init(&b, 4 << 20);
            ac_rca_json(c, &r, 10, seconds, &b);
            printf("%s\n", ac_buf_str(&b));
            ac_buf_fini(&b);
        } else if (!rc) {
            print_text(c, &r);
        }
        if (made)
            ac_rca_result_fini(&r);
    }
    ac_rca_case_destroy(c);
    return rc ? cli_fail("rca", &err) : CLI_OK;
}

static void put_score(const char *name, const struct ac_rca_score *s)
{
    printf("%-22s %3zu  AC@1 %.3f  AC@3 %.3f  AC@5 %.3f  Avg@5 %.3f\n", name, s->cases,
           ac_rca_ac(s, 1), ac_rca_ac(s, 3), ac_rca_ac(s, 5), ac_rca_avg5(s));
}

static void report(const char *dataset, const struct rca_bench *b, bool json)
{
    double seconds = b->seconds / (double)AC_MAX(b->all.cases, 1);
    double empty = b->normal ? (double)b->normal_empty / (double)b->normal : 0.0;
    if (!json) {
        put_score(dataset, &b->all);
        if (b->answered < b->all.cases)
            put_score("  always answering", &b->always);
        for (size_t i = 0; i < b->ntallies; i++) {
            printf("  ");
            put_score(b->tallies[i].fault, &b->tallies[i].score);
        }
        if (b->normal)
            printf("normal windows %zu, left unanswered %.3f\n", b->normal, empty);
        printf("%.4f s a case\n", seconds);
        return;
    }
    printf("{\"dataset\":\"%s\",\"cases\":%zu,\"answered\":%zu,\"ac1\":%.6g,\"ac3\":%.6g,"
           "\"ac5\":%.6g,\"avg5\":%.6g,\"always\":{\"ac1\":%.6g,\"ac3\":%.6g,\"ac5\":%.6g},",
           dataset, b->all.cases, b->answered, ac_rca_ac(&b->all, 1), ac_rca_ac(&b->all, 3),
           ac_rca_ac(&b->all, 5), ac_rca_avg5(&b->all), ac_rca_ac(&b->always, 1),
           ac_rca_ac(&b->always, 3), ac_rca_ac(&b->always, 5));
    if (b->normal)
        printf("\"normal_windows\":%zu,\"specificity\":%.6g,", b->normal, empty);
    printf("\"seconds_per_case\":%.6g,\"processor_seconds_per_case\":%.6g,\"by_fault\":{", seconds,
           b->processor_s / (double)AC_MAX(b->all.cases, 1));
    for (size_t i = 0; i < b->ntallies; i++) {
        const struct ac_rca_score *s = &b->tallies[i].score;
        printf("%s\"%s\":{\"cases\":%zu,\"ac1\":%.6g,\"ac3\":%.6g,\"avg5\":%.6g}", i ? "," : "",
               b->tallies[i].fault, s->cases, ac_rca_ac(s, 1), ac_rca_ac(s, 3), ac_rca_avg5(s));
    }
    printf("}}\n");
}

static int bench_learn(const char *dir, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    struct rca_learn l = {0};
    if (rca_bench_learn(dir, &l, &err))
        return cli_fail("rca", &err);
    printf(ctx->json
               ? "{\"dataset\":\"causal-learn\",\"cases\":%zu,\"equal\":%zu,"
                 "\"without_data\":%zu,\"seconds_per_case\":%.6g}\n"
               : "causal-learn: %zu stored outputs, %zu equal, %zu without data, %.3f s each\n",
           l.cases, l.equal, l.without_data, l.seconds / (double)l.cases);
    return CLI_OK;
}

static double share(size_t part, size_t of)
{
    return (double)part / (double)AC_MAX(of, 1);
}

static void put_verdicts(const struct rca_edges *e, int half, int size, bool json)
{
    static const char *const halves[] = {"tuned", "reported"};
    static const char *const kinds[] = {"classes", "linear"};
    const struct rca_edges_size *s = &rca_edges_sizes[size];
    for (int kind = 0; kind < RCA_EDGES_NKINDS; kind++) {
        const struct rca_verdicts *v = &e->v[half][kind][size];
        double right = share(v->caught, v->contradicted), caught = share(v->caught, v->wrong);
        double confirmed = share(v->confirmed, v->edges - v->wrong);
        double wrong = share(v->wrong, v->edges);
        printf(json
                   ? "%s{\"half\":\"%s\",\"data\":\"%s\",\"rows\":%zu,\"detectable\":%g,"
                     "\"wrong\":%.4g,\"contradicted_are_wrong\":%.4g,\"wrong_are_contradicted\":"
                     "%.4g,\"true_are_supported\":%.4g}"
                   : "%s%-9s %-8s %4zu rows, enough to see %-4g  wrong %.2f  contradicted that are "
                     "wrong %.3f  wrong ones contradicted %.3f  true ones supported %.3f\n",
               json && (half || size || kind) ? "," : "", halves[half], kinds[kind], s->rows,
               s->detectable, wrong, right, caught, confirmed);
    }
}

static int bench_edges(const char *dir, uint64_t max_variables, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    struct rca_edges e = {.max_variables = (size_t)max_variables};
    if (rca_bench_edges(dir, &e, &err))
        return cli_fail("rca", &err);
    int chosen = rca_edges_choice(&e);
    printf(ctx->json ? "{\"dataset\":\"edges\",\"tuned\":%zu,\"reported\":%zu,\"verdicts\":["
                     : "edges: %zu networks tuned on, %zu reported\n",
           e.networks[0], e.networks[1]);
    for (int half = 0; half < 2; half++)
        for (int size = 0; size < RCA_EDGES_SIZES; size++)
            put_verdicts(&e, half, size, ctx->json);
    printf(ctx->json ? "],\"f1\":[" : "F1 of contradicted, tuned / reported:");
    for (int size = 0; size < RCA_EDGES_SIZES; size++)
        printf(ctx->json ? "%s{\"detectable\":%g,\"tuned\":%.4g,\"reported\":%.4g}"
                         : "%s %g: %.3f / %.3f",
               size ? "," : "", rca_edges_sizes[size].detectable, rca_edges_f1(&e, 0, size),
               rca_edges_f1(&e, 1, size));
    printf(ctx->json ? "],\"chosen\":%g}\n" : "\nchosen on the tuned half: %g\n",
           rca_edges_sizes[chosen].detectable);
    return CLI_OK;
}

static int bench_networks(bool edges, const char *dir, const char *out, const char *max,
                          const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    uint64_t most = 100;
    if (max && (!ac_str_to_u64(max, &most) || most < 2 || most > AC_RCA_MAX_VARIABLES))
        return cli_usage("rca", "--max-variables must be 2 to %d, not %s", AC_RCA_MAX_VARIABLES,
                         max);
    if (edges)
        return bench_edges(dir, most, ctx);
    struct rca_bnlearn l = {.max_variables = (size_t)most};
    if (rca_bench_bnlearn(dir, out, &l, &err))
        return cli_fail("rca", &err);
    double n = (double)l.cases;
    printf(ctx->json ? "{\"dataset\":\"bnlearn\",\"cases\":%zu,\"f1\":%.6g,\"shd\":%.6g,"
                       "\"seconds_per_case\":%.6g}\n"
                     : "bnlearn: %zu networks, skeleton F1 %.3f, SHD %.1f, %.3f s each\n",
           l.cases, l.f1 / n, l.shd / n, l.seconds / n);
    return CLI_OK;
}

/* "cpu,gap,explained,onset": parts of the recipe to leave out. */
static bool parse_without(const char *list, struct rca_bench_options *o)
{
    ac_cleanup(ac_free_p) char *copy = ac_xstrdup(list ? list : "");
    char *rest = copy, *word;
    while ((word = ac_str_next(&rest, ','))) {
        enum ac_rca_kind kind;
        if (ac_streq(word, "explained"))
            o->unexplained = true;
        else if (ac_streq(word, "onset"))
            o->keep_time = true;
        else if (ac_rca_kind_parse(word, &kind))
            o->without |= 1u << kind;
        else if (*word)
            return false;
    }
    return true;
}

static int bench(const char *dataset, const char *dir, struct rca_bench_options *o,
                 const struct cli_ctx *ctx)
{
    static const struct {
        const char *name;
        int (*run)(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                   struct ac_err *err);
    } sets[] = {{"sockshop", rca_bench_sockshop},
                {"petshop", rca_bench_petshop},
                {"rcaeval", rca_bench_rcaeval},
                {"nezha", rca_bench_nezha}};
    struct ac_err err = AC_ERR_INIT;
    struct rca_bench b = {.options = o};
    if (ac_streq(dataset, "causal-learn"))
        return bench_learn(dir, ctx);
    for (size_t i = 0; i < AC_ARRAY_LEN(sets); i++) {
        if (!ac_streq(sets[i].name, dataset))
            continue;
        struct ac_rca_graph *causes = NULL;
        int rc = 0;
        if (o->graph && ac_str_ends(o->graph, ".json"))
            rc = rca_graph_load(o->graph, &causes, &err);
        o->causes = causes;
        if (!rc)
            rc = sets[i].run(dir, o, &b, &err);
        ac_rca_graph_destroy(causes);
        if (rc)
            return cli_fail("rca", &err);
        report(dataset, &b, ctx->json);
        return CLI_OK;
    }
    return cli_usage("rca",
                     "unknown data set %s; known: sockshop, petshop, nezha, rcaeval, causal-learn, "
                     "bnlearn, edges",
                     dataset);
}

static int cmd_rca(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *metrics = NULL, *time = NULL, *graph = NULL, *dataset = NULL, *late = NULL,
               *window = NULL, *no_graph = NULL, *no_gaps = NULL, *scorer = NULL, *without = NULL,
               *plot = NULL, *no_records = NULL;
    struct rca_discover_args discover = {0};
    struct rca_synthesise_args synthesise = {0};
    struct rca_feedback_args feedback = {0};
    const char *format = NULL, *max_variables = NULL;
    const struct cli_opt opts[] = {
        {.name = "--method", .has_value = true, .value = &discover.method},
        {.name = "--data", .has_value = true, .value = &discover.data},
        {.name = "--alpha", .has_value = true, .value = &discover.alpha},
        {.name = "--max-given", .has_value = true, .value = &discover.max_given},
        {.name = "--threads", .has_value = true, .value = &discover.threads},
        {.name = "--lag", .has_value = true, .value = &discover.lag},
        {.name = "--docs", .has_value = true, .value = &synthesise.docs},
        {.name = "--traces", .has_value = true, .value = &synthesise.traces},
        {.name = "--knowledge", .has_value = true, .value = &synthesise.knowledge},
        {.name = "--proposer", .has_value = true, .value = &synthesise.proposer},
        {.name = "--out", .has_value = true, .value = &synthesise.out},
        {.name = "--path", .has_value = true, .value = &feedback.path},
        {.name = "--incident", .has_value = true, .value = &feedback.incident},
        {.name = "--answer", .has_value = true, .value = &feedback.answer},
        {.name = "--confirmed", .value = &feedback.confirmed},
        {.name = "--refuted", .value = &feedback.refuted},
        {.name = "--format", .has_value = true, .value = &format},
        {.name = "--test", .has_value = true, .value = &discover.test},
        {.name = "--metrics", .has_value = true, .value = &metrics},
        {.name = "--time", .has_value = true, .value = &time},
        {.name = "--window-s", .has_value = true, .value = &window},
        {.name = "--graph", .has_value = true, .value = &graph},
        {.name = "--plot", .has_value = true, .value = &plot},
        {.name = "--dataset", .has_value = true, .value = &dataset},
        {.name = "--max-variables", .has_value = true, .value = &max_variables},
        {.name = "--late-s", .has_value = true, .value = &late},
        {.name = "--scorer", .has_value = true, .value = &scorer},
        {.name = "--without", .has_value = true, .value = &without},
        {.name = "--observed", .value = &synthesise.observed},
        {.name = "--no-graph", .value = &no_graph},
        {.name = "--no-edge-latency", .value = &no_gaps},
        {.name = "--no-records", .value = &no_records},
    };
    int npos = 0;
    int rc = cli_parse(&cli_verb_rca, argc, argv, opts, (int)AC_ARRAY_LEN(opts), &npos);
    if (rc)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    double late_s = 0, window_s = 300;
    if (late && (!ac_str_to_f64(late, &late_s) || !(late_s >= -3600 && late_s <= 3600)))
        return cli_usage("rca", "--late-s must be seconds from -3600 to 3600, not %s", late);
    if (window && (!ac_str_to_f64(window, &window_s) || !(window_s >= 1 && window_s <= 86400)))
        return cli_usage("rca", "--window-s must be seconds from 1 to 86400, not %s", window);
    const char *action = npos > 0 ? argv[1] : "";
    if (ac_streq(action, "localise") && npos == 1)
        return localise(&(struct localise_args){metrics, time, graph, plot, window_s}, ctx);
    synthesise.metrics = metrics;
    discover.knowledge = synthesise.knowledge;
    if (ac_streq(action, "discover") && npos == 1)
        return rca_discover_verb(&discover, ctx);
    if (ac_streq(action, "synthesise") && npos == 1)
        return rca_synthesise_verb(&synthesise, ctx);
    if (ac_streq(action, "diff") && npos == 3)
        return rca_diff_verb(argv[2], argv[3], ctx);
    feedback.out = synthesise.out;
    if (ac_streq(action, "feedback") && npos == 2) {
        int64_t t = 0;
        if (time && !parse_time(time, &t))
            return cli_usage("rca", "--time %s is neither Unix seconds nor RFC 3339", time);
        return rca_feedback_verb(argv[2], &feedback, t, ctx);
    }
    if (ac_streq(action, "plot") && npos == 2)
        return rca_plot_verb(argv[2], format, synthesise.out, ctx);
    if (ac_streq(action, "bench")) {
        if (!dataset || npos != 2)
            return cli_usage("rca", "bench needs --dataset NAME and one DIR");
        bool edges = ac_streq(dataset, "edges");
        if (edges || ac_streq(dataset, "bnlearn"))
            return bench_networks(edges, argv[2], synthesise.out, max_variables, ctx);
        struct rca_bench_options o = {.late_s = late_s,
                                      .no_graph = no_graph != NULL,
                                      .no_gaps = no_gaps != NULL,
                                      .no_records = no_records != NULL};
        o.compare = scorer && !ac_streq(scorer, "recipe");
        if (o.compare && !ac_rca_scorer_parse(scorer, &o.scorer))
            return cli_usage("rca", "--scorer must be recipe, " SCORERS "not %s", scorer);
        o.graph = graph;
        if (!parse_without(without, &o))
            return cli_usage("rca",
                             "--without %s: expected kinds (cpu, lat, gap, ...), explained, "
                             "onset",
                             without);
        return bench(dataset, argv[2], &o, ctx);
    }
    return cli_usage("rca", "expected discover, synthesise, localise, diff, feedback, plot or "
                            "bench (see aceso rca --help)");
}

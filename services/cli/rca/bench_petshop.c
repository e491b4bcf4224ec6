/* PetShop: DIR/<scenario>/{graph.csv, noissue/metrics.csv, (train|test)/issue_<k>/{metrics.csv,
 * target.json}}. Five minutes a row; an issue has five rows, the normal part is a file apart. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include <dirent.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/str.h>

#include "rca/bench.h"
#include "rca/graph.h"

#define ROW_NS    (300 * AC_NS_PER_S)
#define W_NS      (1000 * AC_NS_PER_S)
#define LOCAL_NS  (1000 * AC_NS_PER_S)
#define APART_NS  (86400 * AC_NS_PER_S) /* between the normal part and the issue */
#define WINDOW    5                     /* rows of an issue */
#define BEFORE    2                     /* of them before the incident */
#define MAX_ISSUE 1000

struct scenario {
    const char *dir;
    const struct rca_bench_options *options;
    struct ac_rca_table normal;
    double threshold[2]; /* of latency, of availability */
};

static const enum ac_rca_kind kinds[2] = {AC_RCA_LAT, AC_RCA_ERR};

/* The normal part shifted to end a day before end_ns, and the calls. */
static struct ac_rca_case *normal_case(const struct scenario *s, int64_t end_ns, struct ac_err *err)
{
    struct ac_rca_case *c = ac_rca_case_create();
    ac_cleanup(ac_free_p) char *graph = ac_xasprintf("%s/graph.csv", s->dir);
    int64_t shift = end_ns - s->normal.t_ns[s->normal.nrows - 1];
    int rc = ac_rca_table_add(s->dir, &s->normal, shift, c, err);
    if (!rc && s->options->graph)
        rc = rca_load_calls(s->options->graph, c, err);
    else if (!rc && !s->options->no_graph)
        rc = ac_rca_edges_load(graph, c, err);
    if (rc) {
        ac_rca_case_destroy(c);
        return NULL;
    }
    return c;
}

/* Rows carry the begin of their five minutes; a row counts from its middle. */
static struct ac_rca_params params(int64_t t0_ns, int64_t incident_ns, int target, int kind)
{
    struct ac_rca_params p = ac_rca_params_default(t0_ns - ROW_NS / 2, incident_ns);
    p.local_ns = LOCAL_NS;
    p.target = target;
    p.target_kind = kinds[kind];
    return p;
}

static int normal_windows(struct scenario *s, const char *target, struct rca_bench *b,
                          struct ac_err *err)
{
    size_t n = s->normal.nrows / WINDOW;
    struct ac_rca_case *c = normal_case(s, s->normal.t_ns[s->normal.nrows - 1], err);
    if (!c)
        return AC_EINVAL;
    ac_rca_case_one_statistic(c);
    double *scores = ac_xcalloc(n + 1, sizeof(*scores));
    for (int kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < n; i++) {
            struct ac_rca_params p =
                params(s->normal.t_ns[i * WINDOW + BEFORE], (WINDOW - BEFORE) * ROW_NS,
                       ac_rca_component_find(c, target), kind);
            p.local_ns = BEFORE * ROW_NS;
            p.without = s->options->without;
            p.unexplained = s->options->unexplained;
            scores[i] = ac_rca_window_score(c, &p);
        }
        s->threshold[kind] = rca_bench_normal(b, scores, n);
    }
    free(scores);
    ac_rca_case_destroy(c);
    return 0;
}

struct issue {
    char *target;
    int kind;
    int64_t t0_ns;
    struct ac_rca_labelled truth;
};

static int read_issue(const char *dir, struct issue *ret, struct ac_err *err)
{
    json_t *j;
    const char *target, *metric, *cause;
    int64_t t;
    ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/target.json", dir);
    int rc = ac_json_load_file(path, &j, err);
    if (rc)
        return rc;
    rc = ac_json_need_str(j, "target.node", &target, err);
    if (!rc)
        rc = ac_json_need_str(j, "target.metric", &metric, err);
    if (!rc)
        rc = ac_json_need_i64(j, "target.timestamp", &t, err);
    if (!rc)
        rc = ac_json_need_str(j, "root_cause.node", &cause, err);
    if (!rc && (t < 0 || t > AC_RCA_TIME_MAX_NS / AC_NS_PER_S))
        rc = ac_err_set(err, AC_EINVAL, "target.timestamp: not a time");
    if (!rc)
        *ret = (struct issue){
            .target = ac_xstrdup(target),
            .kind = ac_str_starts(metric, "avail") ? 1 : 0,
            .t0_ns = t * AC_NS_PER_S,
            .truth = {.name = ac_xstrdup(dir),
                      .truth = ac_xstrdup(cause),
                      .fault = ac_xstrdup(metric)},
        };
    else
        ac_err_wrap(err, "%s", path);
    json_decref(j);
    return rc;
}

static void issue_fini(struct issue *i)
{
    free(i->target);
    free(i->truth.name);
    free(i->truth.truth);
    free(i->truth.fault);
}

static int run_issue(const struct scenario *s, const char *dir, const struct issue *is,
                     struct rca_bench *b, struct ac_err *err)
{
    struct ac_rca_table t = {0};
    ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/metrics.csv", dir);
    int rc = ac_rca_table_load(path, &t, err);
    struct ac_rca_case *c = rc ? NULL : normal_case(s, is->t0_ns - APART_NS, err);
    if (!rc)
        rc = c ? ac_rca_table_add(path, &t, 0, c, err) : AC_EINVAL;
    if (!rc) {
        ac_rca_case_one_statistic(c);
        struct ac_rca_params p = params(is->t0_ns + (int64_t)(s->options->late_s * 1e9), W_NS,
                                        ac_rca_component_find(c, is->target), is->kind);
        p.threshold = s->threshold[is->kind];
        rc = p.target < 0 ? ac_err_set(err, AC_EINVAL, "%s: no measurement of the target %s", path,
                                       is->target)
                          : rca_bench_case(b, c, &p, &is->truth, err);
    }
    ac_rca_case_destroy(c);
    ac_rca_table_fini(&t);
    return rc;
}

static int run_issues(struct scenario *s, const char *part, struct rca_bench *b, size_t *n,
                      struct ac_err *err)
{
    for (int k = 0; k < MAX_ISSUE; k++) {
        struct issue is = {0};
        ac_cleanup(ac_free_p) char *dir = ac_xasprintf("%s/%s/issue_%d", s->dir, part, k);
        if (!ac_path_exists(dir))
            return 0;
        int rc = read_issue(dir, &is, err);
        if (!rc && *n == 0)
            rc = normal_windows(s, is.target, b, err);
        if (!rc)
            rc = run_issue(s, dir, &is, b, err);
        issue_fini(&is);
        (*n)++;
        if (rc)
            return rc;
    }
    return 0;
}

static int run_scenario(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                        struct ac_err *err)
{
    struct scenario s = {.dir = dir, .options = o};
    size_t n = 0;
    ac_cleanup(ac_free_p) char *normal = ac_xasprintf("%s/noissue/metrics.csv", dir);
    int rc = ac_rca_table_load(normal, &s.normal, err);
    if (!rc && s.normal.nrows < 8 * WINDOW)
        rc = ac_err_set(err, AC_EINVAL, "%s: %zu rows are too few", normal, s.normal.nrows);
    if (!rc)
        rc = run_issues(&s, "train", b, &n, err);
    if (!rc)
        rc = run_issues(&s, "test", b, &n, err);
    ac_rca_table_fini(&s.normal);
    return rc;
}

int rca_bench_petshop(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                      struct ac_err *err)
{
    struct dirent **names;
    int rc = 0, n = scandir(dir, &names, NULL, alphasort);
    if (n < 0)
        return ac_err_set(err, AC_EINVAL, "%s: cannot read the directory: %m", dir);
    for (int i = 0; i < n; i++) {
        ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, names[i]->d_name);
        ac_cleanup(ac_free_p) char *graph = ac_xasprintf("%s/graph.csv", path);
        ac_cleanup(ac_free_p) char *normal = ac_xasprintf("%s/noissue/metrics.csv", path);
        if (!rc && names[i]->d_name[0] != '.' && ac_path_exists(graph)) {
            if (ac_path_exists(normal))
                rc = run_scenario(path, o, b, err);
            else
                cli_progress("%s: left out, it has no noissue/metrics.csv", path);
        }
        free(names[i]);
    }
    free(names);
    if (!rc && b->all.cases == 0)
        return ac_err_set(err, AC_EINVAL,
                          "%s: no case found (expected <scenario>/graph.csv, noissue/metrics.csv, "
                          "train and test)",
                          dir);
    return rc;
}

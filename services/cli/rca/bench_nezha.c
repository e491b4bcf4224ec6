/* Nezha: DIR/rca_data/<day>/{metric/, <day>-fault_list.json}. */
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
#include "rca/records.h"
#include "readers/rca_nezha.h"

#define W_NS      (240 * AC_NS_PER_S)
#define CLEAR_NS  (300 * AC_NS_PER_S) /* normal windows keep this distance from faults */
#define MAX_CASES 4096

struct faults {
    struct ac_rca_labelled *cases;
    int64_t *t_ns;
    size_t n;
};

static void faults_fini(struct faults *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->cases[i].name);
        free(f->cases[i].truth);
        free(f->cases[i].fault);
    }
    free(f->cases);
    free(f->t_ns);
}

static int add_fault(struct faults *f, const char *day, const json_t *j, struct ac_err *err)
{
    const char *time, *pod, *type;
    int rc = ac_json_need_str(j, "inject_time", &time, err);
    if (!rc)
        rc = ac_json_need_str(j, "inject_pod", &pod, err);
    if (!rc)
        rc = ac_json_need_str(j, "inject_type", &type, err);
    if (rc)
        return rc;
    if (f->n == MAX_CASES)
        return ac_err_set(err, AC_ERANGE, "more than %d faults", MAX_CASES);
    int64_t t;
    if (!ac_csv_time(time, &t) || t < 0 || t > AC_RCA_TIME_MAX_NS)
        return ac_err_set(err, AC_EINVAL, "inject_time %.40s is not a time", time);
    f->t_ns[f->n] = t;
    f->cases[f->n++] = (struct ac_rca_labelled){
        .name = ac_xasprintf("%s %s", day, time + (strlen(time) > 11 ? 11 : 0)),
        .truth = ac_rca_pod_service(pod),
        .fault = ac_xstrdup(type),
    };
    return 0;
}

static int read_faults(const char *path, const char *day, struct faults *f, struct ac_err *err)
{
    ac_cleanup_json j = NULL;
    const char *hour;
    json_t *list, *item;
    size_t i;
    int rc = ac_json_load_file(path, &j, err);
    if (rc)
        return rc;
    f->cases = ac_xcalloc(MAX_CASES, sizeof(f->cases[0]));
    f->t_ns = ac_xcalloc(MAX_CASES, sizeof(f->t_ns[0]));
    json_object_foreach(j, hour, list)
    {
        json_array_foreach(list, i, item)
        {
            rc = add_fault(f, day, item, err);
            if (rc)
                return ac_err_wrap(err, "%s: %s[%zu]", path, hour, i), rc;
        }
    }
    return 0;
}

static void extent(const struct ac_rca_case *c, int64_t *ret_first, int64_t *ret_last)
{
    *ret_first = INT64_MAX;
    *ret_last = 0;
    for (size_t i = 0; i < c->nmetrics; i++) {
        if (c->metrics[i].n == 0)
            continue;
        *ret_first = AC_MIN(*ret_first, c->metrics[i].t_ns[0]);
        *ret_last = AC_MAX(*ret_last, c->metrics[i].t_ns[c->metrics[i].n - 1]);
    }
}

/* Windows side by side that no fault touches. */
static double normal_windows(const struct ac_rca_case *c, const struct faults *f, uint32_t without,
                             struct rca_bench *b)
{
    int64_t first, last;
    extent(c, &first, &last);
    double *scores = ac_xcalloc((size_t)AC_MAX(0, (last - first) / W_NS) + 1, sizeof(*scores));
    size_t n = 0;
    for (int64_t t = first + W_NS; t + W_NS <= last; t += W_NS) {
        bool clear = true;
        for (size_t i = 0; i < f->n && clear; i++)
            clear = t + W_NS <= f->t_ns[i] || t >= f->t_ns[i] + W_NS + CLEAR_NS;
        struct ac_rca_params p = ac_rca_params_default(t, W_NS);
        p.without = without;
        if (clear)
            scores[n++] = ac_rca_window_score(c, &p);
    }
    double threshold = rca_bench_normal(b, scores, n);
    free(scores);
    return threshold;
}

static int run_day(const char *dir, const char *day, const struct rca_bench_options *o,
                   struct rca_bench *b, struct ac_err *err)
{
    struct faults f = {0};
    struct ac_rca_case *c = NULL;
    ac_cleanup(ac_free_p) char *metrics = ac_xasprintf("%s/rca_data/%s/metric", dir, day);
    ac_cleanup(ac_free_p) char *list =
        ac_xasprintf("%s/rca_data/%s/%s-fault_list.json", dir, day, day);
    int rc = read_faults(list, day, &f, err);
    if (!rc)
        rc = ac_rca_nezha_load(metrics,
                               &(struct ac_rca_nezha_options){.no_graph = o->no_graph || o->graph,
                                                              .no_gaps = o->no_gaps},
                               &c, err);
    if (!rc && o->graph)
        rc = rca_load_calls(o->graph, c, err);
    ac_cleanup(ac_free_p) char *records = ac_xasprintf("%s/rca_data/%s", dir, day);
    if (!rc && !o->no_records)
        rc = rca_records_load(records, c, err);
    double threshold = rc ? 0 : normal_windows(c, &f, o->without, b);
    for (size_t i = 0; !rc && i < f.n; i++) {
        struct ac_rca_params p =
            ac_rca_params_default(f.t_ns[i] + (int64_t)(o->late_s * 1e9), W_NS);
        p.threshold = threshold;
        p.alerted = true; /* each fault is one that somebody noticed: rank always */
        rc = rca_bench_case(b, c, &p, &f.cases[i], err);
    }
    ac_rca_case_destroy(c);
    faults_fini(&f);
    return rc;
}

int rca_bench_nezha(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                    struct ac_err *err)
{
    struct dirent **names;
    ac_cleanup(ac_free_p) char *days = ac_xasprintf("%s/rca_data", dir);
    int rc = 0, n = scandir(days, &names, NULL, alphasort);
    if (n < 0)
        return ac_err_set(err, AC_EINVAL, "%s: cannot read the directory: %m", days);
    for (int i = 0; i < n; i++) {
        if (!rc && names[i]->d_name[0] != '.')
            rc = run_day(dir, names[i]->d_name, o, b, err);
        free(names[i]);
    }
    free(names);
    if (!rc && b->all.cases == 0)
        return ac_err_set(err, AC_EINVAL, "%s: no fault found", days);
    return rc;
}

#include "rca/bench.h"

#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#include "rca/graph.h"
#include "rca/records.h"

static struct rca_tally *tally_of(struct rca_bench *b, const char *fault)
{
    for (size_t i = 0; i < b->ntallies; i++)
        if (strncmp(b->tallies[i].fault, fault, sizeof(b->tallies[i].fault) - 1) == 0)
            return &b->tallies[i];
    if (b->ntallies == AC_ARRAY_LEN(b->tallies))
        return &b->tallies[b->ntallies - 1];
    struct rca_tally *t = &b->tallies[b->ntallies++];
    ac_str_copy(t->fault, sizeof(t->fault), fault);
    return t;
}

/* Beside other work on the machine the wall clock says little. */
static double processor_s(void)
{
    return (double)ac_thread_cpu_ns() / AC_NS_PER_S;
}

int rca_bench_case(struct rca_bench *b, const struct ac_rca_case *c, const struct ac_rca_params *p,
                   const struct ac_rca_labelled *truth, struct ac_err *err)
{
    struct ac_rca_result r;
    struct ac_rca_params q = *p;
    const struct rca_bench_options *o = b->options;
    q.without = o->without;
    q.unexplained = o->unexplained;
    q.keep_time |= o->keep_time;
    double busy = processor_s();
    int64_t begin = ac_now_ns();
    struct ac_rca_scoring how = {.scorer = o->scorer, .graph = o->causes, .seed = 1};
    int rc = o->compare ? ac_rca_score(c, &q, &how, &r, err) : ac_rca_localise(c, &q, &r, err);
    b->seconds += (double)(ac_now_ns() - begin) / 1e9;
    b->processor_s += processor_s() - busy;
    if (rc)
        return rc;
    size_t rank = ac_rca_rank_of(c, &r, truth->truth);
    ac_rca_score_add(&b->always, rank);
    ac_rca_score_add(&b->all, r.abstained ? 0 : rank);
    ac_rca_score_add(&tally_of(b, truth->fault)->score, r.abstained ? 0 : rank);
    b->answered += !r.abstained;
    if (rank != 1 || r.abstained)
        cli_progress("%s (%s): %s is number %zu, first is %s with %.2f%s", truth->name,
                     truth->fault, truth->truth, rank, c->components[r.causes[0].component],
                     r.causes[0].score, r.abstained ? ", not answered" : "");
    ac_rca_result_fini(&r);
    return 0;
}

double rca_bench_normal(struct rca_bench *b, const double *scores, size_t n)
{
    double *half = ac_xcalloc(n + 1, sizeof(*half));
    for (size_t odd = 0; odd < 2; odd++) {
        size_t k = 0;
        for (size_t i = odd; i < n; i += 2)
            half[k++] = scores[i];
        double threshold = ac_rca_threshold(half, k);
        for (size_t i = 1 - odd; i < n; i += 2) {
            b->normal++;
            b->normal_empty += !(scores[i] > threshold);
        }
    }
    memcpy(half, scores, n * sizeof(*half));
    double threshold = ac_rca_threshold(half, n);
    free(half);
    return threshold;
}

static int run_folder(struct rca_bench *b, const struct ac_rca_labelled *one, struct ac_err *err)
{
    const struct rca_bench_options *o = b->options;
    struct ac_rca_case *c;
    int64_t t0;
    int rc = ac_rca_folder_load(one->path, &c, &t0, err);
    if (rc)
        return rc;
    if (o->graph)
        rc = rca_load_calls(o->graph, c, err);
    if (!rc && !o->no_records)
        rc = rca_records_load(one->path, c, err);
    if (!rc && t0 == INT64_MIN)
        rc = ac_err_set(err, AC_EINVAL, "%s: no inject_time.txt", one->path);
    if (!rc) {
        struct ac_rca_params p =
            ac_rca_params_default(t0 + (int64_t)(o->late_s * 1e9), 300 * AC_NS_PER_S);
        rc = rca_bench_case(b, c, &p, one, err);
    }
    ac_rca_case_destroy(c);
    return rc;
}

int rca_bench_rcaeval(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                      struct ac_err *err)
{
    struct ac_rca_dataset d = {0};
    int rc = ac_rca_rcaeval_list(dir, &d, err);
    (void)o; /* b knows it */
    for (size_t i = 0; !rc && i < d.n; i++)
        rc = run_folder(b, &d.cases[i], err);
    ac_rca_dataset_fini(&d);
    return rc;
}

int rca_bench_sockshop(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                       struct ac_err *err)
{
    struct ac_rca_dataset d = {0};
    int rc = ac_rca_sockshop_list(dir, &d, err);
    for (size_t i = 0; !rc && i < d.n; i++) {
        struct ac_rca_case *c;
        int64_t t0;
        rc = ac_rca_sockshop_load(d.cases[i].path, &c, &t0, err);
        if (!rc && o->graph)
            rc = rca_load_calls(o->graph, c, err);
        if (rc)
            break;
        struct ac_rca_params p =
            ac_rca_params_default(t0 + (int64_t)(o->late_s * 1e9), 300 * AC_NS_PER_S);
        rc = rca_bench_case(b, c, &p, &d.cases[i], err);
        ac_rca_case_destroy(c);
    }
    ac_rca_dataset_fini(&d);
    return rc;
}

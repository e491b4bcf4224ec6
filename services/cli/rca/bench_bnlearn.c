/* Networks with known graphs: samples of our own drawing, and how much of the graph is found. */
#include "rca/bench_bnlearn.h"

#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "discover/rca_class.h"
#include "discover/rca_discover.h"
#include "rca/networks.h"

#define SAMPLES 5000
#define SEED    1

struct found {
    size_t truth, found, right, distance;
};

static void score(const struct ac_rca_pdag *truth, const struct ac_rca_pdag *got, struct found *f)
{
    for (int i = 0; i < (int)truth->p; i++)
        for (int j = 0; j < i; j++) {
            f->truth += ac_rca_adjacent(truth, i, j);
            f->found += ac_rca_adjacent(got, i, j);
            f->right += ac_rca_adjacent(truth, i, j) && ac_rca_adjacent(got, i, j);
        }
    f->distance = ac_rca_pdag_distance(truth, got);
}

static int write_samples(const char *dir, const char *name, const struct ac_rca_matrix *m,
                         struct ac_err *err)
{
    struct ac_buf b;
    ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s.csv", dir, name);
    ac_buf_init(&b, (size_t)256 << 20);
    for (size_t j = 0; j < m->p; j++)
        ac_buf_printf(&b, "%s%s", j ? "," : "", m->names[j]);
    for (size_t i = 0; i < m->n; i++)
        for (size_t j = 0; j < m->p; j++)
            ac_buf_printf(&b, "%s%d", j ? "," : "\n", (int)m->x[j * m->n + i]);
    ac_buf_putc(&b, '\n');
    int rc = b.failed ? ac_err_set(err, AC_ERANGE, "%s: too large", path)
                      : ac_file_write_atomic(path, b.data, b.len, 0644, err);
    ac_buf_fini(&b);
    return rc;
}

struct run {
    const char *out;
    struct rca_bnlearn *l;
};

static int run_network(const char *name, const struct ac_rca_bif *b, void *arg, struct ac_err *err)
{
    const struct run *run = arg;
    struct rca_bnlearn *l = run->l;
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    struct ac_rng r;
    if (b->n > l->max_variables) { /* counting takes minutes */
        cli_progress("%s: left out, %zu variables", name, b->n);
        return 0;
    }
    ac_rng_seed(&r, SEED);
    int rc = ac_rca_bif_sample(b, SAMPLES, &r, &m, err);
    if (!rc) {
        struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_PC);
        struct ac_rca_pdag truth;
        struct found f = {0};
        p.test = AC_RCA_CHISQ;
        p.max_given = 3;
        ac_rca_pdag_init(&truth, b->n);
        ac_rca_bif_dag(b, &truth);
        AC_ASSERT(ac_rca_dag_to_cpdag(&truth)); /* a cycle the reader refuses */
        rc = run->out ? write_samples(run->out, name, &m, err) : 0;
        int64_t begin = ac_now_ns();
        if (!rc)
            rc = ac_rca_discover(&m, &p, &d, err);
        double seconds = (double)(ac_now_ns() - begin) / 1e9;
        if (!rc) {
            score(&truth, &d.g, &f);
            double f1 = 2.0 * (double)f.right / (double)AC_MAX(f.truth + f.found, 1);
            cli_progress("%-12s %3zu variables, %3zu edges: F1 %.3f, SHD %zu, %.2f s", name, b->n,
                         f.truth, f1, f.distance, seconds);
            l->cases++;
            l->f1 += f1;
            l->shd += (double)f.distance;
            l->seconds += seconds;
            ac_rca_discovery_fini(&d);
        }
        ac_rca_pdag_fini(&truth);
        ac_rca_matrix_fini(&m);
    }
    return rc;
}

int rca_bench_bnlearn(const char *dir, const char *out, struct rca_bnlearn *ret, struct ac_err *err)
{
    struct run run = {.out = out, .l = ret};
    int rc = rca_networks(dir, run_network, &run, err);
    if (!rc && ret->cases == 0)
        return ac_err_set(err, AC_EINVAL, "%s: no network of at most %zu variables", dir,
                          ret->max_variables);
    return rc;
}

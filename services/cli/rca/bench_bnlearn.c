/* Networks with known graphs: samples of our own drawing, and how much of the graph is found. */
#include "rca/bench_bnlearn.h"

#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include <dirent.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/series.h>
#include <aceso/str.h>

#include "discover/rca_class.h"
#include "discover/rca_discover.h"
#include "readers/rca_bif.h"

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

static int run_network(const char *path, const char *name, const char *out, struct rca_bnlearn *l,
                       struct ac_err *err)
{
    char *text;
    size_t len;
    struct ac_rca_bif b;
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    struct ac_rng r;
    int rc = ac_gz_read(path, (size_t)64 << 20, &text, &len, err);
    if (rc)
        return rc;
    rc = ac_rca_bif_parse(path, text, len, &b, err);
    free(text);
    if (rc)
        return rc;
    if (b.n > l->max_variables) { /* counting takes minutes */
        cli_progress("%s: left out, %zu variables", name, b.n);
        ac_rca_bif_fini(&b);
        return 0;
    }
    ac_rng_seed(&r, SEED);
    rc = ac_rca_bif_sample(&b, SAMPLES, &r, &m, err);
    if (!rc) {
        struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_PC);
        struct ac_rca_pdag truth;
        struct found f = {0};
        p.test = AC_RCA_CHISQ;
        p.max_given = 3;
        ac_rca_pdag_init(&truth, b.n);
        ac_rca_bif_dag(&b, &truth);
        AC_ASSERT(ac_rca_dag_to_cpdag(&truth)); /* a cycle the reader refuses */
        rc = out ? write_samples(out, name, &m, err) : 0;
        int64_t begin = ac_now_ns();
        if (!rc)
            rc = ac_rca_discover(&m, &p, &d, err);
        double seconds = (double)(ac_now_ns() - begin) / 1e9;
        if (!rc) {
            score(&truth, &d.g, &f);
            double f1 = 2.0 * (double)f.right / (double)AC_MAX(f.truth + f.found, 1);
            cli_progress("%-12s %3zu variables, %3zu edges: F1 %.3f, SHD %zu, %.2f s", name, b.n,
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
    ac_rca_bif_fini(&b);
    return rc;
}

/* Files may lie in the folder itself or some levels below. */
static int run_folder(const char *dir, int depth, const char *out, struct rca_bnlearn *l,
                      struct ac_err *err)
{
    struct dirent **names;
    int rc = 0, n = depth > 6 ? 0 : scandir(dir, &names, NULL, alphasort);
    if (n < 0)
        return depth > 0 ? 0 : ac_err_set(err, AC_EINVAL, "%s: cannot read the directory: %m", dir);
    for (int i = 0; i < n; i++) {
        ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, names[i]->d_name);
        const char *dot = strstr(names[i]->d_name, ".bif");
        if (!rc && dot && (ac_streq(dot, ".bif") || ac_streq(dot, ".bif.gz"))) {
            ac_cleanup(ac_free_p) char *name =
                ac_xstrndup(names[i]->d_name, (size_t)(dot - names[i]->d_name));
            rc = run_network(path, name, out, l, err);
        } else if (!rc && names[i]->d_name[0] != '.' && names[i]->d_type == DT_DIR) {
            rc = run_folder(path, depth + 1, out, l, err);
        }
        free(names[i]);
    }
    if (n > 0 || depth <= 6)
        free(names);
    return rc;
}

int rca_bench_bnlearn(const char *dir, const char *out, struct rca_bnlearn *ret, struct ac_err *err)
{
    int rc = run_folder(dir, 0, out, ret, err);
    if (!rc && ret->cases == 0)
        return ac_err_set(err, AC_EINVAL, "%s: no network found (*.bif, *.bif.gz)", dir);
    return rc;
}

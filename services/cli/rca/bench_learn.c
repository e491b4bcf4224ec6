/* Graphs against causal-learn's stored outputs: DIR/tests/{TestData, fci-test-data}. Each stored
 * output is a case; its name says what was run. */
#include "rca/bench_learn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <dirent.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "discover/rca_discover.h"
#include "rca/discover.h"
#include "readers/rca_tetrad.h"

struct run {
    const char *dir; /* of the test data */
    struct rca_learn *l;
};

static void tell(struct run *r, const char *name, bool equal, const char *why)
{
    r->l->cases++;
    r->l->equal += equal;
    if (equal)
        cli_progress("%s: equal", name);
    else
        cli_progress("%s: not equal%s%s", name, why ? ": " : "", why ? why : "");
}

/* The first directed edge of a cycle; false when there is none. */
static bool find_cycle(const struct ac_rca_pdag *g, int *ret_a, int *ret_b)
{
    for (int a = 0; a < (int)g->p; a++)
        for (int b = 0; b < (int)g->p; b++)
            if (a != b && ac_rca_directed(g, a, b) && ac_rca_ancestor(g, b, a)) {
                *ret_a = a;
                *ret_b = b;
                return true;
            }
    return false;
}

/* A stored graph that cannot be right: no DAG has a directed cycle. */
static void tell_cycle(const struct ac_rca_matrix *m, const struct ac_rca_pdag *g, char *why,
                       size_t size)
{
    struct ac_rca_pdag stored;
    int a, b, ours_a, ours_b;
    size_t len = strlen(why);
    ac_rca_pdag_init(&stored, g->p);
    for (size_t i = 0; i < g->p * g->p; i++)
        stored.m[i] = (int8_t)lround(m->x[i % g->p * m->n + i / g->p]);
    if (find_cycle(&stored, &a, &b))
        snprintf(why + len, size - len,
                 "; the stored graph has a directed cycle through %d -> %d%s", a + 1, b + 1,
                 find_cycle(g, &ours_a, &ours_b) ? ", ours has one too" : "");
    ac_rca_pdag_fini(&stored);
}

/* A stored matrix of marks against the graph that was found. */
static void compare(struct run *r, const char *stored, const char *name,
                    const struct ac_rca_pdag *g)
{
    struct ac_rca_matrix m;
    struct ac_err err = AC_ERR_INIT;
    if (rca_load_matrix(stored, &m, &err)) {
        tell(r, name, false, err.msg);
        return;
    }
    size_t differ = 0, a = 0, b = 0;
    char why[256];
    if (m.n != g->p || m.p != g->p) {
        tell(r, name, false, "of another size");
    } else {
        for (size_t i = 0; i < g->p; i++)
            for (size_t j = 0; j < g->p; j++)
                if ((int)lround(m.x[j * m.n + i]) != g->m[i * g->p + j] && differ++ == 0) {
                    a = i;
                    b = j;
                }
        snprintf(why, sizeof(why),
                 "%zu of %zu marks differ, the first at variable %zu of its edge with %zu: %d, not "
                 "%ld",
                 differ, g->p * g->p, a + 1, b + 1, g->m[a * g->p + b], lround(m.x[b * m.n + a]));
        if (differ > 0)
            tell_cycle(&m, g, why, sizeof(why));
        tell(r, name, differ == 0, why);
    }
    ac_rca_matrix_fini(&m);
}

static void run_stored(struct run *r, const char *stored, const char *data,
                       const struct ac_rca_discover_params *p)
{
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    struct ac_err err = AC_ERR_INIT;
    const char *name = strrchr(stored, '/') + 1;
    if (rca_load_matrix(data, &m, &err)) {
        cli_progress("%s: left out, its data is not here", name);
        r->l->without_data++;
        return;
    }
    int64_t begin = ac_now_ns();
    int rc = ac_rca_discover(&m, p, &d, &err);
    r->l->seconds += (double)(ac_now_ns() - begin) / 1e9;
    if (rc) {
        tell(r, name, false, err.msg);
    } else {
        compare(r, stored, name, &d.g);
        ac_rca_discovery_fini(&d);
    }
    ac_rca_matrix_fini(&m);
}

/* "..._pc_chisq_0.05_stable_0_-1.txt", "..._fci_fisherz_0.05.txt", "..._ges_local_score_BIC_...":
 * the data's name is what stands before. */
static bool read_name(const char *name, struct ac_rca_discover_params *p, char *data, size_t size)
{
    static const struct {
        const char *word;
        enum ac_rca_method method;
    } words[] = {{"_pc_", AC_RCA_PC}, {"_fci_", AC_RCA_FCI}, {"_ges_", AC_RCA_GES}};
    for (size_t i = 0; i < AC_ARRAY_LEN(words); i++) {
        const char *at = strstr(name, words[i].word);
        int rule, priority;
        if (!at || (size_t)(at - name) >= size)
            continue;
        memcpy(data, name, (size_t)(at - name));
        data[at - name] = '\0';
        *p = ac_rca_discover_default(words[i].method);
        p->alpha = 0.05;
        p->all_sets = true;
        p->wide_r9 = true; /* as the version that wrote these did */
        p->penalty = 1.0;  /* likewise */
        if (strstr(at, "chisq"))
            p->test = AC_RCA_CHISQ;
        if (strstr(at, "gsq"))
            p->test = AC_RCA_GSQ;
        if (strstr(at, "BDeu"))
            p->score = AC_RCA_BDEU;
        const char *stable = strstr(at, "_stable_");
        if (stable && sscanf(stable, "_stable_%d_%d.txt", &rule, &priority) == 2) {
            p->rule = (enum ac_rca_collider_rule)rule;
            p->priority = (enum ac_rca_priority)priority;
        }
        return true;
    }
    return false;
}

static char *data_path(const struct run *r, const char *name)
{
    if (ac_str_starts(name, "linear_") || ac_str_starts(name, "discrete_"))
        return ac_xasprintf("%s/TestData/data_%s.txt", r->dir, name);
    const char *bn = ac_str_starts(name, "bnlearn_discrete_10000_") ? name + 23 : name;
    return ac_xasprintf("%s/TestData/bnlearn_discrete_10000/data/%s.txt", r->dir, bn);
}

static int run_folder(struct run *r, const char *folder, struct ac_err *err)
{
    struct dirent **names;
    int n = scandir(folder, &names, NULL, alphasort);
    if (n < 0)
        return ac_err_set(err, AC_EINVAL, "%s: cannot read the directory: %m", folder);
    for (int i = 0; i < n; i++) {
        struct ac_rca_discover_params p;
        char data[256];
        if (read_name(names[i]->d_name, &p, data, sizeof(data))) {
            ac_cleanup(ac_free_p) char *stored = ac_xasprintf("%s/%s", folder, names[i]->d_name);
            ac_cleanup(ac_free_p) char *path = data_path(r, data);
            run_stored(r, stored, path, &p);
        } else if (names[i]->d_name[0] != '.') {
            cli_progress("%s: left out, a method that is not here", names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    return 0;
}

/* The simulated linear model whose class is stored (GES) and known (the same one for PC). */
static void run_simulated(struct run *r)
{
    static const enum ac_rca_method methods[] = {AC_RCA_GES, AC_RCA_PC};
    ac_cleanup(ac_free_p) char *stored =
        ac_xasprintf("%s/TestData/test_ges_simulated_linear_gaussian_CPDAG.txt", r->dir);
    for (size_t i = 0; i < AC_ARRAY_LEN(methods); i++) {
        struct ac_rca_discover_params p = ac_rca_discover_default(methods[i]);
        p.penalty = 1.0;
        ac_cleanup(ac_free_p) char *data =
            ac_xasprintf("%s/TestData/test_%s_simulated_linear_gaussian_data.txt", r->dir,
                         ac_rca_method_name(methods[i]));
        if (ac_path_exists(stored))
            run_stored(r, stored, data, &p);
    }
}

static int load_tetrad(const char *path, struct ac_rca_tetrad *ret, struct ac_err *err)
{
    char *text;
    size_t len;
    int rc = ac_file_read(path, (size_t)1 << 20, &text, &len, err);
    if (rc)
        return rc;
    rc = ac_rca_tetrad_parse(path, text, len, ret, err);
    free(text);
    return rc;
}

/* FCI with true answers to its tests, against the graph that theory gives. */
static void run_oracle(struct run *r, const struct ac_rca_tetrad *truth,
                       const struct ac_rca_tetrad *pag, const char *name)
{
    size_t q = truth->g.p, p = pag->g.p;
    bool *dag = ac_xcalloc(q * q + 1, sizeof(*dag));
    int *observed = ac_xcalloc(p + 1, sizeof(*observed));
    bool all = true;
    for (size_t i = 0; i < p; i++) {
        observed[i] = ac_rca_tetrad_find(truth, pag->names[i]);
        all &= observed[i] >= 0;
    }
    for (size_t i = 0; i < q; i++)
        for (size_t j = 0; j < q; j++)
            dag[i * q + j] = ac_rca_directed(&truth->g, (int)i, (int)j);
    if (!all) {
        tell(r, name, false, "a node of it is not in the true graph");
    } else {
        struct ac_rca_pdag g;
        char why[64];
        ac_rca_pdag_init(&g, p);
        struct ac_rca_ci *t = ac_rca_ci_oracle(dag, q, observed, p);
        /* These were written with the rules for arrowheads alone. */
        ac_rca_fci(
            t, &(struct ac_rca_fci_params){.skeleton = {.max_given = -1}, .arrows_only = true}, &g);
        size_t differ = ac_rca_pdag_distance(&g, &pag->g);
        snprintf(why, sizeof(why), "%zu edges differ", differ);
        tell(r, name, differ == 0, why);
        ac_rca_ci_destroy(t);
        ac_rca_pdag_fini(&g);
    }
    free(dag);
    free(observed);
}

static void run_oracles(struct run *r)
{
    for (int i = 1; i < 100; i++) {
        struct ac_rca_tetrad truth, pag;
        struct ac_err err = AC_ERR_INIT;
        char name[32];
        snprintf(name, sizeof(name), "PAG%d.txt", i);
        ac_cleanup(ac_free_p) char *a =
            ac_xasprintf("%s/fci-test-data/True-Graph%d.txt", r->dir, i);
        ac_cleanup(ac_free_p) char *b = ac_xasprintf("%s/fci-test-data/%s", r->dir, name);
        if (!ac_path_exists(a) || !ac_path_exists(b))
            return;
        if (load_tetrad(a, &truth, &err)) {
            tell(r, name, false, err.msg);
            continue;
        }
        if (load_tetrad(b, &pag, &err)) {
            tell(r, name, false, err.msg);
        } else {
            run_oracle(r, &truth, &pag, name);
            ac_rca_tetrad_fini(&pag);
        }
        ac_rca_tetrad_fini(&truth);
    }
}

int rca_bench_learn(const char *dir, struct rca_learn *ret, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *tests = ac_xasprintf("%s/tests", dir);
    struct run r = {.dir = tests, .l = ret};
    ac_cleanup(ac_free_p) char *a = ac_xasprintf("%s/TestData/benchmark_returned_results", tests);
    ac_cleanup(ac_free_p) char *b =
        ac_xasprintf("%s/TestData/bnlearn_discrete_10000/benchmark_returned_results", tests);
    int rc = run_folder(&r, a, err);
    if (!rc)
        rc = run_folder(&r, b, err);
    if (!rc) {
        run_simulated(&r);
        run_oracles(&r);
    }
    if (!rc && ret->cases == 0)
        return ac_err_set(err, AC_EINVAL, "%s: no stored output found", tests);
    return rc;
}

#include "discover/rca_discover.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static const struct {
    const char *name;
    double alpha;
    bool series; /* the rows are a series in time */
} methods[AC_RCA_NMETHODS] = {
    [AC_RCA_PC] = {"pc", 0.05, false},      [AC_RCA_FCI] = {"fci", 0.05, false},
    [AC_RCA_GES] = {"ges", 0.05, false},    [AC_RCA_LINGAM] = {"lingam", 0.05, false},
    [AC_RCA_PCMCI] = {"pcmci", 0.01, true}, [AC_RCA_GRANGER] = {"granger", 0.01, true},
};

const char *ac_rca_method_name(enum ac_rca_method m)
{
    return (unsigned)m < AC_RCA_NMETHODS ? methods[m].name : "?";
}

bool ac_rca_method_parse(const char *name, enum ac_rca_method *ret)
{
    for (int i = 0; i < AC_RCA_NMETHODS; i++)
        if (ac_streq(methods[i].name, name)) {
            *ret = (enum ac_rca_method)i;
            return true;
        }
    return false;
}

struct ac_rca_discover_params ac_rca_discover_default(enum ac_rca_method method)
{
    return (struct ac_rca_discover_params){
        .method = method,
        .alpha = methods[method].alpha,
        .max_given = -1,
        .test = AC_RCA_FISHERZ,
        .rule = AC_RCA_BY_SEPSET,
        .priority = AC_RCA_EXISTING,
        .max_lag = 3,
    };
}

const char *ac_rca_link_kind(const struct ac_rca_link *l)
{
    if (l->at_to == AC_RCA_ARROW)
        return l->at_from == AC_RCA_ARROW ? "<->" : l->at_from == AC_RCA_CIRCLE ? "o->" : "-->";
    if (l->at_to == AC_RCA_CIRCLE && l->at_from == AC_RCA_CIRCLE)
        return "o-o";
    return l->at_from == AC_RCA_CIRCLE || l->at_to == AC_RCA_CIRCLE ? "o--" : "---";
}

void ac_rca_link_add(struct ac_rca_discovery *d, const struct ac_rca_link *l)
{
    ac_grow(&d->links, &d->links_cap, d->nlinks + 1, sizeof(d->links[0]));
    d->links[d->nlinks++] = *l;
    /* The summary graph: both ways over different lags is marked at both ends. */
    if (l->at_to == AC_RCA_ARROW && l->at_from == AC_RCA_TAIL) {
        bool back = ac_rca_directed(&d->g, l->to, l->from);
        ac_rca_put(&d->g, l->from, l->to, back ? AC_RCA_ARROW : AC_RCA_TAIL, AC_RCA_ARROW);
    } else {
        ac_rca_put(&d->g, l->from, l->to, (enum ac_rca_mark)l->at_from, (enum ac_rca_mark)l->at_to);
    }
}

void ac_rca_found_add(struct ac_rca_found *f, const struct ac_rca_link *l)
{
    ac_grow(&f->links, &f->cap, f->n + 1, sizeof(f->links[0]));
    f->links[f->n++] = *l;
}

void ac_rca_found_take(struct ac_rca_found *f, size_t n, struct ac_rca_discovery *d)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < f[i].n; k++)
            ac_rca_link_add(d, &f[i].links[k]);
        d->tests += f[i].tests;
        free(f[i].links);
    }
    free(f);
}

/* Background knowledge for the columns that are left. */
static void map_knowledge(const struct ac_rca_knowledge *from, const struct ac_rca_clean *c,
                          struct ac_rca_knowledge *to)
{
    ac_rca_knowledge_init(to, c->m.p);
    for (size_t i = 0; i < c->m.p; i++)
        for (size_t j = 0; j < c->m.p; j++) {
            size_t at = (size_t)c->column[i] * from->p + (size_t)c->column[j];
            to->forbidden[i * c->m.p + j] = from->forbidden[at];
            to->required[i * c->m.p + j] = from->required[at];
        }
}

/* Edges of a graph over the used columns as links of the source's; causes first. */
static void add_graph(struct ac_rca_discovery *d, const struct ac_rca_clean *c,
                      const struct ac_rca_pdag *g)
{
    for (int i = 0; i < (int)g->p; i++)
        for (int j = i + 1; j < (int)g->p; j++) {
            if (!ac_rca_adjacent(g, i, j))
                continue;
            bool turned = ac_rca_at(g, j, i) == AC_RCA_ARROW && ac_rca_at(g, i, j) != AC_RCA_ARROW;
            int a = turned ? j : i, b = turned ? i : j;
            ac_rca_link_add(d, &(struct ac_rca_link){.from = c->column[a],
                                                     .to = c->column[b],
                                                     .at_from = ac_rca_at(g, b, a),
                                                     .at_to = ac_rca_at(g, a, b),
                                                     .p = NAN});
        }
}

static int make_test(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                     struct ac_rca_ci **ret, struct ac_err *err)
{
    if (params->test != AC_RCA_FISHERZ)
        return ac_rca_ci_chi2(&c->m, params->test == AC_RCA_GSQ, params->alpha, ret, err);
    *ret = ac_rca_ci_fisher(c->r, c->m.p, c->m.n, params->alpha);
    return 0;
}

static int by_tests(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                    const struct ac_rca_knowledge *know, struct ac_rca_discovery *d,
                    struct ac_err *err)
{
    struct ac_rca_ci *t = NULL;
    struct ac_rca_pdag g;
    int rc = make_test(c, params, &t, err);
    if (rc)
        return rc;
    const struct ac_rca_skeleton_params skeleton = {.max_given = params->max_given,
                                                    .all_sets = params->all_sets,
                                                    .know = know,
                                                    .team = params->team};
    ac_rca_pdag_init(&g, c->m.p);
    if (params->method == AC_RCA_PC)
        ac_rca_pc(t,
                  &(struct ac_rca_pc_params){
                      .skeleton = skeleton, .rule = params->rule, .priority = params->priority},
                  &g);
    else
        ac_rca_fci(t, &(struct ac_rca_fci_params){.skeleton = skeleton, .wide_r9 = params->wide_r9},
                   &g);
    add_graph(d, c, &g);
    d->tests = t->tests;
    ac_rca_pdag_fini(&g);
    ac_rca_ci_destroy(t);
    return 0;
}

static int by_score(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                    const struct ac_rca_knowledge *know, struct ac_rca_discovery *d,
                    struct ac_err *err)
{
    struct ac_rca_pdag g;
    ac_rca_pdag_init(&g, c->m.p);
    int rc = ac_rca_ges(&c->m,
                        &(struct ac_rca_ges_params){.score = params->score,
                                                    .penalty = params->penalty,
                                                    .max_parents = params->max_given,
                                                    .know = know,
                                                    .team = params->team},
                        &g, &d->tests, err);
    if (!rc)
        add_graph(d, c, &g);
    ac_rca_pdag_fini(&g);
    return rc;
}

int ac_rca_discover(const struct ac_rca_matrix *m, const struct ac_rca_discover_params *params,
                    struct ac_rca_discovery *ret, struct ac_err *err)
{
    struct ac_rca_clean c;
    struct ac_rca_discovery d = {.p = m->p};
    struct ac_rca_knowledge know = {0};
    if ((unsigned)params->method >= AC_RCA_NMETHODS || !(params->alpha > 0.0) ||
        !(params->alpha < 1.0))
        return ac_err_set(err, AC_EINVAL, "alpha must lie between 0 and 1");
    AC_ASSERT(!params->know || params->know->p == m->p);
    bool counts = params->method == AC_RCA_GES ? params->score == AC_RCA_BDEU
                                               : params->test != AC_RCA_FISHERZ;
    int rc = ac_rca_clean(
        m, (counts ? 0 : AC_RCA_DROP_COPIES) | (methods[params->method].series ? AC_RCA_SERIES : 0),
        &c, err);
    if (rc)
        return rc;
    ac_rca_pdag_init(&d.g, m->p);
    if (params->know)
        map_knowledge(params->know, &c, &know);
    const struct ac_rca_knowledge *w = params->know ? &know : NULL;
    if (c.m.p < 2)
        rc = ac_err_set(err, AC_EINVAL, "%zu of %zu variables vary: nothing to learn from", c.m.p,
                        m->p);
    else if (params->method == AC_RCA_GES)
        rc = by_score(&c, params, w, &d, err);
    else if (params->method == AC_RCA_LINGAM)
        rc = ac_rca_lingam(&c, params, &d, err);
    else if (params->method == AC_RCA_PCMCI)
        rc = ac_rca_pcmci(&c, params, &d, err);
    else if (params->method == AC_RCA_GRANGER)
        rc = ac_rca_granger(&c, params, &d, err);
    else
        rc = by_tests(&c, params, w, &d, err);
    d.fate = c.fate;
    d.copy_of = c.copy_of;
    d.rows = c.m.n;
    d.rows_dropped = c.rows_dropped;
    d.filled = c.filled;
    c.fate = NULL;
    c.copy_of = NULL;
    ac_rca_clean_fini(&c);
    ac_rca_knowledge_fini(&know);
    if (rc) {
        ac_rca_discovery_fini(&d);
        return rc;
    }
    *ret = d;
    return 0;
}

void ac_rca_discovery_fini(struct ac_rca_discovery *d)
{
    free(d->fate);
    free(d->copy_of);
    free(d->links);
    ac_rca_pdag_fini(&d->g);
    memset(d, 0, sizeof(*d));
}

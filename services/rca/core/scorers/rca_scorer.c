#include "scorers/rca_scorer.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#include "scorers/rca_scorers.h"

static const char *const names[AC_RCA_NSCORERS] = {
#define X(id, name) [AC_RCA_SCORER_##id] = (name),
    AC_RCA_SCORERS(X)
#undef X
};

_Static_assert((int)AC_RCA_SCORER_NSIGMA == (int)AC_RCA_NSIGMA &&
                   (int)AC_RCA_SCORER_BARO == (int)AC_RCA_BARO &&
                   (int)AC_RCA_SCORER_CORRELATION == (int)AC_RCA_CORRELATION,
               "the simple scorers come first, in their own order");

const char *ac_rca_scorer_name(enum ac_rca_scorer s)
{
    return (unsigned)s < AC_RCA_NSCORERS ? names[s] : "?";
}

bool ac_rca_scorer_parse(const char *name, enum ac_rca_scorer *ret)
{
    for (int i = 0; i < AC_RCA_NSCORERS; i++)
        if (ac_streq(names[i], name)) {
            *ret = (enum ac_rca_scorer)i;
            return true;
        }
    return false;
}

static int score_columns(const struct ac_rca_frame *f, const struct ac_rca_scoring *how,
                         double *score, struct ac_err *err)
{
    struct ac_rca_sem s;
    int rc = 0;
    switch (how->scorer) {
    case AC_RCA_SCORER_TRAVERSAL:
        ac_rca_score_traversal(f, score);
        return 0;
    case AC_RCA_SCORER_WALK:
        ac_rca_score_walk(f, score);
        return 0;
    case AC_RCA_SCORER_RCD:
        return ac_rca_score_rcd(f, how->seed, score, err);
    default:
        break;
    }
    rc = ac_rca_sem_fit(f, &s, err);
    if (rc)
        return rc;
    if (how->scorer == AC_RCA_SCORER_SHAPLEY)
        ac_rca_score_shapley(f, &s, how->seed, score);
    else if (how->scorer == AC_RCA_SCORER_FIX)
        ac_rca_score_fix(f, &s, how->seed, score);
    else
        ac_rca_score_circa(f, &s, score);
    ac_rca_sem_fini(&s);
    return 0;
}

static int by_score(const void *a, const void *b)
{
    const struct ac_rca_cause *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->component - y->component;
}

static void rank(const struct ac_rca_case *c, const struct ac_rca_params *p,
                 const struct ac_rca_frame *f, const double *score, struct ac_rca_result *r)
{
    *r = (struct ac_rca_result){
        .t0_ns = p->t0_ns, .end_ns = p->t0_ns + p->incident_ns, .first_failure = -1};
    r->ncauses = c->ncomponents;
    r->causes = ac_xcalloc(r->ncauses, sizeof(r->causes[0]));
    for (size_t i = 0; i < r->ncauses; i++)
        r->causes[i].component = (int)i;
    for (size_t j = 0; j < f->p; j++) {
        const struct ac_rca_metric *m = &c->metrics[f->metric[j]];
        struct ac_rca_cause *cause = &r->causes[m->component];
        if (!(score[j] > cause->score))
            continue;
        cause->score = score[j];
        cause->nparts = 1;
        cause->parts[0] = (struct ac_rca_part){.kind = m->kind,
                                               .metric = f->metric[j],
                                               .peer = m->peer,
                                               .z = ac_rca_frame_z(f, j),
                                               .onset_ns = p->t0_ns,
                                               .part = score[j]};
    }
    qsort(r->causes, r->ncauses, sizeof(r->causes[0]), by_score);
}

/* A frame without what drives what: for scorers that do not ask, for learning it is dear. */
static int bare_frame(const struct ac_rca_case *c, const struct ac_rca_params *p,
                      struct ac_rca_frame *ret, struct ac_err *err)
{
    struct ac_rca_graph *none = ac_rca_graph_create();
    int rc = ac_rca_frame_make(c, p, none, 0, ret, err);
    ac_rca_graph_destroy(none);
    return rc;
}

/* BARO whole: its detector says when, its scorer who. */
static int baro_change(const struct ac_rca_case *c, const struct ac_rca_params *p,
                       struct ac_rca_result *ret, struct ac_err *err)
{
    struct ac_rca_frame f;
    struct ac_rca_params q = *p;
    int rc = bare_frame(c, p, &f, err);
    if (rc)
        return rc;
    q.t0_ns = ac_rca_change_time(c, &f, p->t0_ns, f.faulty);
    q.incident_ns += p->t0_ns - q.t0_ns; /* its end stays */
    ac_rca_frame_fini(&f);
    return ac_rca_baseline_rank(c, &q, AC_RCA_BARO, ret, err);
}

int ac_rca_score(const struct ac_rca_case *c, const struct ac_rca_params *p,
                 const struct ac_rca_scoring *s, struct ac_rca_result *ret, struct ac_err *err)
{
    struct ac_rca_frame f;
    if ((unsigned)s->scorer <= AC_RCA_SCORER_CORRELATION)
        return ac_rca_baseline_rank(c, p, (enum ac_rca_baseline)s->scorer, ret, err);
    if (c->ncomponents == 0)
        return ac_err_set(err, AC_EINVAL, "no component to diagnose");
    if (s->scorer == AC_RCA_SCORER_BARO_CHANGE)
        return baro_change(c, p, ret, err);
    int given = s->max_given > 0 ? s->max_given : AC_RCA_PC_GIVEN;
    int rc = s->scorer == AC_RCA_SCORER_RCD ? bare_frame(c, p, &f, err)
                                            : ac_rca_frame_make(c, p, s->graph, given, &f, err);
    if (rc)
        return rc;
    double *score = ac_xcalloc(f.p + 1, sizeof(*score));
    rc = score_columns(&f, s, score, err);
    if (!rc)
        rank(c, p, &f, score, ret);
    free(score);
    ac_rca_frame_fini(&f);
    return rc;
}

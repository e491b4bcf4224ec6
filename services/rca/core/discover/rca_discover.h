/* Discovery of a causal graph from samples: one door to all methods. Pure and deterministic. */
#pragma once

#include <aceso/team.h>

#include "discover/rca_fci.h"
#include "discover/rca_ges.h"
#include "discover/rca_pc.h"

enum ac_rca_method {
    AC_RCA_PC,
    AC_RCA_FCI,
    AC_RCA_GES,
    AC_RCA_LINGAM,
    AC_RCA_PCMCI,
    AC_RCA_GRANGER,
    AC_RCA_NMETHODS
};

const char *ac_rca_method_name(enum ac_rca_method m);
bool ac_rca_method_parse(const char *name, enum ac_rca_method *ret);

enum ac_rca_test {
    AC_RCA_FISHERZ, /* linear, Gaussian */
    AC_RCA_CHISQ,   /* classes */
    AC_RCA_GSQ
};

struct ac_rca_discover_params {
    enum ac_rca_method method;
    double alpha;  /* 0: the method's default */
    int max_given; /* variables in a conditioning set; negative: no limit */
    enum ac_rca_test test;
    enum ac_rca_collider_rule rule;
    enum ac_rca_priority priority;
    enum ac_rca_score_kind score;
    double penalty;                      /* of BIC, times ln n a parameter; 0: 0.5 */
    int max_lag;                         /* PCMCI, Granger; 0: 3 */
    bool all_sets, wide_r9;              /* see rca_skeleton.h, rca_fci.h */
    const struct ac_rca_knowledge *know; /* over the source's columns; NULL: none */
    struct ac_team *team;                /* who shares the work; the result is the same; NULL */
};

struct ac_rca_discover_params ac_rca_discover_default(enum ac_rca_method method);

struct ac_rca_link {
    int from, to;       /* columns of the source */
    int at_from, at_to; /* enum ac_rca_mark */
    int lag;            /* samples; 0 where the method knows none */
    double strength;    /* coefficient or partial correlation; 0 where the method gives none */
    double p;           /* of the test of a lagged link, else NaN */
};

/** "-->", "o->", "<->", "---", "o-o", "o--". */
const char *ac_rca_link_kind(const struct ac_rca_link *l);

struct ac_rca_discovery {
    size_t p; /* columns of the source */
    enum ac_rca_fate *fate;
    int *copy_of;
    size_t rows, rows_dropped, filled;
    struct ac_rca_pdag g; /* over the source's columns; of lagged links: any lag */
    struct ac_rca_link *links;
    size_t nlinks, links_cap;
    uint64_t tests; /* made, or scores computed */
};

/** AC_EINVAL when nothing can be learnt, AC_ENOMEM. */
int ac_rca_discover(const struct ac_rca_matrix *m, const struct ac_rca_discover_params *params,
                    struct ac_rca_discovery *ret, struct ac_err *err) AC_MUST_USE;
void ac_rca_discovery_fini(struct ac_rca_discovery *d);

/* Inside: background knowledge of the used columns i and j; false without any. */
static inline bool ac_rca_forbidden(const struct ac_rca_discover_params *params,
                                    const struct ac_rca_clean *c, size_t i, size_t j)
{
    const struct ac_rca_knowledge *k = params->know;
    return k && k->forbidden[(size_t)c->column[i] * k->p + (size_t)c->column[j]];
}

static inline bool ac_rca_required(const struct ac_rca_discover_params *params,
                                   const struct ac_rca_clean *c, size_t i, size_t j)
{
    const struct ac_rca_knowledge *k = params->know;
    return k && k->required[(size_t)c->column[i] * k->p + (size_t)c->column[j]];
}

/* Inside: what the methods over time and of linear effects add their links with. */
void ac_rca_link_add(struct ac_rca_discovery *d, const struct ac_rca_link *l);
/* Links that one item of shared work found; zeroed is empty. */
struct ac_rca_found {
    struct ac_rca_link *links;
    size_t n, cap;
    uint64_t tests;
};
void ac_rca_found_add(struct ac_rca_found *f, const struct ac_rca_link *l);
/** Adds what n items found, in their order, to the discovery, and frees f. */
void ac_rca_found_take(struct ac_rca_found *f, size_t n, struct ac_rca_discovery *d);
int ac_rca_lingam(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                  struct ac_rca_discovery *d, struct ac_err *err) AC_MUST_USE;
int ac_rca_pcmci(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                 struct ac_rca_discovery *d, struct ac_err *err) AC_MUST_USE;
int ac_rca_granger(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                   struct ac_rca_discovery *d, struct ac_err *err) AC_MUST_USE;

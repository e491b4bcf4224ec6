/* Localisation: from a case and a stated time to a ranking of components with the parts of every
 * score. Pure and deterministic; a result holds no NaN. The recipe: onset, deviation, excess and
 * what of it the callees explain, parts by kind of measurement (docs/rca.md). */
#pragma once

#include "rca_deviate.h"

struct ac_team;

struct ac_rca_params {
    int64_t t0_ns, incident_ns;
    int64_t local_ns, margin_ns;  /* 0: 300 s, 120 s */
    bool keep_time;               /* take t0 as it is */
    int target;                   /* component whose symptom is to be explained; -1 none */
    enum ac_rca_kind target_kind; /* AC_RCA_LAT or AC_RCA_ERR, with a target */
    uint32_t without;             /* bit a kind: parts that count nothing; for comparison */
    bool unexplained;             /* nothing is explained by callees or load; for comparison */
    double threshold;             /* abstain when the best score is not above it; 0 never */
    bool ongoing;                 /* the window ends now, and the incident does not */
    bool alerted;                 /* an alert has fired: rank even below the threshold, marked */
    struct ac_team *team;         /* shares the work; the result is the same; NULL */
};

struct ac_rca_params ac_rca_params_default(int64_t t0_ns, int64_t incident_ns);

struct ac_rca_part {
    enum ac_rca_kind kind;
    int metric; /* index into the case's metrics, -1 when derived */
    int peer;   /* for parts that come from one edge */
    bool down;
    double z, explained, part;
    int64_t onset_ns;
};

#define AC_RCA_MAX_PARTS 16

struct ac_rca_cause {
    int component;
    double score;
    struct ac_rca_part parts[AC_RCA_MAX_PARTS]; /* largest first, only those > 0 */
    size_t nparts;
};

/* What one component shows, for path, impact and text. */
struct ac_rca_shown {
    double z;         /* largest deviation of any kind that scores */
    double z_symptom; /* of latency and errors, own or seen by callers */
    enum ac_rca_kind symptom;
    int64_t onset_ns, symptom_onset_ns;
    bool deviates, symptomatic;
};

struct ac_rca_step { /* the cause shows in the effect: effect calls cause */
    int cause, effect;
    bool topology, deviation, order;
    double z_cause, z_effect;
    int64_t onset_cause_ns, onset_effect_ns;
    const char *evidence; /* of the call; owned by the case */
};

/* A component that is a cause of its own, beside the others that are named. */
struct ac_rca_named {
    size_t cause; /* index into causes */
    double share; /* of what all named ones bring in, 0..1 */
};

#define AC_RCA_MAX_NAMED 4

struct ac_rca_result {
    int64_t t0_ns, end_ns, step_ns;
    struct ac_rca_window window; /* that the measurements were compared in */
    bool moved;                  /* t0 is not the stated one */
    bool abstained, low_confidence;
    double threshold;            /* what the best score had to pass; 0 none */
    struct ac_rca_cause *causes; /* best first; every component */
    size_t ncauses;
    struct ac_rca_named named[AC_RCA_MAX_NAMED]; /* the first cause and what it does not explain */
    size_t nnamed;
    enum ac_rca_kind shared_by; /* shares of seconds (AC_RCA_LAT), errors (AC_RCA_ERR) or scores */
    struct ac_rca_shown *shown; /* by component */
    int first_failure;          /* component, -1 none */
    int64_t first_failure_ns;
    int *impact; /* components with symptoms other than the cause, earliest first */
    size_t nimpact;
    struct ac_rca_step *path; /* from the root cause to the entry */
    size_t npath;
};

/** AC_EINVAL when the case has no component. Destroy the result also after an error-free empty one.
 */
int ac_rca_localise(const struct ac_rca_case *c, const struct ac_rca_params *p,
                    struct ac_rca_result *ret, struct ac_err *err) AC_MUST_USE;
void ac_rca_result_fini(struct ac_rca_result *r);

/** Score of a cause with one of its parts gone; nparts: none. A target's distance is left out. */
double ac_rca_score_without(const struct ac_rca_cause *cause, size_t part);

/** Best score of the window that p states (margin 0: none), its time taken as it is but where
 * samples are minutes apart (see ac_rca_onset). Of a window of normal time it says what passes for
 * normal. The case has a component. */
double ac_rca_window_score(const struct ac_rca_case *c, const struct ac_rca_params *p);
/** q75 + 3.5 (q75 - q50) of the best scores of n normal windows, which are sorted; only the middle
 * of them counts, so that up to a quarter may hold unknown incidents. 0 of fewer than 8. */
double ac_rca_threshold(double *scores, size_t n);
/** Threshold for abstention: the same computation on windows of the case's normal times, which are
 * all that lie before normal_end_ns. 0 when fewer than 8 windows fit. */
double ac_rca_calibrate(const struct ac_rca_case *c, const struct ac_rca_params *p,
                        int64_t normal_end_ns);

/* Anomaly rules: text -> rule set -> plan -> evaluation. Pure; nothing here reads a clock or a
 * file. A rule set and a plan never change after they were made and may be shared by threads; an
 * evaluation (struct ac_eval) belongs to one series and one thread at a time.
 * The language is described in docs/rules.md; feeding points one by one or in blocks of any size
 * gives bit-identical results. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>
#include <aceso/err.h>

#define AC_RULES_LANGUAGE   1
#define AC_RULES_TEXT_MAX   (4u << 20)  /* bytes of one rule text */
#define AC_RULES_WINDOW_MAX 1000000u    /* points that any operator may look back */
#define AC_RULES_STATE_MAX  (64u << 20) /* bytes of state that one rule may need on a series */
#define AC_RULES_DIAGS_MAX  20

/* ---- text ---- */

struct ac_diag {
    int line, column; /* from 1 */
    char message[192];
    char hint[96]; /* "" when there is none */
};

struct ac_diags {
    struct ac_diag v[AC_RULES_DIAGS_MAX];
    size_t n;
};

enum ac_severity {
    AC_SEVERITY_INFO,
    AC_SEVERITY_WARNING,
    AC_SEVERITY_CRITICAL
};
const char *ac_severity_name(enum ac_severity s);

struct ac_rule;    /* one checked rule; owned by its rule set */
struct ac_ruleset; /* rules of one text, in its order */

/** Parses and checks. On AC_EINVAL diags (may be NULL) has at least one entry. Caller destroys. */
int ac_ruleset_parse(const char *text, size_t len, struct ac_ruleset **ret_set,
                     struct ac_diags *diags) AC_MUST_USE;
void ac_ruleset_destroy(struct ac_ruleset *s); /* NULL is fine */
/** Whether each metric that the rules follow or read as an input matches one of those that there
 * are; those that do not are noted in diags, with what may have been meant. */
bool ac_ruleset_check_metrics(const struct ac_ruleset *s, const char *const *metrics, size_t n,
                              struct ac_diags *diags);
size_t ac_ruleset_len(const struct ac_ruleset *s);
const struct ac_rule *ac_ruleset_get(const struct ac_ruleset *s, size_t i);
/** Canonical text: parsing it gives an equal rule set, printing that gives the same text. */
bool ac_ruleset_print(const struct ac_ruleset *s, struct ac_buf *b);
bool ac_rule_print(const struct ac_rule *r, struct ac_buf *b);        /* with the language line */
bool ac_rule_equal(const struct ac_rule *a, const struct ac_rule *b); /* comments do not count */

struct ac_label {
    const char *key, *value;
};

/** The syntax tree as JSON (docs/rules.md, "As JSON"); ac_ruleset_from_json in rules_json.h reads
 * it. */
bool ac_ruleset_json(const struct ac_ruleset *s, struct ac_buf *b);
bool ac_rule_json(const struct ac_rule *r, struct ac_buf *b); /* one rule's object */

const char *ac_rule_name(const struct ac_rule *r);
const char *ac_rule_metric(const struct ac_rule *r); /* glob */
enum ac_severity ac_rule_severity(const struct ac_rule *r);
int64_t ac_rule_step_ns(const struct ac_rule *r); /* 0: none declared */
size_t ac_rule_n_labels(const struct ac_rule *r);
void ac_rule_label(const struct ac_rule *r, size_t i, const char **ret_key, const char **ret_glob);

/* What a rule reads at every point besides its own series. */
enum ac_input_kind {
    AC_INPUT_SERIES, /* input NAME = series("METRIC") {label = "PATTERN"}: the value at that time of
                        the series with that metric, the named labels and else the same labels */
    AC_INPUT_MODEL,  /* input NAME = model("NAME"): the score of a served model for this point */
    AC_INPUT_SHARE,  /* input NAME = share("RULE") {label = "PATTERN"}: of the series that RULE
                        follows and that match the labels the share, 0 to 1, that it flags */
    AC_INPUT_ZONE    /* a time zone that an operator names: its offset from UTC then, in seconds */
};
const char *ac_input_kind_name(enum ac_input_kind k); /* "series" ... */

struct ac_rule_input {
    const char *name; /* "" for a zone */
    enum ac_input_kind kind;
    const char *of; /* metric, model, rule, zone */
    const struct ac_label *labels;
    size_t n_labels;
    int line, column; /* of its name, or the zone, in the text */
};
size_t ac_rule_n_inputs(const struct ac_rule *r);
const struct ac_rule_input *ac_rule_input(const struct ac_rule *r, size_t i);

/** Metric and every label of the selector match (globs; an absent label is ""). */
bool ac_rule_matches(const struct ac_rule *r, const char *metric, const struct ac_label *labels,
                     size_t n_labels);

/* ---- the operators of the language, for manuals and tests ---- */

struct ac_rule_op_info {
    const char *name, *signature, *result, *group; /* signature and result: see ops.def */
    const char *formula, *warmup, *missing, *state, *cost, *example;
};
size_t ac_rule_ops(const struct ac_rule_op_info **ret_ops);
/** "mean(x, n)": a call with its parameters by name; what may be left out is in [ ]. */
bool ac_rule_op_usage(const struct ac_rule_op_info *op, struct ac_buf *b);
/** The reference manual, Markdown. */
bool ac_rule_manual(struct ac_buf *b);

/* ---- plans ---- */

struct ac_plan; /* operators of some rules on one series, equal subterms shared */

struct ac_cost {
    size_t state_bytes;   /* of one series, evaluated point by point */
    double ops_per_point; /* arithmetic steps, amortised */
    size_t lookback;      /* points of the past that a verdict can depend on by windows */
    size_t operators;     /* after sharing */
};

#define AC_PLAN_ALL_TERMS 1u /* keep every let, also those that nothing uses */

/** The rules must outlive the plan. AC_ERANGE when the state would pass the limit. */
int ac_plan_create(const struct ac_rule *const *rules, size_t n_rules, unsigned flags,
                   struct ac_plan **ret_plan, struct ac_err *err) AC_MUST_USE;
void ac_plan_destroy(struct ac_plan *p); /* NULL is fine */
struct ac_cost ac_plan_cost(const struct ac_plan *p);
size_t ac_plan_n_rules(const struct ac_plan *p);
const struct ac_rule *ac_plan_rule(const struct ac_plan *p, size_t i);
/** What evaluation must be given with each point, in this order; equal inputs of several rules are
 * one, under the first one's name. */
size_t ac_plan_n_inputs(const struct ac_plan *p);
const struct ac_rule_input *ac_plan_input(const struct ac_plan *p, size_t i);
/** Which of the plan's inputs is the same, whatever its name; SIZE_MAX: none. */
size_t ac_plan_find_input(const struct ac_plan *p, const struct ac_rule_input *in);

/* ---- evaluation of one series ---- */

struct ac_eval;

/** block: the most points worth taking at once (1 for streams, 512 for files). Caller destroys
 * before the plan. */
struct ac_eval *ac_eval_create(const struct ac_plan *p, size_t block);
void ac_eval_destroy(struct ac_eval *e); /* NULL is fine */
void ac_eval_reset(struct ac_eval *e);
uint64_t ac_eval_points(const struct ac_eval *e); /* taken so far */

/** One point; a missing one is NaN. time_ns: Unix time of the point, used by time operators only.
 * Returns a bit for each of the first 64 rules that flags it. */
uint64_t ac_eval_push(struct ac_eval *e, int64_t time_ns, double value);
/** The same with the plan's inputs at that time, NaN where one has no value; NULL: none has. */
uint64_t ac_eval_push_with(struct ac_eval *e, int64_t time_ns, double value, const double *inputs);
/** Verdict on the last point. */
bool ac_eval_flag(const struct ac_eval *e, size_t rule);

/* ---- evaluation of several series side by side ---- */

/** The same rules on as many series as there are lanes: vector instructions take several at a time,
 * and each gets the bits that it would get alone. Every push takes a point of every series; a
 * series that falls out of step is saved and goes on by itself or in a lane elsewhere. 64 lanes are
 * a good number; for more series make more of these. */
struct ac_eval *ac_eval_create_lanes(const struct ac_plan *p, size_t lanes);
size_t ac_eval_lanes(const struct ac_eval *e);
/** One point a lane; time_ns may be NULL for rules that no clock time enters into. inputs: a column
 * of one number a lane for each input of the plan; NULL: none has a value. ret_flags: for each lane
 * what ac_eval_push returns. */
void ac_eval_push_lanes(struct ac_eval *e, const int64_t *time_ns, const double *values,
                        const double *const *inputs, uint64_t *ret_flags);
/** The lane that flag, reason, term, points, reset, save and restore are about: 0 at first. */
void ac_eval_lane(struct ac_eval *e, size_t lane);

/* ---- files ---- */

/* Called for every flagged point, in order; ac_eval_reason and ac_eval_term speak of that point. */
typedef void ac_eval_flag_cb(struct ac_eval *e, size_t rule, size_t point, void *arg);

struct ac_eval_batch {
    const double *values;
    size_t n;
    int64_t t0_ns, step_ns;
    const double *const *inputs; /* a column of n for each input of the plan; NULL: all missing */
    uint8_t *flags;              /* n x rules, rule by rule; NULL: not wanted */
    ac_eval_flag_cb *on_flag;    /* may be NULL */
    void *arg;
    size_t n_terms;                /* columns wanted besides: lets of rule 0 ... */
    const char *const *term_names; /* ... by name (they must exist: AC_PLAN_ALL_TERMS) */
    double *const *terms;          /* each of n values */
};
void ac_eval_run(struct ac_eval *e, const struct ac_eval_batch *b);

/** Reason of a rule with its placeholders filled from the last (or called back) point. */
bool ac_eval_reason(const struct ac_eval *e, size_t rule, struct ac_buf *b);
/** Value of a let, an input or of "value" at that point; NaN also for an unknown or unused name. */
double ac_eval_term(const struct ac_eval *e, size_t rule, const char *name);
/** Whether the plan computes a term of that name for the rule. */
bool ac_eval_has_term(const struct ac_eval *e, size_t rule, const char *name);
/** Names that the reason of a rule shows, in order; returns their number. */
size_t ac_rule_reason_names(const struct ac_rule *r, const char **names, size_t max);

/* ---- state as bytes ---- */

/** Appends the state; false when the buffer's cap was passed. */
bool ac_eval_save(const struct ac_eval *e, struct ac_buf *b);
/** Takes over a state that the same plan, or one that shares subterms with it, has saved, in a lane
 * or alone. Subterms that differ in thresholds only take over each other's: what was judged so far
 * stays as it was judged. Others start cold, and ret_exact (may be NULL) is false then. AC_EINVAL
 * on bytes that are no state: e is reset. */
int ac_eval_restore(struct ac_eval *e, const void *bytes, size_t len, bool *ret_exact,
                    struct ac_err *err) AC_MUST_USE;

/* Rules over a series file, from its first point to its last: flags, alarms with their reasons, and
 * what the chart shows besides. */
#pragma once

#include "verbs.h"

#include <aceso/rules.h>

#include "rule/inputs.h"

struct replay_alarm { /* a run of rows that any rule flags */
    size_t from, to;  /* inclusive */
    size_t rule;      /* the first of the rules that began it */
    char *reason;
};

struct rule_replay {
    struct ac_ruleset *set;
    struct ac_plan *plan;
    struct series_file f;
    struct rule_inputs in;
    uint8_t *any; /* one a row */
    struct replay_alarm *alarms;
    size_t n_alarms;
    /* Lets of the first rule, by name; NULL where it has none: */
    double *score;    /* deviation, or score where there is none */
    double *expected; /* expected; or the reference that trained rules name ref<n> */
    double *low, *high;
};

/** 0, or the exit code of a verb that has told why. Caller calls fini after 0. */
int rule_replay(const char *verb, const char *rules, const char *series, struct rule_replay *ret);
void rule_replay_fini(struct rule_replay *r);

/** Runs b, and says of each of its rows whether any rule of e's plan p flags it; b's own flags are
 * not used. */
void rule_run_any(struct ac_eval *e, const struct ac_plan *p, const struct ac_eval_batch *b,
                  uint8_t *any);

/** The chart of r alone, or of r beside the rules that it is compared with (other may be NULL);
 * notes: alarms with a reason in order of rows. */
struct ac_chart_note;
int rule_chart_write(const char *path, const struct rule_replay *r, const struct rule_replay *other,
                     const struct ac_chart_note *notes, size_t n_notes,
                     struct ac_err *err) AC_MUST_USE;
/** The same with all alarms of r as notes. */
int rule_replay_chart(const char *path, const struct rule_replay *r,
                      struct ac_err *err) AC_MUST_USE;

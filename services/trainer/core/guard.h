/* What a rule must show before it is returned. The training part is cut into blocks; a rule is made
 * once a block without that block (its points are missing, its labels gone) and judged on it, and
 * once more from everything, which is the one that may be returned. A change is taken by all of
 * these or by none: when the rules that have it are better on the blocks that they were not made
 * from than those that do not. Pure; one thread a guard. */
#pragma once

#include "budget.h"
#include "defaults.h"
#include "score.h"
#include "train.h"

#include <stdbool.h>
#include <stddef.h>

#include <aceso/err.h>

#define GUARD_BLOCKS 3
/* A rule is bounded when a running system would take it. */
#define GUARD_OPS_MAX   50000.0
#define GUARD_STATE_MAX (8u << 20)

struct guard;

/** From a part that may be seen and the rule so far (NULL at first), the changed rule to *ret, or
 * NULL when nothing is to be changed. track: 0 to GUARD_BLOCKS, the last one sees everything. */
typedef int guard_change(const struct train_part *seen, const char *rule, size_t track, void *arg,
                         char **ret, struct ac_err *err);

struct guard *guard_create(const struct train_part *part, size_t delay);
void guard_destroy(struct guard *g); /* NULL is fine */
/** The first rules; nothing is compared. */
int guard_start(struct guard *g, guard_change *fn, void *arg, struct ac_err *err) AC_MUST_USE;
enum guard_need {
    GUARD_BETTER, /* the value grows */
    GUARD_HOLDS,  /* it does not fall: for what is known from blocks of other series to gain */
    GUARD_CLEARS  /* and no hit is lost over all blocks: for what is there against false alarms */
};
/** Tries a change. *ret_gain (may be NULL): of the value. *ret_kept: it is taken. On an error
 * nothing changes. */
int guard_try(struct guard *g, guard_change *fn, void *arg, enum guard_need need, bool *ret_kept,
              double *ret_gain, struct ac_err *err) AC_MUST_USE;
/** Mean over blocks of event F1 on the block that the rule was not made from; a block without
 * events counts 1 / (1 + false alarms). */
double guard_value(const struct guard *g);
/** Hits, false alarms and misses over all blocks. */
struct score_events guard_counts(const struct guard *g);
/** The rule that saw everything, still owned by g. */
const char *guard_rule(const struct guard *g);
/** It compiles and is bounded: AC_ERANGE with the figure that passes the limit. */
int guard_bounded(const char *rule, struct ac_err *err) AC_MUST_USE;

/* A part that joined, or was tried: its gain on blocks that it was not made from. */
struct guard_part {
    char name[16];
    bool kept;
    double gain;
};
#define GUARD_PARTS_MAX 8

struct evolve_options {
    uint64_t seed;
    size_t tries;             /* 0: none */
    bool (*go_on)(void *arg); /* may be NULL; false ends it */
    void *arg;
};
struct evolve_report {
    size_t tries, kept;
    double gain; /* of the value, over what was kept */
    bool cut;    /* go_on ended it: another run may give another rule */
};

struct guard_options {
    struct train_options train;
    double alarms_per_day; /* 0: no budget */
    struct evolve_options evolve;
};

struct guard_report {
    double base_value, value; /* guard_value of the base detector and of the rule returned */
    struct score_events base, rule;
    struct defaults_report defaults; /* of a part without labelled events; the rest speaks of */
    size_t injected; /* ... this many that were put in (practice.h), then and beside few labels */
    struct guard_part parts[GUARD_PARTS_MAX];
    size_t n_parts;
    struct budget_report budget; /* 0 without a budget */
    struct evolve_report evolve;
};
/** train_labelled with the guarantee: what joins the base detector (its second atom, and what
 * fuse.h has) or takes its place (a vote) is in the rule only when it proved itself. base_text of
 * the result is the one atom alone, in any case. */
int guard_train(const struct train_part *part, const struct guard_options *o,
                struct train_result *ret, struct guard_report *ret_report,
                struct ac_err *err) AC_MUST_USE;

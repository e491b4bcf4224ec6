/* Why a rule flags a point, and what changed between two editions of a rule. Pure; a proof belongs
 * to its creator and may be read by threads, as a plan may. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <aceso/rules.h>

/** The rule in plain words, some lines. */
bool ac_rule_explain(const struct ac_rule *r, struct ac_buf *b);

/* ---- the comparisons that made a verdict true ---- */

struct ac_proof;

/** The rule must outlive the proof. */
int ac_proof_create(const struct ac_rule *r, struct ac_proof **ret, struct ac_err *err) AC_MUST_USE;
void ac_proof_destroy(struct ac_proof *p); /* NULL is fine */
/** A plan of the rule alone, which keeps what proofs need: evaluate this one. */
const struct ac_plan *ac_proof_plan(const struct ac_proof *p);
/** On a flagged point (the last, or a called back one): one line a fact, "m > 3 * usual (12
 * > 6.3)": those parts of the condition that decided it. */
bool ac_proof_put(const struct ac_proof *p, const struct ac_eval *e, struct ac_buf *b);

/* ---- differences ---- */

struct ac_rule_change {
    const char *rule; /* the new name; of a removed one the old */
    const char *what; /* "added", "removed", "renamed", or a clause: "number", "let", "when" ... */
    const char *name; /* of a let or input; of a number the clause; else "" */
    const char *before, *after; /* "" where there was or is none */
};

struct ac_rule_state {
    const char *rule;
    size_t operators,
        kept;           /* of the new rule's operators with state: those that take theirs over */
    size_t cold_points; /* at most so many points until the others know all again */
};

struct ac_rule_diff_cb {
    void (*change)(const struct ac_rule_change *c, void *arg);
    void (*state)(const struct ac_rule_state *s,
                  void *arg); /* of each rule that was there before */
    void *arg;
};

/** Rules are matched by name, then by equality but for the name. Texts are valid during the calls
 * only. Returns the number of changes. */
size_t ac_ruleset_diff(const struct ac_ruleset *before, const struct ac_ruleset *after,
                       const struct ac_rule_diff_cb *cb);

/* The answer for people and programs: sentences and JSON made from the findings of a result, and
 * from nothing else. Pure. */
#pragma once

#include "rca_counter.h"

#include <aceso/buf.h>

/* What kind of fault the findings of the best cause point to; it decides which repairs are apt. */
enum ac_rca_fault {
    AC_RCA_FAULT_UNKNOWN,
    AC_RCA_FAULT_POD,        /* not ready, gone or restarting */
    AC_RCA_FAULT_NETWORK,    /* time or calls lost between callers and a callee that is fine */
    AC_RCA_FAULT_STORE_AUTH, /* refused by a store or service for lack of a right */
    AC_RCA_FAULT_LATENCY,
    AC_RCA_FAULT_ERRORS,
    AC_RCA_FAULT_RESOURCE,
    AC_RCA_FAULT_CHANGE,
};

const char *ac_rca_fault_name(enum ac_rca_fault f); /* "pod", "network", "store_auth", ... */
enum ac_rca_fault ac_rca_fault_of(const struct ac_rca_case *c, const struct ac_rca_result *r,
                                  const struct ac_rca_cause *cause);

/** How likely the cause is the right one given that one of them is, 0..1, from how far its score
 * stands out. */
double ac_rca_confidence(const struct ac_rca_result *r, size_t cause);

/** The share of a cause that is at fault; NULL: it was only weighed. */
const struct ac_rca_named *ac_rca_named_of(const struct ac_rca_result *r, size_t cause);
const char *ac_rca_shared_name(const struct ac_rca_result *r); /* "seconds", "errors", "score" */

/** What is said most about a component in the incident and names a state of it: a refusal, a pod
 * that is not ready, a change; and how often. NULL: nothing. */
const struct ac_rca_event *ac_rca_words(const struct ac_rca_case *c, const struct ac_rca_result *r,
                                        int component, uint64_t *ret_times);
void ac_rca_words_text(const struct ac_rca_case *c, const struct ac_rca_event *e, uint64_t times,
                       struct ac_buf *out);

/** One sentence for a part of a cause, e.g. "processor use of carts rose from 0.76 to 99.9". */
void ac_rca_part_text(const struct ac_rca_case *c, const struct ac_rca_result *r,
                      const struct ac_rca_cause *cause, const struct ac_rca_part *part,
                      struct ac_buf *out);
void ac_rca_step_texts(const struct ac_rca_case *c, const struct ac_rca_result *r,
                       const struct ac_rca_step *s, struct ac_buf *topology,
                       struct ac_buf *deviation, struct ac_buf *order);
/** "Had X stayed normal, ..."; false, and nothing written, when it is not known. */
bool ac_rca_counter_text(const struct ac_rca_case *c, const struct ac_rca_result *r,
                         const struct ac_rca_counter *k, struct ac_buf *out);
/** What would change the answer, a sentence a line: the finding that decides, steps that are not
 * proven, inputs that are not there. */
void ac_rca_change_texts(const struct ac_rca_case *c, const struct ac_rca_result *r,
                         struct ac_buf *out);
/** The whole answer in a few sentences. */
void ac_rca_text(const struct ac_rca_case *c, const struct ac_rca_result *r, struct ac_buf *out);
/** Keys of the command line's contract; max_causes of the ranking. */
void ac_rca_json(const struct ac_rca_case *c, const struct ac_rca_result *r, size_t max_causes,
                 double seconds, struct ac_buf *out);

/** Level before and mean during the incident of a measurement, as it was measured. */
void ac_rca_before_after(const struct ac_rca_metric *m, const struct ac_rca_result *r,
                         double *ret_before, double *ret_after);
/** Name of the strongest signal: the measurement's, or the kind's when derived. */
const char *ac_rca_cause_metric(const struct ac_rca_case *c, const struct ac_rca_cause *cause);

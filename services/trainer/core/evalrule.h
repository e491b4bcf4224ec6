/* Runs lets of the rule language over a series: training sees exactly what will run later. */
#pragma once

#include "bank.h"

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>
#include <aceso/rules.h>

/** Columns of the named lets over v. AC_EINTERNAL when the text does not compile (a bug). */
int evalrule_columns(const struct bank_lets *l, int64_t step_ns, const double *v, size_t n,
                     const char *const *names, size_t n_names, double *const *ret_cols,
                     struct ac_err *err) AC_MUST_USE;
/** Flags of the first rule of a text; score (may be NULL) gets its let "score", else the value. */
int evalrule_flags(const char *text, const double *v, size_t n, uint8_t *ret_flags,
                   double *ret_score, struct ac_err *err) AC_MUST_USE;
/** A let of the first rule by name over v. AC_ENOTFOUND: it has none of that name. */
int evalrule_term(const char *text, const char *name, const double *v, size_t n, double *ret,
                  struct ac_err *err) AC_MUST_USE;
/** The canonical form of a rule text; takes and gives a text that the caller frees. */
int evalrule_canonical(char **text, struct ac_err *err) AC_MUST_USE;
/** What the first rule of a text costs. */
int evalrule_cost(const char *text, struct ac_cost *ret, struct ac_err *err) AC_MUST_USE;

/* Problem files. */
#pragma once

#include "problem.h"

#include <aceso/err.h>

/** Reads every *.yaml of a directory (sorted by name): one lab_problem a variant. Errors name file,
 * line and column. Free with lab_problems_free. */
int lab_problems_load(const char *dir, struct lab_problem **ret, size_t *ret_n,
                      struct ac_err *err) AC_MUST_USE;
/** One file's text, appended to *list. */
int lab_problems_parse(const char *name, const char *text, size_t len, struct lab_problem **list,
                       size_t *n, struct ac_err *err) AC_MUST_USE;
void lab_problems_free(struct lab_problem *list, size_t n);

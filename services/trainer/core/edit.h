/* Changes of a rule's text, in its canonical form: what fusion, alarm budgets and evolution are
 * made of. Each gives a new canonical text that the caller frees, or NULL where the rule has
 * nothing to change in that way (or the change does not compile). Pure. */
#pragma once

#include <stddef.h>

/** The verdict becomes before + the present one + after. lets: lines put ahead of it, may be "";
 * names that the rule has already make it an impossible change. */
char *edit_when(const char *rule, const char *lets, const char *before, const char *after);
/** The present verdict becomes the let name; lets: lines behind it; when: the new verdict. */
char *edit_named(const char *rule, const char *name, const char *lets, const char *when);
/** Every limit (lets named limit or *_limit that are numbers) times factor; a range [low, high]
 * grows by the same share. */
char *edit_limits(const char *rule, double factor);
/** The same for the i-th of them alone. */
char *edit_limit(const char *rule, size_t i, double factor);
/** Without the i-th operand of the outermost or / and. */
char *edit_without(const char *rule, size_t i);
/** With the i-th operand of the outermost or / and alone. */
char *edit_only(const char *rule, size_t i);
/** Operands of the outermost or / and; 1: a single one. */
size_t edit_operands(const char *rule);

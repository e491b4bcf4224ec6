/* Rules from JSON: the other way of ac_ruleset_json. Pure; any thread. */
#pragma once

#include <stddef.h>

#include <aceso/err.h>
#include <aceso/rules.h>

/** Reads what ac_ruleset_json writes, checked as a text is; an object of one rule without
 * "language" is taken, too. name is for messages: "name: rules[0].when.args[1]: text (hint)".
 * AC_EINVAL. Caller destroys. */
int ac_ruleset_from_json(const char *name, const char *text, size_t len, struct ac_ruleset **ret,
                         struct ac_err *err) AC_MUST_USE;

/* Servers that are not ours (ACESO_PG_URL, ACESO_NATS_URL). */
#pragma once

#include <aceso/err.h>

/** Connects to each that is given (NULL = none) and leaves again, so that a wrong address or
 * password is told before anything is started. Blocks for at most 5 s each. */
int cli_outside_check(const char *pg_url, const char *nats_url, struct ac_err *err) AC_MUST_USE;

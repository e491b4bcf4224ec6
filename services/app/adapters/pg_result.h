/* A query's result as a value. */
#pragma once

#include "value.h"

#include <libpq-fe.h>

/** List of rows as maps; one: the first row or null. On failure the code that fits the SQLSTATE,
 * and the server's own words. */
int app_pg_result(struct ac_arena *a, const PGresult *res, bool one, const struct app_value **ret,
                  struct ac_err *err) AC_MUST_USE;

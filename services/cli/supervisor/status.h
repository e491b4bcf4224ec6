/* The supervisor's word on its services: status.json in the state directory, written at each change
 * and read by `aceso status`, `up` and `down`. */
#pragma once

#include "layout.h"

#include <jansson.h>

/** New reference: {"supervisor": pid, "error": text or absent, "services": [{name, state, pid,
 * start, address, restarts}]}. AC_ENOTFOUND when nothing ran here yet. States are "stopped" when
 * the supervisor that wrote it holds the lock no more, "failed" where the process has gone since.
 */
int cli_status_read(const struct cli_layout *l, json_t **ret, struct ac_err *err) AC_MUST_USE;
int cli_status_write(const struct cli_layout *l, const json_t *status,
                     struct ac_err *err) AC_MUST_USE;
/** Services that are healthy, and how many there are. */
void cli_status_count(const json_t *status, int *ret_healthy, int *ret_total);
void cli_status_print(const json_t *status);
/** SIGKILLs every process that the last status names and that still runs (a killed supervisor's
 * children); returns how many. */
int cli_status_kill_leftovers(const struct cli_layout *l);

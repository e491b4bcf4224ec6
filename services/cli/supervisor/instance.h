/* Starting, finding and stopping an instance from the command line. */
#pragma once

#include "layout.h"

#include <jansson.h>

/** Starts the supervisor unless one runs, and waits until all services are healthy, with progress
 * on stderr. On failure or SIGINT whatever this call started is stopped again. *ret_status is the
 * last status (new reference). *ret_started: this call started it. */
int cli_instance_up(struct cli_layout *l, int64_t timeout_ns, bool *ret_started,
                    json_t **ret_status, struct ac_err *err) AC_MUST_USE;
/** Stops the supervisor and all it runs; also the leftovers of a killed one. Fine when nothing
 * runs. */
int cli_instance_down(struct cli_layout *l, struct ac_err *err) AC_MUST_USE;
/** Address of a service of a running instance ("127.0.0.1:1234"); AC_ESTATE when it is not up. */
int cli_instance_address(const struct cli_layout *l, const char *service, char *ret, size_t size,
                         struct ac_err *err) AC_MUST_USE;
/** SIGINT or SIGTERM came since cli_instance_catch_signals. */
bool cli_instance_interrupted(void);
void cli_instance_catch_signals(void);

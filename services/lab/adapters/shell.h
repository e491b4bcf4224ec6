/* Runs a command that the guard has let through. */
#pragma once

#include "guard.h"

#include <aceso/buf.h>

/** kubeconfig NULL or "" = the service account of our pod. Blocks (30 s at most). stdout and stderr
 * together, cut at the buffer's limit; a last line tells an exit code other than 0. */
int lab_shell_run(const struct lab_command *c, const char *kubeconfig, const char *ns,
                  struct ac_buf *out, struct ac_err *err) AC_MUST_USE;

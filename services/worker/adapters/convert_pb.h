/* The controller's actions into jobs: every count and size is checked against the model. */
#pragma once

#include "worker_service.h"

/** A job with the action's inputs copied and room for the outputs; its slot, stream and done are
 * the caller's. NULL with the status (INVALID, BAD_INPUT) and a text when the action does not fit
 * the model. */
struct wk_job *wk_job_from_pb(const Aceso__V1__Action *a, const struct wk_model_info *info,
                              int *ret_status, struct ac_err *err);

/* oneDNN as the kernels of the cpu executor, on one thread. */
#pragma once

#include "kernels.h"

/** AC_ENOTSUP when the library would use threads that cannot be limited. Free with
 * wk_onednn_destroy, after the executor. */
int wk_onednn_create(struct wk_kernels **ret_k, struct ac_err *err) AC_MUST_USE;
void wk_onednn_destroy(struct wk_kernels *k);

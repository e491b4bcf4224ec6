/* Device memory of the cpu executor: pages of the operating system, touched and locked before they
 * are used. */
#pragma once

#include "executor.h"

/** Memory for weights of up to `bytes`, in pages of at least page_bytes. Pages that are released
 * stay in stock for what is committed next, so that a load waits for none; all: they are taken from
 * the system now, not when first needed. Where they cannot be locked a warning is logged, once.
 * Any thread. Free with wk_memory_map_destroy, when every range is dropped. */
int wk_memory_map_create(uint64_t bytes, uint64_t page_bytes, bool all, struct wk_memory **ret_m,
                         struct ac_err *err) AC_MUST_USE;
void wk_memory_map_destroy(struct wk_memory *m);

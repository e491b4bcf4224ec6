/* The store on disk: a snapshot, and a journal of changes since. A change is in the kernel before
 * the next request is answered, so a kill -9 of the process loses nothing. Loop thread. */
#pragma once

#include "core/store.h"

struct persist;

/** Loads what is in dir into the store (no events), writes a fresh snapshot, and follows the store
 * from then on. */
int persist_open(struct cl_store *s, const char *dir, struct persist **ret,
                 struct ac_err *err) AC_MUST_USE;
void persist_close(struct persist *p); /* NULL is fine */

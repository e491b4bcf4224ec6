/* The image table: built-in rows and the user's file; and the scripts that they name. */
#pragma once

#include <jansson.h>

#include <aceso/err.h>

/** file may be NULL or "": its rows come first. Writes the scripts below state_dir/lib. */
int images_load(const char *state_dir, const char *file, json_t **ret,
                struct ac_err *err) AC_MUST_USE;

/* A spec from a YAML file. */
#pragma once

#include "spec.h"

/** AC_EINVAL "file:line:column: text"; AC_ENOTFOUND and the like when the file cannot be read. */
int app_spec_load_file(struct ac_arena *a, const char *path, const struct app_spec **ret,
                       struct ac_err *err) AC_MUST_USE;
/** name stands for the file in messages. */
int app_spec_parse(struct ac_arena *a, const char *name, const char *text, size_t len,
                   const struct app_spec **ret, struct ac_err *err) AC_MUST_USE;

/* Pictures of simulated runs as files. */
#pragma once

#include <stdbool.h>

#include <aceso/buf.h>
#include <aceso/err.h>

#define CLI_PICTURE_BYTES (1u << 20)

/** Writes what was drawn, unless it found no room (whole is false), and frees the buffer. */
int cli_picture_write(struct ac_buf *b, bool whole, const char *path,
                      struct ac_err *err) AC_MUST_USE;

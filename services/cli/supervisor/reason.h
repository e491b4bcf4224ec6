/* Why a child ended, in its own words. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** The last line of a log, from byte `from` on, that is for people (the JSON lines are not), or "".
 * With a disk that has no room left at log_path that is said first. At most size bytes. */
void cli_reason(const char *log_path, off_t from, char *dst, size_t size);
/** Nothing of use can be written beside path. */
bool cli_disk_full(const char *path);
/** How long it is now: where the words of the next child begin. */
off_t cli_log_end(const char *log_path);

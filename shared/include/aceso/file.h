/* Files and directories, with limits and errors that name the path. Blocking: not on a loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <aceso/err.h>

/** Whole file, NUL-terminated (the NUL not counted); AC_ERANGE above max_bytes. Caller frees. */
int ac_file_read(const char *path, size_t max_bytes, char **ret_data, size_t *ret_len,
                 struct ac_err *err) AC_MUST_USE;
/** Writes to a temporary file beside it, fsyncs, renames: readers see old or new, never half. What
 * is there and no file (/dev/stdout, a pipe) is written to. */
int ac_file_write_atomic(const char *path, const void *data, size_t len, mode_t mode,
                         struct ac_err *err) AC_MUST_USE;
/** mkdir -p. */
int ac_dir_create(const char *path, mode_t mode, struct ac_err *err) AC_MUST_USE;
/** rm -r of a directory of ours; symlinks are removed, not followed. Missing is fine. */
int ac_dir_remove(const char *path, struct ac_err *err) AC_MUST_USE;
bool ac_path_exists(const char *path);
/** Directory of the running executable (no trailing slash); "" if unknown. */
const char *ac_exe_dir(void);
/** Finds an executable: absolute path, $PATH, then the extra directories (NULL-ended). Caller
 * frees. */
char *ac_find_program(const char *name, const char *const *extra_dirs);

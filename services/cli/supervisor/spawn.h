/* Starting a child process: own process group, log file, environment, user, death with the parent.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <aceso/err.h>

struct cli_spawn {
    const char *const *argv; /* argv[0] is a path; NULL-ended */
    const char *const *env;  /* "K=V", NULL-ended: added to ours */
    const char *log_path;    /* stdout and stderr, appended; NULL: our stderr */
    uid_t uid;
    gid_t gid;
    const char *cwd;
    int death_signal; /* sent to the child when the supervisor dies */
};

/** AC_ENOTFOUND / AC_EPERM with the program's name when exec fails (reported by the child). */
int cli_spawn(const struct cli_spawn *s, pid_t *ret_pid, struct ac_err *err) AC_MUST_USE;
/** Runs to its end (initdb). AC_EIO with the exit code and the log's path when it fails; on SIGTERM
 * or SIGINT it is ended with all that it began: AC_ECANCELED. Not beside other threads. */
int cli_spawn_wait(const struct cli_spawn *s, struct ac_err *err) AC_MUST_USE;
/** Start time of a process in clock ticks since boot, from /proc; 0 when there is none. With the
 * pid it names a process for good. */
uint64_t cli_proc_start(pid_t pid);
/** SIGKILLs the process group if pid still is the process that started at start. True when it was.
 */
bool cli_proc_kill_leftover(pid_t pid, uint64_t start);

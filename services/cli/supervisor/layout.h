/* Where an instance keeps its things: one state directory, one lock, ports that stay. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <aceso/err.h>

struct cli_layout {
    char dir[1024];       /* the state directory, absolute */
    char socket_dir[256]; /* PostgreSQL's Unix socket: short enough for sun_path */
    uid_t pg_uid;         /* who runs PostgreSQL (root may not) */
    gid_t pg_gid;
};

/** Fills l from --state, $ACESO_STATE or the default (/var/lib/aceso for root, else
 * $XDG_STATE_HOME/aceso or ~/.local/state/aceso). Creates nothing. */
int cli_layout_find(const char *state_option, struct cli_layout *l, struct ac_err *err) AC_MUST_USE;
/** Creates the directories and checks that PostgreSQL's user can reach its own. */
int cli_layout_create(struct cli_layout *l, struct ac_err *err) AC_MUST_USE;
/** AC_EIO when its disk has no room for what a start writes. */
int cli_layout_check_room(const struct cli_layout *l, struct ac_err *err) AC_MUST_USE;

/** "<dir>/<rest>" into a static ring of buffers (8 live at a time). Main thread. */
const char *cli_layout_path(const struct cli_layout *l, const char *fmt, ...) AC_PRINTF(2, 3);

/** Takes the instance's lock. AC_EEXISTS when a supervisor holds it: then *ret_pid is its pid. The
 * descriptor is close-on-exec and stays open for the life of the supervisor. */
int cli_layout_lock(const struct cli_layout *l, int *ret_fd, pid_t *ret_pid,
                    struct ac_err *err) AC_MUST_USE;
/** The supervisor's pid, or 0 when none holds the lock. */
pid_t cli_layout_supervisor(const struct cli_layout *l);

/** The port kept under this name in ports.json, or a free one that is kept from now on. A kept port
 * that somebody else has taken is replaced. */
int cli_layout_port(const struct cli_layout *l, const char *name, int *ret_port,
                    struct ac_err *err) AC_MUST_USE;
/** A secret kept in a file of the state directory (mode 0600), made at first use: 32 hex digits. */
int cli_layout_secret(const struct cli_layout *l, const char *name, char ret[33],
                      struct ac_err *err) AC_MUST_USE;

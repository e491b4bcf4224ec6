/* The life of one supervised process as a state machine: start, health, restart with back-off,
 * stop. Pure: the supervisor tells it what happened and when, it says what to do. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum cli_unit_state {
    CLI_UNIT_STOPPED,
    CLI_UNIT_STARTING,
    CLI_UNIT_HEALTHY,
    CLI_UNIT_FAILED
};

enum cli_unit_action {
    CLI_UNIT_NONE,
    CLI_UNIT_START, /* start the process and report cli_unit_started */
    CLI_UNIT_TERM,  /* send SIGTERM */
    CLI_UNIT_KILL   /* send SIGKILL */
};

#define CLI_UNIT_BACKOFF_MIN_NS 200000000LL
#define CLI_UNIT_BACKOFF_MAX_NS 10000000000LL
#define CLI_UNIT_SETTLED_NS     30000000000LL /* healthy this long: the back-off starts anew */
#define CLI_UNIT_START_LIMIT_NS                                                                    \
    60000000000LL                            /* not healthy within this: killed and tried again    \
                                              */
#define CLI_UNIT_SICK_LIMIT_NS 15000000000LL /* healthy once, then silent this long: killed */
#define CLI_UNIT_STOP_GRACE_NS 8000000000LL  /* SIGTERM, then SIGKILL */

struct cli_unit {
    enum cli_unit_state state;
    bool wanted;           /* should it run */
    bool alive;            /* a process exists */
    bool killed;           /* SIGKILL was asked for this process */
    int restarts;          /* deaths that were not asked for */
    int last_exit;         /* wait status of the last death */
    int64_t since_ns;      /* entered the state */
    int64_t sick_since_ns; /* first failed probe after the last good one; 0 = none */
    int64_t backoff_ns;
    int64_t next_start_ns;
};

void cli_unit_init(struct cli_unit *u);
void cli_unit_want(struct cli_unit *u, bool run, int64_t now_ns);
void cli_unit_started(struct cli_unit *u, int64_t now_ns);
/** The process could not be started (fork, exec): counts as a death. */
void cli_unit_exited(struct cli_unit *u, int wait_status, int64_t now_ns);
void cli_unit_probed(struct cli_unit *u, bool healthy, int64_t now_ns);
/** What to do now. Call at each event and tick; an action is returned once. */
enum cli_unit_action cli_unit_next(struct cli_unit *u, int64_t now_ns);
const char *cli_unit_state_name(enum cli_unit_state s);

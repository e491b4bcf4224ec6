#include "unit.h"

void cli_unit_init(struct cli_unit *u)
{
    *u = (struct cli_unit){.state = CLI_UNIT_STOPPED, .backoff_ns = CLI_UNIT_BACKOFF_MIN_NS};
}

static void enter(struct cli_unit *u, enum cli_unit_state s, int64_t now_ns)
{
    if (u->state == s)
        return;
    u->state = s;
    u->since_ns = now_ns;
}

void cli_unit_want(struct cli_unit *u, bool run, int64_t now_ns)
{
    if (u->wanted == run)
        return;
    u->wanted = run;
    if (run) {
        u->next_start_ns = now_ns;
        enter(u, CLI_UNIT_STARTING, now_ns);
    } else if (!u->alive) {
        enter(u, CLI_UNIT_STOPPED, now_ns);
    } else {
        u->since_ns = now_ns; /* the grace runs from here */
    }
}

void cli_unit_started(struct cli_unit *u, int64_t now_ns)
{
    u->alive = true;
    u->killed = false;
    u->sick_since_ns = 0;
    u->state = CLI_UNIT_STARTING;
    u->since_ns = now_ns;
}

void cli_unit_exited(struct cli_unit *u, int wait_status, int64_t now_ns)
{
    bool settled = u->state == CLI_UNIT_HEALTHY && now_ns - u->since_ns >= CLI_UNIT_SETTLED_NS;
    u->alive = false;
    u->last_exit = wait_status;
    u->sick_since_ns = 0;
    if (!u->wanted) {
        enter(u, CLI_UNIT_STOPPED, now_ns);
        return;
    }
    u->restarts++;
    /* A process that had settled comes back at once; one that dies again and again waits longer. */
    if (settled)
        u->backoff_ns = CLI_UNIT_BACKOFF_MIN_NS;
    u->next_start_ns = now_ns + u->backoff_ns;
    u->backoff_ns *= 2;
    if (u->backoff_ns > CLI_UNIT_BACKOFF_MAX_NS)
        u->backoff_ns = CLI_UNIT_BACKOFF_MAX_NS;
    enter(u, CLI_UNIT_FAILED, now_ns);
}

void cli_unit_probed(struct cli_unit *u, bool healthy, int64_t now_ns)
{
    if (!u->alive || !u->wanted)
        return;
    if (healthy) {
        u->sick_since_ns = 0;
        enter(u, CLI_UNIT_HEALTHY, now_ns);
    } else if (u->state == CLI_UNIT_HEALTHY && u->sick_since_ns == 0) {
        u->sick_since_ns = now_ns;
    }
}

static enum cli_unit_action next_alive(struct cli_unit *u, int64_t now_ns)
{
    if (u->killed)
        return CLI_UNIT_NONE;
    if (!u->wanted) {
        if (u->state != CLI_UNIT_STOPPED) { /* first call after the wish changed */
            u->state = CLI_UNIT_STOPPED;
            u->since_ns = now_ns;
            return CLI_UNIT_TERM;
        }
        if (now_ns - u->since_ns < CLI_UNIT_STOP_GRACE_NS)
            return CLI_UNIT_NONE;
    } else if (u->state == CLI_UNIT_STARTING) {
        if (now_ns - u->since_ns < CLI_UNIT_START_LIMIT_NS)
            return CLI_UNIT_NONE;
    } else if (u->sick_since_ns == 0 || now_ns - u->sick_since_ns < CLI_UNIT_SICK_LIMIT_NS) {
        return CLI_UNIT_NONE;
    }
    u->killed = true;
    return CLI_UNIT_KILL;
}

enum cli_unit_action cli_unit_next(struct cli_unit *u, int64_t now_ns)
{
    if (u->alive)
        return next_alive(u, now_ns);
    if (u->wanted && now_ns >= u->next_start_ns)
        return CLI_UNIT_START;
    return CLI_UNIT_NONE;
}

const char *cli_unit_state_name(enum cli_unit_state s)
{
    static const char *const names[] = {"stopped", "starting", "healthy", "failed"};
    return names[s];
}

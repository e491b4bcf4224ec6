/* A session of the lab from the command line: an instance to run it on, start, progress, score. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "supervisor/instance.h"

/* The instance a session runs on: the one of --state if it is up, else one that is started for the
 * purpose and stopped again; without --state in a directory of its own that is removed. */
struct cli_stage {
    struct cli_layout layout;
    char lab[64]; /* address */
    bool started, temporary;
    double up_s;
};
/** Whether there is such a problem and agent, before anything is started for them. AC_EINVAL. Only
 * for a stage that is ours: another instance may have other problems. */
int cli_session_check(const char *problem, const char *agent, struct ac_err *err) AC_MUST_USE;
int cli_stage_open(const char *state_option, struct cli_stage *ret, struct ac_err *err) AC_MUST_USE;
/** Stops and removes what open made. */
void cli_stage_close(struct cli_stage *s);

struct cli_session_ask {
    const char *problem, *agent;
    uint64_t seed; /* 0 = the lab chooses */
};
/** Runs a session to its end, with progress on stderr. *ret (new reference): session, problem,
 * agent, seed, detected, localised, mitigated, ttd_s, ttl_s, ttm_s (null = never), setup_s,
 * total_s, rule, reason, root_cause, evidence[], mitigation, void. AC_ESTATE when the session
 * failed; AC_ECANCELED on SIGINT, the session is then told to stop. */
int cli_session_run(const struct cli_stage *stage, const struct cli_session_ask *ask, json_t **ret,
                    struct ac_err *err) AC_MUST_USE;

bool cli_session_bool(const json_t *session, const char *key);

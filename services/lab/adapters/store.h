/* PostgreSQL, schema lab: sessions, their events, and the journal of faults. Blocking: session
 * threads and start-up only. */
#pragma once

#include "lab.h"

#include <aceso/pg.h>

extern const struct ac_pg_migration lab_migrations[];
extern const size_t lab_n_migrations;

/** The same as a job of the pool; arg is a struct lab_state. */
int lab_store_state_job(struct ac_pg_conn *c, void *arg, struct ac_err *err) AC_MUST_USE;
int lab_store_state(struct ac_pg *pg, const struct lab_state *s, struct ac_err *err) AC_MUST_USE;
int lab_store_event(struct ac_pg *pg, const char *session, const struct lab_event *e,
                    struct ac_err *err) AC_MUST_USE;
/** Newest first; free with free. */
int lab_store_list(struct ac_pg *pg, int limit, struct lab_state **ret, size_t *ret_n,
                   struct ac_err *err) AC_MUST_USE;
int lab_store_events(struct ac_pg *pg, const char *session, struct lab_event **ret, size_t *ret_n,
                     struct ac_err *err) AC_MUST_USE;

/* The journal: "intended" is written before a fault is put in, "reverted" after it was taken out.
 */
enum lab_fault_state {
    LAB_FAULT_ABSENT,
    LAB_FAULT_INTENDED,
    LAB_FAULT_INJECTED,
    LAB_FAULT_REVERTED
};
int lab_journal_set(struct ac_pg *pg, const char *session, int index, enum lab_fault_state state,
                    struct ac_err *err) AC_MUST_USE;
int lab_journal_get(struct ac_pg *pg, const char *session, int index, enum lab_fault_state *ret,
                    struct ac_err *err) AC_MUST_USE;

/* The state as JSON text and back (unknown keys are ignored, missing ones are zero). */
char *lab_state_text(const struct lab_state *s);
int lab_state_parse(const char *text, struct lab_state *ret, struct ac_err *err) AC_MUST_USE;

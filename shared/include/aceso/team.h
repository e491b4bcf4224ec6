/* A few threads that share the items of a loop. Results must not depend on who did which item: each
 * item writes only what is its own. One owner; only the owner's thread calls. NULL is a team of the
 * caller alone. */
#pragma once

#include <stddef.h>

#define AC_TEAM_MAX 64

struct ac_team;

/** A team of so many threads, the caller's among them; 0 and 1 give NULL. Threads that the system
 * refuses are done without. */
struct ac_team *ac_team_create(size_t threads);
void ac_team_destroy(struct ac_team *t); /* NULL is fine */
/** Threads in it, the caller's among them: at least 1. */
size_t ac_team_size(const struct ac_team *t);

/** Item i of ctx, on member `member` < ac_team_size() (for scratch of its own). */
typedef void ac_team_item(void *ctx, size_t i, size_t member);
/** Calls item for each i < n and returns when all are done. Members take the next free item one
 * after another. */
void ac_team_run(struct ac_team *t, size_t n, ac_team_item *item, void *ctx);

/** Processors that this process may use, at most AC_TEAM_MAX. For adapters and programs. */
size_t ac_team_processors(void);

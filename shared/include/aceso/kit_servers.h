/* Real servers for tests: a private PostgreSQL and a private nats-server in a temporary directory,
 * both reachable from this machine only. A failure to start prints why and aborts the test. They
 * end with the test process, whatever its end. Test's main thread only. */
#pragma once

#include <aceso/testkit.h> /* ac_kit_free_port */

struct ac_kit_pg;
/** initdb and start; ready for connections on return. As root it runs as postgres or nobody. */
struct ac_kit_pg *ac_kit_pg_start(void);
const char *ac_kit_pg_url(const struct ac_kit_pg *p); /* libpq conninfo, Unix socket */
void ac_kit_pg_kill(struct ac_kit_pg *p);             /* SIGKILL; waits for its end */
void ac_kit_pg_restart(struct ac_kit_pg *p);          /* kill if needed, start on the same data */
void ac_kit_pg_pause(struct ac_kit_pg *p, int on);    /* SIGSTOP / SIGCONT to all its processes */
void ac_kit_pg_stop(struct ac_kit_pg *p);             /* and removes its files; NULL is fine */

struct ac_kit_nats;
/** JetStream on a free port of 127.0.0.1. extra: further configuration text for the server or NULL
 * (authorization, tls). */
struct ac_kit_nats *ac_kit_nats_start(const char *extra);
const char *ac_kit_nats_url(const struct ac_kit_nats *n); /* nats://127.0.0.1:PORT */
const char *ac_kit_nats_dir(const struct ac_kit_nats *n);
void ac_kit_nats_kill(struct ac_kit_nats *n);    /* SIGKILL */
void ac_kit_nats_restart(struct ac_kit_nats *n); /* same port, same store */
void ac_kit_nats_stop(struct ac_kit_nats *n);

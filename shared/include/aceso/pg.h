/* PostgreSQL: a pool of threads, one connection each; blocking, parameterised, prepared. Jobs run
 * on a pool thread, their done on the loop thread. Reconnects by itself; a job that finds no
 * connection within its time fails with AC_ENET. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/arena.h>
#include <aceso/loop.h>
#include <aceso/metrics.h>

struct ac_pg;
struct ac_pg_conn;
struct ac_pg_result;

struct ac_pg_opts {
    const char *url;              /* libpq conninfo or postgresql:// URL */
    const char *schema;           /* search_path; created when missing */
    unsigned connections;         /* 0 = 2 */
    int64_t statement_timeout_ns; /* 0 = 10 s */
    int64_t connect_timeout_ns;   /* first connect may be retried this long; 0 = 15 s */
    size_t max_queued;            /* 0 = 1024 */
};

struct ac_pg_migration {
    int version; /* 1, 2, 3, ...: applied in order, each in one transaction, recorded */
    const char *sql;
};

/** Connects and migrates (with an advisory lock, so that N processes may start at once). Blocks:
 * not on a running loop. Errors name server, schema, migration. */
int ac_pg_open(struct ac_loop *l, struct ac_metrics *m, const struct ac_pg_opts *o,
               const struct ac_pg_migration *mig, size_t n, struct ac_pg **ret,
               struct ac_err *err) AC_MUST_USE;
/** Waits for running jobs, drops queued ones after calling their done with AC_ECANCELED. Loop
 * thread. */
void ac_pg_close(struct ac_pg *p);

/** On a pool thread with a connection; returns 0 or AC_E*. With AC_ENET or AC_EABORTED (connection
 * lost before commit, serialisation failure) it is run again, up to 3 times: it must be idempotent.
 */
typedef int (*ac_pg_job)(struct ac_pg_conn *c, void *arg, struct ac_err *err);
typedef void (*ac_pg_done)(int code, const struct ac_err *err, void *arg);
/** Any thread. AC_EAGAIN when the queue is full: then neither is called. done may be NULL. */
int ac_pg_submit(struct ac_pg *p, ac_pg_job job, ac_pg_done done, void *arg) AC_MUST_USE;
/** Blocking, for start-up and tools. Not on a running loop. */
int ac_pg_run(struct ac_pg *p, ac_pg_job job, void *arg, struct ac_err *err) AC_MUST_USE;

/* Inside a job. Parameters in text form unless stated; NULL pointer = SQL NULL. */
struct ac_pg_param {
    const char *data;
    int len; /* for binary */
    bool binary;
};
#define AC_PG_TEXT(s)     ((struct ac_pg_param){(s), 0, false})
#define AC_PG_BYTES(p, n) ((struct ac_pg_param){(const char *)(p), (int)(n), true})
#define AC_PG_NULL        ((struct ac_pg_param){NULL, 0, false})
/** Integer as text in buf (24 bytes). */
struct ac_pg_param ac_pg_i64(char buf[24], int64_t v);
struct ac_pg_param ac_pg_f64(char buf[32], double v);

/** Prepared on first use by its text. Result in *ret (NULL when not wanted); free with
 * ac_pg_result_free. Unique violation = AC_EEXISTS, serialisation = AC_EABORTED, timeout =
 * AC_ETIMEOUT, connection = AC_ENET. */
int ac_pg_exec(struct ac_pg_conn *c, const char *sql, const struct ac_pg_param *params, int n,
               struct ac_pg_result **ret, struct ac_err *err) AC_MUST_USE;
int ac_pg_begin(struct ac_pg_conn *c, struct ac_err *err) AC_MUST_USE;
int ac_pg_commit(struct ac_pg_conn *c, struct ac_err *err) AC_MUST_USE;
void ac_pg_rollback(struct ac_pg_conn *c);
int ac_pg_rows(const struct ac_pg_result *r);
int64_t ac_pg_affected(const struct ac_pg_result *r);
bool ac_pg_is_null(const struct ac_pg_result *r, int row, int col);
const char *ac_pg_str(const struct ac_pg_result *r, int row,
                      int col); /* "" for NULL; valid until free */
int64_t ac_pg_int(const struct ac_pg_result *r, int row, int col);
double ac_pg_float(const struct ac_pg_result *r, int row, int col);
/** bytea columns: decoded bytes, owned by the result. */
const void *ac_pg_bytes(const struct ac_pg_result *r, int row, int col, size_t *ret_len);
void ac_pg_result_free(struct ac_pg_result *r);

/** COPY table (cols) FROM STDIN BINARY: begin, rows of fields, end. */
struct ac_pg_copy;
int ac_pg_copy_begin(struct ac_pg_conn *c, const char *table_and_columns, struct ac_pg_copy **ret,
                     struct ac_err *err) AC_MUST_USE;
void ac_pg_copy_row(struct ac_pg_copy *k, int fields);
void ac_pg_copy_i64(struct ac_pg_copy *k, int64_t v);                 /* bigint */
void ac_pg_copy_i32(struct ac_pg_copy *k, int32_t v);                 /* integer */
void ac_pg_copy_f64(struct ac_pg_copy *k, double v);                  /* double precision */
void ac_pg_copy_text(struct ac_pg_copy *k, const char *s);            /* text; NULL = NULL */
void ac_pg_copy_bytes(struct ac_pg_copy *k, const void *p, size_t n); /* bytea */
/** Sends what is left; returns the first error of all the rows. Frees k. */
int ac_pg_copy_end(struct ac_pg_copy *k, struct ac_err *err) AC_MUST_USE;

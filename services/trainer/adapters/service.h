/* The trainer's shell: rules in PostgreSQL, training jobs, and what tells others of a change. */
#pragma once

#include <aceso/map.h>
#include <aceso/svc.h>
#include <aceso/v1/rules.pb-c.h>

struct trainer_conf {
    char *collector_addr;
    int64_t job_timeout_ns, job_threads;
};

struct trainer {
    struct ac_svc *svc;
    struct ac_rpc_channel *collector;
    struct ac_worker *worker;
    struct ac_map *jobs; /* by id: struct job */
    bool stopping;       /* what ends from now on is taken up again by the next process */
};

extern char trainer_source[]; /* of Meta */
extern const struct ac_pg_migration trainer_migrations[];
extern const size_t trainer_n_migrations;

struct stored_rule {
    char *name, *text, *origin;
    uint64_t state_bytes;
    double ops;
};

/* A job as it is stored: by its id, with the messages Job and StartJobRequest as they are. */
struct stored_job {
    char *id, *request_id, *ns;
    int64_t created_ns;
    bool over; /* done or failed */
    struct ac_buf job, request;
};
void stored_job_free(struct stored_job *j); /* NULL is fine */

enum store_op {
    STORE_PUT,
    STORE_GET,
    STORE_LIST,
    STORE_DELETE,
    STORE_JOB /* the job alone */
};

/* One request to the store: filled by the caller, run on a pool thread, answered on the loop. */
struct store_req {
    struct trainer *t;
    enum store_op op;
    char *ns, *name; /* "" = all */
    struct stored_rule *put;
    size_t n_put;
    bool disabled, replace; /* replace: drop the namespace's synth rules first */
    char *job_id;
    struct stored_job *job; /* stored in the same transaction; NULL = none */
    /* answer, in the arena */
    struct ac_arena *arena;
    Aceso__V1__Rule **rules;
    size_t n_rules;
    uint64_t revision, deleted;
    void (*done)(struct store_req *q, int code, const struct ac_err *err);
    void *arg;
};
struct store_req *store_req_new(struct trainer *t, enum store_op op, const char *ns,
                                const char *name);
/** done is called once, on the loop; then the request is freed. */
void store_submit(struct store_req *q);
/** Says on the bus that a namespace's rules changed. */
void rules_changed(struct trainer *t, const char *ns, uint64_t revision);

/* store_jobs.c */
#define JOBS_KEPT 1000 /* that are over */
int jobs_write(struct ac_pg_conn *c, const struct stored_job *j, const char *tenant,
               struct ac_err *err) AC_MUST_USE;
/** Calls fn for each stored job, oldest first. Blocks. */
int jobs_load(struct trainer *t,
              void (*fn)(struct trainer *t, const Aceso__V1__Job *job,
                         const Aceso__V1__StartJobRequest *request),
              struct ac_err *err) AC_MUST_USE;

void rpc_rules_add(struct trainer *t);
/** Serves the jobs; takes up those that an earlier process did not end. */
int rpc_jobs_add(struct trainer *t, struct ac_err *err) AC_MUST_USE;
void jobs_fini(struct trainer *t);

/* convert_sample.c: a collector's answer to rules, on a worker thread */
struct healthy_rule;
int train_sample(const void *data, size_t len, struct healthy_rule **ret_rules, size_t *ret_n,
                 size_t *ret_series, struct ac_err *err) AC_MUST_USE;

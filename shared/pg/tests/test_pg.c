/* The pool against a real PostgreSQL of our own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/kit_servers.h>
#include <aceso/loop.h>
#include <aceso/pg.h>

static struct ac_kit_pg *server;

/* cmocka's assertions must stay on the test's own thread: jobs report theirs as an error. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            return ac_err_set(err, AC_EINTERNAL, "line %d: %s", __LINE__, #cond);                  \
    } while (0)

static const struct ac_pg_migration migrations[] = {
    {1, "CREATE TABLE item (id bigint PRIMARY KEY, name text, score double precision, body bytea, "
        "n integer)"},
    {2, "CREATE INDEX item_name ON item (name); ALTER TABLE item ADD COLUMN extra text"},
};

struct fixture {
    struct ac_loop *loop;
    struct ac_metrics *metrics;
    struct ac_pg *pg;
};

static void open_pg(struct fixture *f, const char *schema, int64_t timeout_ns)
{
    struct ac_err err = AC_ERR_INIT;
    const struct ac_pg_opts o = {.url = ac_kit_pg_url(server),
                                 .schema = schema,
                                 .connections = 3,
                                 .statement_timeout_ns = timeout_ns};

    f->loop = ac_loop_create();
    f->metrics = ac_metrics_create();
    if (ac_pg_open(f->loop, f->metrics, &o, migrations, 2, &f->pg, &err))
        fail_msg("%s", err.msg);
}

static void close_pg(struct fixture *f)
{
    ac_pg_close(f->pg);
    ac_loop_destroy(f->loop);
    ac_metrics_destroy(f->metrics);
}

static int run_sql(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    return ac_pg_exec(c, arg, NULL, 0, NULL, err);
}

static void run_ok(struct ac_pg *pg, ac_pg_job job, void *arg)
{
    struct ac_err err = AC_ERR_INIT;

    if (ac_pg_run(pg, job, arg, &err))
        fail_msg("%s", err.msg);
}

static int types_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    static const unsigned char bytes[] = {0, 1, 2, 255, 0, 'x', '\\'};
    char id[24], score[32], nan_text[32];
    struct ac_pg_result *r;
    size_t n;
    const struct ac_pg_param p[] = {ac_pg_i64(id, INT64_MIN), AC_PG_TEXT("it's \xc3\xa9"),
                                    ac_pg_f64(score, 0.1), AC_PG_BYTES(bytes, sizeof bytes),
                                    AC_PG_NULL};
    const struct ac_pg_param q[] = {ac_pg_i64(id, INT64_MIN)};
    int rc = ac_pg_exec(c, "DELETE FROM item", NULL, 0, NULL, err);

    (void)arg;
    if (!rc)
        rc = ac_pg_exec(c, "INSERT INTO item (id, name, score, body, n) VALUES ($1,$2,$3,$4,$5)", p,
                        5, &r, err);
    if (rc)
        return rc;
    CHECK(ac_pg_affected(r) == 1);
    ac_pg_result_free(r);
    rc = ac_pg_exec(c, "SELECT id, name, score, body, n, id IS NULL FROM item WHERE id = $1", q, 1,
                    &r, err);
    if (rc)
        return rc;
    CHECK(ac_pg_rows(r) == 1);
    CHECK(ac_pg_int(r, 0, 0) == INT64_MIN);
    CHECK(!strcmp(ac_pg_str(r, 0, 1), "it's \xc3\xa9"));
    CHECK(ac_pg_float(r, 0, 2) == 0.1); /* bit for bit */
    CHECK(!memcmp(ac_pg_bytes(r, 0, 3, &n), bytes, sizeof bytes));
    CHECK(n == sizeof bytes);
    CHECK(ac_pg_bytes(r, 0, 3, &n) == ac_pg_bytes(r, 0, 3, &n));
    CHECK(ac_pg_is_null(r, 0, 4));
    CHECK(!strcmp(ac_pg_str(r, 0, 4), ""));
    CHECK(ac_pg_int(r, 0, 5) == 0);
    ac_pg_result_free(r);
    {
        const struct ac_pg_param f[] = {ac_pg_f64(nan_text, NAN)};
        rc = ac_pg_exec(c, "SELECT $1::float8, 'Infinity'::float8, true", f, 1, &r, err);
        if (rc)
            return rc;
        CHECK(isnan(ac_pg_float(r, 0, 0)));
        CHECK(isinf(ac_pg_float(r, 0, 1)));
        CHECK(ac_pg_int(r, 0, 2) == 1);
        ac_pg_result_free(r);
    }
    return AC_OK;
}

static void types_round_trip(void **state)
{
    struct fixture f;

    (void)state;
    open_pg(&f, "types", 0);
    run_ok(f.pg, types_job, NULL);
    close_pg(&f);
}

static void error_codes(void **state)
{
    static const struct {
        const char *sql;
        int code;
    } cases[] = {
        {"INSERT INTO item (id) VALUES (1), (1)", AC_EEXISTS},
        {"INSERT INTO item (id) VALUES (NULL)", AC_ESTATE},
        {"SELECT 1 FROM nowhere", AC_EINTERNAL},
        {"SELECT 'x'::integer", AC_EINVAL},
        {"SELECT 99999999999::integer", AC_ERANGE},
        {"SELECT pg_sleep(30)", AC_ETIMEOUT},
    };
    struct fixture f;

    (void)state;
    open_pg(&f, "codes", 300 * AC_NS_PER_MS);
    for (size_t i = 0; i < AC_ARRAY_LEN(cases); i++) {
        struct ac_err err = AC_ERR_INIT;
        int rc = ac_pg_run(f.pg, run_sql, (void *)(uintptr_t)cases[i].sql, &err);
        if (rc != cases[i].code)
            fail_msg("%s: %s, %s", cases[i].sql, ac_err_name(rc), err.msg);
    }
    close_pg(&f);
}

static void open_errors_say_what(void **state)
{
    struct ac_loop *l = ac_loop_create();
    struct ac_pg *pg;
    struct ac_err err = AC_ERR_INIT;
    static const struct ac_pg_migration bad[] = {{1, "CREATE TABLE a (x integer)"},
                                                 {2, "CREATE TABEL b (x integer)"}};
    static const struct ac_pg_migration changed[] = {{1, "CREATE TABLE a (x bigint)"}};
    struct ac_pg_opts o = {.url = "host=/nowhere/at/all dbname=postgres",
                           .schema = "bad",
                           .connect_timeout_ns = 200 * AC_NS_PER_MS};

    (void)state;
    assert_int_equal(ac_pg_open(l, NULL, &o, NULL, 0, &pg, &err), AC_ENET);
    assert_non_null(strstr(err.msg, "/nowhere/at/all"));
    o.url = ac_kit_pg_url(server);
    assert_int_equal(ac_pg_open(l, NULL, &o, bad, 2, &pg, &err), AC_EINTERNAL);
    assert_non_null(strstr(err.msg, "migration 2 of schema bad"));
    /* What was before the bad one is applied, and checked when it is seen again. */
    assert_int_equal(ac_pg_open(l, NULL, &o, changed, 1, &pg, &err), AC_ESTATE);
    assert_int_equal(ac_pg_open(l, NULL, &o, bad, 1, &pg, &err), AC_OK);
    ac_pg_close(pg);
    o.url = "postgresql://x@/nodb?host=/nowhere&port=abc";
    assert_int_equal(ac_pg_open(l, NULL, &o, bad, 1, &pg, &err), AC_EINVAL);
    ac_loop_destroy(l);
}

static int copy_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    int n = *(int *)arg, rc;
    struct ac_pg_copy *k;
    char *big = ac_xmalloc(200000);

    memset(big, 0xee, 200000);
    rc = ac_pg_begin(c, err);
    if (!rc)
        rc = ac_pg_exec(c, "DELETE FROM item", NULL, 0, NULL, err);
    if (!rc)
        rc = ac_pg_copy_begin(c, "item (id, name, score, body, n)", &k, err);
    for (int i = 0; !rc && i < n; i++) {
        ac_pg_copy_row(k, 5);
        ac_pg_copy_i64(k, i);
        ac_pg_copy_text(k, i % 2 ? "odd" : NULL);
        ac_pg_copy_f64(k, i * 0.5);
        ac_pg_copy_bytes(k, big, i % 1000 ? 3 : 200000);
        ac_pg_copy_i32(k, -i);
    }
    free(big);
    if (!rc)
        rc = ac_pg_copy_end(k, err);
    return rc ? rc : ac_pg_commit(c, err);
}

static int copy_check(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct ac_pg_result *r;
    int rc = ac_pg_exec(c,
                        "SELECT count(*), sum(score), sum(n), sum(length(body)), count(name), "
                        "(SELECT body FROM item WHERE id = 1) FROM item",
                        NULL, 0, &r, err);
    size_t n;

    (void)arg;
    if (rc)
        return rc;
    CHECK(ac_pg_int(r, 0, 0) == 5000);
    CHECK(ac_pg_float(r, 0, 1) == 0.5 * 4999 * 2500);
    CHECK(ac_pg_int(r, 0, 2) == -4999 * 2500);
    CHECK(ac_pg_int(r, 0, 3) == 5 * 200000 + 4995 * 3);
    CHECK(ac_pg_int(r, 0, 4) == 2500);
    CHECK(!memcmp(ac_pg_bytes(r, 0, 5, &n), "\xee\xee\xee", 3));
    ac_pg_result_free(r);
    return AC_OK;
}

static int copy_twice(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct ac_pg_copy *k;
    int rc = ac_pg_copy_begin(c, "item (id)", &k, err);

    (void)arg;
    if (rc)
        return rc;
    for (int i = 0; i < 2; i++) {
        ac_pg_copy_row(k, 1);
        ac_pg_copy_i64(k, 77);
    }
    return ac_pg_copy_end(k, err);
}

static void copy_binary(void **state)
{
    struct fixture f;
    struct ac_err err = AC_ERR_INIT;
    int n = 5000;

    (void)state;
    open_pg(&f, "copies", 0);
    run_ok(f.pg, copy_job, &n);
    run_ok(f.pg, copy_check, NULL);
    assert_int_equal(ac_pg_run(f.pg, copy_twice, NULL, &err), AC_EEXISTS);
    run_ok(f.pg, copy_check, NULL); /* the connection is fine and nothing was stored */
    close_pg(&f);
}

static int leave_open(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    int rc = ac_pg_begin(c, err);
    return rc ? rc : ac_pg_exec(c, arg, NULL, 0, NULL, err);
}

static void open_transaction_is_rolled_back(void **state)
{
    struct fixture f;
    struct ac_err err = AC_ERR_INIT;

    (void)state;
    open_pg(&f, "leftopen", 0);
    assert_int_equal(
        ac_pg_run(f.pg, leave_open, (void *)(uintptr_t) "INSERT INTO item (id) VALUES (1)", &err),
        AC_EINTERNAL);
    run_ok(f.pg, run_sql, (void *)(uintptr_t) "INSERT INTO item (id) VALUES (1)");
    close_pg(&f);
}

/* ---- asynchronous jobs ---- */

struct many {
    struct ac_loop *loop;
    int left, ok, failed, last_code;
};

static void count_done(int code, const struct ac_err *err, void *arg)
{
    struct many *m = arg;

    (void)err;
    assert_true(ac_loop_on(m->loop));
    if (code)
        m->failed++;
    else
        m->ok++;
    m->last_code = code;
    if (--m->left == 0)
        ac_loop_stop(m->loop);
}

static int insert_next(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    (void)arg;
    return ac_pg_exec(c, "INSERT INTO item (id) SELECT coalesce(max(id), 0) + 1 FROM item", NULL, 0,
                      NULL, err);
}

static int one(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    (void)arg;
    return ac_pg_exec(c, "SELECT 1", NULL, 0, NULL, err);
}

static void many_jobs_and_a_full_queue(void **state)
{
    struct fixture f;
    struct many m = {0};
    int refused = 0;

    (void)state;
    open_pg(&f, "many", 0);
    m.loop = f.loop;
    for (int i = 0; i < 1500; i++) {
        if (ac_pg_submit(f.pg, one, count_done, &m) == AC_OK)
            m.left++;
        else
            refused++;
    }
    assert_true(refused < 500);
    ac_loop_run(f.loop);
    assert_int_equal(m.ok, 1500 - refused);
    assert_int_equal(m.failed, 0);
    close_pg(&f);
}

/* Two of three connections collide on the key now and then: EEXISTS is not retried, so this only
 * shows that failures are reported one by one. */
static void close_cancels_what_waits(void **state)
{
    struct fixture f;
    struct many m = {0};

    (void)state;
    open_pg(&f, "cancels", 0);
    m.loop = f.loop;
    for (int i = 0; i < 100; i++) {
        m.left++;
        assert_int_equal(ac_pg_submit(f.pg, insert_next, count_done, &m), AC_OK);
    }
    close_pg(&f);
    assert_int_equal(m.left, 0); /* every done was called, in close at the latest */
}

struct flaky {
    int calls;
};

static int flaky_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct flaky *k = arg;

    if (k->calls++ < 2)
        return ac_err_set(err, AC_EABORTED, "again");
    return ac_pg_exec(c, "SELECT 1", NULL, 0, NULL, err);
}

static void conflicts_are_retried(void **state)
{
    struct fixture f;
    struct flaky k = {0};

    (void)state;
    open_pg(&f, "flaky", 0);
    run_ok(f.pg, flaky_job, &k);
    assert_int_equal(k.calls, 3);
    close_pg(&f);
}

/* A table that changes under a prepared statement. */
static void altered_table(void **state)
{
    struct fixture f;

    (void)state;
    open_pg(&f, "altered", 0);
    for (int i = 0; i < 4; i++)
        run_ok(f.pg, run_sql, (void *)(uintptr_t) "SELECT * FROM item");
    run_ok(f.pg, run_sql, (void *)(uintptr_t) "ALTER TABLE item ADD COLUMN later text");
    for (int i = 0; i < 4; i++)
        run_ok(f.pg, run_sql, (void *)(uintptr_t) "SELECT * FROM item");
    close_pg(&f);
}

static void survives_a_killed_server(void **state)
{
    struct fixture f;
    struct many m = {0};

    (void)state;
    open_pg(&f, "killed", 20 * AC_NS_PER_S);
    run_ok(f.pg, run_sql, (void *)(uintptr_t) "INSERT INTO item (id) VALUES (1)");
    ac_kit_pg_restart(server);
    run_ok(f.pg, run_sql, (void *)(uintptr_t) "INSERT INTO item (id) VALUES (2)");
    ac_kit_pg_kill(server);
    m.loop = f.loop;
    m.left = 20;
    for (int i = 0; i < 20; i++)
        assert_int_equal(ac_pg_submit(f.pg, one, count_done, &m), AC_OK);
    ac_kit_pg_restart(server); /* they wait for it */
    ac_loop_run(f.loop);
    assert_int_equal(m.ok, 20);
    close_pg(&f);
}

static void gives_up_when_the_server_stays_away(void **state)
{
    struct fixture f;
    struct ac_err err = AC_ERR_INIT;

    (void)state;
    open_pg(&f, "away", 400 * AC_NS_PER_MS);
    ac_kit_pg_kill(server);
    assert_int_equal(ac_pg_run(f.pg, one, NULL, &err), AC_ENET);
    ac_kit_pg_restart(server);
    run_ok(f.pg, one, NULL);
    close_pg(&f);
}

/* A server that does not answer at all must not hold a thread for ever. */
static void stopped_server_times_out(void **state)
{
    struct fixture f;
    struct ac_err err = AC_ERR_INIT;
    int64_t start, took;
    int rc;

    (void)state;
    open_pg(&f, "stopped", 500 * AC_NS_PER_MS);
    run_ok(f.pg, one, NULL);
    ac_kit_pg_pause(server, 1);
    start = ac_now_ns();
    rc = ac_pg_run(f.pg, one, NULL, &err);
    took = ac_now_ns() - start;
    ac_kit_pg_pause(server, 0);
    /* The thread that took the job had a connection, or could make none. */
    assert_true(rc == AC_ETIMEOUT || rc == AC_ENET);
    assert_true(took < 8 * AC_NS_PER_S);
    run_ok(f.pg, one, NULL);
    close_pg(&f);
}

static void many_processes_migrate_at_once(void **state)
{
    enum {
        N = 6
    };
    pid_t pids[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            struct ac_loop *l = ac_loop_create();
            struct ac_pg *pg;
            const struct ac_pg_opts o = {.url = ac_kit_pg_url(server), .schema = "race"};
            int rc = ac_pg_open(l, NULL, &o, migrations, 2, &pg, NULL);
            if (!rc)
                ac_pg_close(pg);
            _exit(rc ? 1 : 0);
        }
    }
    for (int i = 0; i < N; i++) {
        int st;
        assert_int_equal(waitpid(pids[i], &st, 0), pids[i]);
        assert_true(WIFEXITED(st) && WEXITSTATUS(st) == 0);
    }
}

static int start_server(void **state)
{
    (void)state;
    server = ac_kit_pg_start();
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    ac_kit_pg_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_processes_migrate_at_once),
        cmocka_unit_test(types_round_trip),
        cmocka_unit_test(error_codes),
        cmocka_unit_test(open_errors_say_what),
        cmocka_unit_test(copy_binary),
        cmocka_unit_test(open_transaction_is_rolled_back),
        cmocka_unit_test(many_jobs_and_a_full_queue),
        cmocka_unit_test(close_cancels_what_waits),
        cmocka_unit_test(conflicts_are_retried),
        cmocka_unit_test(altered_table),
        cmocka_unit_test(survives_a_killed_server),
        cmocka_unit_test(gives_up_when_the_server_stays_away),
        cmocka_unit_test(stopped_server_times_out),
    };
    return cmocka_run_group_tests_name("pg", tests, start_server, stop_server);
}

/* Alerts from points; a crash between snapshots repeats messages and loses none. */
#include "engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

struct seen {
    char msg[32][64];
    size_t n;
    char reason[64];
};

static void emit(const struct engine_alert *a, void *arg)
{
    struct seen *s = arg;
    assert_true(s->n < 32);
    (void)snprintf(s->msg[s->n++], 64, "%s-%llu %s", a->id, (unsigned long long)a->sequence,
                   a->state);
    (void)snprintf(s->reason, sizeof s->reason, "%s", a->reason);
}

static const char text[] = "language 1 rule \"slow\" { on \"lat*\" {component = \"a\"} let m = "
                           "mean(value, 4) when m > 5 reason \"mean {m}\" }";
static const struct engine_rule_in rules[] = {
    {"ns", "slow", text, 1}, {"other", "slow", text, 1}, {"ns", "bad", "language 1 rule", 1}};
static const struct engine_series series = {"ns", "a", "latency", NULL, 0};

static const struct engine_opts opts = {.silence_ns = 1000, .forget_ns = 5000};

/* One point, in a message of the same time. */
static bool point(struct engine *e, int64_t t, double v)
{
    return engine_points(e, &series, t, &t, &v, 1) == 1;
}

static double at(int t)
{
    return t >= 20 && t < 30 ? 30 : 1;
}

static void one_alert_opens_and_closes(void **st)
{
    (void)st;
    struct seen s = {.n = 0};
    struct engine *e = engine_create(&opts, emit, &s);
    assert_int_equal(engine_set_rules(e, rules, 3), 1);
    for (int t = 0; t < 60; t++)
        assert_true(point(e, t, at(t)));
    assert_false(point(e, 59, 1000));
    assert_false(point(e, 10, 1000));
    assert_int_equal(s.n, 2);
    assert_non_null(strstr(s.msg[0], "-1 open"));
    assert_non_null(strstr(s.msg[1], "-2 closed"));
    assert_int_equal(strncmp(s.msg[0], s.msg[1], 32), 0);
    assert_int_equal(engine_counts(e).open, 0);
    engine_destroy(e);
}

struct shot {
    char *key;
    void *p;
    size_t len;
};

static void keep(const char *key, const void *p, size_t len, void *arg)
{
    struct shot *s = arg;
    free(s->key);
    free(s->p);
    *s = (struct shot){ac_xstrdup(key), ac_xmalloc(len), len};
    memcpy(s->p, p, len);
}

/* Snapshot at one time, death at a later one, then all points since the snapshot come again. */
static void a_crash_loses_nothing_and_repeats_the_same(void **st)
{
    (void)st;
    struct seen whole = {.n = 0};
    struct engine *e = engine_create(&opts, emit, &whole);
    (void)engine_set_rules(e, rules, 1);
    for (int t = 0; t < 60; t++)
        (void)point(e, t, at(t));
    engine_destroy(e);
    for (int snap = 1; snap < 50; snap += 3) {
        struct seen a = {.n = 0}, b = {.n = 0};
        struct shot shot = {0};
        e = engine_create(&opts, emit, &a);
        (void)engine_set_rules(e, rules, 1);
        for (int t = 0; t < snap + 9; t++) {
            if (t == snap)
                engine_snapshot(e, keep, &shot);
            (void)point(e, t, at(t));
        }
        engine_destroy(e);
        e = engine_create(&opts, emit, &b);
        (void)engine_set_rules(e, rules, 1);
        assert_true(engine_restore(e, shot.key, shot.p, shot.len));
        for (int t = snap - 1; t < 60; t++)
            (void)point(e, t, at(t));
        engine_destroy(e);
        size_t distinct = a.n;
        for (size_t i = 0; i < b.n; i++) {
            bool known = false;
            for (size_t k = 0; k < a.n; k++)
                known |= strcmp(a.msg[k], b.msg[i]) == 0;
            distinct += !known;
            bool expected = false;
            for (size_t k = 0; k < whole.n; k++)
                expected |= strcmp(whole.msg[k], b.msg[i]) == 0;
            assert_true(expected);
        }
        assert_int_equal(distinct, whole.n);
        free(shot.key);
        free(shot.p);
    }
}

static void rules_change_without_losing_alerts_and_silence_closes(void **st)
{
    (void)st;
    struct seen s = {.n = 0};
    struct engine *e = engine_create(&opts, emit, &s);
    (void)engine_set_rules(e, rules, 1);
    for (int t = 0; t < 25; t++)
        (void)point(e, t, at(t));
    assert_int_equal(engine_counts(e).open, 1);
    (void)engine_set_rules(e, rules, 1);
    assert_int_equal(engine_counts(e).open, 1);
    (void)point(e, 25, at(25));
    assert_int_equal(s.n, 1);
    engine_expire(e, 20);
    assert_int_equal(engine_counts(e).open, 1);
    engine_expire(e, 26);
    assert_int_equal(engine_counts(e).open, 0);
    (void)point(e, 26, at(26));
    assert_int_equal(engine_counts(e).open, 1);
    (void)engine_set_rules(e, NULL, 0);
    assert_int_equal(engine_counts(e).open, 0);
    assert_int_equal(s.n, 4);
    engine_destroy(e);
}

static void broken_snapshots_are_taken_as_none(void **st)
{
    (void)st;
    struct seen s = {.n = 0};
    for (size_t len = 0; len < 64; len++) {
        unsigned char junk[64];
        memset(junk, (int)len, sizeof junk);
        memcpy(junk, "ACD1", 4);
        struct engine *e = engine_create(&opts, emit, &s);
        (void)engine_set_rules(e, rules, 1);
        (void)engine_restore(e, "2:ns1:a7:latency", junk, len);
        assert_true(point(e, INT64_MAX, 1));
        (void)engine_restore(e, (const char *)junk, junk, len);
        engine_destroy(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_alert_opens_and_closes),
        cmocka_unit_test(a_crash_loses_nothing_and_repeats_the_same),
        cmocka_unit_test(rules_change_without_losing_alerts_and_silence_closes),
        cmocka_unit_test(broken_snapshots_are_taken_as_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static const struct engine_opts opts = {
    .silence_ns = 1000, .forget_ns = 5000, .state_max = 1 << 20};

/* One point, in a message of the same time. */
static bool point(struct engine *e, int64_t t, double v)
{
    return engine_points(e, &series, t, &t, &v, 1) == 1;
}

static const struct ac_zone *zone(const char *name, void *arg)
{
    return strcmp(name, "Made/Up") == 0 ? arg : NULL;
}

/* The smallest zone file: one type, here an hour ahead of UTC. */
static struct ac_zone *hour_ahead(void)
{
    unsigned char file[54] = {'T', 'Z', 'i', 'f', [39] = 1, [43] = 4, [46] = 0x0e, [47] = 0x10};
    struct ac_zone *z = NULL;
    assert_int_equal(ac_zone_parse("made", file, sizeof file, &z, NULL), 0);
    assert_int_equal(ac_zone_offset_s(z, 0), 3600);
    return z;
}

static void rules_get_their_zones_and_nothing_else(void **st)
{
    (void)st;
    static const struct engine_rule_in in[] = {
        {"ns", "zone", "language 1 rule \"zone\" { when time_of_day(\"Made/Up\") == 3601 }", 1},
        {"ns", "lost", "language 1 rule \"lost\" { when time_of_day(\"No/Where\") > 0 }", 1},
        {"ns", "other", "language 1 rule \"other\" { input x = series(\"Made/Up\") when x > 0 }",
         1},
        {"ns", "model", "language 1 rule \"model\" { input x = model(\"y\") when x > 0 }", 1}};
    struct ac_zone *z = hour_ahead();
    struct engine_opts o = opts;
    struct seen s = {.n = 0};
    struct engine *e = engine_create(&o, emit, &s);
    assert_int_equal(engine_set_rules(e, in, 4), 4);
    engine_destroy(e);
    o.zone = zone;
    o.zone_arg = z;
    e = engine_create(&o, emit, &s);
    assert_int_equal(engine_set_rules(e, in, 4), 3);
    for (int t = 0; t < 5; t++) {
        assert_true(point(e, t * 1000000000LL, 1));
        assert_int_equal(s.n > 0, t > 0);
    }
    assert_non_null(strstr(s.msg[0], "open"));
    engine_destroy(e);
    ac_zone_destroy(z);
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
        unsigned char junk[65] = {0}; /* also a key: it ends */
        memset(junk, (int)len, 64);
        memcpy(junk, "ACD1", 4);
        struct engine *e = engine_create(&opts, emit, &s);
        (void)engine_set_rules(e, rules, 1);
        (void)engine_restore(e, "2:ns1:a7:latency", junk, len);
        assert_true(point(e, INT64_MAX, 1));
        (void)engine_restore(e, (const char *)junk, junk, len);
        engine_destroy(e);
    }
}

/* Mixed up within a message, repeated, missing: each time counts once, in order. */
static void points_of_a_message_may_come_in_any_order(void **st)
{
    (void)st;
    struct seen a = {.n = 0}, b = {.n = 0};
    struct engine *e = engine_create(&opts, emit, &a), *f = engine_create(&opts, emit, &b);
    (void)engine_set_rules(e, rules, 1);
    (void)engine_set_rules(f, rules, 1);
    for (int t = 0; t < 60; t++)
        (void)point(e, t, at(t));
    for (int t = 0; t < 60; t += 20) {
        int64_t time_ns[40];
        double v[40];
        for (int i = 0; i < 40; i++) { /* twice, from the last to the first */
            time_ns[i] = t + (39 - i) % 20;
            v[i] = i < 20 ? at((int)time_ns[i]) : 1000; /* of equal times the first counts */
        }
        assert_int_equal(engine_points(f, &series, t, time_ns, v, 40), 20);
    }
    assert_int_equal(engine_counts(f).late, 60);
    assert_int_equal(a.n, 2);
    assert_int_equal(b.n, a.n);
    for (size_t i = 0; i < a.n; i++)
        assert_string_equal(a.msg[i], b.msg[i]);
    engine_destroy(e);
    engine_destroy(f);
}

/* Whether the clock or the next point finds that a series was silent: the same messages. */
static void silence_is_the_same_with_and_without_a_clock(void **st)
{
    (void)st;
    struct seen s[2] = {{.n = 0}, {.n = 0}};
    for (int clock = 0; clock < 2; clock++) {
        struct engine *e = engine_create(&opts, emit, &s[clock]);
        (void)engine_set_rules(e, rules, 1);
        for (int t = 0; t < 25; t++)
            (void)point(e, t, at(t));
        if (clock)
            engine_expire(e, 500);
        for (int64_t t = 2000; t < 2010; t++)
            (void)point(e, t, 30);
        engine_destroy(e);
    }
    assert_int_equal(s[0].n, 3); /* open, closed by silence, open again */
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(s[0].msg[i], s[1].msg[i]);
}

static void count_key(const char *key, void *arg)
{
    assert_string_equal(key, "2:ns1:a7:latency");
    ++*(size_t *)arg;
}

static void a_series_long_gone_is_forgotten(void **st)
{
    (void)st;
    struct seen s = {.n = 0};
    size_t gone = 0;
    struct engine *e = engine_create(&opts, emit, &s);
    (void)engine_set_rules(e, rules, 1);
    for (int t = 0; t < 25; t++)
        (void)point(e, t, at(t));
    assert_true(engine_counts(e).state_bytes > 0);
    engine_forget(e, 24, count_key, &gone);
    assert_int_equal(gone, 0);
    engine_forget(e, 25, count_key, &gone);
    assert_int_equal(gone, 1);
    assert_int_equal(s.n, 2); /* its alert was closed */
    assert_int_equal(engine_counts(e).series, 0);
    assert_int_equal(engine_counts(e).open, 0);
    assert_int_equal(engine_counts(e).state_bytes, 0);
    engine_destroy(e);
}

static void state_has_a_limit_over_all_series(void **st)
{
    (void)st;
    struct seen s = {.n = 0};
    struct engine_opts small = opts;
    const struct engine_rule_in wide[] = {
        rules[0], {"ns", "wide", "language 1 rule \"wide\" { when median(value, 10000) > 5 }", 1}};
    small.state_max = 64 * 1024;
    struct engine *e = engine_create(&small, emit, &s);
    (void)engine_set_rules(e, wide, 2);
    for (int t = 0; t < 25; t++)
        (void)point(e, t, at(t));
    assert_int_equal(s.n, 1); /* the small one is evaluated */
    assert_int_equal(engine_counts(e).unwatched, 1);
    assert_true(engine_counts(e).state_bytes <= small.state_max);
    (void)engine_set_rules(e, wide, 1);
    assert_int_equal(engine_counts(e).unwatched, 0);
    for (int i = 0; i < 3000; i++) { /* many series: the limit holds, all are followed */
        char name[32];
        int64_t t = 30;
        double v = 1;
        (void)snprintf(name, sizeof name, "lat%d", i);
        const struct engine_series k = {"ns", "a", name, NULL, 0};
        assert_int_equal(engine_points(e, &k, t, &t, &v, 1), 1);
    }
    assert_true(engine_counts(e).unwatched > 0);
    assert_true(engine_counts(e).state_bytes <= small.state_max);
    (void)engine_set_rules(e, NULL, 0);
    assert_int_equal(engine_counts(e).state_bytes, 0);
    assert_int_equal(engine_counts(e).unwatched, 0);
    engine_destroy(e);
}

static void names_over_the_limits_are_refused(void **st)
{
    (void)st;
    struct seen s = {.n = 0};
    struct ac_label many[ENGINE_LABELS_MAX + 1];
    char longer[ENGINE_KEY_MAX + 1];
    int64_t t = 1;
    double v = 1;
    memset(longer, 'x', ENGINE_KEY_MAX);
    longer[ENGINE_KEY_MAX] = '\0';
    for (size_t i = 0; i < AC_ARRAY_LEN(many); i++)
        many[i] = (struct ac_label){"k", "v"};
    struct engine *e = engine_create(&opts, emit, &s);
    const struct engine_series a = {"ns", "a", "m", many, AC_ARRAY_LEN(many)},
                               b = {"ns", "a", "m", many, AC_ARRAY_LEN(many) - 1},
                               c = {"ns", longer, "m", NULL, 0};
    assert_int_equal(engine_points(e, &a, 1, &t, &v, 1), 0);
    assert_int_equal(engine_points(e, &b, 1, &t, &v, 1), 1);
    assert_int_equal(engine_points(e, &c, 1, &t, &v, 1), 0);
    assert_int_equal(engine_counts(e).refused, 2);
    engine_destroy(e);
}

/* A rule of the same name that no longer speaks of the series ends its alert. */
static void alerts_end_when_their_rule_turns_away(void **st)
{
    (void)st;
    struct seen s = {.n = 0};
    const struct engine_rule_in other = {
        "ns", "slow", "language 1 rule \"slow\" { on \"cpu\" when value > 5 }", 2};
    struct engine *e = engine_create(&opts, emit, &s);
    (void)engine_set_rules(e, rules, 1);
    for (int t = 0; t < 25; t++)
        (void)point(e, t, at(t));
    (void)engine_set_rules(e, &other, 1);
    assert_int_equal(s.n, 2);
    assert_non_null(strstr(s.msg[1], "-2 closed"));
    assert_int_equal(engine_counts(e).open, 0);
    engine_destroy(e);
}

static void count_state(const char *key, const void *p, size_t len, void *arg)
{
    (void)key;
    (void)p;
    assert_true(len > 0);
    ++*(size_t *)arg;
}

/* Other namespaces are not touched: neither their state nor their snapshots. */
static void an_exchange_costs_what_changed(void **st)
{
    (void)st;
    struct seen s = {.n = 0};
    char changed[256];
    const struct engine_series other = {"other", "a", "latency", NULL, 0};
    struct engine_rule_in now[] = {rules[0], rules[1], rules[0]};
    now[2].name = "second";
    struct engine *e = engine_create(&opts, emit, &s);
    (void)engine_set_rules(e, now, 2);
    for (int64_t t = 0; t < 25; t++) {
        double v = at((int)t);
        assert_int_equal(engine_points(e, &other, t, &t, &v, 1), 1);
        (void)point(e, t, v);
    }
    assert_int_equal(engine_counts(e).open, 2);
    size_t n = 0;
    engine_snapshot(e, count_state, &n);
    assert_int_equal(n, 2);
    n = 0;
    (void)engine_set_rules(e, now, 2);
    engine_snapshot(e, count_state, &n);
    assert_int_equal(n, 0); /* the same rules */
    (void)snprintf(changed, sizeof changed, "%s", text);
    memcpy(strstr(changed, "mean {m}"), "now! {m}", 8);
    now[0].text = changed;
    now[0].version = 2;
    assert_int_equal(engine_set_rules(e, now, 3), 0);
    engine_snapshot(e, count_state, &n);
    assert_int_equal(n, 1);
    assert_int_equal(engine_counts(e).rules, 3);
    (void)point(e, 25, 1);
    (void)point(e, 26, 1);
    (void)point(e, 27, 1);
    (void)engine_set_rules(e, now + 1, 1);
    assert_int_equal(engine_counts(e).open, 1); /* the other's, which lost nothing */
    engine_destroy(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_alert_opens_and_closes),
        cmocka_unit_test(rules_get_their_zones_and_nothing_else),
        cmocka_unit_test(a_crash_loses_nothing_and_repeats_the_same),
        cmocka_unit_test(rules_change_without_losing_alerts_and_silence_closes),
        cmocka_unit_test(broken_snapshots_are_taken_as_none),
        cmocka_unit_test(points_of_a_message_may_come_in_any_order),
        cmocka_unit_test(silence_is_the_same_with_and_without_a_clock),
        cmocka_unit_test(a_series_long_gone_is_forgotten),
        cmocka_unit_test(state_has_a_limit_over_all_series),
        cmocka_unit_test(names_over_the_limits_are_refused),
        cmocka_unit_test(alerts_end_when_their_rule_turns_away),
        cmocka_unit_test(an_exchange_costs_what_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

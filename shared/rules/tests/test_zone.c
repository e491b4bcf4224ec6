/* Zone files against the C library's reading of them, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/rng.h>
#include <aceso/rules_zone.h>

static const char *const zones[] = {"Europe/Berlin",     "America/New_York",  "Australia/Lord_Howe",
                                    "Asia/Kolkata",      "America/Sao_Paulo", "Pacific/Auckland",
                                    "Africa/Casablanca", "Asia/Kathmandu",    "Etc/UTC",
                                    "America/Nuuk"};

static void offsets_are_those_of_the_c_library(void **st)
{
    (void)st;
    struct ac_rng r;
    ac_rng_seed(&r, 21);
    size_t tried = 0;
    for (size_t i = 0; i < AC_ARRAY_LEN(zones); i++) {
        struct ac_zone *z = NULL;
        if (ac_zone_load(NULL, zones[i], &z, NULL) < 0)
            continue; /* a system without tzdata */
        setenv("TZ", zones[i], 1);
        tzset();
        for (int k = 0; k < 20000; k++) { /* 1970 to 2110 */
            time_t t = (time_t)(ac_rng_uniform(&r) * 4.4e9);
            struct tm tm;
            localtime_r(&t, &tm);
            int32_t got = ac_zone_offset_s(z, (int64_t)t * 1000000000 + 999999999);
            if (got != tm.tm_gmtoff)
                fail_msg("%s at %lld: %d, the C library says %ld (seed 21)", zones[i], (long long)t,
                         got, tm.tm_gmtoff);
        }
        ac_zone_destroy(z);
        tried++;
    }
    if (!tried)
        skip();
}

/* A file that lists no transitions, only a rule; returns its length. */
static size_t make_file(unsigned char file[300], const char *rule)
{
    static const unsigned char head[44] = {'T', 'Z', 'i', 'f', '2', [39] = 1, [43] = 4};
    size_t n = 0;
    memset(file, 0, 300);
    for (int i = 0; i < 2; i++) { /* counts: one type, four characters */
        memcpy(file + n, head, 44);
        n += 44 + 6 + 4;
    }
    return n + (size_t)snprintf((char *)file + n, 300 - n, "\n%s\n", rule);
}

static void rules_are_those_of_the_c_library(void **st)
{
    (void)st;
    static const char *const rules[] = {
        "NZST-12NZDT,M9.5.0,M4.1.0/3",      /* summer over the turn of the year */
        "AAA3BBB1:30,J59/1,J60/4",          /* days that February 29 is not one of */
        "AAA-5:45BBB,58,300",               /* days that it is one of */
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/25", /* times of the days beside */
        "IST-1GMT0,M10.5.0,M3.5.0/1",       /* winter is what is put back */
        "AAA8BBB,M2.1.6,M2.5.0",            /* both ends of February, leap years too */
        "UTC0",
    };
    struct ac_rng r;
    ac_rng_seed(&r, 22);
    for (size_t i = 0; i < AC_ARRAY_LEN(rules); i++) {
        unsigned char file[300];
        struct ac_zone *z = NULL;
        size_t n = make_file(file, rules[i]);
        assert_int_equal(ac_zone_parse("made", file, n, &z, NULL), 0);
        setenv("TZ", rules[i], 1);
        tzset();
        for (int k = 0; k < 20000; k++) { /* 1970 to 2110 */
            time_t t = (time_t)(100000 + ac_rng_uniform(&r) * 4.4e9);
            struct tm tm;
            localtime_r(&t, &tm);
            int32_t got = ac_zone_offset_s(z, (int64_t)t * 1000000000);
            if (got != tm.tm_gmtoff)
                fail_msg("%s at %lld: %d, the C library says %ld (seed 22)", rules[i], (long long)t,
                         got, tm.tm_gmtoff);
        }
        assert_int_equal(ac_zone_offset_s(z, -1), 0); /* before 1970 as before the first change */
        ac_zone_destroy(z);
    }
}

/* The second a clock is put forward, and where the file is cut. */
static void a_rule_alone_is_enough(void **st)
{
    (void)st;
    unsigned char file[300];
    size_t n = make_file(file, "CET-1CEST,M3.5.0,M10.5.0/3");
    struct ac_zone *z = NULL;
    assert_int_equal(ac_zone_parse("made", file, n, &z, NULL), 0);
    const int64_t spring = 1774746000, autumn = 1792890000; /* 2026-03-29, 2026-10-25 01:00 UTC */
    assert_int_equal(ac_zone_offset_s(z, spring * 1000000000 - 1), 3600);
    assert_int_equal(ac_zone_offset_s(z, spring * 1000000000), 7200);
    assert_int_equal(ac_zone_offset_s(z, autumn * 1000000000 - 1), 7200);
    assert_int_equal(ac_zone_offset_s(z, autumn * 1000000000), 3600);
    ac_zone_destroy(z);
    for (size_t cut = 0; cut < n; cut++) {
        struct ac_err err = AC_ERR_INIT;
        assert_int_equal(ac_zone_parse("cut", file, cut, &z, &err), AC_EINVAL);
        assert_non_null(strstr(err.msg, "cut: this is no zone file"));
    }
}

/* A table of two transitions, at these seconds, between two types. */
static size_t make_table(unsigned char file[300], unsigned char first, unsigned char second)
{
    static const unsigned char head[44] = {'T', 'Z', 'i', 'f', '2', [35] = 2, [39] = 2, [43] = 4};
    size_t n = 0;
    memset(file, 0, 300);
    for (int wide = 0; wide < 2; wide++) {
        size_t bytes = wide ? 8 : 4;
        memcpy(file + n, head, 44);
        n += 44;
        file[n + bytes - 1] = first;
        file[n + 2 * bytes - 1] = second;
        file[n + 2 * bytes] = 1; /* to the second type, whose offset is 256 s, and back */
        file[n + 2 * bytes + 2 + 6 + 2] = 1;
        n += 2 * bytes + 2 + 12 + 4; /* types of the transitions, two types, their names */
    }
    file[n++] = '\n';
    file[n++] = '\n';
    return n;
}

static void transitions_are_in_order(void **st)
{
    (void)st;
    unsigned char file[300];
    struct ac_zone *z = NULL;
    struct ac_err err = AC_ERR_INIT;
    size_t len = make_table(file, 50, 60);
    assert_int_equal(ac_zone_parse("made", file, len, &z, &err), 0);
    assert_true(ac_zone_offset_s(z, 49LL * 1000000000) == 0);
    assert_true(ac_zone_offset_s(z, 50LL * 1000000000) == 256);
    assert_true(ac_zone_offset_s(z, 60LL * 1000000000) == 0);
    ac_zone_destroy(z);
    for (unsigned char second = 49; second <= 50; second++) {
        z = NULL;
        len = make_table(file, 50, second);
        assert_int_equal(ac_zone_parse("made", file, len, &z, &err), AC_EINVAL);
        assert_null(z);
    }
}

static void what_is_no_zone_is_told(void **st)
{
    (void)st;
    struct ac_zone *z = NULL;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(ac_zone_load(NULL, "Mars/Olympus", &z, &err), AC_ENOTFOUND);
    assert_non_null(strstr(err.msg, "no time zone Mars/Olympus"));
    assert_int_equal(ac_zone_load(NULL, "../../etc/passwd", &z, &err), AC_EINVAL);
    assert_null(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_those_of_the_c_library),
        cmocka_unit_test(rules_are_those_of_the_c_library),
        cmocka_unit_test(a_rule_alone_is_enough),
        cmocka_unit_test(transitions_are_in_order),
        cmocka_unit_test(what_is_no_zone_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

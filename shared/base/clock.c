#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <ctype.h>

#include <aceso/clock.h>
#include <aceso/err.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * AC_NS_PER_S + ts.tv_nsec;
}

int64_t ac_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t ac_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t ac_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static int64_t real_now(void *self)
{
    (void)self;
    return ac_now_ns();
}

static int64_t real_wall(void *self)
{
    (void)self;
    return ac_wall_ns();
}

static int64_t thread_cpu_now(void *self)
{
    (void)self;
    return ac_thread_cpu_ns();
}

const struct ac_clock ac_clock_thread_cpu = {.now_ns = thread_cpu_now};
const struct ac_clock ac_clock_real = {.now_ns = real_now, .wall_ns = real_wall};

/* Days since 1970-01-01 in the proleptic Gregorian calendar, in 400-year eras from 1 March. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t days, int64_t *y, int *m, int *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

void ac_time_format(int64_t wall_ns, char *dst, size_t dst_size)
{
    int64_t day_ns = 86400 * AC_NS_PER_S, days = wall_ns / day_ns, rest = wall_ns % day_ns, y;
    if (rest < 0) {
        rest += day_ns;
        days--;
    }
    int m, d, s = (int)(rest / AC_NS_PER_S);
    civil_from_days(days, &y, &m, &d);
    (void)snprintf(dst, dst_size, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (int)y, m, d, s / 3600,
                   s / 60 % 60, s % 60, (int)(rest % AC_NS_PER_S / AC_NS_PER_US));
}

/* n decimal digits at *s, or -1. */
static int digits(const char **s, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*s)++) {
        if (!isdigit((unsigned char)**s))
            return -1;
        v = v * 10 + (**s - '0');
    }
    return v;
}

static bool lit(const char **s, const char *any)
{
    if (!**s || !strchr(any, **s))
        return false;
    (*s)++;
    return true;
}

static int days_in_month(int y, int m)
{
    static const int len[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return len[m - 1] + (m == 2 && leap);
}

static bool parse_date(const char **s, int64_t *ret_days)
{
    int y = digits(s, 4);
    if (y < 0 || !lit(s, "-"))
        return false;
    int m = digits(s, 2);
    if (m < 1 || m > 12 || !lit(s, "-"))
        return false;
    int d = digits(s, 2);
    if (d < 1 || d > days_in_month(y, m))
        return false;
    *ret_days = days_from_civil(y, m, d);
    return true;
}

static bool parse_time(const char **s, int64_t *ret_s, int64_t *ret_frac_ns)
{
    int h = digits(s, 2);
    if (h < 0 || h > 23 || !lit(s, ":"))
        return false;
    int m = digits(s, 2);
    if (m < 0 || m > 59 || !lit(s, ":"))
        return false;
    int sec = digits(s, 2);
    if (sec < 0 || sec > 60) /* 60: a leap second counts as the first of the next minute */
        return false;
    *ret_s = h * 3600 + m * 60 + sec;
    *ret_frac_ns = 0;
    if (lit(s, ".")) {
        if (!isdigit((unsigned char)**s))
            return false;
        for (int64_t unit = AC_NS_PER_S / 10; isdigit((unsigned char)**s); unit /= 10, (*s)++)
            *ret_frac_ns += unit * (**s - '0');
    }
    return true;
}

static bool parse_zone(const char **s, int64_t *ret_offset_s)
{
    *ret_offset_s = 0;
    if (lit(s, "Zz"))
        return true;
    int sign = **s == '-' ? -1 : 1;
    if (!lit(s, "+-"))
        return false;
    int h = digits(s, 2);
    if (h < 0 || h > 23 || !lit(s, ":"))
        return false;
    int m = digits(s, 2);
    if (m < 0 || m > 59)
        return false;
    *ret_offset_s = (int64_t)sign * (h * 3600 + m * 60);
    return true;
}

int ac_time_parse(const char *s, int64_t *ret_wall_ns)
{
    int64_t days, secs, frac, offset, ns;
    if (!parse_date(&s, &days) || !lit(&s, "Tt ") || !parse_time(&s, &secs, &frac) ||
        !parse_zone(&s, &offset) || *s)
        return AC_EINVAL;
    if (__builtin_mul_overflow(days * 86400 + secs - offset, AC_NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, frac, &ns))
        return AC_EINVAL;
    *ret_wall_ns = ns;
    return 0;
}

/* Zone files: a list of transitions, and a rule in POSIX's TZ notation for the time after the last.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/rules_zone.h>

#define FILE_MAX        (1u << 20)
#define TRANSITIONS_MAX 100000u
#define OFFSET_MAX_S    (26 * 3600) /* RFC 8536 allows -25:59:59 to 25:59:59 */
#define HEAD            44u
#define DAY_S           86400

/* When a clock is changed each year: POSIX's Jn, n and Mm.w.d, with the time of day. */
struct change {
    char kind; /* 'J', '0' or 'M' */
    int month, week, day;
    int32_t time_s;
};

struct ac_zone {
    size_t n;
    int64_t *at_s;    /* ascending */
    int32_t *after_s; /* offset from then on */
    int32_t before_s; /* offset before the first */
    bool has_rule, has_dst;
    int32_t std_s, dst_s;
    struct change to_dst, to_std;
};

/* ---- POSIX TZ: std offset [dst [offset] , start [/time] , end [/time]] ---- */

static bool skip_name(const char **s)
{
    const char *p = *s;
    if (*p == '<') {
        const char *e = strchr(p, '>');
        if (!e)
            return false;
        *s = e + 1;
        return true;
    }
    while ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))
        p++;
    bool ok = p - *s >= 3;
    *s = p;
    return ok;
}

static bool take_int(const char **s, int least, int most, int *ret)
{
    int v = 0;
    const char *p = *s;
    while (*p >= '0' && *p <= '9' && p - *s < 4)
        v = 10 * v + (*p++ - '0');
    if (p == *s || v < least || v > most)
        return false;
    *s = p;
    *ret = v;
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(const char **s, int32_t *ret)
{
    int sign = **s == '-' ? -1 : 1, part[3] = {0};
    if (**s == '-' || **s == '+')
        ++*s;
    if (!take_int(s, 0, 167, &part[0]))
        return false;
    for (int i = 1; i < 3 && **s == ':'; i++) {
        ++*s;
        if (!take_int(s, 0, 59, &part[i]))
            return false;
    }
    *ret = sign * (part[0] * 3600 + part[1] * 60 + part[2]);
    return true;
}

static bool take_change(const char **s, struct change *c)
{
    if (**s != ',')
        return false;
    ++*s;
    c->kind = '0';
    if (**s == 'J' || **s == 'M')
        c->kind = *(*s)++;
    if (c->kind == 'M') {
        if (!take_int(s, 1, 12, &c->month) || *(*s)++ != '.' || !take_int(s, 1, 5, &c->week) ||
            *(*s)++ != '.' || !take_int(s, 0, 6, &c->day))
            return false;
    } else if (!take_int(s, c->kind == 'J', 365, &c->day)) {
        return false;
    }
    c->time_s = 7200;
    if (**s != '/')
        return true;
    ++*s;
    return take_time(s, &c->time_s);
}

static bool parse_rule(struct ac_zone *z, const char *s)
{
    int32_t west;
    if (!skip_name(&s) || !take_time(&s, &west) || abs(west) > OFFSET_MAX_S)
        return false;
    z->std_s = -west;
    z->has_rule = true;
    if (!*s)
        return true;
    if (!skip_name(&s))
        return false;
    z->dst_s = z->std_s + 3600;
    if (*s && *s != ',') {
        if (!take_time(&s, &west) || abs(west) > OFFSET_MAX_S)
            return false;
        z->dst_s = -west;
    }
    z->has_dst = true;
    return take_change(&s, &z->to_dst) && take_change(&s, &z->to_std) && !*s;
}

static bool leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Days from 1970-01-01 to January 1 of a year. */
static int64_t year_start(int64_t y)
{
    int64_t p = y - 1;
    return 365 * (y - 1970) + (p / 4 - 492) - (p / 100 - 19) + (p / 400 - 4);
}

/* Seconds from 1970 by the clock that is changed. */
static int64_t change_at(const struct change *c, int64_t year)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int64_t day = year_start(year);
    if (c->kind == '0') {
        day += c->day;
    } else if (c->kind == 'J') { /* February 29 is never counted */
        day += c->day - 1 + (leap(year) && c->day >= 60);
    } else {
        int64_t first = day + before[c->month - 1] + (leap(year) && c->month > 2);
        int64_t next = day + before[c->month] + (leap(year) && c->month >= 2);
        int64_t week_day = (first + 4) % 7; /* 1970-01-01 was a Thursday */
        day = first + (c->day - (week_day + 7) % 7 + 7) % 7 + 7 * (int64_t)(c->week - 1);
        while (day >= next)
            day -= 7;
    }
    return day * DAY_S + c->time_s;
}

static int32_t rule_offset(const struct ac_zone *z, int64_t t)
{
    if (!z->has_dst)
        return z->std_s;
    int64_t day = (t + z->std_s) / DAY_S, year = 1970 + day / 366;
    while (year_start(year + 1) <= day)
        year++;
    int64_t start = change_at(&z->to_dst, year) - z->std_s;
    int64_t end = change_at(&z->to_std, year) - z->dst_s;
    bool dst = start < end ? t >= start && t < end : t >= start || t < end;
    return dst ? z->dst_s : z->std_s;
}

/* ---- the file ---- */

struct counts {
    uint32_t isut, isstd, leaps, times, types, chars;
};

static uint64_t big_endian(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static bool read_head(const unsigned char *p, size_t len, struct counts *c)
{
    if (len < HEAD || memcmp(p, "TZif", 4) != 0)
        return false;
    uint32_t *to[] = {&c->isut, &c->isstd, &c->leaps, &c->times, &c->types, &c->chars};
    for (size_t i = 0; i < AC_ARRAY_LEN(to); i++) {
        *to[i] = (uint32_t)big_endian(p + 20 + 4 * i, 4);
        if (*to[i] > TRANSITIONS_MAX)
            return false;
    }
    return c->types >= 1 && c->types <= 256;
}

static size_t body_len(const struct counts *c, size_t word)
{
    return c->times * (word + 1) + (size_t)c->types * 6 + c->chars + c->leaps * (word + 4) +
           c->isstd + c->isut;
}

static bool read_body(struct ac_zone *z, const unsigned char *p, const struct counts *c,
                      size_t word)
{
    const unsigned char *kind = p + c->times * word, *type = kind + c->times;
    z->n = c->times;
    z->at_s = ac_xcalloc(z->n + 1, sizeof *z->at_s);
    z->after_s = ac_xcalloc(z->n + 1, sizeof *z->after_s);
    z->before_s = (int32_t)big_endian(type, 4);
    for (size_t i = 0; i < z->n; i++) {
        z->at_s[i] = word == 8 ? (int64_t)big_endian(p + i * 8, 8)
                               : (int64_t)(int32_t)big_endian(p + i * 4, 4);
        if (kind[i] >= c->types || (i && z->at_s[i] <= z->at_s[i - 1]))
            return false;
        z->after_s[i] = (int32_t)big_endian(type + 6 * (size_t)kind[i], 4);
        if (z->after_s[i] > OFFSET_MAX_S || z->after_s[i] < -OFFSET_MAX_S)
            return false;
    }
    return z->before_s <= OFFSET_MAX_S && z->before_s >= -OFFSET_MAX_S;
}

/* "\nTZ\n"; an empty one says that nothing is known beyond the last transition. */
static bool read_footer(struct ac_zone *z, const unsigned char *p, size_t len)
{
    char text[128];
    const unsigned char *e = len > 1 && *p == '\n' ? memchr(p + 1, '\n', len - 1) : NULL;
    size_t n = e ? (size_t)(e - p - 1) : 0;
    if (!e || n >= sizeof text || memchr(p, 0, n + 1))
        return false;
    memcpy(text, p + 1, n);
    text[n] = 0;
    return !n || parse_rule(z, text);
}

static bool read_file(struct ac_zone *z, const unsigned char *p, size_t len)
{
    struct counts c;
    if (!read_head(p, len, &c) || len - HEAD < body_len(&c, 4))
        return false;
    if (p[4] == 0) /* version 1: 32-bit times and no footer */
        return read_body(z, p + HEAD, &c, 4);
    size_t at = HEAD + body_len(&c, 4);
    if (!read_head(p + at, len - at, &c))
        return false;
    at += HEAD;
    if (len - at < body_len(&c, 8) || !read_body(z, p + at, &c, 8))
        return false;
    at += body_len(&c, 8);
    return read_footer(z, p + at, len - at);
}

int ac_zone_parse(const char *name, const void *bytes, size_t len, struct ac_zone **ret,
                  struct ac_err *err)
{
    struct ac_zone *z = ac_xcalloc(1, sizeof *z);
    if (len > FILE_MAX || !read_file(z, bytes, len)) {
        ac_zone_destroy(z);
        return ac_err_set(err, AC_EINVAL, "%s: this is no zone file (TZif)", name);
    }
    *ret = z;
    return 0;
}

int ac_zone_load(const char *dir, const char *name, struct ac_zone **ret, struct ac_err *err)
{
    char path[512], *bytes = NULL;
    size_t len = 0;
    int n = snprintf(path, sizeof path, "%s/%s", dir ? dir : AC_ZONE_DIR, name);
    if (n < 0 || (size_t)n >= sizeof path || strstr(name, "..") || *name == '/')
        return ac_err_set(err, AC_EINVAL, "%.64s is no name of a time zone", name);
    struct ac_err why = AC_ERR_INIT;
    if (ac_file_read(path, FILE_MAX, &bytes, &len, &why) < 0)
        return ac_err_set(err, AC_ENOTFOUND,
                          "there is no time zone %.64s here (%s; the package tzdata has them)",
                          name, why.msg);
    int rc = ac_zone_parse(path, bytes, len, ret, err);
    free(bytes);
    return rc;
}

void ac_zone_destroy(struct ac_zone *z)
{
    if (!z)
        return;
    free(z->at_s);
    free(z->after_s);
    free(z);
}

int32_t ac_zone_offset_s(const struct ac_zone *z, int64_t time_ns)
{
    int64_t t = time_ns / 1000000000 - (time_ns % 1000000000 < 0);
    size_t low = 0, high = z->n; /* the first transition behind t */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (z->at_s[mid] <= t)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == z->n && z->has_rule && t >= 0)
        return rule_offset(z, t);
    return low ? z->after_s[low - 1] : z->before_s;
}

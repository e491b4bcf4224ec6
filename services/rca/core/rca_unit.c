#include "rca_unit.h"

#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/str.h>

static const char *const bad_names[AC_RCA_NBAD] = {"high", "low", "both"};

const char *ac_rca_bad_name(enum ac_rca_bad b)
{
    return (unsigned)b < AC_RCA_NBAD ? bad_names[b] : "?";
}

const char *ac_rca_bad_text(enum ac_rca_bad b)
{
    return b == AC_RCA_BAD_BOTH ? "high or low" : ac_rca_bad_name(b);
}

bool ac_rca_bad_parse(const char *name, enum ac_rca_bad *ret)
{
    for (int i = 0; i < AC_RCA_NBAD; i++)
        if (ac_streq(bad_names[i], name)) {
            *ret = (enum ac_rca_bad)i;
            return true;
        }
    return false;
}

enum quantity {
    TIME,
    SHARE,
    SIZE,
    PROCESSOR,
    RATE,
    FLOW
};

#define SPELLINGS 7

/* "m" is a thousandth of a processor, as Kubernetes writes it. */
static const struct unit {
    const char *name;
    enum quantity of;
    double factor; /* into the first unit of its quantity */
    const char *also[SPELLINGS];
} units[] = {
    {"s", TIME, 1, {"sec", "secs", "second", "seconds"}},
    {"ms", TIME, 1e-3, {"msec", "millis", "millisecond", "milliseconds"}},
    {"us", TIME, 1e-6, {"\xc2\xb5s", "usec", "micros", "microsecond", "microseconds"}},
    {"ns", TIME, 1e-9, {"nsec", "nanos", "nanosecond", "nanoseconds"}},
    {"min", TIME, 60, {"minute", "minutes"}},
    {"%", SHARE, 1, {"percent", "pct", "percentage"}},
    {"ratio", SHARE, 100, {"fraction"}},
    {"bytes", SIZE, 1, {"By", "B", "byte"}},
    {"kB", SIZE, 1e3, {"kBy", "kb", "kilobytes"}},
    {"MB", SIZE, 1e6, {"MBy", "mb", "megabytes"}},
    {"GB", SIZE, 1e9, {"GBy", "gb", "gigabytes"}},
    {"KiB", SIZE, 1024, {"Ki", "KiBy", "kib", "kibibytes"}},
    {"MiB", SIZE, 1048576, {"Mi", "MiBy", "mib", "mebibytes"}},
    {"GiB", SIZE, 1073741824, {"Gi", "GiBy", "gib", "gibibytes"}},
    {"cores", PROCESSOR, 1, {"core", "cpus", "vcpus"}},
    {"millicores", PROCESSOR, 1e-3, {"m", "millicpu", "mcores"}},
    {"1/s", RATE, 1, {"Ops", "ops", "rps", "qps", "Hz", "per_second", "req/s"}},
    {"bytes/s", FLOW, 1, {"By/s", "B/s", "Bps", "bytes_per_second"}},
};

static const struct unit *find(const char *name)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(units); i++)
        if (ac_streq(units[i].name, name))
            return &units[i];
    return NULL;
}

static const struct unit *spelled(const char *word)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(units); i++) {
        if (ac_streq(units[i].name, word))
            return &units[i];
        for (size_t k = 0; k < SPELLINGS && units[i].also[k]; k++)
            if (ac_streq(units[i].also[k], word))
                return &units[i];
    }
    return NULL;
}

/* Whole characters, as many as there is room for; what is not UTF-8 ends it. */
static void keep(const char *word, char ret[AC_RCA_UNIT_SIZE])
{
    size_t n = 0, more;
    while (word[n] && (more = ac_utf8_len((const unsigned char *)word + n)) > 0 &&
           n + more < AC_RCA_UNIT_SIZE)
        n += more;
    memcpy(ret, word, n);
    ret[n] = '\0';
}

void ac_rca_unit_spell(const char *unit, char ret[AC_RCA_UNIT_SIZE])
{
    const char *close = unit[0] == '{' ? strchr(unit, '}') : NULL; /* UCUM: {request}/s */
    char rest[64];
    (void)snprintf(rest, sizeof(rest), "%s%s", close ? "1" : "", close ? close + 1 : unit);
    const struct unit *u = spelled(rest);
    keep(u ? u->name : ac_streq(rest, "1") ? "" : rest, ret);
}

/* What may stand behind the unit: which statistic, or that it is a counter's total. */
static bool is_statistic(const char *word)
{
    static const char *const words[] = {"sum", "avg",   "average", "mean", "max",
                                        "min", "total", "median",  "value"};
    for (size_t i = 0; i < AC_ARRAY_LEN(words); i++)
        if (ac_streq(words[i], word))
            return true;
    if (*word == 'p' || *word == 'q')
        word++;
    return isdigit((unsigned char)word[0]) && isdigit((unsigned char)word[1]) && strlen(word) <= 3;
}

void ac_rca_unit_of_name(const char *name, char ret[AC_RCA_UNIT_SIZE])
{
    char s[128];
    size_t n = strlen(name);
    ret[0] = '\0';
    const char *open = n > 0 && name[n - 1] == ')' ? strrchr(name, '(') : NULL;
    if (open) {
        (void)snprintf(s, sizeof(s), "%.*s", (int)(name + n - 1 - (open + 1)), open + 1);
        ac_rca_unit_spell(s, ret);
        return;
    }
    if (n >= sizeof(s))
        return;
    for (size_t i = 0; i <= n; i++) /* "latency-p90" and "latency.ms" are cut at the same places */
        s[i] = (char)(name[i] == '-' || name[i] == '.' ? '_' : tolower((unsigned char)name[i]));
    char *cut = strrchr(s, '_');
    while (cut && cut > s && is_statistic(cut + 1)) {
        *cut = '\0';
        cut = strrchr(s, '_');
    }
    for (char *at = strchr(s, '_'); at; at = strchr(at + 1, '_')) { /* the longest end */
        bool per = at - s >= 4 && strncmp(at - 4, "_per", 4) == 0;  /* "jobs_per_sec": no time */
        const struct unit *u = per || ac_streq(at + 1, "m") ? NULL : spelled(at + 1);
        if (u) {
            (void)snprintf(ret, AC_RCA_UNIT_SIZE, "%s", u->name);
            return;
        }
    }
}

void ac_rca_unit_behind(const char *unit, char ret[AC_RCA_UNIT_SIZE + 1])
{
    bool none = !*unit || ac_streq(unit, "ratio"), rate = ac_streq(unit, "1/s");
    (void)snprintf(ret, AC_RCA_UNIT_SIZE + 1, "%s%s", none || rate ? "" : " ",
                   none   ? ""
                   : rate ? "/s"
                          : unit);
}

double ac_rca_unit_factor(const char *from, const char *to)
{
    const struct unit *a = find(from), *b = find(to);
    return a && b && a->of == b->of ? a->factor / b->factor : 0.0;
}

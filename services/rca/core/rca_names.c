/* What names mean: measurements by kind, log lines and events by class. */
#include "rca_model.h"

#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/str.h>

static void lower(char *dst, size_t size, const char *src)
{
    size_t i = 0;
    for (; src[i] && i + 1 < size; i++)
        dst[i] = (char)tolower((unsigned char)src[i]);
    dst[i] = '\0';
}

static bool any_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (strstr(s, *words))
            return true;
    return false;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static enum ac_rca_statistic statistic_of(const char *s)
{
    size_t n = strlen(s);
    static const struct {
        const char *end;
        enum ac_rca_statistic st;
    } ends[] = {{"50", AC_RCA_P50}, {"90", AC_RCA_P90}, {"95", AC_RCA_P95}, {"99", AC_RCA_P99}};
    for (size_t i = 0; i < AC_ARRAY_LEN(ends); i++) {
        /* p90, lat_90, latencyp90(s) */
        const char *p = strstr(s, ends[i].end);
        if (p && p > s && (p[2] == '\0' || !isdigit((unsigned char)p[2])) &&
            (p[-1] == 'p' || p[-1] == '_' || p[-1] == '.' || p[-1] == '-') && (size_t)(p - s) < n)
            return ends[i].st;
    }
    if (strstr(s, "max"))
        return AC_RCA_MAX;
    return AC_RCA_MEAN;
}

struct ac_rca_name ac_rca_name_parse(const char *name)
{
    char s[128];
    lower(s, sizeof(s), name);
    struct ac_rca_name r = {.kind = AC_RCA_OTHER, .statistic = statistic_of(s)};
    bool left = any_of(s, WORDS("avail", "free", "idle")); /* what is left of a resource */
    ac_rca_unit_of_name(name, r.unit);
    if (ac_str_starts(s, "node")) {
        r.drop = true;
    } else if (any_of(s, WORDS("avail", "success")) && !any_of(s, WORDS("mem", "disk", "cpu"))) {
        r.kind = AC_RCA_ERR;
        r.bad = AC_RCA_BAD_LOW;
        return r;
    } else if (any_of(s, WORDS("unready", "not_ready"))) {
        r.kind = AC_RCA_UNREADY;
    } else if (strstr(s, "restart")) {
        r.kind = AC_RCA_RESTART;
    } else if (any_of(s, WORDS("err", "fail"))) {
        r.kind = strstr(s, "client") ? AC_RCA_CERR : strstr(s, "log") ? AC_RCA_LOGERR : AC_RCA_ERR;
    } else if (strstr(s, "cpu")) {
        r.kind = AC_RCA_CPU;
    } else if (strstr(s, "mem")) {
        r.kind = AC_RCA_MEM;
    } else if (any_of(s, WORDS("lat", "duration"))) {
        r.kind = strstr(s, "client") ? AC_RCA_CLAT : AC_RCA_LAT;
    } else if (any_of(s, WORDS("net", "receive", "transmit", "socket"))) {
        r.kind = AC_RCA_NET;
    } else if (any_of(s, WORDS("syscall", "write", "read", "disk"))) {
        r.kind = AC_RCA_IO;
    } else if (any_of(s, WORDS("lod", "load", "workload", "request", "ops"))) {
        r.kind = strstr(s, "client") ? AC_RCA_CLOAD : AC_RCA_LOAD;
    }
    r.bad = left && (r.kind == AC_RCA_CPU || r.kind == AC_RCA_MEM || r.kind == AC_RCA_IO)
                ? AC_RCA_BAD_LOW
                : ac_rca_kind_bad(r.kind);
    return r;
}

static const char *const class_names[AC_RCA_NEVENTS] = {
    [AC_RCA_EVENT_OTHER] = "other",     [AC_RCA_EVENT_UNREADY] = "unready",
    [AC_RCA_EVENT_CHANGE] = "change",   [AC_RCA_EVENT_DENIED] = "denied",
    [AC_RCA_EVENT_TIMEOUT] = "timeout", [AC_RCA_EVENT_UNREACHABLE] = "unreachable",
};

const char *ac_rca_event_class_name(enum ac_rca_event_class c)
{
    return (unsigned)c < AC_RCA_NEVENTS ? class_names[c] : "?";
}

enum ac_rca_event_class ac_rca_event_classify(const char *text)
{
    char s[512];
    lower(s, sizeof(s), text);
    if (any_of(s, WORDS("permission denied", "must be owner", "not authorized", "unauthorized",
                        "authentication failed", "unauthenticated", "access denied", "auth failed",
                        "password", "noauth", "noperm", "forbidden")))
        return AC_RCA_EVENT_DENIED;
    if (any_of(s, WORDS("deadline", "timed out", "timeout")))
        return AC_RCA_EVENT_TIMEOUT;
    if (any_of(s, WORDS("connection refused", "no route", "unreachable", "unavailable",
                        "connection reset", "could not connect", "failed to connect", "no healthy",
                        "no endpoints")))
        return AC_RCA_EVENT_UNREACHABLE;
    if (any_of(s, WORDS("unhealthy", "backoff", "back-off", "crashloop", "not ready", "notready",
                        "oomkilled", "evicted", "imagepull", "failedscheduling", "failedmount",
                        "pod failure")))
        return AC_RCA_EVENT_UNREADY;
    if (any_of(s, WORDS("scaled", "rollout", "rolled", "scalingreplicaset", "revision",
                        "configuration changed")))
        return AC_RCA_EVENT_CHANGE;
    return AC_RCA_EVENT_OTHER;
}

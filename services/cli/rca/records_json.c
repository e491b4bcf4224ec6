#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/json.h>
#include <aceso/series_csv.h>
#include <aceso/str.h>

#include "rca/records.h"
#include "rca/words.h"
#include "readers/rca_csv.h"
#include "readers/rca_nezha.h"

#define WRAPPED_MAX ((size_t)64 << 10) /* longer JSON in a line stays text */

/* ---- words ---- */

static const char *string_of(const json_t *j, const char *const *keys)
{
    for (; *keys; keys++) {
        const char *s = json_string_value(json_object_get(j, *keys));
        if (s && *s)
            return s;
    }
    return NULL;
}

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

void rca_words_object(const json_t *j, struct rca_words *w)
{
    const char *text = string_of(j, KEYS("message", "msg", "log", "body", "text", "error"));
    const char *level = string_of(j, KEYS("severity", "level", "severity_text", "lvl"));
    const json_t *number = json_object_get(j, "severityNumber");
    if (text)
        w->text = text;
    if (level)
        w->severity = ac_rca_severity(level);
    else if (json_is_integer(number))
        w->severity = (int)AC_MAX(0, AC_MIN(json_integer_value(number), 24));
}

static json_t *object_in(const char *text)
{
    json_t *j = NULL;
    while (*text == ' ')
        text++;
    size_t n = strnlen(text, WRAPPED_MAX + 1);
    if (*text != '{' || n > WRAPPED_MAX || ac_json_parse("line", text, n, &j, NULL))
        return NULL;
    return j;
}

void rca_words_of(const char *text, struct rca_words *ret)
{
    *ret = (struct rca_words){.text = text};
    ret->keep = object_in(text);
    if (!ret->keep)
        return;
    rca_words_object(ret->keep, ret);
    ret->keep_inner = ret->text == text ? NULL : object_in(ret->text); /* {"log": "{...}"} */
    if (ret->keep_inner)
        rca_words_object(ret->keep_inner, ret);
}

void rca_words_fini(struct rca_words *w)
{
    json_decref(w->keep);
    json_decref(w->keep_inner);
    *w = (struct rca_words){.text = ""};
}

/* ---- OTLP ---- */

struct records {
    const char *where; /* file, or file:line */
    struct ac_rca_lines *l;
    struct ac_rca_spans *s;
    struct ac_err *err;
};

/* A time of OTLP (digits, in a string as a rule) or any form that CSV takes. False: none. */
static bool time_of(const json_t *j, const char *const *keys, int64_t *ret_ns)
{
    for (; *keys; keys++) {
        const json_t *t = json_object_get(j, *keys);
        char digits[32] = "";
        if (json_is_integer(t))
            (void)snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(t));
        else if (json_is_real(t))
            (void)snprintf(digits, sizeof(digits), "%.17g", json_real_value(t));
        const char *text = json_is_string(t) ? json_string_value(t) : digits;
        if (*text && ac_csv_time(text, ret_ns) && *ret_ns > 0 && *ret_ns <= AC_RCA_TIME_MAX_NS)
            return true;
    }
    return false;
}

/* The string of an attribute [{key, value: {stringValue}}], NULL when it has none. */
static const char *attribute(const json_t *list, const char *const *keys)
{
    size_t i;
    json_t *a;
    for (; *keys; keys++)
        json_array_foreach(list, i, a)
        {
            const char *key = json_string_value(json_object_get(a, "key"));
            if (key && ac_streq(key, *keys))
                return json_string_value(
                    json_object_get(json_object_get(a, "value"), "stringValue"));
        }
    return NULL;
}

static const char *peer_of(const json_t *attributes)
{
    return attribute(attributes, KEYS("peer.service", "peer"));
}

/* An enumeration of OTLP: a number or its name. */
static const char *word_of(const json_t *j, const char *key, char number[32])
{
    const json_t *v = json_object_get(j, key);
    (void)snprintf(number, 32, "%lld", (long long)json_integer_value(v));
    return json_is_string(v) ? json_string_value(v) : json_is_integer(v) ? number : "";
}

static int otlp_span(const struct records *r, const json_t *j, const char *component)
{
    struct ac_rca_span x = {.component = component};
    int64_t end;
    char number[32];
    x.trace = ac_json_str(j, "traceId", "");
    x.id = ac_json_str(j, "spanId", "");
    x.parent = ac_json_str(j, "parentSpanId", "");
    x.name = ac_json_str(j, "name", "");
    x.peer = peer_of(json_object_get(j, "attributes"));
    x.kind = ac_rca_span_kind(word_of(j, "kind", number));
    x.failed = ac_rca_span_failed(word_of(json_object_get(j, "status"), "code", number));
    if (!time_of(j, KEYS("startTimeUnixNano"), &x.start_ns) ||
        !time_of(j, KEYS("endTimeUnixNano"), &end))
        return ac_err_set(r->err, AC_EINVAL, "%s: span %.32s: no start or end time", r->where,
                          x.id);
    x.duration_ns = end - x.start_ns;
    return ac_rca_spans_add(r->s, &x, r->err);
}

static int otlp_log(const struct records *r, const json_t *j, const char *component)
{
    struct ac_rca_line x = {.component = component};
    struct rca_words w;
    if (!time_of(j, KEYS("timeUnixNano", "observedTimeUnixNano"), &x.t_ns))
        return ac_err_set(r->err, AC_EINVAL, "%s: a log record without time", r->where);
    rca_words_of(ac_json_str(j, "body.stringValue", ""), &w);
    const char *level = ac_json_str(j, "severityText", "");
    int64_t number = ac_json_i64(j, "severityNumber", 0);
    x.severity = number > 0 && number <= 24 ? (int)number : ac_rca_severity(level);
    if (x.severity == 0)
        x.severity = w.severity;
    x.text = w.text;
    x.peer = peer_of(json_object_get(j, "attributes"));
    int rc = ac_rca_lines_add(r->l, &x, r->err);
    rca_words_fini(&w);
    return rc;
}

/* resourceX[].scopeX[].records[] of a request. */
static int otlp(const struct records *r, const json_t *resources, const char *scopes,
                const char *records,
                int (*one)(const struct records *, const json_t *, const char *))
{
    size_t i, k, n;
    json_t *resource, *scope, *record;
    int rc = 0;
    json_array_foreach(resources, i, resource)
    {
        const char *component =
            attribute(ac_json_at(resource, "resource.attributes"), KEYS("service.name"));
        json_array_foreach(json_object_get(resource, scopes), k, scope)
        {
            json_array_foreach(json_object_get(scope, records), n, record)
            {
                if (!rc && component)
                    rc = one(r, record, component);
            }
        }
    }
    return rc;
}

/* ---- plain lines ---- */

static int plain_line(const struct records *r, const json_t *j)
{
    struct ac_rca_line x = {0};
    struct rca_words w = {.text = ""};
    const char *pod = string_of(j, KEYS("PodName", "pod_name", "pod"));
    const char *who = string_of(
        j, KEYS("component", "service", "service.name", "service_name", "container_name"));
    if (!time_of(j, KEYS("TimeUnixNano", "timestamp", "@timestamp", "time", "ts"), &x.t_ns))
        return ac_err_set(r->err, AC_EINVAL, "%s: no timestamp", r->where);
    if (!who && !pod)
        return ac_err_set(r->err, AC_EINVAL, "%s: no component, service or pod", r->where);
    ac_cleanup(ac_free_p) char *service = who ? ac_xstrdup(who) : ac_rca_pod_service(pod);
    rca_words_object(j, &w);
    const char *text = w.text;
    struct rca_words inner;
    rca_words_of(text, &inner);
    x.component = service;
    x.text = inner.text;
    x.severity = w.severity ? w.severity : inner.severity;
    x.peer = string_of(j, KEYS("peer", "peer.service"));
    int rc = ac_rca_lines_add(r->l, &x, r->err);
    rca_words_fini(&inner);
    return rc;
}

static int record(const struct records *r, const json_t *j)
{
    const json_t *spans = json_object_get(j, "resourceSpans");
    const json_t *logs = json_object_get(j, "resourceLogs");
    if (!json_is_object(j))
        return ac_err_set(r->err, AC_EINVAL, "%s: expected an object", r->where);
    int rc = spans && r->s ? otlp(r, spans, "scopeSpans", "spans", otlp_span) : 0;
    if (!rc && logs && r->l)
        rc = otlp(r, logs, "scopeLogs", "logRecords", otlp_log);
    if (!rc && !spans && !logs && r->l && !json_object_get(j, "resourceMetrics"))
        rc = plain_line(r, j);
    return rc;
}

/* Objects, one a line, from a line on. */
static int lines(struct records *r, const char *name, const char *text, size_t len, size_t number)
{
    const char *end = text + len;
    int rc = 0;
    for (const char *p = text; !rc && p < end; number++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p)), *stop = eol ? eol : end;
        char where[300];
        ac_cleanup_json j = NULL;
        (void)snprintf(where, sizeof(where), "%.256s:%zu", name, number);
        r->where = where;
        while (p < stop && (*p == ' ' || *p == '\r' || *p == '\t'))
            p++;
        if (p < stop)
            rc = ac_json_parse(where, p, (size_t)(stop - p), &j, r->err);
        if (!rc && j)
            rc = record(r, j);
        p = eol ? eol + 1 : end;
    }
    return rc;
}

int rca_records_json(const char *name, const char *text, size_t len, struct ac_rca_lines *l,
                     struct ac_rca_spans *s, struct ac_err *err)
{
    struct records r = {.where = name, .l = l, .s = s, .err = err};
    ac_cleanup_json whole = NULL;
    const char *eol = memchr(text, '\n', len);
    ac_cleanup_json first = NULL;
    size_t n = eol ? (size_t)(eol - text) : 0;
    char where[300];
    int rc = 0;
    /* One document over several lines: its first line is none. */
    if (n > 0 && ac_json_parse(name, text, n, &first, NULL))
        rc = ac_json_parse(name, text, len, &whole, err);
    if (first) { /* is not parsed again */
        (void)snprintf(where, sizeof(where), "%.256s:1", name);
        r.where = where;
    }
    if (!rc && (whole || first))
        rc = record(&r, whole ? whole : first);
    if (!rc && !whole)
        rc = first ? lines(&r, name, eol + 1, len - n - 1, 2) : lines(&r, name, text, len, 1);
    if (l)
        ac_rca_lines_end(l);
    if (s)
        ac_rca_spans_end(s);
    return rc;
}

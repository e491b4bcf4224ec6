#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#include "rca/records.h"
#include "rca/words.h"
#include "readers/rca_csv.h"
#include "readers/rca_nezha.h"

#define MAX_COLUMNS 256
#define WORDS(...)  ((const char *const[]){__VA_ARGS__, NULL})

/* Whether a header's word is a name: in any case, _ and blanks left out. */
static bool same_word(const char *word, const char *name)
{
    for (; *word; word++) {
        if (*word == '_' || *word == ' ' || *word == '.')
            continue;
        if ((*word | 0x20) != *name++)
            return false;
    }
    return *name == '\0';
}

/* The column of the first name that the header has, from 0; -1: none. */
static int column_of(const struct ac_csv *r, const char *const *names)
{
    for (; *names; names++)
        for (size_t i = 0; i < r->n; i++)
            if (same_word(r->fields[i], *names))
                return (int)i;
    return -1;
}

static const char *cell(const struct ac_csv *r, int column)
{
    return column >= 0 ? r->fields[column] : "";
}

/* Which component a row is of; a pod stands for its service. */
struct whose {
    int column;
    bool pod;
};

static struct whose whose_of(const struct ac_csv *r)
{
    struct whose w = {.column = column_of(r, WORDS("component", "service", "servicename"))};
    if (w.column < 0) {
        w.column = column_of(r, WORDS("podname", "pod"));
        w.pod = w.column >= 0;
    }
    if (w.column < 0)
        w.column = column_of(r, WORDS("containername", "container"));
    return w;
}

static char *component_of(const struct ac_csv *r, struct whose w)
{
    return w.pod ? ac_rca_pod_service(r->fields[w.column]) : ac_xstrdup(r->fields[w.column]);
}

/* First row and its columns; 0 rows are an empty recording, not an error. */
static int header(struct ac_csv *r, const char *file, struct ac_err *err)
{
    r->multiline = true;
    int rc = ac_csv_next(r);
    if (rc == 0)
        return ac_err_set(err, AC_EINVAL, "%s:1:1: the file is empty", file);
    return rc < 0 ? rc : 0;
}

struct log_columns {
    size_t n;
    struct whose who;
    int time, text, severity, peer, error;
};

static int log_row(struct ac_csv *r, const struct log_columns *k, struct ac_rca_lines *l)
{
    struct ac_rca_line x = {0};
    struct rca_words w;
    if (r->n != k->n)
        return ac_csv_err(r, AC_MIN(r->n, k->n) + 1, "%zu cells, the header has %zu", r->n, k->n);
    int rc = ac_rca_row_time(r, (size_t)k->time + 1, r->fields[k->time], 0, &x.t_ns);
    if (rc)
        return rc;
    ac_cleanup(ac_free_p) char *component = component_of(r, k->who);
    const char *error = cell(r, k->error);
    bool says = *error && strcasecmp(error, "nan") != 0 && strcasecmp(error, "none") != 0 &&
                strcasecmp(error, "false") != 0 && !ac_streq(error, "0");
    rca_words_of(r->fields[k->text], &w);
    x.component = component;
    x.text = says && strcasecmp(error, "true") != 0 ? error : w.text;
    x.peer = cell(r, k->peer);
    x.severity = says ? 17 : ac_rca_severity(cell(r, k->severity));
    if (x.severity == 0)
        x.severity = w.severity;
    rc = ac_rca_lines_add(l, &x, r->err);
    rca_words_fini(&w);
    return rc;
}

int rca_logs_csv(const char *name, const char *text, size_t len, struct ac_rca_lines *l,
                 struct ac_err *err)
{
    struct ac_csv r;
    ac_csv_init(&r, name, text, len, MAX_COLUMNS, err);
    int rc = header(&r, name, err);
    if (!rc) {
        struct log_columns k = {
            .n = r.n,
            .who = whose_of(&r),
            .time = column_of(&r, WORDS("timeunixnano", "timestamp", "time")),
            .text = column_of(&r, WORDS("message", "msg", "log", "body", "text")),
            .severity = column_of(&r, WORDS("severitynumber", "severity", "level", "severitytext")),
            .peer = column_of(&r, WORDS("peer", "peerservice")),
            .error = column_of(&r, WORDS("error")),
        };
        if (k.time < 0 || k.text < 0 || k.who.column < 0)
            rc = ac_csv_err(&r, 1, "no column is called %s",
                            k.time < 0   ? "timestamp or time"
                            : k.text < 0 ? "message, log, body or text"
                                         : "component, service, PodName or container_name");
        while (!rc && (rc = ac_csv_next(&r)) > 0)
            rc = log_row(&r, &k, l);
    }
    ac_rca_lines_end(l);
    ac_csv_fini(&r);
    return rc;
}

struct span_columns {
    size_t n;
    struct whose who;
    int trace, id, parent, start, end, duration, name, status, kind, peer;
    double unit_ns; /* of the duration */
};

static int span_row(struct ac_csv *r, const struct span_columns *k, struct ac_rca_spans *s)
{
    struct ac_rca_span x = {0};
    int64_t end;
    double duration = 0;
    if (r->n != k->n)
        return ac_csv_err(r, AC_MIN(r->n, k->n) + 1, "%zu cells, the header has %zu", r->n, k->n);
    int rc = ac_rca_row_time(r, (size_t)k->start + 1, r->fields[k->start], 0, &x.start_ns);
    if (rc)
        return rc;
    if (k->end >= 0) {
        rc = ac_rca_row_time(r, (size_t)k->end + 1, r->fields[k->end], 0, &end);
        if (rc)
            return rc;
        x.duration_ns = end - x.start_ns;
    } else {
        if (!ac_str_to_f64(r->fields[k->duration], &duration) ||
            !(duration >= 0.0 && duration * k->unit_ns < 1e18))
            return ac_csv_err(r, (size_t)k->duration + 1, "not a duration: '%.40s'",
                              r->fields[k->duration]);
        x.duration_ns = (int64_t)(duration * k->unit_ns);
    }
    ac_cleanup(ac_free_p) char *component = component_of(r, k->who);
    x.component = component;
    x.trace = cell(r, k->trace);
    x.id = cell(r, k->id);
    x.parent = cell(r, k->parent);
    x.name = cell(r, k->name);
    x.peer = cell(r, k->peer);
    x.kind = ac_rca_span_kind(cell(r, k->kind));
    x.failed = *cell(r, k->status) && ac_rca_span_failed(cell(r, k->status));
    return ac_rca_spans_add(s, &x, r->err);
}

static int span_header(struct ac_csv *r, struct span_columns *k)
{
    *k = (struct span_columns){
        .n = r->n,
        .who = whose_of(r),
        .trace = column_of(r, WORDS("traceid", "trace")),
        .id = column_of(r, WORDS("spanid", "span")),
        .parent = column_of(r, WORDS("parentspanid", "parentid", "parent")),
        .start =
            column_of(r, WORDS("starttimeunixnano", "starttime", "starttimemillis", "timestamp")),
        .end = column_of(r, WORDS("endtimeunixnano", "endtime")),
        .duration = column_of(r, WORDS("durationns", "durationnano", "durationms", "duration")),
        .name = column_of(r, WORDS("operationname", "name", "methodname")),
        .status = column_of(r, WORDS("statuscode", "status", "error")),
        .kind = column_of(r, WORDS("spankind", "kind")),
        .peer = column_of(r, WORDS("peer", "peerservice")),
        .unit_ns = 1e3,
    };
    if (k->duration >= 0 && !same_word(r->fields[k->duration], "duration"))
        k->unit_ns = same_word(r->fields[k->duration], "durationms") ? 1e6 : 1.0;
    const char *lacks = k->trace < 0                    ? "traceID"
                        : k->id < 0                     ? "spanID"
                        : k->parent < 0                 ? "parentSpanID or ParentID"
                        : k->who.column < 0             ? "serviceName, component or PodName"
                        : k->start < 0                  ? "startTime or StartTimeUnixNano"
                        : k->end < 0 && k->duration < 0 ? "duration or endTime"
                                                        : NULL;
    return lacks ? ac_csv_err(r, 1, "no column is called %s", lacks) : 0;
}

int rca_spans_csv(const char *name, const char *text, size_t len, struct ac_rca_spans *s,
                  struct ac_err *err)
{
    struct ac_csv r;
    struct span_columns k;
    ac_csv_init(&r, name, text, len, MAX_COLUMNS, err);
    int rc = header(&r, name, err);
    if (!rc)
        rc = span_header(&r, &k);
    while (!rc && (rc = ac_csv_next(&r)) > 0)
        rc = span_row(&r, &k, s);
    ac_rca_spans_end(s);
    ac_csv_fini(&r);
    return rc;
}

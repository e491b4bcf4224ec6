#include "adapters/convert_pb.h"

#include "rca_answer.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#include "readers/rca_csv.h"

#define MAX_CAUSES   10 /* beside those at fault, which are never left out */
#define MAX_EVIDENCE 6
#define MAX_LABELS   32

static enum ac_rca_temporality temporality(const char *kind)
{
    return ac_streq(kind, "counter") ? AC_RCA_CUMULATIVE
           : ac_streq(kind, "delta") ? AC_RCA_DELTA
                                     : AC_RCA_GAUGE;
}

void rca_convert_series(struct ac_rca_signals *s, const Aceso__V1__QueryMetricsResponse *r)
{
    for (size_t i = 0; i < r->n_series; i++) {
        const Aceso__V1__SeriesPoints *p = r->series[i];
        struct ac_rca_label labels[MAX_LABELS];
        size_t n = 0;
        if (!p->key || p->n_time_ns != p->n_value)
            continue;
        for (; n < p->key->n_labels && n < MAX_LABELS; n++)
            labels[n] = (struct ac_rca_label){.key = p->key->labels[n]->key,
                                              .value = p->key->labels[n]->value};
        const struct ac_rca_series x = {
            .component = p->key->component,
            .metric = p->key->metric,
            .unit = p->unit,
            .labels = labels,
            .nlabels = n,
            .temporality = temporality(p->kind),
            .n = p->n_time_ns,
            .t_ns = p->time_ns,
            .v = p->value,
        };
        ac_rca_signals_add(s, &x);
    }
}

int rca_convert_graph(struct ac_rca_case *c, const Aceso__V1__ServiceGraphResponse *r,
                      struct ac_err *err)
{
    for (size_t i = 0; i < r->n_edges; i++) {
        const Aceso__V1__ServiceEdge *e = r->edges[i];
        char text[64];
        if (ac_str_empty(e->caller) || ac_str_empty(e->callee))
            continue;
        int from = ac_rca_component(c, e->caller), to = ac_rca_component(c, e->callee);
        snprintf(text, sizeof(text), "%llu spans", (unsigned long long)e->calls);
        int rc = from < 0 ? from : to < 0 ? to : ac_rca_edge_add(c, from, to, text);
        if (rc)
            return ac_err_set(err, rc, "the service graph is too large");
    }
    return 0;
}

const char *rca_convert_peer(Aceso__V1__Label *const *labels, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (ac_streq(labels[k]->key, "peer") || ac_streq(labels[k]->key, "peer.service"))
            return labels[k]->value;
    return NULL;
}

int rca_convert_logs(struct ac_rca_case *c, const Aceso__V1__QueryLogsResponse *r,
                     const int64_t range_ns[2], int64_t events_from_ns, struct ac_err *err)
{
    struct ac_rca_lines *l = ac_rca_lines_create();
    int rc = 0;
    if (range_ns[0] > 0 && range_ns[1] > range_ns[0])
        ac_rca_lines_cover(l, range_ns[0], range_ns[1]);
    for (size_t i = 0; !rc && i < r->n_records; i++) {
        const Aceso__V1__LogRecord *p = r->records[i];
        const struct ac_rca_line x = {.t_ns = p->time_ns,
                                      .component = p->component,
                                      .text = p->body,
                                      .peer = rca_convert_peer(p->attributes, p->n_attributes),
                                      .severity = AC_MAX(p->severity, 13)}; /* as was asked for */
        if (p->time_ns > 0 && p->time_ns <= AC_RCA_TIME_MAX_NS)
            rc = ac_rca_lines_add(l, &x, err);
    }
    if (!rc)
        rc = ac_rca_lines_build(l, c, events_from_ns, err);
    ac_rca_lines_destroy(l);
    return rc;
}

int rca_convert_spans(struct ac_rca_case *c, const Aceso__V1__QuerySpansResponse *r,
                      struct ac_err *err)
{
    struct ac_rca_spans *s = ac_rca_spans_create();
    int rc = 0;
    for (size_t i = 0; !rc && i < r->n_spans; i++) {
        const Aceso__V1__Span *p = r->spans[i];
        if (p->start_ns <= 0 || p->start_ns > AC_RCA_TIME_MAX_NS || p->end_ns < p->start_ns)
            continue; /* before anything is computed of it */
        const struct ac_rca_span x = {.trace = p->trace_id,
                                      .id = p->span_id,
                                      .parent = p->parent_span_id,
                                      .component = p->component,
                                      .name = p->name,
                                      .peer = p->peer,
                                      .kind = p->kind >= 0 && p->kind <= AC_RCA_SPAN_CONSUMER
                                                  ? (enum ac_rca_span_kind)p->kind
                                                  : AC_RCA_SPAN_UNKNOWN,
                                      .failed = p->status == 2,
                                      .start_ns = p->start_ns,
                                      .duration_ns = p->end_ns - p->start_ns};
        rc = ac_rca_spans_add(s, &x, err);
    }
    if (!rc)
        rc = ac_rca_spans_build(s, c, err);
    ac_rca_spans_destroy(s);
    return rc;
}

int rca_convert_findings(struct ac_rca_case *c, const Aceso__V1__DiagnoseRequest *r,
                         struct ac_err *err)
{
    static const struct {
        const char *kind;
        enum ac_rca_event_class cls;
    } kinds[] = {
        {"pod_not_ready", AC_RCA_EVENT_UNREADY}, {"restarts", AC_RCA_EVENT_UNREADY},
        {"rollout", AC_RCA_EVENT_CHANGE},        {"config_drift", AC_RCA_EVENT_CHANGE},
        {"scaled", AC_RCA_EVENT_CHANGE},
    };
    for (size_t i = 0; i < r->n_findings; i++) {
        const Aceso__V1__Finding *f = r->findings[i];
        enum ac_rca_event_class cls = ac_rca_event_classify(f->text);
        if (ac_str_empty(f->component))
            continue;
        for (size_t k = 0; k < AC_ARRAY_LEN(kinds); k++)
            if (ac_streq(f->kind, kinds[k].kind))
                cls = kinds[k].cls;
        int comp = ac_rca_component(c, f->component);
        struct ac_rca_event e = {.component = comp,
                                 .about = comp,
                                 .t_ns = f->time_ns > 0 ? f->time_ns : r->time_ns,
                                 .count = 1,
                                 .cls = cls,
                                 .text = f->text};
        int rc = comp < 0 ? comp : ac_rca_event_add(c, &e);
        if (rc)
            return ac_err_set(err, rc, "too many findings");
    }
    return 0;
}

int rca_check_request(const Aceso__V1__DiagnoseRequest *r, struct ac_err *err)
{
    const int64_t day = 24 * 3600 * AC_NS_PER_S;
    if (ac_str_empty(r->namespace_) || strlen(r->namespace_) > 253)
        return ac_err_set(err, AC_EINVAL, "namespace: a name of 1 to 253 characters is needed");
    if (r->time_ns <= 0 || r->time_ns > AC_RCA_TIME_MAX_NS)
        return ac_err_set(err, AC_EINVAL, "time_ns: not a time in Unix nanoseconds");
    if (r->window_ns < 0 || r->window_ns > day)
        return ac_err_set(err, AC_EINVAL, "window_ns: must be 0 to a day");
    if (r->reference_ns < 0 || r->reference_ns > 7 * day)
        return ac_err_set(err, AC_EINVAL, "reference_ns: must be 0 to 7 days");
    if (r->n_findings > 10000 || r->n_symptoms > 10000)
        return ac_err_set(err, AC_EINVAL, "findings, symptoms: at most 10000");
    return 0;
}

/* Sentences are built in a buffer and kept in the arena; failure shows in the arena. */
static char *keep(struct ac_arena *a, struct ac_buf *b)
{
    char *s = ac_arena_strdup(a, ac_buf_str(b));
    ac_buf_reset(b);
    return s ? s : (char *)(uintptr_t) "";
}

static char *dup(struct ac_arena *a, const char *s)
{
    char *d = ac_arena_strdup(a, s);
    return d ? d : (char *)(uintptr_t) "";
}

static Aceso__V1__RootCause *convert_cause(const struct ac_rca_case *c,
                                           const struct ac_rca_result *r, size_t at,
                                           struct ac_arena *a, struct ac_buf *b)
{
    const struct ac_rca_cause *cause = &r->causes[at];
    Aceso__V1__RootCause *m = ac_arena_alloc(a, sizeof(*m));
    if (!m)
        return NULL;
    aceso__v1__root_cause__init(m);
    m->component = dup(a, c->components[cause->component]);
    m->metric = dup(a, ac_rca_cause_metric(c, cause));
    m->score = cause->score;
    m->confidence = ac_rca_confidence(r, at);
    m->kind = dup(a, ac_rca_fault_name(ac_rca_fault_of(c, r, cause)));
    const struct ac_rca_named *named = ac_rca_named_of(r, at);
    if (named) {
        m->share = named->share;
        m->share_of = dup(a, ac_rca_shared_name(r));
    }
    m->evidence = ac_arena_calloc(a, MAX_EVIDENCE, sizeof(*m->evidence));
    uint64_t times;
    const struct ac_rca_event *words = ac_rca_words(c, r, cause->component, &times);
    size_t room = words ? MAX_EVIDENCE - 1 : MAX_EVIDENCE;
    for (size_t i = 0; m->evidence && i < cause->nparts && m->n_evidence < room; i++) {
        const struct ac_rca_part *p = &cause->parts[i];
        if (i > 0 && p->z < AC_RCA_Z_DEVIATES)
            continue;
        Aceso__V1__Evidence *e = ac_arena_alloc(a, sizeof(*e));
        if (!e)
            return NULL;
        aceso__v1__evidence__init(e);
        e->component = m->component;
        e->metric = dup(a, p->metric >= 0 ? c->metrics[p->metric].name : ac_rca_kind_name(p->kind));
        if (p->metric >= 0)
            ac_rca_before_after(&c->metrics[p->metric], r, &e->before, &e->after);
        e->score = p->part;
        e->onset_ns = p->onset_ns;
        ac_rca_part_text(c, r, cause, p, b);
        e->text = keep(a, b);
        m->evidence[m->n_evidence++] = e;
    }
    if (words && m->evidence) {
        Aceso__V1__Evidence *e = ac_arena_alloc(a, sizeof(*e));
        if (!e)
            return NULL;
        aceso__v1__evidence__init(e);
        e->component = m->component;
        e->metric = dup(a, ac_rca_event_class_name(words->cls));
        e->onset_ns = words->t_ns;
        ac_rca_words_text(c, words, times, b);
        e->text = keep(a, b);
        m->evidence[m->n_evidence++] = e;
    }
    m->text = m->n_evidence > 0 ? m->evidence[0]->text : dup(a, "");
    return m;
}

static Aceso__V1__PathEdge *convert_step(const struct ac_rca_case *c, const struct ac_rca_result *r,
                                         const struct ac_rca_step *s, struct ac_arena *a,
                                         struct ac_buf b[3])
{
    Aceso__V1__PathEdge *m = ac_arena_alloc(a, sizeof(*m));
    if (!m)
        return NULL;
    aceso__v1__path_edge__init(m);
    ac_rca_step_texts(c, r, s, &b[0], &b[1], &b[2]);
    m->from = dup(a, c->components[s->cause]);
    m->to = dup(a, c->components[s->effect]);
    m->topology = keep(a, &b[0]);
    m->deviation = keep(a, &b[1]);
    m->order = keep(a, &b[2]);
    return m;
}

Aceso__V1__Diagnosis *rca_convert_result(const struct ac_rca_case *c, const struct ac_rca_result *r,
                                         struct ac_arena *a)
{
    Aceso__V1__Diagnosis *d = ac_arena_alloc(a, sizeof(*d));
    struct ac_buf b[3];
    if (!d)
        return NULL;
    for (size_t i = 0; i < 3; i++)
        ac_buf_init(&b[i], 64 << 10);
    aceso__v1__diagnosis__init(d);
    d->abstained = r->abstained;
    d->low_confidence = r->low_confidence;
    d->root_causes = ac_arena_calloc(a, MAX_CAUSES + AC_RCA_MAX_NAMED, sizeof(*d->root_causes));
    d->impact = ac_arena_calloc(a, r->nimpact + 1, sizeof(*d->impact));
    d->path = ac_arena_calloc(a, r->npath + 1, sizeof(*d->path));
    if (!ac_arena_failed(a) && !r->abstained) {
        for (size_t i = 0; i < r->ncauses; i++) {
            if (!(r->causes[i].score > 0.0))
                break;
            if (i >= MAX_CAUSES && !ac_rca_named_of(r, i))
                continue;
            d->root_causes[d->n_root_causes] = convert_cause(c, r, i, a, &b[0]);
            d->n_root_causes += d->root_causes[d->n_root_causes] != NULL;
        }
        for (size_t i = 0; i < r->nimpact; i++)
            d->impact[d->n_impact++] = dup(a, c->components[r->impact[i]]);
        for (size_t i = 0; i < r->npath; i++) {
            d->path[d->n_path] = convert_step(c, r, &r->path[i], a, b);
            d->n_path += d->path[d->n_path] != NULL;
        }
        if (r->first_failure >= 0)
            d->first_failure = dup(a, c->components[r->first_failure]);
    }
    ac_rca_text(c, r, &b[0]);
    d->text = keep(a, &b[0]);
    for (size_t i = 0; i < 3; i++)
        ac_buf_fini(&b[i]);
    return ac_arena_failed(a) ? NULL : d;
}

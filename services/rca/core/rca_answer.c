#include "rca_answer.h"

#include "rca_work.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/stats.h>
#include <aceso/str.h>

static const char *const fault_names[] = {
    [AC_RCA_FAULT_UNKNOWN] = "unknown",   [AC_RCA_FAULT_POD] = "pod",
    [AC_RCA_FAULT_NETWORK] = "network",   [AC_RCA_FAULT_STORE_AUTH] = "store_auth",
    [AC_RCA_FAULT_LATENCY] = "latency",   [AC_RCA_FAULT_ERRORS] = "errors",
    [AC_RCA_FAULT_RESOURCE] = "resource", [AC_RCA_FAULT_CHANGE] = "change",
};

const char *ac_rca_fault_name(enum ac_rca_fault f)
{
    return (unsigned)f < AC_ARRAY_LEN(fault_names) ? fault_names[f] : "unknown";
}

static bool has_part(const struct ac_rca_cause *cause, enum ac_rca_kind kind, double z)
{
    for (size_t i = 0; i < cause->nparts; i++)
        if (cause->parts[i].kind == kind && cause->parts[i].z >= z && !cause->parts[i].down)
            return true;
    return false;
}

/* Said of a component while the incident lasted. */
static bool tells(const struct ac_rca_result *r, const struct ac_rca_event *e, int component)
{
    return e->about == component && e->t_ns >= r->t0_ns - RCA_EVENTS_BEFORE_NS &&
           e->t_ns < r->end_ns;
}

static uint64_t events_about(const struct ac_rca_case *c, const struct ac_rca_result *r,
                             int component, enum ac_rca_event_class cls)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->nevents; i++)
        if (tells(r, &c->events[i], component) && c->events[i].cls == cls)
            n += c->events[i].count;
    return n;
}

/* How often it was said in the same words by the same component; 0 when an earlier event says so
 * too. */
static uint64_t times_said(const struct ac_rca_case *c, const struct ac_rca_result *r, size_t event)
{
    const struct ac_rca_event *e = &c->events[event];
    uint64_t n = 0;
    for (size_t i = 0; i < c->nevents; i++) {
        const struct ac_rca_event *o = &c->events[i];
        if (o->component != e->component || o->cls != e->cls || !tells(r, o, e->about) ||
            strcmp(o->text, e->text) != 0)
            continue;
        if (i < event)
            return 0;
        n += o->count;
    }
    return n;
}

const struct ac_rca_event *ac_rca_words(const struct ac_rca_case *c, const struct ac_rca_result *r,
                                        int component, uint64_t *ret_times)
{
    const struct ac_rca_event *best = NULL;
    *ret_times = 0;
    for (size_t i = 0; i < c->nevents; i++) {
        const struct ac_rca_event *e = &c->events[i];
        if (!tells(r, e, component) ||
            (e->cls != AC_RCA_EVENT_DENIED && e->cls != AC_RCA_EVENT_UNREADY &&
             e->cls != AC_RCA_EVENT_CHANGE))
            continue;
        uint64_t n = times_said(c, r, i);
        if (n > *ret_times) {
            best = e;
            *ret_times = n;
        }
    }
    return best;
}

void ac_rca_words_text(const struct ac_rca_case *c, const struct ac_rca_event *e, uint64_t times,
                       struct ac_buf *out)
{
    ac_buf_printf(out, "%s says", c->components[e->component]);
    if (e->about != e->component)
        ac_buf_printf(out, " of %s", c->components[e->about]);
    ac_buf_printf(out, ": %.200s", e->text);
    if (times > 1)
        ac_buf_printf(out, " (%llu times)", (unsigned long long)times);
}

/* The resource that ran short without more load to explain it, NULL when none did. */
static const struct ac_rca_part *starved(const struct ac_rca_cause *cause)
{
    for (size_t i = 0; i < cause->nparts; i++) {
        const struct ac_rca_part *p = &cause->parts[i];
        if ((p->kind == AC_RCA_CPU || p->kind == AC_RCA_MEM) && p->z >= AC_RCA_Z_DEVIATES &&
            p->explained < 0.5)
            return p;
    }
    return NULL;
}

/* What is more than usual is of the kind of its measurement. */
static enum ac_rca_kind kind_of_part(const struct ac_rca_case *c, const struct ac_rca_part *p)
{
    return p->kind == AC_RCA_RESIDUAL && p->metric >= 0 ? c->metrics[p->metric].kind : p->kind;
}

enum ac_rca_fault ac_rca_fault_of(const struct ac_rca_case *c, const struct ac_rca_result *r,
                                  const struct ac_rca_cause *cause)
{
    int comp = cause->component;
    if (cause->nparts == 0)
        return AC_RCA_FAULT_UNKNOWN;
    if (has_part(cause, AC_RCA_UNREADY, AC_RCA_Z_DEVIATES) ||
        has_part(cause, AC_RCA_RESTART, AC_RCA_Z_DEVIATES) ||
        events_about(c, r, comp, AC_RCA_EVENT_UNREADY) > 0)
        return AC_RCA_FAULT_POD;
    if (events_about(c, r, comp, AC_RCA_EVENT_DENIED) > 0)
        return AC_RCA_FAULT_STORE_AUTH;
    if (events_about(c, r, comp, AC_RCA_EVENT_CHANGE) > 0)
        return AC_RCA_FAULT_CHANGE;
    if (has_part(cause, AC_RCA_SILENT, AC_RCA_Z_DEVIATES) &&
        has_part(cause, AC_RCA_EGAP, AC_RCA_Z_DEVIATES))
        return AC_RCA_FAULT_POD;
    switch (kind_of_part(c, &cause->parts[0])) {
    case AC_RCA_GAP:
    case AC_RCA_EGAP:
    case AC_RCA_CGAP:
        return AC_RCA_FAULT_NETWORK;
    case AC_RCA_CPU:
    case AC_RCA_MEM:
    case AC_RCA_IO:
    case AC_RCA_NET:
        return AC_RCA_FAULT_RESOURCE;
    case AC_RCA_LAT:
    case AC_RCA_CLAT:
    case AC_RCA_LOAD:
        /* slowness is a symptom; a resource that its load does not explain is a cause of it */
        return starved(cause) ? AC_RCA_FAULT_RESOURCE : AC_RCA_FAULT_LATENCY;
    case AC_RCA_ERR:
    case AC_RCA_SLI:
    case AC_RCA_LOGERR:
    case AC_RCA_LOGNEW:
        return AC_RCA_FAULT_ERRORS;
    case AC_RCA_CHANGE:
        return AC_RCA_FAULT_CHANGE;
    default:
        return AC_RCA_FAULT_UNKNOWN;
    }
}

/* Cubes of the scores, shared out: of the powers tried the one whose shares are right about as
 * often as they say, on half of the recorded incidents (docs/benchmarks.md has the other half). */
double ac_rca_confidence(const struct ac_rca_result *r, size_t cause)
{
    double sum = 0, best = r->ncauses > 0 ? r->causes[0].score : 0.0;
    if (cause >= r->ncauses || !(best > 0.0))
        return 0.0;
    for (size_t i = 0; i < r->ncauses && i < 12; i++)
        sum += pow(fmax(0.0, r->causes[i].score) / best, 3.0);
    return pow(fmax(0.0, r->causes[cause].score) / best, 3.0) / sum;
}

const char *ac_rca_cause_metric(const struct ac_rca_case *c, const struct ac_rca_cause *cause)
{
    if (cause->nparts == 0)
        return "";
    const struct ac_rca_part *p = &cause->parts[0], *resource = starved(cause);
    if (resource && (p->kind == AC_RCA_LAT || p->kind == AC_RCA_CLAT || p->kind == AC_RCA_LOAD))
        p = resource; /* slowness is the symptom, the resource its cause */
    return p->metric >= 0 ? c->metrics[p->metric].name : ac_rca_kind_name(p->kind);
}

void ac_rca_before_after(const struct ac_rca_metric *m, const struct ac_rca_result *r,
                         double *ret_before, double *ret_after)
{
    double *ref = ac_xcalloc(m->n + 1, sizeof(*ref)), after = 0;
    size_t n = 0, k = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->t_ns[i] < r->t0_ns)
            ref[n++] = m->v[i];
        else if (m->t_ns[i] < r->end_ns)
            after += (m->v[i] - after) / (double)++k;
    }
    *ret_before = ac_rca_measured(m, n ? ac_stats_median(ref, n) : 0.0);
    *ret_after = ac_rca_measured(m, after);
    free(ref);
}

/* Time of day is what an operator compares; the date is in the header of every answer. */
static void put_time(struct ac_buf *out, int64_t t_ns)
{
    char s[40];
    ac_time_format(t_ns, s, sizeof(s));
    const char *time = strchr(s, 'T');
    if (time && strlen(time) > 8)
        ac_buf_printf(out, "%.8s", time + 1);
    else
        ac_buf_puts(out, s);
}

void ac_rca_part_text(const struct ac_rca_case *c, const struct ac_rca_result *r,
                      const struct ac_rca_cause *cause, const struct ac_rca_part *part,
                      struct ac_buf *out)
{
    const char *comp = c->components[cause->component];
    const char *what = ac_rca_kind_text(part->kind);
    if (part->metric < 0) {
        ac_buf_printf(out, "%s at %s", what, comp);
        if (part->peer >= 0)
            ac_buf_printf(out, " (%s)", c->components[part->peer]);
        return;
    }
    const struct ac_rca_metric *m = &c->metrics[part->metric];
    double before, after;
    char unit[AC_RCA_UNIT_SIZE + 1];
    ac_rca_before_after(m, r, &before, &after);
    if (m->component != cause->component || m->peer >= 0)
        ac_buf_printf(out, "%s: %s of %s towards %s", what, m->name, c->components[m->component],
                      m->peer >= 0 ? c->components[m->peer] : comp);
    else
        ac_buf_printf(out, "%s: %s of %s", what, m->name, comp);
    bool fell = part->down == (m->slope > 0.0) && after < before;
    ac_rca_unit_behind(m->unit, unit);
    ac_buf_printf(out, " %s from %.4g to %.4g%s (%.1f deviations) at ", fell ? "fell" : "went",
                  before, after, unit, part->z);
    put_time(out, part->onset_ns);
    if (part->explained > 0.005)
        ac_buf_printf(out, "; %.0f %% of it comes from elsewhere", 100.0 * part->explained);
}

void ac_rca_step_texts(const struct ac_rca_case *c, const struct ac_rca_result *r,
                       const struct ac_rca_step *s, struct ac_buf *topology,
                       struct ac_buf *deviation, struct ac_buf *order)
{
    const char *cause = c->components[s->cause], *effect = c->components[s->effect];
    (void)r;
    ac_buf_printf(topology, "%s calls %s", effect, cause);
    if (s->evidence && *s->evidence)
        ac_buf_printf(topology, ": %s", s->evidence);
    ac_buf_printf(deviation, "%s %.1f, %s %.1f deviations from normal%s", cause, s->z_cause, effect,
                  s->z_effect, s->deviation ? "" : " (not both above 3)");
    ac_buf_printf(order, "%s ", cause);
    put_time(order, s->onset_cause_ns);
    ac_buf_printf(order, ", %s ", effect);
    put_time(order, s->onset_effect_ns);
    if (!s->order)
        ac_buf_puts(order, " (the effect's onset is earlier)");
}

static void text_path(const struct ac_rca_case *c, const struct ac_rca_result *r,
                      struct ac_buf *out)
{
    if (r->npath == 0)
        return;
    ac_buf_printf(out, " Path: %s", c->components[r->path[0].cause]);
    for (size_t i = 0; i < r->npath; i++)
        ac_buf_printf(out, " -> %s", c->components[r->path[i].effect]);
    ac_buf_puts(out, ".");
}

const struct ac_rca_named *ac_rca_named_of(const struct ac_rca_result *r, size_t cause)
{
    for (size_t i = 0; i < r->nnamed; i++)
        if (r->named[i].cause == cause)
            return &r->named[i];
    return NULL;
}

const char *ac_rca_shared_name(const struct ac_rca_result *r)
{
    return r->shared_by == AC_RCA_LAT ? "seconds" : r->shared_by == AC_RCA_ERR ? "errors" : "score";
}

static const char *shared_text(const struct ac_rca_result *r)
{
    return r->shared_by == AC_RCA_LAT   ? "added time"
           : r->shared_by == AC_RCA_ERR ? "added errors"
                                        : "scores";
}

static void text_several(const struct ac_rca_case *c, const struct ac_rca_result *r,
                         struct ac_buf *out)
{
    for (size_t i = 1; i < r->nnamed; i++) {
        const struct ac_rca_cause *x = &r->causes[r->named[i].cause];
        ac_buf_printf(out, "%s%s (%s)", i > 1 ? ", " : " Beside it ", c->components[x->component],
                      ac_rca_fault_name(ac_rca_fault_of(c, r, x)));
    }
    if (r->nnamed < 2)
        return;
    ac_buf_printf(out,
                  " %s at fault, which no other cause explains:", r->nnamed > 2 ? "are" : "is");
    for (size_t i = 0; i < r->nnamed; i++)
        ac_buf_printf(out, "%s%.0f %% of the %s comes from %s", i ? ", " : " ",
                      100.0 * r->named[i].share, shared_text(r),
                      c->components[r->causes[r->named[i].cause].component]);
    ac_buf_puts(out, ".");
}

static void put_text(const struct ac_rca_case *c, const struct ac_rca_result *r,
                     const struct ac_rca_counter *k, struct ac_buf *out)
{
    if (r->abstained) {
        ac_buf_puts(out, "No component leaves its normal range far enough to be named.");
        return;
    }
    const struct ac_rca_cause *best = &r->causes[0];
    ac_buf_printf(out, "Root cause: %s (%s%s).", c->components[best->component],
                  ac_rca_fault_name(ac_rca_fault_of(c, r, best)),
                  r->low_confidence ? ", low confidence" : "");
    for (size_t i = 0; i < best->nparts && i < 3; i++) {
        if (i > 0 && best->parts[i].z < AC_RCA_Z_DEVIATES)
            continue;
        ac_buf_puts(out, i ? "; " : " Evidence: ");
        ac_rca_part_text(c, r, best, &best->parts[i], out);
    }
    ac_buf_puts(out, ".");
    for (size_t i = 0, n = 0; i < c->nevents && n < 2; i++) {
        const struct ac_rca_event *e = &c->events[i];
        uint64_t times = 0;
        if (tells(r, e, best->component) && e->cls != AC_RCA_EVENT_OTHER)
            times = times_said(c, r, i);
        if (times == 0)
            continue;
        ac_buf_printf(out, " %s says: \"%.120s\" (%llu times).", c->components[e->component],
                      e->text, (unsigned long long)times);
        n++;
    }
    if (r->first_failure >= 0) {
        ac_buf_printf(out, " First failure: %s at ", c->components[r->first_failure]);
        put_time(out, r->first_failure_ns);
        ac_buf_puts(out, ".");
    }
    for (size_t i = 0; i < r->nimpact && i < 8; i++)
        ac_buf_printf(out, "%s%s", i ? ", " : " Impact: ", c->components[r->impact[i]]);
    if (r->nimpact > 0)
        ac_buf_puts(out, ".");
    text_several(c, r, out);
    text_path(c, r, out);
    if (!k->known)
        return;
    ac_buf_puts(out, " ");
    ac_rca_counter_text(c, r, k, out);
    ac_buf_puts(out, ".");
}

void ac_rca_text(const struct ac_rca_case *c, const struct ac_rca_result *r, struct ac_buf *out)
{
    struct ac_rca_counter k = ac_rca_counterfactual(c, r);
    put_text(c, r, &k, out);
}

static void json_counter(const struct ac_rca_case *c, const struct ac_rca_result *r,
                         const struct ac_rca_counter *k, struct ac_buf *out)
{
    if (!k->known) {
        ac_buf_puts(out, "null");
        return;
    }
    struct ac_buf text;
    ac_buf_init(&text, 4096);
    ac_rca_counter_text(c, r, k, &text);
    ac_buf_puts(out, "{\"component\":");
    ac_buf_put_json_str(out, c->components[k->effect]);
    ac_buf_puts(out, ",\"metric\":");
    ac_buf_put_json_str(out, c->metrics[k->metric].name);
    ac_buf_puts(out, ",\"unit\":");
    ac_buf_put_json_str(out, c->metrics[k->metric].unit);
    ac_buf_printf(out,
                  ",\"normal\":%.6g,\"seen\":%.6g,\"would\":%.6g,\"low\":%.6g,\"high\":%.6g,"
                  "\"share\":%.4g,\"rows\":%zu,\"together\":%s,\"text\":",
                  k->normal, k->seen, k->would, k->low, k->high, k->share, k->rows,
                  k->together ? "true" : "false");
    ac_buf_put_json_str(out, ac_buf_str(&text));
    ac_buf_puts(out, "}");
    ac_buf_fini(&text);
}

static void json_several(const struct ac_rca_case *c, const struct ac_rca_result *r,
                         struct ac_buf *out)
{
    ac_buf_puts(out, "[");
    for (size_t i = 0; !r->abstained && i < r->nnamed; i++) {
        ac_buf_puts(out, i ? ",{\"component\":" : "{\"component\":");
        ac_buf_put_json_str(out, c->components[r->causes[r->named[i].cause].component]);
        ac_buf_printf(out, ",\"share\":%.4g,\"of\":\"%s\"}", r->named[i].share,
                      ac_rca_shared_name(r));
    }
    ac_buf_puts(out, "]");
}

static void json_change(const struct ac_rca_case *c, const struct ac_rca_result *r,
                        struct ac_buf *out)
{
    struct ac_buf lines;
    ac_buf_init(&lines, 256 << 10);
    ac_rca_change_texts(c, r, &lines);
    ac_cleanup(ac_free_p) char *all = ac_buf_take(&lines);
    char *rest = all, *line;
    ac_buf_puts(out, "[");
    for (bool first = true; (line = ac_str_next(&rest, '\n')); first = false) {
        ac_buf_puts(out, first ? "" : ",");
        ac_buf_put_json_str(out, line);
    }
    ac_buf_puts(out, "]");
}

/* What a part was measured as, in its own unit. */
static void json_measured(const struct ac_rca_metric *m, const struct ac_rca_result *r,
                          struct ac_buf *out)
{
    double before, after;
    ac_rca_before_after(m, r, &before, &after);
    ac_buf_puts(out, ",\"metric\":");
    ac_buf_put_json_str(out, m->name);
    ac_buf_puts(out, ",\"unit\":");
    ac_buf_put_json_str(out, m->unit);
    ac_buf_printf(out, ",\"bad\":\"%s\",\"before\":%.6g,\"after\":%.6g", ac_rca_bad_name(m->bad),
                  before, after);
}

static void json_parts(const struct ac_rca_case *c, const struct ac_rca_result *r,
                       const struct ac_rca_cause *cause, struct ac_buf *out)
{
    struct ac_buf text;
    ac_buf_init(&text, 4096);
    ac_buf_puts(out, "[");
    for (size_t i = 0; i < cause->nparts; i++) {
        const struct ac_rca_part *p = &cause->parts[i];
        ac_buf_reset(&text);
        ac_rca_part_text(c, r, cause, p, &text);
        ac_buf_printf(out,
                      "%s{\"kind\":\"%s\",\"z\":%.6g,\"explained\":%.4g,\"part\":%.6g,\"text\":",
                      i ? "," : "", ac_rca_kind_name(p->kind), p->z, p->explained, p->part);
        ac_buf_put_json_str(out, ac_buf_str(&text));
        if (p->metric >= 0)
            json_measured(&c->metrics[p->metric], r, out);
        ac_buf_puts(out, "}");
    }
    ac_buf_puts(out, "]");
    ac_buf_fini(&text);
}

static void json_path(const struct ac_rca_case *c, const struct ac_rca_result *r,
                      struct ac_buf *out)
{
    struct ac_buf b[3];
    for (int i = 0; i < 3; i++)
        ac_buf_init(&b[i], 4096);
    ac_buf_puts(out, "[");
    for (size_t i = 0; i < r->npath; i++) {
        for (int j = 0; j < 3; j++)
            ac_buf_reset(&b[j]);
        ac_rca_step_texts(c, r, &r->path[i], &b[0], &b[1], &b[2]);
        ac_buf_puts(out, i ? ",{\"from\":" : "{\"from\":");
        ac_buf_put_json_str(out, c->components[r->path[i].cause]);
        ac_buf_puts(out, ",\"to\":");
        ac_buf_put_json_str(out, c->components[r->path[i].effect]);
        static const char *const keys[] = {"topology", "deviation", "order"};
        for (int j = 0; j < 3; j++) {
            ac_buf_printf(out, ",\"%s\":", keys[j]);
            ac_buf_put_json_str(out, ac_buf_str(&b[j]));
        }
        ac_buf_printf(out, ",\"proven\":%s}",
                      r->path[i].topology && r->path[i].deviation && r->path[i].order ? "true"
                                                                                      : "false");
    }
    ac_buf_puts(out, "]");
    for (int i = 0; i < 3; i++)
        ac_buf_fini(&b[i]);
}

void ac_rca_json(const struct ac_rca_case *c, const struct ac_rca_result *r, size_t max_causes,
                 double seconds, struct ac_buf *out)
{
    struct ac_rca_counter k = ac_rca_counterfactual(c, r);
    ac_buf_puts(out, "{\"root_causes\":[");
    for (size_t i = 0, n = 0; !r->abstained && i < r->ncauses && n < max_causes; i++, n++) {
        const struct ac_rca_cause *cause = &r->causes[i];
        if (!(cause->score > 0.0))
            break;
        ac_buf_puts(out, i ? ",{\"component\":" : "{\"component\":");
        ac_buf_put_json_str(out, c->components[cause->component]);
        ac_buf_puts(out, ",\"metric\":");
        ac_buf_put_json_str(out, ac_rca_cause_metric(c, cause));
        ac_buf_printf(
            out, ",\"score\":%.6g,\"confidence\":%.4g,\"fault\":\"%s\",\"parts\":", cause->score,
            ac_rca_confidence(r, i), ac_rca_fault_name(ac_rca_fault_of(c, r, cause)));
        json_parts(c, r, cause, out);
        ac_buf_puts(out, "}");
    }
    ac_buf_puts(out, "],\"several\":");
    json_several(c, r, out);
    ac_buf_puts(out, ",\"first_failure\":");
    if (r->first_failure >= 0 && !r->abstained)
        ac_buf_put_json_str(out, c->components[r->first_failure]);
    else
        ac_buf_puts(out, "null");
    ac_buf_puts(out, ",\"impact\":[");
    for (size_t i = 0; !r->abstained && i < r->nimpact; i++) {
        ac_buf_puts(out, i ? "," : "");
        ac_buf_put_json_str(out, c->components[r->impact[i]]);
    }
    ac_buf_puts(out, "],\"path\":");
    if (r->abstained)
        ac_buf_puts(out, "[]");
    else
        json_path(c, r, out);
    ac_buf_puts(out, ",\"counterfactual\":");
    json_counter(c, r, &k, out);
    ac_buf_puts(out, ",\"would_change\":");
    json_change(c, r, out);
    ac_buf_printf(out, ",\"abstained\":%s,\"low_confidence\":%s,\"time\":%.3f,\"text\":",
                  r->abstained ? "true" : "false", r->low_confidence ? "true" : "false",
                  (double)r->t0_ns / 1e9);
    struct ac_buf text;
    ac_buf_init(&text, 64 << 10);
    put_text(c, r, &k, &text);
    ac_buf_put_json_str(out, ac_buf_str(&text));
    ac_buf_fini(&text);
    ac_buf_printf(out, ",\"seconds\":%.6g}", seconds);
}

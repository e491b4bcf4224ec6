/* Sentences on what would have been and on what would change the answer, from findings only. */
#include "rca_answer.h"
#include "rca_calls.h"
#include "rca_counter.h"

#include <string.h>

#include <aceso/base.h>

static const char *name_of(const struct ac_rca_case *c, int component)
{
    return c->components[component];
}

bool ac_rca_counter_text(const struct ac_rca_case *c, const struct ac_rca_result *r,
                         const struct ac_rca_counter *k, struct ac_buf *out)
{
    if (!k->known)
        return false;
    const struct ac_rca_metric *m = &c->metrics[k->metric];
    char unit[AC_RCA_UNIT_SIZE + 1];
    ac_rca_unit_behind(m->unit, unit);
    ac_buf_printf(out,
                  "Had %s stayed normal, %s (%s) of %s would have been %.4g%s [%.4g, %.4g] "
                  "instead of %.4g%s; normal is %.4g",
                  name_of(c, r->causes[0].component), ac_rca_kind_text(m->kind), m->name,
                  name_of(c, k->effect), k->would, unit, k->low, k->high, k->seen,
                  k->together ? "" : ", if all that began with it is its doing", k->normal);
    return true;
}

/* Begins the next sentence of a list that is one string a line. */
static void next(struct ac_buf *out)
{
    if (out->len > 0)
        ac_buf_putc(out, '\n');
}

static void decisive(const struct ac_rca_case *c, const struct ac_rca_result *r, struct ac_buf *out)
{
    const struct ac_rca_cause *first = &r->causes[0];
    size_t part = ac_rca_decisive_part(r);
    if (r->ncauses < 2 || !(r->causes[1].score > 0.0))
        return;
    const char *second = name_of(c, r->causes[1].component);
    next(out);
    if (part < first->nparts) {
        ac_buf_printf(out, "%s would be named instead of %s, were it not for this: ", second,
                      name_of(c, first->component));
        ac_rca_part_text(c, r, first, &first->parts[part], out);
        return;
    }
    ac_buf_printf(out,
                  "no single finding decides: without its strongest, %s still leads with %.2f "
                  "before %s with %.2f",
                  name_of(c, first->component), ac_rca_score_without(first, 0), second,
                  r->causes[1].score);
}

static void unproven(const struct ac_rca_case *c, const struct ac_rca_result *r, struct ac_buf *out)
{
    for (size_t i = 0; i < r->npath; i++) {
        const struct ac_rca_step *s = &r->path[i];
        if (s->deviation && s->order)
            continue;
        next(out);
        ac_buf_printf(out, "the step from %s to %s is not proven: %s", name_of(c, s->cause),
                      name_of(c, s->effect),
                      s->deviation ? "the effect began before the cause"
                                   : "one of the two does not leave its normal range");
    }
}

#define MAX_NAMES 8 /* the rest is counted */

/* Components that calls name and nothing is measured of. */
static void unmeasured(const struct ac_rca_case *c, struct ac_buf *out)
{
    bool *measured = ac_xcalloc(c->ncomponents + 1, sizeof(bool));
    bool *called = ac_xcalloc(c->ncomponents + 1, sizeof(bool));
    size_t n = 0;
    for (size_t i = 0; i < c->nmetrics; i++)
        if (c->metrics[i].n > 0)
            measured[c->metrics[i].component] = true;
    for (size_t i = 0; i < c->nedges; i++)
        called[c->edges[i].from] = called[c->edges[i].to] = true;
    for (size_t i = 0; i < c->ncomponents; i++) {
        if (measured[i] || !called[i] || n++ >= MAX_NAMES)
            continue;
        if (n == 1)
            next(out);
        ac_buf_printf(out, "%s%s", n > 1 ? ", " : "nothing is measured of ", name_of(c, (int)i));
    }
    if (n > MAX_NAMES)
        ac_buf_printf(out, " and %zu more", n - MAX_NAMES);
    if (n > 0)
        ac_buf_puts(out, ", which the calls name: no fault there can be told");
    free(measured);
    free(called);
}

/* One cycle of calls by its names. */
static void round_calls(const struct ac_rca_case *c, struct ac_buf *out)
{
    bool *left = ac_xcalloc(c->ncomponents + 1, sizeof(bool));
    size_t *seen = ac_xcalloc(c->ncomponents + 1, sizeof(size_t)), n = 0;
    int *path = ac_xcalloc(c->ncomponents + 1, sizeof(int)), at = 0;
    struct rca_calls calls;
    rca_calls_init(&calls, c);
    rca_calls_round(&calls, left);
    while (at < (int)c->ncomponents && !left[at])
        at++;
    while (at < (int)c->ncomponents && !seen[at]) { /* each of them calls another of them */
        path[n] = at;
        seen[at] = ++n;
        size_t e = calls.out_at[at];
        while (e < calls.out_at[at + 1] && !left[c->edges[calls.out[e]].to])
            e++;
        AC_ASSERT(e < calls.out_at[at + 1]);
        at = c->edges[calls.out[e]].to;
    }
    if (n > 0) {
        next(out);
        ac_buf_puts(out, "calls go round: ");
        for (size_t i = seen[at] - 1; i < n && i < seen[at] - 1 + MAX_NAMES; i++)
            ac_buf_printf(out, "%s, ", name_of(c, path[i]));
        if (n - (seen[at] - 1) > MAX_NAMES)
            ac_buf_printf(out, "%zu more, ", n - (seen[at] - 1) - MAX_NAMES);
        ac_buf_printf(out,
                      "%s: which of them is the cause and which the effect their own "
                      "measurements must tell",
                      name_of(c, at));
    }
    rca_calls_fini(&calls);
    free(left);
    free(seen);
    free(path);
}

static void missing(const struct ac_rca_case *c, const struct ac_rca_result *r, struct ac_buf *out)
{
    unmeasured(c, out);
    round_calls(c, out);
    bool both_ends = false, words = c->nevents > 0;
    for (size_t i = 0; i < c->nmetrics; i++) {
        both_ends |= c->metrics[i].kind == AC_RCA_GAP ||
                     (c->metrics[i].peer >= 0 && c->metrics[i].kind == AC_RCA_CLAT);
        words |= c->metrics[i].kind == AC_RCA_LOGERR;
    }
    if (c->nedges == 0) {
        next(out);
        ac_buf_puts(out, "no calls between components are known: with them a symptom would be told "
                         "from its cause");
    }
    if (!both_ends) {
        next(out);
        ac_buf_puts(out, "no latency as callers see it is measured: a slow network between two "
                         "components cannot be seen");
    }
    if (!words) {
        next(out);
        ac_buf_puts(out, "no log lines or events are given: a refusal or a change would outweigh "
                         "what is measured");
    }
    if (!(r->threshold > 0.0)) {
        next(out);
        ac_buf_puts(out, "too little normal time is given to say how high scores go without an "
                         "incident");
    }
}

void ac_rca_change_texts(const struct ac_rca_case *c, const struct ac_rca_result *r,
                         struct ac_buf *out)
{
    if (r->abstained && r->ncauses > 0 && r->causes[0].score > 0.0)
        ac_buf_printf(out, "%s comes nearest with a score of %.2f; it would be named above %.2f",
                      name_of(c, r->causes[0].component), r->causes[0].score, r->threshold);
    if (!r->abstained) {
        decisive(c, r, out);
        unproven(c, r, out);
    }
    missing(c, r, out);
}

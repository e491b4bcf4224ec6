#include "trace.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rng.h>
#include <aceso/series_csv.h>
#include <aceso/str.h>

#define MINUTE     (60 * AC_NS_PER_S)
#define NAMES_MAX  8 /* columns of text before the minutes */
#define TOKENS_MAX 100000000

struct reader {
    struct ac_csv csv;
    struct trace t;
    size_t cap_functions, cap_counts, cap_times;
    size_t names, columns; /* of the header */
    int64_t t0_ns;
};

/* ---- counts a minute ---- */

static int counts_header(struct reader *r)
{
    struct ac_csv *c = &r->csv;
    bool function = false;
    while (r->names < c->n && !ac_streq(c->fields[r->names], "1"))
        function |= strcasecmp(c->fields[r->names++], "HashFunction") == 0;
    if (!function || r->names == c->n || r->names > NAMES_MAX)
        return ac_csv_err(c, 1,
                          "neither HashOwner,HashApp,HashFunction,Trigger,1,2,... nor TIMESTAMP,"
                          "ContextTokens,GeneratedTokens");
    for (size_t i = r->names; i < c->n; i++) {
        uint64_t minute;
        if (!ac_str_to_u64(c->fields[i], &minute) || minute != i - r->names + 1)
            return ac_csv_err(c, i + 1, "expected minute %zu, not '%.40s'", i - r->names + 1,
                              c->fields[i]);
    }
    r->columns = c->n;
    r->t.span_ns = (int64_t)(c->n - r->names) * MINUTE;
    return 0;
}

/* Most cells are one digit: a whole number without the general parser's care for errors. */
static bool cell_count(const char *f, uint32_t *ret_calls)
{
    uint32_t v = 0;
    const char *p = f;
    for (; *p >= '0' && *p <= '9' && v <= TRACE_COUNT_MAX; p++)
        v = v * 10 + (uint32_t)(*p - '0');
    *ret_calls = v;
    return *f && !*p && v <= TRACE_COUNT_MAX;
}

static int counts_row(struct reader *r)
{
    struct ac_csv *c = &r->csv;
    if (c->n != r->columns)
        return ac_csv_err(c, AC_MIN(c->n, r->columns) + 1, "%zu cells where the header has %zu",
                          c->n, r->columns);
    if (r->t.n_functions == TRACE_FUNCTIONS_MAX)
        return ac_csv_err(c, 1, "more than %u functions", TRACE_FUNCTIONS_MAX);
    struct trace_function f = {.first = r->t.n_counts};
    for (size_t i = r->names; i < c->n; i++) {
        uint32_t calls;
        if (!cell_count(c->fields[i], &calls))
            return ac_csv_err(c, i + 1, "expected a whole number from 0 to %d, not '%.40s'",
                              TRACE_COUNT_MAX, c->fields[i]);
        if (calls == 0)
            continue;
        ac_grow(&r->t.counts, &r->cap_counts, r->t.n_counts + 1, sizeof(*r->t.counts));
        r->t.counts[r->t.n_counts++] =
            (struct trace_count){.minute = (uint32_t)(i - r->names), .calls = calls};
        f.calls += calls;
    }
    f.n = r->t.n_counts - f.first;
    r->t.requests += f.calls;
    ac_grow(&r->t.functions, &r->cap_functions, r->t.n_functions + 1, sizeof(*r->t.functions));
    r->t.functions[r->t.n_functions++] = f;
    return 0;
}

/* Equal ones stay in the file's order. */
static int by_calls(const void *a, const void *b)
{
    const struct trace_function *x = a, *y = b;
    if (x->calls != y->calls)
        return x->calls < y->calls ? 1 : -1;
    return (x->first > y->first) - (x->first < y->first);
}

/* ---- a time a request ---- */

static const char *const times_names[] = {"TIMESTAMP", "ContextTokens", "GeneratedTokens"};
#define TIMES_COLUMNS AC_ARRAY_LEN(times_names)

static bool is_times_header(const struct ac_csv *c)
{
    if (c->n != TIMES_COLUMNS)
        return false;
    for (size_t i = 0; i < TIMES_COLUMNS; i++)
        if (strcasecmp(c->fields[i], times_names[i]) != 0)
            return false;
    return true;
}

static int times_row(struct reader *r)
{
    struct ac_csv *c = &r->csv;
    struct trace *t = &r->t;
    int64_t at;
    if (c->n != TIMES_COLUMNS)
        return ac_csv_err(c, AC_MIN(c->n, TIMES_COLUMNS) + 1, "%zu cells where the header has %zu",
                          c->n, TIMES_COLUMNS);
    if (!ac_csv_time(c->fields[0], &at))
        return ac_csv_err(c, 1, "expected a time, not '%.40s'", c->fields[0]);
    for (size_t i = 1; i < TIMES_COLUMNS; i++) {
        uint64_t tokens;
        if (!ac_str_to_u64(c->fields[i], &tokens) || tokens > TOKENS_MAX)
            return ac_csv_err(c, i + 1, "expected a whole number from 0 to %d, not '%.40s'",
                              TOKENS_MAX, c->fields[i]);
    }
    if (t->n_times == 0)
        r->t0_ns = at;
    if (t->n_times && at < r->t0_ns + t->times_ns[t->n_times - 1])
        return ac_csv_err(c, 1, "the times go back");
    /* Both are within the range of ac_csv_time, a few centuries: their difference may not fit. */
    if ((double)at - (double)r->t0_ns > (double)TRACE_SPAN_MAX_S * 1e9)
        return ac_csv_err(c, 1, "more than %d days behind the first", TRACE_SPAN_MAX_S / 86400);
    if (t->n_times == TRACE_TIMES_MAX)
        return ac_csv_err(c, 1, "more than %u requests", TRACE_TIMES_MAX);
    ac_grow(&t->times_ns, &r->cap_times, t->n_times + 1, sizeof(*t->times_ns));
    t->times_ns[t->n_times++] = at - r->t0_ns;
    t->requests = t->n_times;
    t->span_ns = at - r->t0_ns + 1;
    return 0;
}

/* ---- the file ---- */

static int read_all(struct reader *r)
{
    struct ac_csv *c = &r->csv;
    int got = ac_csv_next(c);
    if (got < 0)
        return got;
    if (got == 0)
        return ac_csv_err(c, 1, "the file is empty");
    bool times = is_times_header(c);
    int rc = times ? 0 : counts_header(r);
    while (rc == 0 && (got = ac_csv_next(c)) > 0)
        rc = times ? times_row(r) : counts_row(r);
    if (rc || got < 0)
        return rc ? rc : got;
    if (r->t.requests == 0)
        return ac_csv_err(c, 1, "the trace has no request");
    return 0;
}

int serving_trace_parse(const char *file, const char *text, size_t len, struct trace *ret_t,
                        struct ac_err *err)
{
    struct reader r = {0};
    ac_csv_init(&r.csv, file, text, len, NAMES_MAX + TRACE_MINUTES_MAX, err);
    int rc = read_all(&r);
    ac_csv_fini(&r.csv);
    if (rc) {
        serving_trace_free(&r.t);
        return rc;
    }
    if (r.t.n_functions)
        qsort(r.t.functions, r.t.n_functions, sizeof(*r.t.functions), by_calls);
    *ret_t = r.t;
    return 0;
}

void serving_trace_free(struct trace *t)
{
    free(t->functions);
    free(t->counts);
    free(t->times_ns);
    *t = (struct trace){0};
}

/* ---- arrivals ---- */

uint32_t serving_trace_calls(uint32_t calls, double scale, struct ac_rng *rng)
{
    double want = (double)calls * scale, whole = floor(want);
    if (want > whole && ac_rng_uniform(rng) < want - whole)
        whole++;
    return (uint32_t)AC_MIN(whole, 4e9);
}

/* The least of n even draws is 1 - u^(1/n), whatever lies behind it. */
int64_t serving_trace_call_ns(int64_t now, int64_t end, uint32_t left, struct ac_rng *rng)
{
    double u = 1 - ac_rng_uniform(rng); /* (0, 1] */
    double share = left == 1 ? 1 - u : -expm1(log(u) / left);
    return now + (int64_t)(share * (double)(end - now));
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

struct times {
    int64_t *at;
    size_t n, cap;
};

static bool times_add(struct times *v, int64_t at)
{
    if (v->n == TRACE_TIMES_MAX)
        return false;
    ac_grow(&v->at, &v->cap, v->n + 1, sizeof(*v->at));
    v->at[v->n++] = at;
    return true;
}

static bool spread_count(struct times *v, const struct trace_count *k, double scale, int64_t until,
                         struct ac_rng *rng)
{
    int64_t begin = (int64_t)k->minute * MINUTE, at = begin;
    if (begin >= until)
        return true;
    for (uint32_t left = serving_trace_calls(k->calls, scale, rng); left > 0; left--) {
        at = serving_trace_call_ns(at, begin + MINUTE, left, rng);
        if (at >= until)
            return true;
        if (!times_add(v, at))
            return false;
    }
    return true;
}

int serving_trace_times(const struct trace *t, double scale, int64_t until_ns, uint64_t seed,
                        int64_t **ret_times, size_t *ret_n, struct ac_err *err)
{
    struct times v = {0};
    struct ac_rng rng;
    bool ok = true;
    ac_rng_seed(&rng, seed);
    for (size_t i = 0; ok && i < t->n_counts; i++)
        ok = spread_count(&v, &t->counts[i], scale, until_ns, &rng);
    for (size_t i = 0; ok && i < t->n_times; i++) {
        double at = (double)t->times_ns[i] / scale;
        if (!(at < (double)until_ns))
            break;
        ok = times_add(&v, (int64_t)at);
    }
    if (!ok || v.n == 0) {
        free(v.at);
        return ok ? ac_err_set(err, AC_ENOTFOUND, "the trace has no request in that time")
                  : ac_err_set(err, AC_ERANGE, "more than %u requests", TRACE_TIMES_MAX);
    }
    if (t->n_functions)
        qsort(v.at, v.n, sizeof(*v.at), by_time);
    *ret_times = v.at;
    *ret_n = v.n;
    return 0;
}

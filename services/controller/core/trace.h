/* Recorded arrivals from files in two published schemas, as they come:
 *   counts  Azure Functions 2019: HashOwner,HashApp,HashFunction,Trigger,1,2,...,1440; a row is a
 *           function, a cell how often it was called in that minute of the day
 *   times   Azure LLM inference: TIMESTAMP,ContextTokens,GeneratedTokens; a row is a request
 * Pure. A trace belongs to its creator. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

#define TRACE_MINUTES_MAX   1440
#define TRACE_FUNCTIONS_MAX (1u << 20)
#define TRACE_COUNT_MAX     10000000 /* calls of one function in a minute */
#define TRACE_TIMES_MAX     (64u << 20)
#define TRACE_SPAN_MAX_S    (31 * 86400) /* from the first request to the last */
#define TRACE_BYTES_MAX     ((size_t)512 << 20)

/* Minutes without a call are left out. */
struct trace_count {
    uint32_t minute, calls;
};

struct trace_function {
    size_t first, n; /* of the counts */
    uint64_t calls;
};

struct trace {
    struct trace_function *functions; /* the most called ones first; NULL: times */
    size_t n_functions;
    struct trace_count *counts;
    size_t n_counts;
    int64_t *times_ns; /* since the first one, rising or equal; NULL: counts */
    size_t n_times;
    int64_t span_ns; /* of whole minutes; of times: one ns beyond the last */
    uint64_t requests;
};

/** The header says which schema it is. Errors: "file:row:column: text", rows and columns from 1. */
int serving_trace_parse(const char *file, const char *text, size_t len, struct trace *ret_t,
                        struct ac_err *err) AC_MUST_USE;
void serving_trace_free(struct trace *t);

struct ac_rng;
/** How many calls a count stands for at this scale: whole, and right on average. */
uint32_t serving_trace_calls(uint32_t calls, double scale, struct ac_rng *rng);
/** The next of left calls that lie evenly at random between now and end, none before now. */
int64_t serving_trace_call_ns(int64_t now, int64_t end, uint32_t left, struct ac_rng *rng);
/** All arrivals before until_ns in their order, at scale times the recorded rate: counts are scaled
 * and spread over their minute, times are pressed together. Caller frees. AC_ERANGE above
 * TRACE_TIMES_MAX, AC_ENOTFOUND when there are none. */
int serving_trace_times(const struct trace *t, double scale, int64_t until_ns, uint64_t seed,
                        int64_t **ret_times, size_t *ret_n, struct ac_err *err) AC_MUST_USE;

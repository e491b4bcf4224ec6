/* W3C trace context, and which spans are kept: all of sampled traces, and of the others those that
 * failed, up to a cap an interval. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/rng.h>

struct app_trace {
    unsigned char trace_id[16];
    unsigned char parent_id[8]; /* all zero = this is the root */
    bool sampled;
};

#define APP_TRACEPARENT_LEN 55

/** False for NULL or text that is no version-00-compatible traceparent; ret is untouched then. */
bool app_trace_parse(const char *traceparent, struct app_trace *ret);
/** dst of APP_TRACEPARENT_LEN + 1 bytes. */
void app_trace_format(const struct app_trace *t, const unsigned char span_id[8], char *dst);
/** A new root, sampled with probability ratio. */
void app_trace_root(struct app_trace *t, struct ac_rng *rng, double ratio);
/** Non-zero. */
void app_trace_span_id(struct ac_rng *rng, unsigned char ret[8]);
void app_hex(const unsigned char *p, size_t n, char *dst); /* dst of 2 n + 1 bytes */

/* A budget that is refilled each interval. */
struct app_budget {
    unsigned per_interval, left;
    uint64_t refused; /* since start */
};
bool app_budget_take(struct app_budget *b);
void app_budget_refill(struct app_budget *b);

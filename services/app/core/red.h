/* Rate, errors and duration of routes, peers and load classes over one interval, as the samples
 * that go out once a second. An interval without traffic gives the rate 0 and no ratio or duration.
 */
#pragma once

#include "hist.h"

#include <stdbool.h>
#include <stddef.h>

#define APP_RED_MAX 512

struct app_red;

struct app_sample {
    const char *metric; /* "rpc.server.requests" */
    const char *unit;   /* UCUM */
    const char *label;  /* "route", "peer", "class"; NULL = none */
    const char *value;
    double v;
};

/** prefix ("rpc.server", "rpc.client", "load") and label are kept, not copied. p99: the quantile
 * .99 goes out too. */
struct app_red *app_red_create(const char *prefix, const char *label, bool p99);
void app_red_destroy(struct app_red *r);
/** One finished request; key is copied on first use. Beyond APP_RED_MAX keys: counted as "other".
 */
void app_red_add(struct app_red *r, const char *key, int64_t duration_ns, bool error);
/** Makes the key known, so that its rate 0 is published before the first request. */
void app_red_declare(struct app_red *r, const char *key);
/** The interval's samples to fn, then a new interval begins. seconds: its length, > 0. */
void app_red_flush(struct app_red *r, double seconds,
                   void (*fn)(const struct app_sample *s, void *arg), void *arg);

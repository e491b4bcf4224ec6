/* What goes to PostgreSQL in one transaction: a sealed batch of samples, sealed blocks of spans and
 * log records, and the number of the last message that they came from. */
#pragma once

#include "collector.h"

struct col_flush {
    struct collector *c;
    uint64_t seq_from, seq_to; /* position before and after */
    struct col_batch *batch;
    struct col_block **spans, **logs;
    size_t n_spans, n_logs; /* blocks */
    size_t samples, span_events, log_events;
    char *tenant, *writer; /* writer: of this transaction alone */
    int64_t wall_ns, begun_ns;
};

/** As a trace is listed with the chunks that have spans of it. */
static inline void col_trace_bytes(uint64_t trace, char dst[8])
{
    for (int i = 0; i < 8; i++)
        dst[i] = (char)(trace >> (56 - 8 * i));
}

/** PostgreSQL's thread: all or nothing, and once only. AC_ESTATE when another process has moved the
 * position. */
int col_store_flush(struct ac_pg_conn *pg, void *arg, struct ac_err *err) AC_MUST_USE;

struct col_clean {
    struct collector *c;
    int64_t older_ns;
    int64_t *series; /* ids to remove */
    size_t n, cap;
};
/** PostgreSQL's thread: deletes chunks that ended before older_ns, and series. */
int col_store_clean(struct ac_pg_conn *pg, void *arg, struct ac_err *err) AC_MUST_USE;

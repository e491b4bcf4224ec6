/* Spans and log records of the last minutes, in blocks by order of arrival; what is not stored yet
 * is among them. The message itself is kept as it came; beside it is what queries look at. Owned by
 * the loop thread; a block that is closed does not change any more, and other threads may read it
 * while it is sealed or a view holds it. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>
#include <aceso/list.h>

#define COL_BLOCK_EVENTS 1024
#define COL_BLOCK_BYTES  (1u << 20) /* begun anew beyond this */

/* Strings and message are views: of the caller's on the way in, of the block on the way out. */
struct col_event {
    int64_t t_ns, end_ns; /* of a log record only t_ns */
    const char *ns, *component, *peer;
    uint64_t trace[2], span, parent; /* 0 = none */
    uint8_t kind, status;            /* of a log record: 0, severity */
    const void *msg;
    size_t len;
};

struct col_block {
    struct ac_list node;
    unsigned views; /* that look at it; loop thread */
    bool gone;      /* dropped; freed by the last view */
    struct col_slot *slots;
    size_t n, cap;
    struct ac_buf bytes;
    int64_t min_ns, max_ns; /* of t_ns */
    enum {
        COL_BLOCK_OPEN,   /* the last one */
        COL_BLOCK_WAITS,  /* full; not stored yet */
        COL_BLOCK_SEALED, /* being stored */
        COL_BLOCK_STORED
    } state;
};

struct col_events {
    struct ac_list blocks;  /* in order of arrival */
    size_t bytes;           /* of all blocks */
    size_t pending;         /* events that are in neither sealed nor stored blocks */
    int64_t memory_from_ns; /* all events from here on are in the blocks */
    int64_t stored_from_ns; /* none in the store is older; INT64_MAX = it has none */
};

/* What a query sees, on any thread: the blocks as they were when it began. */
struct col_view {
    struct col_seen {
        struct col_block *block;
        int state; /* at that time */
    } * seen;      /* in order of arrival */
    size_t n, cap;
    int64_t from_ns, to_ns, memory_from_ns;
};

void col_events_init(struct col_events *e);
void col_events_fini(struct col_events *e);
/** Copies. stored: it came out of the store. */
void col_events_add(struct col_events *e, const struct col_event *in, bool stored);
/** Everything that is not stored becomes sealed. */
void col_events_seal(struct col_events *e);
/** The sealed blocks are stored. */
void col_events_release(struct col_events *e);
/** Drops stored blocks that end before from_ns, and older ones while more than max_bytes are held.
 */
void col_events_trim(struct col_events *e, int64_t from_ns, size_t max_bytes);

void col_block_get(const struct col_block *b, size_t i, struct col_event *ret);

/** Blocks with events of [from, to). The open block is closed for it: what is seen stays as it is
 * until the view is closed. Both on the loop thread. */
void col_view_open(struct col_events *e, int64_t from_ns, int64_t to_ns, struct col_view *v);
void col_view_close(struct col_view *v);
/** Events of the range in one block, newest arrival first; fn returns false to stop. */
bool col_seen_each(const struct col_view *v, const struct col_seen *b,
                   bool (*fn)(const struct col_event *ev, int state, void *arg), void *arg);
/** In all blocks, newest first. */
void col_view_each(const struct col_view *v,
                   bool (*fn)(const struct col_event *ev, int state, void *arg), void *arg);

/** 16 hex digits of s to a number; false when they are none. */
bool col_parse_hex64(const char *s, uint64_t *ret);

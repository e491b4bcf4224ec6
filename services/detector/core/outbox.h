/* Messages on their way to the bus: those of one alert one after the other, up to a window of them
 * at once, and again until each was taken. Pure; one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTBOX_WINDOW 256u

struct outbox;

struct outbox_item {
    struct outbox_item *next;
    char id[40]; /* of the alert */
    uint64_t sequence;
    uint64_t number; /* in the outbox, from 1 */
    bool sent;
    char *ns; /* its own, as is the body */
    char *body;
    size_t len;
    bool open;
    int64_t started_ns;
    uint64_t stream_seq; /* of the message that caused it ... */
    int64_t stream_ns;   /* ... and its time */
};

/* True when it is under way: outbox_answered follows, later. */
typedef bool (*outbox_send)(struct outbox_item *m, void *arg);

struct outbox *outbox_create(outbox_send send, void *arg);
void outbox_destroy(struct outbox *o); /* with what is left; NULL is fine */
/** Takes m (from the heap) and gives it its number. */
void outbox_add(struct outbox *o, struct outbox_item *m);
/** Sends what may go now. */
void outbox_pump(struct outbox *o);
/** taken: it leaves the outbox and belongs to the caller. Otherwise the next pump sends it again.
 */
void outbox_answered(struct outbox *o, struct outbox_item *m, bool taken);
size_t outbox_len(const struct outbox *o);
uint64_t outbox_last(const struct outbox *o); /* number given last */
/** All messages up to this number have been taken. */
bool outbox_taken(const struct outbox *o, uint64_t number);
void outbox_item_free(struct outbox_item *m);

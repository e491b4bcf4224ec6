/* What happens when, for a simulation: events in the order of their times, equal times in the order
 * in which they were added. What lies ahead waits unsorted in slots of about a millisecond, so that
 * the heap holds the present one alone. One owner. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct agenda_event {
    int64_t at; /* ns, not negative */
    uint64_t serial;
    uint32_t kind, what; /* the caller's */
};

struct agenda;

struct agenda *agenda_create(void);
void agenda_destroy(struct agenda *a); /* NULL is fine */
/** Not before the last event taken. */
void agenda_add(struct agenda *a, int64_t at, uint32_t kind, uint32_t what);
/** Takes the next one; false when there is none. */
bool agenda_next(struct agenda *a, struct agenda_event *ret_e);

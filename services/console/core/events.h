/* Server-sent events: framing, and how many a second go out. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>

/** "event: NAME\ndata: JSON\n\n". json has no line breaks (as all of our JSON). */
void console_event_frame(const char *name, const char *json, size_t len, struct ac_buf *out);

#define CONSOLE_EVENTS_PER_S 100

/* A storm of alerts is not relayed one by one: beyond the rate events are dropped, and once the
 * second is over the page is told to read its lists again. */
struct console_throttle {
    int64_t second; /* of the monotonic clock */
    unsigned sent;
    bool dropped;
};

/** May one more event go out now? false: it is dropped. */
bool console_throttle_admit(struct console_throttle *t, int64_t now_ns);
/** True once after events were dropped and their second is over. */
bool console_throttle_recover(struct console_throttle *t, int64_t now_ns);

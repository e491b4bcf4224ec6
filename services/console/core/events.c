#include "events.h"

#include <aceso/clock.h>

void console_event_frame(const char *name, const char *json, size_t len, struct ac_buf *out)
{
    (void)ac_buf_printf(out, "event: %s\ndata: ", name);
    (void)ac_buf_append(out, json, len);
    (void)ac_buf_puts(out, "\n\n");
}

bool console_throttle_admit(struct console_throttle *t, int64_t now_ns)
{
    int64_t second = now_ns / AC_NS_PER_S;
    if (second != t->second) {
        t->second = second;
        t->sent = 0;
    }
    if (t->sent >= CONSOLE_EVENTS_PER_S) {
        t->dropped = true;
        return false;
    }
    t->sent++;
    return true;
}

bool console_throttle_recover(struct console_throttle *t, int64_t now_ns)
{
    if (!t->dropped || now_ns / AC_NS_PER_S == t->second)
        return false;
    t->dropped = false;
    return true;
}

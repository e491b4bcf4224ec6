/* The bus messages that an export becomes, one list for all its namespaces. */
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/convert.h"

#define ENTRY_MAX   (512u << 10)
#define AHEAD_NS    (3600 * AC_NS_PER_S) /* clocks may differ, but not by more */
#define ENTRIES_MAX (COL_MESSAGE_BYTES + ENTRY_MAX + 64)

void col_out_init(struct col_out *o, struct ac_arena *arena, int64_t now_ns, int64_t retention_ns)
{
    memset(o, 0, sizeof(*o));
    o->arena = arena;
    o->now_ns = now_ns;
    o->oldest_ns = now_ns - retention_ns;
    o->latest_ns = now_ns + AHEAD_NS;
    ac_buf_init(&o->scratch, ENTRY_MAX);
    ac_buf_init(&o->text, ENTRY_MAX);
}

void col_out_fini(struct col_out *o)
{
    while (o->messages) {
        struct col_message *m = o->messages;
        o->messages = m->next;
        ac_buf_fini(&m->entries);
        free(m->ns);
        free(m);
    }
    ac_buf_fini(&o->scratch);
    ac_buf_fini(&o->text);
}

/* The newest message of a namespace is the open one; there are few namespaces in an export. */
static struct col_message *message_for(struct col_out *o, const char *ns)
{
    struct col_message *m = o->messages;
    while (m && !ac_streq(m->ns, ns))
        m = m->next;
    if (m && m->entries.len < COL_MESSAGE_BYTES)
        return m;
    m = ac_xcalloc(1, sizeof(*m));
    m->ns = ac_xstrdup(ns);
    ac_buf_init(&m->entries, ENTRIES_MAX);
    m->next = o->messages;
    o->messages = m;
    return m;
}

void col_out_put(struct col_out *o, const char *ns, const ProtobufCMessage *msg)
{
    struct col_message *m = message_for(o, ns);
    struct ac_err err = AC_ERR_INIT;
    ac_buf_reset(&o->scratch);
    if (ac_pb_pack(msg, &o->scratch, &err)) {
        col_out_reject(o, 1, &err);
        return;
    }
    char head[11] = {3 << 3 | 2};
    size_t n = 1;
    uint64_t len = o->scratch.len;
    for (; len >= 0x80; len >>= 7)
        head[n++] = (char)(len | 0x80);
    head[n++] = (char)len;
    ac_buf_append(&m->entries, head, n);
    ac_buf_append(&m->entries, ac_buf_str(&o->scratch), o->scratch.len);
    m->n++;
    AC_ASSERT(!m->entries.failed);
}

void col_out_reject(struct col_out *o, size_t n, const struct ac_err *why)
{
    if (o->rejected == 0)
        (void)snprintf(o->reason, sizeof(o->reason), "%s", why->msg);
    o->rejected += (int64_t)n;
}

void col_out_warn(struct col_out *o, const char *what)
{
    if (!o->reason[0])
        (void)snprintf(o->reason, sizeof(o->reason), "%s", what);
}

int col_out_time(const struct col_out *o, uint64_t time_ns, int64_t *ret_ns, struct ac_err *err)
{
    int64_t t = (int64_t)time_ns;
    if (time_ns == 0)
        return ac_err_set(err, AC_EINVAL, "without a time");
    if (t < 0 || t > o->latest_ns)
        return ac_err_set(err, AC_EINVAL, "its time is more than an hour ahead of the collector's");
    if (t < o->oldest_ns)
        return ac_err_set(err, AC_EINVAL, "its time is older than the retention");
    *ret_ns = t;
    return 0;
}

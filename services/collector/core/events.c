#include "events.h"

#include <string.h>

#include <aceso/base.h>

/* Strings first (each with its NUL), then the message, from offset on in the block's bytes. */
struct col_slot {
    int64_t t_ns, end_ns;
    uint64_t trace[2], span, parent;
    uint32_t at, len;
    uint16_t ns_len, component_len, peer_len;
    uint8_t kind, status;
};

#define BLOCK_MAX (64u << 20)

void col_events_init(struct col_events *e)
{
    memset(e, 0, sizeof(*e));
    ac_list_init(&e->blocks);
    e->stored_from_ns = INT64_MAX;
}

static size_t block_bytes(const struct col_block *b)
{
    return b->bytes.cap + b->cap * sizeof(*b->slots);
}

static void block_free(struct col_block *b)
{
    ac_buf_fini(&b->bytes);
    free(b->slots);
    free(b);
}

static void block_drop(struct col_events *e, struct col_block *b)
{
    e->bytes -= block_bytes(b);
    ac_list_remove(&b->node);
    b->gone = true;
    if (b->views == 0)
        block_free(b);
}

void col_events_fini(struct col_events *e)
{
    AC_LIST_FOREACH(n, &e->blocks)
    block_drop(e, AC_LIST_ENTRY(n, struct col_block, node));
}

static struct col_block *last(const struct col_events *e)
{
    return ac_list_empty(&e->blocks) ? NULL : AC_LIST_ENTRY(e->blocks.prev, struct col_block, node);
}

/* The block to add to: stored events are loaded before any other comes, and never mix. */
static struct col_block *block_for(struct col_events *e, bool stored)
{
    AC_ASSERT(e->blocks.prev); /* initialised */
    struct col_block *b = last(e);
    int state = stored ? COL_BLOCK_STORED : COL_BLOCK_OPEN;
    if (b && (int)b->state == state && b->n < COL_BLOCK_EVENTS && b->bytes.len < COL_BLOCK_BYTES)
        return b;
    if (b && b->state == COL_BLOCK_OPEN)
        b->state = COL_BLOCK_WAITS;
    b = ac_xcalloc(1, sizeof(*b));
    b->state = stored ? COL_BLOCK_STORED : COL_BLOCK_OPEN;
    b->min_ns = INT64_MAX;
    b->max_ns = INT64_MIN;
    ac_buf_init(&b->bytes, BLOCK_MAX);
    ac_list_push_back(&e->blocks, &b->node);
    return b;
}

static uint16_t put_str(struct col_block *b, const char *s)
{
    size_t n = AC_MIN(strlen(s), (size_t)UINT16_MAX);
    ac_buf_append(&b->bytes, s, n);
    ac_buf_putc(&b->bytes, '\0');
    return (uint16_t)n;
}

void col_events_add(struct col_events *e, const struct col_event *in, bool stored)
{
    struct col_block *b = block_for(e, stored);
    e->bytes -= block_bytes(b);
    ac_grow(&b->slots, &b->cap, b->n + 1, sizeof(*b->slots));
    struct col_slot *s = &b->slots[b->n];
    *s = (struct col_slot){.t_ns = in->t_ns,
                           .end_ns = in->end_ns,
                           .trace = {in->trace[0], in->trace[1]},
                           .span = in->span,
                           .parent = in->parent,
                           .kind = in->kind,
                           .status = in->status,
                           .at = (uint32_t)b->bytes.len,
                           .len = (uint32_t)in->len};
    s->ns_len = put_str(b, in->ns);
    s->component_len = put_str(b, in->component);
    s->peer_len = put_str(b, in->peer);
    ac_buf_append(&b->bytes, in->msg, in->len);
    AC_ASSERT(!b->bytes.failed);
    b->n++;
    b->min_ns = AC_MIN(b->min_ns, in->t_ns);
    b->max_ns = AC_MAX(b->max_ns, in->t_ns);
    e->bytes += block_bytes(b);
    if (!stored)
        e->pending++;
}

void col_events_seal(struct col_events *e)
{
    AC_LIST_FOREACH(n, &e->blocks)
    {
        struct col_block *b = AC_LIST_ENTRY(n, struct col_block, node);
        if (b->state == COL_BLOCK_OPEN || b->state == COL_BLOCK_WAITS)
            b->state = COL_BLOCK_SEALED;
    }
    e->pending = 0;
}

void col_events_release(struct col_events *e)
{
    AC_LIST_FOREACH(n, &e->blocks)
    {
        struct col_block *b = AC_LIST_ENTRY(n, struct col_block, node);
        if (b->state != COL_BLOCK_SEALED)
            continue;
        b->state = COL_BLOCK_STORED;
        e->stored_from_ns = AC_MIN(e->stored_from_ns, b->min_ns);
    }
}

void col_events_trim(struct col_events *e, int64_t from_ns, size_t max_bytes)
{
    e->memory_from_ns = AC_MAX(e->memory_from_ns, from_ns);
    AC_LIST_FOREACH(n, &e->blocks)
    {
        struct col_block *b = AC_LIST_ENTRY(n, struct col_block, node);
        if (b->state != COL_BLOCK_STORED)
            continue;
        if (b->max_ns >= from_ns && e->bytes <= max_bytes)
            continue;
        e->memory_from_ns = AC_MAX(e->memory_from_ns, b->max_ns + 1);
        block_drop(e, b);
    }
}

void col_block_get(const struct col_block *b, size_t i, struct col_event *ret)
{
    const struct col_slot *s = &b->slots[i];
    const char *p = b->bytes.data + s->at;
    *ret = (struct col_event){.t_ns = s->t_ns,
                              .end_ns = s->end_ns,
                              .trace = {s->trace[0], s->trace[1]},
                              .span = s->span,
                              .parent = s->parent,
                              .kind = s->kind,
                              .status = s->status,
                              .ns = p,
                              .component = p + s->ns_len + 1,
                              .peer = p + s->ns_len + s->component_len + 2,
                              .len = s->len};
    ret->msg = ret->peer + s->peer_len + 1;
}

void col_view_open(struct col_events *e, int64_t from_ns, int64_t to_ns, struct col_view *v)
{
    *v = (struct col_view){.from_ns = from_ns, .to_ns = to_ns, .memory_from_ns = e->memory_from_ns};
    AC_LIST_FOREACH(n, &e->blocks)
    {
        struct col_block *b = AC_LIST_ENTRY(n, struct col_block, node);
        if (b->max_ns < from_ns || b->min_ns >= to_ns)
            continue;
        if (b->state == COL_BLOCK_OPEN)
            b->state = COL_BLOCK_WAITS;
        b->views++;
        ac_grow(&v->seen, &v->cap, v->n + 1, sizeof(*v->seen));
        v->seen[v->n++] = (struct col_seen){b, (int)b->state};
    }
}

void col_view_close(struct col_view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct col_block *b = v->seen[i].block;
        if (--b->views == 0 && b->gone)
            block_free(b);
    }
    free(v->seen);
    *v = (struct col_view){0};
}

bool col_seen_each(const struct col_view *v, const struct col_seen *seen,
                   bool (*fn)(const struct col_event *ev, int state, void *arg), void *arg)
{
    const struct col_block *b = seen->block;
    for (size_t i = b->n; i-- > 0;) {
        struct col_event ev;
        if (b->slots[i].t_ns < v->from_ns || b->slots[i].t_ns >= v->to_ns)
            continue;
        col_block_get(b, i, &ev);
        if (!fn(&ev, seen->state, arg))
            return false;
    }
    return true;
}

void col_view_each(const struct col_view *v,
                   bool (*fn)(const struct col_event *ev, int state, void *arg), void *arg)
{
    for (size_t i = v->n; i-- > 0;)
        if (!col_seen_each(v, &v->seen[i], fn, arg))
            return;
}

bool col_parse_hex64(const char *s, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = s[i];
        unsigned d;
        if (c >= '0' && c <= '9')
            d = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            d = (unsigned)(c - 'a' + 10);
        else
            return false;
        v = v << 4 | d;
    }
    *ret = v;
    return true;
}

#include "outbox.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

struct outbox {
    outbox_send send;
    void *arg;
    struct outbox_item *head, **tail; /* by number */
    size_t len;
    uint64_t last;
};

struct outbox *outbox_create(outbox_send send, void *arg)
{
    struct outbox *o = ac_xcalloc(1, sizeof *o);
    o->send = send;
    o->arg = arg;
    o->tail = &o->head;
    return o;
}

void outbox_item_free(struct outbox_item *m)
{
    free(m->ns);
    free(m->body);
    free(m);
}

void outbox_destroy(struct outbox *o)
{
    while (o && o->head) {
        struct outbox_item *m = o->head;
        o->head = m->next;
        outbox_item_free(m);
    }
    free(o);
}

void outbox_add(struct outbox *o, struct outbox_item *m)
{
    m->number = ++o->last;
    m->sent = false;
    m->next = NULL;
    *o->tail = m;
    o->tail = &m->next;
    o->len++;
}

/* Nothing of the same alert waits before it. */
static bool first_of_its_alert(const struct outbox *o, const struct outbox_item *m)
{
    for (const struct outbox_item *x = o->head; x != m; x = x->next) {
        if (strcmp(x->id, m->id) == 0)
            return false;
    }
    return true;
}

void outbox_pump(struct outbox *o)
{
    size_t seen = 0;
    for (struct outbox_item *m = o->head; m && seen < OUTBOX_WINDOW; m = m->next, seen++) {
        if (m->sent || !first_of_its_alert(o, m))
            continue;
        m->sent = true;
        if (!o->send(m, o->arg)) {
            m->sent = false;
            return;
        }
    }
}

void outbox_answered(struct outbox *o, struct outbox_item *m, bool taken)
{
    m->sent = false;
    if (!taken)
        return;
    struct outbox_item **at = &o->head;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    if (o->tail == &m->next)
        o->tail = at;
    o->len--;
}

size_t outbox_len(const struct outbox *o)
{
    return o->len;
}

uint64_t outbox_last(const struct outbox *o)
{
    return o->last;
}

bool outbox_taken(const struct outbox *o, uint64_t number)
{
    return !o->head || o->head->number > number;
}

/* Intrusive doubly linked list. A node is in at most one list; an unlinked node points at itself.
 */
#pragma once

#include <stdbool.h>

#include <aceso/base.h>

struct ac_list {
    struct ac_list *next, *prev;
};

static inline void ac_list_init(struct ac_list *l)
{
    l->next = l->prev = l;
}
static inline bool ac_list_empty(const struct ac_list *l)
{
    return l->next == l;
}
static inline void ac_list_push_back(struct ac_list *l, struct ac_list *n)
{
    AC_ASSERT(l->prev); /* a list that nobody has initialised */
    n->prev = l->prev;
    n->next = l;
    l->prev->next = n;
    l->prev = n;
}
static inline void ac_list_push_front(struct ac_list *l, struct ac_list *n)
{
    ac_list_push_back(l->next, n);
}
static inline void ac_list_remove(struct ac_list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    ac_list_init(n);
}
static inline struct ac_list *ac_list_pop_front(struct ac_list *l)
{
    struct ac_list *n = l->next;
    if (n == l)
        return NULL;
    ac_list_remove(n);
    return n;
}
/** Moves all of src to the end of dst; src is empty afterwards. */
static inline void ac_list_splice(struct ac_list *dst, struct ac_list *src)
{
    if (ac_list_empty(src))
        return;
    src->next->prev = dst->prev;
    dst->prev->next = src->next;
    src->prev->next = dst;
    dst->prev = src->prev;
    ac_list_init(src);
}
#define AC_LIST_ENTRY(n, type, member) AC_CONTAINER_OF(n, type, member)
/* The body may remove n. NOLINTBEGIN(bugprone-macro-parentheses): n is declared here. */
#define AC_LIST_FOREACH(n, l)                                                                      \
    for (struct ac_list *n = (l)->next, *n##_next = n->next; n != (l);                             \
         n = n##_next, n##_next = n->next)
/* NOLINTEND(bugprone-macro-parentheses) */

#include <stdint.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>
#include <aceso/str.h>

struct entry {
    char *key; /* NULL once removed: the place stays until the next rebuild */
    void *value;
    uint64_t hash;
};

/* Entries lie in order of insertion; slots (a power of two) hold entry index + 1, 0 = free. */
struct ac_map {
    void (*free_value)(void *);
    struct entry *entries;
    uint32_t *slots;
    size_t len, n, cap, mask;
};

struct ac_map *ac_map_create(void (*free_value)(void *))
{
    struct ac_map *m = ac_xcalloc(1, sizeof(*m));
    m->free_value = free_value;
    return m;
}

void ac_map_destroy(struct ac_map *m)
{
    if (!m)
        return;
    ac_map_clear(m);
    free(m->entries);
    free(m->slots);
    free(m);
}

size_t ac_map_len(const struct ac_map *m)
{
    return m->len;
}

static void place(struct ac_map *m, size_t index)
{
    size_t s = m->entries[index].hash & m->mask;
    while (m->slots[s])
        s = (s + 1) & m->mask;
    m->slots[s] = (uint32_t)(index + 1);
}

/* Drops the holes and makes room for at least one entry more. */
static void rebuild(struct ac_map *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->entries[i].key)
            m->entries[n++] = m->entries[i];
    }
    m->n = n;
    size_t cap = m->cap ? m->cap : 6;
    while (n * 2 > cap)
        cap *= 2;
    AC_ASSERT(cap < UINT32_MAX / 2);
    if (cap != m->cap) {
        size_t slots = 8;
        while (slots * 3 / 4 < cap)
            slots *= 2;
        m->entries = ac_xrealloc(m->entries, ac_mul_size(cap, sizeof(*m->entries)));
        free(m->slots);
        m->slots = ac_xcalloc(slots, sizeof(*m->slots));
        m->cap = cap;
        m->mask = slots - 1;
    } else {
        memset(m->slots, 0, (m->mask + 1) * sizeof(*m->slots));
    }
    for (size_t i = 0; i < n; i++)
        place(m, i);
}

static struct entry *find(const struct ac_map *m, const char *key, uint64_t hash)
{
    if (m->len == 0)
        return NULL;
    for (size_t s = hash & m->mask; m->slots[s]; s = (s + 1) & m->mask) {
        struct entry *e = &m->entries[m->slots[s] - 1];
        if (e->key && e->hash == hash && strcmp(e->key, key) == 0)
            return e;
    }
    return NULL;
}

void *ac_map_get(const struct ac_map *m, const char *key)
{
    struct entry *e = find(m, key, ac_hash_str(key));
    return e ? e->value : NULL;
}

void ac_map_set(struct ac_map *m, const char *key, void *value)
{
    AC_ASSERT(value);
    uint64_t hash = ac_hash_str(key);
    struct entry *e = find(m, key, hash);
    if (e) {
        void *old = e->value;
        e->value = value;
        if (m->free_value && old != value)
            m->free_value(old);
        return;
    }
    if (m->n == m->cap)
        rebuild(m);
    m->entries[m->n] = (struct entry){.key = ac_xstrdup(key), .value = value, .hash = hash};
    place(m, m->n++);
    m->len++;
}

static void *remove_entry(struct ac_map *m, struct entry *e)
{
    void *value = e->value;
    free(e->key);
    e->key = NULL;
    e->value = NULL;
    if (--m->len == 0 &&
        m->n * 8 > m->mask) { /* a sweep is due, and costs no more than the sets did */
        m->n = 0;
        memset(m->slots, 0, (m->mask + 1) * sizeof(*m->slots));
    }
    return value;
}

void *ac_map_take(struct ac_map *m, const char *key)
{
    struct entry *e = find(m, key, ac_hash_str(key));
    return e ? remove_entry(m, e) : NULL;
}

bool ac_map_remove(struct ac_map *m, const char *key)
{
    void *value = ac_map_take(m, key);
    if (value && m->free_value)
        m->free_value(value);
    return value != NULL;
}

void ac_map_clear(struct ac_map *m)
{
    /* Entry by entry, so that a free function may look at the map. */
    for (size_t i = 0; i < m->n; i++) {
        if (!m->entries[i].key)
            continue;
        void *value = remove_entry(m, &m->entries[i]);
        if (m->free_value)
            m->free_value(value);
    }
}

bool ac_map_next(const struct ac_map *m, size_t *it, const char **ret_key, void **ret_value)
{
    for (; *it < m->n; (*it)++) {
        struct entry *e = &m->entries[*it];
        if (!e->key)
            continue;
        if (ret_key)
            *ret_key = e->key;
        if (ret_value)
            *ret_value = e->value;
        (*it)++;
        return true;
    }
    return false;
}

#include "protoset.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>

extern const uint8_t ac_protoset_start[], ac_protoset_end[];

struct ac_rpc_protoset {
    struct ac_map *files;   /* name -> ac_rpc_protofile, owned */
    struct ac_map *symbols; /* full name -> ac_rpc_protofile */
};

/* Field numbers of descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    ANY_NAME = 1,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    SERVICE_METHOD = 2
};

struct view {
    const uint8_t *p, *end;
};

static bool get_varint(struct view *v, uint64_t *ret)
{
    uint64_t x = 0;
    for (unsigned shift = 0; v->p < v->end && shift < 64; shift += 7) {
        uint8_t b = *v->p++;
        x |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = x;
            return true;
        }
    }
    return false;
}

/* Next field; only length-delimited ones have a body. False at the end or at malformed bytes. */
static bool next_field(struct view *v, unsigned *ret_number, struct view *ret_body)
{
    uint64_t tag, n;
    if (v->p >= v->end || !get_varint(v, &tag))
        return false;
    *ret_number = (unsigned)(tag >> 3);
    *ret_body = (struct view){NULL, NULL};
    switch (tag & 7) {
    case 0:
        return get_varint(v, &n);
    case 1:
        n = 8;
        break;
    case 5:
        n = 4;
        break;
    case 2:
        if (!get_varint(v, &n))
            return false;
        break;
    default:
        return false;
    }
    if (n > (uint64_t)(v->end - v->p))
        return false;
    if ((tag & 7) == 2)
        *ret_body = (struct view){v->p, v->p + n};
    v->p += n;
    return true;
}

static char *text_of(struct view v, unsigned number)
{
    unsigned f;
    struct view b;
    while (next_field(&v, &f, &b))
        if (f == number && b.p)
            return ac_xstrndup((const char *)b.p, (size_t)(b.end - b.p));
    return ac_xstrdup("");
}

static char *join(const char *scope, const char *name)
{
    return scope[0] ? ac_xasprintf("%s.%s", scope, name) : ac_xstrdup(name);
}

/* A message, enum or service and what is inside; depth bounds hostile nesting. */
static void index_symbol(struct ac_rpc_protoset *p, struct ac_rpc_protofile *file, struct view v,
                         const char *scope, unsigned kind, unsigned depth)
{
    ac_cleanup(ac_free_p) char *name = text_of(v, ANY_NAME);
    ac_cleanup(ac_free_p) char *full = join(scope, name);
    ac_map_set(p->symbols, full, file);
    unsigned f;
    struct view b;
    while (depth < 32 && next_field(&v, &f, &b)) {
        if (!b.p)
            continue;
        if (kind == FILE_MESSAGE && f == MESSAGE_NESTED)
            index_symbol(p, file, b, full, FILE_MESSAGE, depth + 1);
        else if (kind == FILE_MESSAGE && f == MESSAGE_ENUM)
            index_symbol(p, file, b, full, FILE_ENUM, depth + 1);
        else if (kind == FILE_SERVICE && f == SERVICE_METHOD)
            index_symbol(p, file, b, full, 0, depth + 1);
    }
}

static void file_free(void *arg)
{
    struct ac_rpc_protofile *f = arg;
    for (size_t i = 0; i < f->n_deps; i++)
        free(f->deps[i]);
    free(f->deps);
    free(f->name);
    free(f);
}

static void index_file(struct ac_rpc_protoset *p, struct view v)
{
    struct ac_rpc_protofile *file = ac_xcalloc(1, sizeof(*file));
    file->data = v.p;
    file->len = (size_t)(v.end - v.p);
    file->name = text_of(v, FILE_NAME);
    if (ac_map_get(p->files, file->name)) { /* the first of a name stays: symbols point at it */
        file_free(file);
        return;
    }
    ac_cleanup(ac_free_p) char *package = text_of(v, FILE_PACKAGE);
    unsigned f;
    struct view b;
    while (next_field(&v, &f, &b)) {
        if (!b.p)
            continue;
        if (f == FILE_DEPENDENCY) {
            ac_grow(&file->deps, &file->cap_deps, file->n_deps + 1, sizeof(*file->deps));
            file->deps[file->n_deps++] = ac_xstrndup((const char *)b.p, (size_t)(b.end - b.p));
        } else if (f == FILE_MESSAGE || f == FILE_ENUM || f == FILE_SERVICE) {
            index_symbol(p, file, b, package, f, 0);
        }
    }
    ac_map_set(p->files, file->name, file);
}

struct ac_rpc_protoset *ac_rpc_protoset_parse(const uint8_t *data, size_t len)
{
    struct ac_rpc_protoset *p = ac_xcalloc(1, sizeof(*p));
    p->files = ac_map_create(file_free);
    p->symbols = ac_map_create(NULL);
    struct view v = {data, data + len}, b;
    unsigned f;
    while (next_field(&v, &f, &b))
        if (f == SET_FILE && b.p)
            index_file(p, b);
    return p;
}

struct ac_rpc_protoset *ac_rpc_protoset_create(void)
{
    return ac_rpc_protoset_parse(ac_protoset_start, (size_t)(ac_protoset_end - ac_protoset_start));
}

void ac_rpc_protoset_destroy(struct ac_rpc_protoset *p)
{
    if (!p)
        return;
    ac_map_destroy(p->symbols);
    ac_map_destroy(p->files);
    free(p);
}

const struct ac_rpc_protofile *ac_rpc_protoset_file(struct ac_rpc_protoset *p, const char *name)
{
    return ac_map_get(p->files, name);
}

const struct ac_rpc_protofile *ac_rpc_protoset_symbol(struct ac_rpc_protoset *p,
                                                      const char *full_name)
{
    return ac_map_get(p->symbols, full_name);
}

size_t ac_rpc_protoset_closure(struct ac_rpc_protoset *p, const struct ac_rpc_protofile *f,
                               const struct ac_rpc_protofile ***ret)
{
    const struct ac_rpc_protofile **list =
        ac_xcalloc(ac_map_len(p->files) + 1, sizeof(struct ac_rpc_protofile *));
    size_t n = 0;
    list[n++] = f;
    for (size_t i = 0; i < n; i++) {
        for (size_t d = 0; d < list[i]->n_deps; d++) {
            const struct ac_rpc_protofile *dep = ac_map_get(p->files, list[i]->deps[d]);
            bool seen = dep == NULL;
            for (size_t k = 0; k < n && !seen; k++)
                seen = list[k] == dep;
            if (!seen)
                list[n++] = dep;
        }
    }
    *ret = list;
    return n;
}

#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include <aceso/arena.h>
#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#define YAML_MAX_BYTES (16u << 20)
#define YAML_MAX_DEPTH 100
/* A node takes some 100 bytes, and the shortest ("-,") takes two of the text. */
#define YAML_ARENA_FACTOR 256

struct ac_yaml_doc {
    char *name;
    struct ac_arena *arena; /* all nodes and texts */
    struct ac_yaml **roots;
    size_t n, cap;
};

struct pair {
    char *key; /* NULL in a sequence */
    struct ac_yaml *item;
};

/* While parsing. stack holds the children of all open collections, the innermost last. */
struct reader {
    struct ac_yaml_doc *doc;
    yaml_parser_t parser;
    struct pair *stack;
    size_t n, cap;
    struct ac_err *err;
};

static int fail_at(struct reader *r, yaml_mark_t at, const char *text)
{
    return ac_err_set(r->err, AC_EINVAL, "%s:%zu:%zu: %s", r->doc->name, at.line + 1, at.column + 1,
                      text);
}

static int next_event(struct reader *r, yaml_event_t *ev)
{
    if (yaml_parser_parse(&r->parser, ev))
        return 0;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return ac_err_set(r->err, AC_ENOMEM, "%s: out of memory", r->doc->name);
    /* The reader's errors (bad UTF-8) have an offset and no mark. */
    if (r->parser.error == YAML_READER_ERROR)
        return ac_err_set(r->err, AC_EINVAL, "%s: byte %zu: %s", r->doc->name,
                          r->parser.problem_offset,
                          r->parser.problem ? r->parser.problem : "unreadable");
    return fail_at(r, r->parser.problem_mark,
                   r->parser.problem ? r->parser.problem : "malformed YAML");
}

static struct ac_yaml *new_node(struct reader *r, enum ac_yaml_kind kind, const yaml_event_t *ev)
{
    struct ac_yaml *n = ac_arena_calloc(r->doc->arena, 1, sizeof(*n));
    if (!n)
        return NULL;
    n->kind = kind;
    n->line = (int)ev->start_mark.line + 1;
    n->column = (int)ev->start_mark.column + 1;
    return n;
}

static int out_of_room(struct reader *r)
{
    return ac_err_set(r->err, AC_ENOMEM, "%s: too many nodes", r->doc->name);
}

static bool known_tag(const char *tag)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const char *const names[] = {"str", "int", "float", "bool", "null", "seq", "map"};
    if (strcmp(tag, "!") == 0)
        return true;
    if (!ac_str_starts(tag, prefix))
        return false;
    for (size_t i = 0; i < AC_ARRAY_LEN(names); i++) {
        if (strcmp(tag + sizeof(prefix) - 1, names[i]) == 0)
            return true;
    }
    return false;
}

static int check_tag(struct reader *r, const yaml_event_t *ev, const yaml_char_t *tag)
{
    if (!tag || known_tag((const char *)tag))
        return 0;
    return fail_at(r, ev->start_mark, "this tag is not supported");
}

static int read_scalar(struct reader *r, const yaml_event_t *ev, struct ac_yaml **ret)
{
    const yaml_char_t *tag = ev->data.scalar.tag, *value = ev->data.scalar.value;
    size_t len = ev->data.scalar.length;
    int rc = check_tag(r, ev, tag);
    if (rc)
        return rc;
    if (memchr(value, '\0', len))
        return fail_at(r, ev->start_mark, "a NUL character is not supported");
    struct ac_yaml *n = new_node(r, AC_YAML_SCALAR, ev);
    if (!n || !(n->scalar = ac_arena_strndup(r->doc->arena, (const char *)value, len)))
        return out_of_room(r);
    n->quoted =
        ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
        (tag && (strcmp((const char *)tag, "!") == 0 || ac_str_ends((const char *)tag, ":str")));
    *ret = n;
    return 0;
}

static void push(struct reader *r, char *key, struct ac_yaml *item)
{
    ac_grow(&r->stack, &r->cap, r->n + 1, sizeof(struct pair));
    r->stack[r->n++] = (struct pair){key, item};
}

/* Moves what lies above base on the stack into n. */
static int close_collection(struct reader *r, struct ac_yaml *n, size_t base)
{
    size_t len = r->n - base;
    n->len = len;
    n->items = ac_arena_calloc(r->doc->arena, len, sizeof(struct ac_yaml *));
    if (n->kind == AC_YAML_MAP)
        n->keys = ac_arena_calloc(r->doc->arena, len, sizeof(char *));
    if (ac_arena_failed(r->doc->arena))
        return out_of_room(r);
    for (size_t i = 0; i < len; i++) {
        n->items[i] = r->stack[base + i].item;
        if (n->kind == AC_YAML_MAP)
            n->keys[i] = r->stack[base + i].key;
    }
    r->n = base;
    return 0;
}

static int read_node(struct reader *r, yaml_event_t *ev, int depth, struct ac_yaml **ret);

static bool has_key(const struct reader *r, size_t base, const char *key)
{
    for (size_t i = base; i < r->n; i++) {
        if (strcmp(r->stack[i].key, key) == 0)
            return true;
    }
    return false;
}

/* ev is the key's event. */
static int read_pair(struct reader *r, yaml_event_t *ev, size_t base, int depth)
{
    if (ev->type != YAML_SCALAR_EVENT)
        return fail_at(r, ev->start_mark, "a key must be a scalar");
    struct ac_yaml *key, *item;
    int rc = read_scalar(r, ev, &key);
    if (rc)
        return rc;
    /* Quadratic, so bounded: no file of ours has maps near that size. */
    if (r->n - base >= 4096)
        return fail_at(r, ev->start_mark, "more than 4096 keys in one mapping");
    if (has_key(r, base, key->scalar))
        return fail_at(r, ev->start_mark, "this key is given twice");
    yaml_event_t value;
    if ((rc = next_event(r, &value)))
        return rc;
    rc = read_node(r, &value, depth + 1, &item);
    yaml_event_delete(&value);
    if (rc == 0)
        push(r, key->scalar, item);
    return rc;
}

static int read_collection(struct reader *r, const yaml_event_t *start, int depth,
                           struct ac_yaml **ret)
{
    bool map = start->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *tag = map ? start->data.mapping_start.tag : start->data.sequence_start.tag;
    int rc = check_tag(r, start, tag);
    if (rc)
        return rc;
    if (depth >= YAML_MAX_DEPTH)
        return fail_at(r, start->start_mark, "nested too deeply");
    struct ac_yaml *n = new_node(r, map ? AC_YAML_MAP : AC_YAML_SEQ, start), *item;
    if (!n)
        return out_of_room(r);
    size_t base = r->n;
    for (;;) {
        yaml_event_t ev;
        if ((rc = next_event(r, &ev)))
            return rc;
        bool end = ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT;
        if (!end && map) {
            rc = read_pair(r, &ev, base, depth);
        } else if (!end && (rc = read_node(r, &ev, depth + 1, &item)) == 0) {
            push(r, NULL, item);
        }
        yaml_event_delete(&ev);
        if (rc)
            return rc;
        if (end)
            break;
    }
    *ret = n;
    return close_collection(r, n, base);
}

static int read_node(struct reader *r, yaml_event_t *ev, int depth, struct ac_yaml **ret)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, ev, ret);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return read_collection(r, ev, depth, ret);
    case YAML_ALIAS_EVENT:
        return fail_at(r, ev->start_mark, "aliases are not supported");
    default:
        return fail_at(r, ev->start_mark, "unexpected content");
    }
}

/* ev is what follows the document's start. An empty document reads as one empty plain scalar. */
static int read_document(struct reader *r, yaml_event_t *ev)
{
    struct ac_yaml *root;
    int rc = read_node(r, ev, 0, &root);
    if (rc)
        return rc;
    if (root->kind == AC_YAML_SCALAR && !root->quoted && !*root->scalar)
        root = NULL;
    struct ac_yaml_doc *d = r->doc;
    ac_grow(&d->roots, &d->cap, d->n + 1, sizeof(struct ac_yaml *));
    d->roots[d->n++] = root;
    return 0;
}

static int read_stream(struct reader *r)
{
    for (;;) {
        yaml_event_t ev;
        int rc = next_event(r, &ev);
        if (rc)
            return rc;
        yaml_event_type_t type = ev.type;
        switch (type) {
        case YAML_STREAM_START_EVENT:
        case YAML_STREAM_END_EVENT:
        case YAML_DOCUMENT_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        default:
            rc = read_document(r, &ev);
            break;
        }
        yaml_event_delete(&ev);
        if (rc || type == YAML_STREAM_END_EVENT)
            return rc;
    }
}

int ac_yaml_parse(const char *name, const char *text, size_t len, struct ac_yaml_doc **ret,
                  struct ac_err *err)
{
    if (len > YAML_MAX_BYTES)
        return ac_err_set(err, AC_EINVAL, "%s: larger than %u bytes", name, YAML_MAX_BYTES);
    struct ac_yaml_doc *d = ac_xcalloc(1, sizeof(*d));
    d->name = ac_xstrdup(name);
    d->arena = ac_arena_create((len + 64) * YAML_ARENA_FACTOR);
    struct reader r = {.doc = d, .err = err};
    int rc;
    if (yaml_parser_initialize(&r.parser)) {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
        rc = read_stream(&r);
    } else {
        rc = ac_err_set(err, AC_ENOMEM, "%s: out of memory", name);
    }
    yaml_parser_delete(&r.parser);
    free(r.stack);
    if (rc) {
        ac_yaml_destroy(d);
        return rc;
    }
    *ret = d;
    return 0;
}

int ac_yaml_load_file(const char *path, struct ac_yaml_doc **ret, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len;
    int rc = ac_file_read(path, YAML_MAX_BYTES, &text, &len, err);
    return rc ? rc : ac_yaml_parse(path, text, len, ret, err);
}

void ac_yaml_destroy(struct ac_yaml_doc *d)
{
    if (!d)
        return;
    ac_arena_destroy(d->arena);
    free(d->roots);
    free(d->name);
    free(d);
}

size_t ac_yaml_documents(const struct ac_yaml_doc *d)
{
    return d->n;
}

const struct ac_yaml *ac_yaml_root(const struct ac_yaml_doc *d, size_t i)
{
    return i < d->n ? d->roots[i] : NULL;
}

const struct ac_yaml *ac_yaml_get(const struct ac_yaml *map, const char *key)
{
    if (!map || map->kind != AC_YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->len; i++) {
        if (strcmp(map->keys[i], key) == 0)
            return map->items[i];
    }
    return NULL;
}

const char *ac_yaml_str(const struct ac_yaml *map, const char *key, const char *def)
{
    const struct ac_yaml *n = ac_yaml_get(map, key);
    return n && n->kind == AC_YAML_SCALAR ? n->scalar : def;
}

int ac_yaml_err(const struct ac_yaml_doc *d, const struct ac_yaml *n, struct ac_err *err,
                const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ac_err_vset(err, AC_EINVAL, fmt, ap);
    va_end(ap);
    if (n)
        ac_err_wrap(err, "%s:%d:%d", d->name, n->line, n->column);
    else
        ac_err_wrap(err, "%s", d->name);
    return AC_EINVAL;
}

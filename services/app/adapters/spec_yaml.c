#include "spec_yaml.h"

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/yaml.h>

#define MAX_SPEC_BYTES (4u << 20)

static const struct app_node *convert(struct ac_arena *a, const struct ac_yaml *y)
{
    struct app_node *n = ac_arena_calloc(a, 1, sizeof(*n));
    if (!n)
        return NULL;
    n->line = y->line;
    n->column = y->column;
    n->quoted = y->quoted != 0;
    if (y->kind == AC_YAML_SCALAR) {
        n->kind = APP_NODE_SCALAR;
        n->scalar = ac_arena_strdup(a, y->scalar ? y->scalar : "");
        return n->scalar ? n : NULL;
    }
    const char **keys = ac_arena_calloc(a, y->len + 1, sizeof(*keys));
    const struct app_node **items = ac_arena_calloc(a, y->len + 1, sizeof(*items));
    if (!keys || !items)
        return NULL;
    for (size_t i = 0; i < y->len; i++) {
        if (y->kind == AC_YAML_MAP && !(keys[i] = ac_arena_strdup(a, y->keys[i])))
            return NULL;
        if (!(items[i] = convert(a, y->items[i])))
            return NULL;
    }
    n->kind = y->kind == AC_YAML_MAP ? APP_NODE_MAP : APP_NODE_SEQ;
    n->len = y->len;
    n->keys = keys;
    n->items = items;
    return n;
}

int app_spec_parse(struct ac_arena *a, const char *name, const char *text, size_t len,
                   const struct app_spec **ret, struct ac_err *err)
{
    struct ac_yaml_doc *doc = NULL;
    int rc = ac_yaml_parse(name, text, len, &doc, err);
    if (rc)
        return rc;
    const struct ac_yaml *root = ac_yaml_documents(doc) ? ac_yaml_root(doc, 0) : NULL;
    const struct app_node *n = root ? convert(a, root) : NULL;
    if (!root)
        rc = ac_err_set(err, AC_EINVAL, "%s:1:1: empty document", name);
    else if (!n)
        rc = ac_err_set(err, AC_EAGAIN, "%s: document too large", name);
    else
        rc = app_spec_load(a, name, n, ret, err);
    ac_yaml_destroy(doc);
    return rc;
}

int app_spec_load_file(struct ac_arena *a, const char *path, const struct app_spec **ret,
                       struct ac_err *err)
{
    char *text = NULL;
    size_t len = 0;
    int rc = ac_file_read(path, MAX_SPEC_BYTES, &text, &len, err);
    if (rc)
        return rc;
    rc = app_spec_parse(a, path, text, len, ret, err);
    free(text);
    return rc;
}

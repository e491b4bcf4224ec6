#include "patch.h"

#include "js.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static json_t *merge(const json_t *target, const json_t *patch, int depth)
{
    if (!json_is_object(patch) || depth > CL_PATCH_MAX_DEPTH)
        return json_deep_copy(patch);
    json_t *out = json_is_object(target) ? json_copy((json_t *)(uintptr_t)target) : json_object();
    const char *k;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)patch, k, v)
    {
        if (json_is_null(v))
            json_object_del(out, k);
        else
            json_object_set_new(out, k, merge(json_object_get(out, k), v, depth + 1));
    }
    return out;
}

json_t *cl_patch_merge(const json_t *target, const json_t *patch)
{
    js_auto shallow = merge(target, patch, 0);
    return json_deep_copy(shallow);
}

/* ---- JSON Patch ---- */

#define TOKEN_MAX 512

/* Next token of a JSON pointer, unescaped. False at the end or when malformed (*ret_bad). */
static bool pointer_token(const char **p, char tok[TOKEN_MAX], bool *ret_bad)
{
    const char *s = *p;
    size_t n = 0;
    if (*s == '\0')
        return false;
    *ret_bad = true;
    if (*s++ != '/')
        return false;
    for (; *s != '\0' && *s != '/'; s++) {
        char ch = *s;
        if (ch == '~') {
            s++;
            if (*s != '0' && *s != '1')
                return false;
            ch = *s == '0' ? '~' : '/';
        }
        if (n + 1 >= TOKEN_MAX)
            return false;
        tok[n++] = ch;
    }
    tok[n] = '\0';
    *p = s;
    *ret_bad = false;
    return true;
}

/* Index of an array token; size itself for "-"; SIZE_MAX when it is no index. */
static size_t array_index(const json_t *a, const char *tok)
{
    uint64_t i;
    if (ac_streq(tok, "-"))
        return json_array_size(a);
    if (!ac_str_to_u64(tok, &i) || i > json_array_size(a))
        return SIZE_MAX;
    return (size_t)i;
}

static json_t *child(const json_t *at, const char *tok)
{
    if (json_is_object(at))
        return json_object_get(at, tok);
    if (json_is_array(at))
        return json_array_get(at, array_index(at, tok));
    return NULL;
}

struct place {
    json_t *parent; /* NULL: the root */
    char last[TOKEN_MAX];
};

static int find_place(json_t *root, const char *pointer, struct place *ret, struct ac_err *err)
{
    const char *p = pointer;
    char tok[TOKEN_MAX];
    bool malformed = false;
    ret->parent = NULL;
    json_t *at = root;
    while (pointer_token(&p, tok, &malformed)) {
        ret->parent = at;
        memcpy(ret->last, tok, sizeof(tok));
        if (at == NULL)
            return ac_err_set(err, AC_EINVAL, "patch: path %.120s is missing", pointer);
        at = child(at, tok);
    }
    if (malformed)
        return ac_err_set(err, AC_EPROTO, "patch: malformed path %.120s", pointer);
    return 0;
}

static json_t *value_at(json_t *root, const struct place *pl)
{
    return pl->parent == NULL ? root : child(pl->parent, pl->last);
}

/* Takes v. */
static int put(json_t **root, const char *pointer, json_t *v, bool replace, struct ac_err *err)
{
    struct place pl;
    int r = find_place(*root, pointer, &pl, err);
    if (r == 0 && replace && value_at(*root, &pl) == NULL)
        r = ac_err_set(err, AC_EINVAL, "patch: replace of a missing path %.120s", pointer);
    if (r != 0) {
        json_decref(v);
        return r;
    }
    if (pl.parent == NULL) {
        json_decref(*root);
        *root = v;
        return 0;
    }
    if (json_is_object(pl.parent)) {
        json_object_set_new(pl.parent, pl.last, v);
        return 0;
    }
    size_t i = json_is_array(pl.parent) ? array_index(pl.parent, pl.last) : SIZE_MAX;
    if (i == SIZE_MAX) {
        json_decref(v);
        return ac_err_set(err, AC_EINVAL, "patch: path %.120s is missing", pointer);
    }
    if (replace)
        json_array_set_new(pl.parent, i, v);
    else
        json_array_insert_new(pl.parent, i, v);
    return 0;
}

/* Removes and returns a new reference. */
static int cut(json_t *root, const char *pointer, json_t **ret, struct ac_err *err)
{
    struct place pl;
    int r = find_place(root, pointer, &pl, err);
    if (r != 0)
        return r;
    json_t *v = value_at(root, &pl);
    if (v == NULL || pl.parent == NULL)
        return ac_err_set(err, AC_EINVAL, "patch: remove of a missing path %.120s", pointer);
    *ret = json_incref(v);
    if (json_is_object(pl.parent))
        json_object_del(pl.parent, pl.last);
    else
        json_array_remove(pl.parent, array_index(pl.parent, pl.last));
    return 0;
}

static int from_value(json_t *root, const json_t *op, json_t **ret, struct ac_err *err)
{
    const char *from = json_string_value(json_object_get(op, "from"));
    struct place pl;
    if (from == NULL)
        return ac_err_set(err, AC_EPROTO, "patch: no from");
    int r = find_place(root, from, &pl, err);
    if (r != 0)
        return r;
    const json_t *v = value_at(root, &pl);
    if (v == NULL)
        return ac_err_set(err, AC_EINVAL, "patch: from %.120s is missing", from);
    *ret = json_deep_copy(v);
    return 0;
}

static int apply_op(json_t **root, const json_t *op, struct ac_err *err)
{
    const char *name = json_string_value(json_object_get(op, "op"));
    const char *path = json_string_value(json_object_get(op, "path"));
    json_t *v = json_object_get(op, "value");
    json_t *moved = NULL;
    struct place pl;
    if (name == NULL || path == NULL)
        return ac_err_set(err, AC_EPROTO, "patch: an operation needs op and path");
    if (ac_streq(name, "remove")) {
        int r = cut(*root, path, &moved, err);
        json_decref(moved);
        return r;
    }
    if (ac_streq(name, "copy") || ac_streq(name, "move")) {
        int r = from_value(*root, op, &moved, err);
        json_t *old = NULL;
        if (r == 0 && name[0] == 'm')
            r = cut(*root, json_string_value(json_object_get(op, "from")), &old, err);
        json_decref(old);
        if (r != 0) {
            json_decref(moved);
            return r;
        }
        return put(root, path, moved, false, err);
    }
    if (v == NULL)
        return ac_err_set(err, AC_EPROTO, "patch: %.20s without a value", name);
    if (ac_streq(name, "add") || ac_streq(name, "replace"))
        return put(root, path, json_deep_copy(v), name[0] == 'r', err);
    if (!ac_streq(name, "test"))
        return ac_err_set(err, AC_EPROTO, "patch: unknown operation %.40s", name);
    int r = find_place(*root, path, &pl, err);
    if (r == 0 && !json_equal(value_at(*root, &pl), v))
        r = ac_err_set(err, AC_EINVAL, "patch: test failed at %.120s", path);
    return r;
}

int cl_patch_json(const json_t *target, const json_t *ops, json_t **ret, struct ac_err *err)
{
    if (!json_is_array(ops) || json_array_size(ops) > CL_PATCH_MAX_OPS)
        return ac_err_set(err, AC_EPROTO, "patch: expected an array of at most %d operations",
                          CL_PATCH_MAX_OPS);
    json_t *out = json_deep_copy(target);
    size_t i;
    json_t *op;
    json_array_foreach(ops, i, op)
    {
        int r = apply_op(&out, op, err);
        if (r != 0) {
            json_decref(out);
            return r;
        }
    }
    *ret = out;
    return 0;
}

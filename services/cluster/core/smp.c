/* Strategic merge patch. The merge key of a list is chosen by the list's field name, as the API
 * types declare it; lists that are not in the table are replaced. */
#include "js.h"
#include "patch.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

struct list_rule {
    const char *field, *key; /* key "" = a list of primitives that is merged as a set */
};

static const struct list_rule list_rules[] = {
    {"containers", "name"},
    {"initContainers", "name"},
    {"ephemeralContainers", "name"},
    {"volumes", "name"},
    {"env", "name"},
    {"imagePullSecrets", "name"},
    {"secrets", "name"},
    {"volumeMounts", "mountPath"},
    {"volumeDevices", "devicePath"},
    {"conditions", "type"},
    {"addresses", "type"},
    {"hostAliases", "ip"},
    {"ownerReferences", "uid"},
    {"taints", "key"},
    {"topologySpreadConstraints", "topologyKey"},
    {"finalizers", ""},
};

static int merge_object(json_t *out, const json_t *patch, int depth, struct ac_err *err);

/* NULL: the list is atomic. */
static const char *merge_key(const char *field, const json_t *patch_list)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(list_rules); i++)
        if (ac_streq(list_rules[i].field, field))
            return list_rules[i].key;
    if (ac_streq(field, "ports")) {
        size_t i;
        json_t *v;
        json_array_foreach(patch_list, i, v) if (json_object_get(v, "containerPort") !=
                                                 NULL) return "containerPort";
        return "port";
    }
    return NULL;
}

static bool is_directive(const json_t *o, const char *what)
{
    return ac_streq(json_string_value(json_object_get(o, "$patch")), what);
}

static size_t index_by_key(const json_t *list, const char *key, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (key[0] == '\0' ? json_equal(v, value) : json_equal(json_object_get(v, key), value))
            return i;
    }
    return SIZE_MAX;
}

static int merge_item(json_t *list, const char *key, json_t *item, int depth, struct ac_err *err)
{
    json_t *id = json_object_get(item, key);
    if (id == NULL)
        return ac_err_set(err, AC_EPROTO, "patch: a list item has no %s", key);
    size_t at = index_by_key(list, key, id);
    if (is_directive(item, "delete")) {
        if (at != SIZE_MAX)
            json_array_remove(list, at);
        return 0;
    }
    js_auto merged = at != SIZE_MAX && !is_directive(item, "replace")
                         ? json_deep_copy(json_array_get(list, at))
                         : json_object();
    int r = merge_object(merged, item, depth + 1, err);
    if (r != 0)
        return r;
    if (at == SIZE_MAX)
        json_array_append(list, merged);
    else
        json_array_set(list, at, merged);
    return 0;
}

static int merge_list(json_t *out, const char *field, const json_t *patch, int depth,
                      struct ac_err *err)
{
    const char *key = merge_key(field, patch);
    size_t i;
    json_t *v;
    bool replace = key == NULL;
    json_array_foreach(patch, i, v) replace =
        replace || (json_is_object(v) && is_directive(v, "replace") && json_object_size(v) == 1);
    if (replace) {
        json_t *list = json_array();
        json_array_foreach(patch, i,
                           v) if (!json_is_object(v) || json_object_get(v, "$patch") == NULL)
            json_array_append_new(list, json_deep_copy(v));
        json_object_set_new(out, field, list);
        return 0;
    }
    json_t *list = js_arr(out, field);
    json_array_foreach(patch, i, v)
    {
        if (key[0] == '\0') {
            if (index_by_key(list, key, v) == SIZE_MAX)
                json_array_append_new(list, json_deep_copy(v));
            continue;
        }
        int r = merge_item(list, key, v, depth, err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* $setElementOrder/<field>: listed items first and in that order, the others keep their place
 * behind. */
static void set_order(json_t *out, const char *field, const json_t *order)
{
    json_t *list = json_object_get(out, field);
    if (!json_is_array(list) || !json_is_array(order))
        return;
    const char *key = merge_key(field, order);
    if (key == NULL)
        return;
    js_auto rest = json_copy(list);
    json_t *sorted = json_array();
    size_t i;
    json_t *v;
    json_array_foreach(order, i, v)
    {
        size_t at = index_by_key(rest, key, key[0] == '\0' ? v : json_object_get(v, key));
        if (at == SIZE_MAX)
            continue;
        json_array_append(sorted, json_array_get(rest, at));
        json_array_remove(rest, at);
    }
    json_array_extend(sorted, rest);
    json_object_set_new(out, field, sorted);
}

static void delete_primitives(json_t *out, const char *field, const json_t *values)
{
    json_t *list = json_object_get(out, field);
    size_t i;
    json_t *v;
    json_array_foreach(values, i, v)
    {
        size_t at = index_by_key(list, "", v);
        if (at != SIZE_MAX)
            json_array_remove(list, at);
    }
}

/* $retainKeys: fields of the target that are not named go. */
static void retain_keys(json_t *out, const json_t *keep)
{
    js_auto old = json_copy(out);
    const char *k;
    json_t *v;
    json_object_foreach(old, k, v)
    {
        size_t i;
        json_t *name;
        bool kept = false;
        json_array_foreach(keep, i, name) kept = kept || ac_streq(json_string_value(name), k);
        if (!kept)
            json_object_del(out, k);
    }
}

static int merge_field(json_t *out, const char *k, const json_t *v, int depth, struct ac_err *err)
{
    if (json_is_null(v)) {
        json_object_del(out, k);
        return 0;
    }
    if (json_is_array(v))
        return merge_list(out, k, v, depth, err);
    if (json_is_object(v)) {
        if (is_directive(v, "delete")) {
            json_object_del(out, k);
            return 0;
        }
        js_auto merged = json_is_object(json_object_get(out, k))
                             ? json_deep_copy(json_object_get(out, k))
                             : json_object();
        int r = merge_object(merged, v, depth + 1, err);
        if (r == 0)
            json_object_set(out, k, merged);
        return r;
    }
    json_object_set_new(out, k, json_deep_copy(v));
    return 0;
}

static int merge_object(json_t *out, const json_t *patch, int depth, struct ac_err *err)
{
    const char *k;
    json_t *v;
    json_t *p = (json_t *)(uintptr_t)patch;
    if (!json_is_object(patch) || depth > CL_PATCH_MAX_DEPTH)
        return ac_err_set(err, AC_EPROTO, "patch: not an object, or nested too deep");
    if (is_directive(patch, "replace"))
        json_object_clear(out);
    if (json_is_array(json_object_get(patch, "$retainKeys")))
        retain_keys(out, json_object_get(patch, "$retainKeys"));
    json_object_foreach(p, k, v)
    {
        if (ac_str_starts(k, "$deleteFromPrimitiveList/"))
            delete_primitives(out, k + strlen("$deleteFromPrimitiveList/"), v);
        if (k[0] == '$')
            continue;
        int r = merge_field(out, k, v, depth, err);
        if (r != 0)
            return r;
    }
    json_object_foreach(p, k, v) if (ac_str_starts(k, "$setElementOrder/"))
        set_order(out, k + strlen("$setElementOrder/"), v);
    return 0;
}

int cl_patch_strategic(const json_t *target, const json_t *patch, json_t **ret, struct ac_err *err)
{
    json_t *out = json_is_object(target) ? json_deep_copy(target) : json_object();
    int r = merge_object(out, patch, 0, err);
    if (r != 0) {
        json_decref(out);
        return r;
    }
    *ret = out;
    return 0;
}

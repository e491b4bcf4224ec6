/* JSON (jansson) with limits and checked access: errors name the path of the value. Any thread on
 * its own values. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <aceso/base.h>

static inline void ac_json_unref_p(json_t **j)
{
    json_decref(*j);
}
#define ac_cleanup_json ac_cleanup(ac_json_unref_p) json_t *

#define AC_JSON_MAX_BYTES (64u << 20)

/** name is used in messages: "name:line:column: text". AC_EINVAL. Depth and size limited. */
int ac_json_parse(const char *name, const char *text, size_t len, json_t **ret,
                  struct ac_err *err) AC_MUST_USE;
int ac_json_load_file(const char *path, json_t **ret, struct ac_err *err) AC_MUST_USE;
/** Compact text, keys in order of insertion; caller frees. */
char *ac_json_text(const json_t *j);

/* path: "spec.containers[0].name". Absent or of another type: the default. Borrowed. */
const char *ac_json_str(const json_t *j, const char *path, const char *def);
int64_t ac_json_i64(const json_t *j, const char *path, int64_t def);
double ac_json_f64(const json_t *j, const char *path, double def);
bool ac_json_bool(const json_t *j, const char *path, bool def);
json_t *ac_json_at(const json_t *j, const char *path); /* borrowed; NULL when absent */

/* Required forms: AC_EINVAL "path: missing" / "path: expected a string, got an array". */
int ac_json_need_str(const json_t *j, const char *path, const char **ret,
                     struct ac_err *err) AC_MUST_USE;
int ac_json_need_i64(const json_t *j, const char *path, int64_t *ret,
                     struct ac_err *err) AC_MUST_USE;

/** RFC 7386 merge patch: new value; neither argument is changed. */
json_t *ac_json_merge_patch(const json_t *target, const json_t *patch);

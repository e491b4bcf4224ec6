/* Dynamic values of requests, replies and variables: what JSON can say. They live in an arena (one
 * per request) and are never changed once built, so that parts are shared freely. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/arena.h>
#include <aceso/buf.h>

enum app_kind {
    APP_NULL,
    APP_BOOL,
    APP_NUM,
    APP_STR,
    APP_LIST,
    APP_MAP
};

struct app_value {
    enum app_kind kind;
    union {
        bool b;
        double num;
        struct {
            const char *s; /* NUL-terminated, may hold no NUL inside */
            size_t len;
        } str;
        struct {
            const struct app_value *const *items;
            size_t n;
        } list;
        struct {
            const char *const *keys; /* in the order of the source; a later duplicate wins */
            const struct app_value *const *items;
            size_t n;
        } map;
    } u;
};

#define APP_VALUE_MAX_DEPTH 32

extern const struct app_value app_null, app_true, app_false;

/* Constructors: NULL when the arena's cap is passed. */
const struct app_value *app_num(struct ac_arena *a, double num);
const struct app_value *app_str(struct ac_arena *a, const char *s, size_t len); /* copies */
const struct app_value *app_cstr(struct ac_arena *a, const char *s);            /* copies */
static inline const struct app_value *app_bool(bool b)
{
    return b ? &app_true : &app_false;
}
/** Shares items. */
const struct app_value *app_list(struct ac_arena *a, const struct app_value *const *items,
                                 size_t n);
/** Shares keys and items. */
const struct app_value *app_map(struct ac_arena *a, const char *const *keys,
                                const struct app_value *const *items, size_t n);

/** NULL when v is no map or has no such key. */
const struct app_value *app_get(const struct app_value *v, const char *key);
/** Value of a map's key as text; def when absent or no string. */
const char *app_get_str(const struct app_value *v, const char *key, const char *def);
bool app_equal(const struct app_value *a, const struct app_value *b);
/** Null, false, 0, NaN, "", [] and {} are false. */
bool app_truthy(const struct app_value *v);
const char *app_kind_name(enum app_kind k);

/** As compact JSON; NaN and infinities become null. */
void app_json_write(const struct app_value *v, struct ac_buf *out);
/** As text for templates and SQL parameters: strings as they are, whole numbers without a point,
 * null as "", lists and maps as JSON. In the arena; NULL when its cap is passed. */
const char *app_text(struct ac_arena *a, const struct app_value *v, size_t *ret_len);
/** Parses one JSON document; AC_EINVAL with the offset, AC_EAGAIN when the arena is full. */
int app_json_parse(struct ac_arena *a, const char *text, size_t len, const struct app_value **ret,
                   struct ac_err *err) AC_MUST_USE;

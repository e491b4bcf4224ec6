/* Access to JSON values by dotted path ("spec.template.metadata"), and the parts of object metadata
 * that everything needs. Values returned are borrowed unless the name says new. Paths are literals
 * of ours; keys that hold dots (labels, annotations) are read with json_object_get. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <aceso/base.h>

static inline void js_unref_p(json_t **j)
{
    json_decref(*j);
}
#define js_auto ac_cleanup(js_unref_p) json_t *

json_t *js_at(const json_t *j, const char *path); /* NULL when absent */
const char *js_str(const json_t *j, const char *path, const char *def);
int64_t js_int(const json_t *j, const char *path, int64_t def);
bool js_bool(const json_t *j, const char *path, bool def);
/** Object at path; made where absent (or not an object). */
json_t *js_obj(json_t *j, const char *path);
json_t *js_arr(json_t *j, const char *path);
/** Sets the value at path, making objects on the way; takes v. */
void js_set(json_t *j, const char *path, json_t *v);
void js_set_str(json_t *j, const char *path, const char *v);
void js_set_int(json_t *j, const char *path, int64_t v);
void js_del(json_t *j, const char *path);
/** Sets only when absent (or null); takes v. */
void js_default(json_t *j, const char *path, json_t *v);

const char *js_name(const json_t *o); /* "" when absent */
const char *js_ns(const json_t *o);
const char *js_uid(const json_t *o);
const char *js_label(const json_t *o, const char *key); /* NULL when absent */
const char *js_annotation(const json_t *o, const char *key);
bool js_deleting(const json_t *o); /* has a deletionTimestamp */

/** Item of an array of objects whose key is value; NULL when absent. */
json_t *js_find(const json_t *array, const char *key, const char *value);
/** Integer or "25%" of total, rounded up or down. */
int64_t js_int_or_percent(const json_t *v, int64_t total, bool up, int64_t def);
/** Seconds of a Kubernetes or Go duration ("10s", "1m30s", "250ms") as ns; def when malformed. */
int64_t js_duration_ns(const char *s, int64_t def);
/** RFC 3339 UTC, whole seconds, as Kubernetes writes it. dst of at least 24 bytes. */
void js_time(int64_t wall_ns, char *dst, size_t dst_size);
/** Unix ns of an RFC 3339 text; 0 when absent or malformed. */
int64_t js_time_ns(const char *s);
/** "5s", "3m10s", "2h", "4d": as kubectl prints an age. */
void js_age(int64_t ns, char *dst, size_t dst_size);

/* YAML (libyaml) into a tree with positions, so that a later semantic error can name file, line and
 * column. Aliases are refused, size and depth limited. Also straight into JSON values. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <aceso/err.h>

enum ac_yaml_kind {
    AC_YAML_SCALAR,
    AC_YAML_SEQ,
    AC_YAML_MAP
};

struct ac_yaml {
    enum ac_yaml_kind kind;
    int line, column; /* from 1 */
    char *scalar;     /* SCALAR: text; quoted says whether it was quoted */
    int quoted;
    size_t len;             /* children; for MAP the number of pairs */
    char **keys;            /* MAP */
    struct ac_yaml **items; /* SEQ and MAP: values */
};

struct ac_yaml_doc; /* one stream of documents; owns the nodes */

int ac_yaml_parse(const char *name, const char *text, size_t len, struct ac_yaml_doc **ret,
                  struct ac_err *err) AC_MUST_USE;
int ac_yaml_load_file(const char *path, struct ac_yaml_doc **ret, struct ac_err *err) AC_MUST_USE;
void ac_yaml_destroy(struct ac_yaml_doc *d);
size_t ac_yaml_documents(const struct ac_yaml_doc *d);
const struct ac_yaml *ac_yaml_root(const struct ac_yaml_doc *d,
                                   size_t i); /* NULL for an empty document */
const struct ac_yaml *ac_yaml_get(const struct ac_yaml *map,
                                  const char *key); /* NULL when absent */
/** Scalar of a map's key; def when absent. */
const char *ac_yaml_str(const struct ac_yaml *map, const char *key, const char *def);
/** YAML 1.2 core schema: null, true/false, integers, floats; quoted scalars are strings. New
 * reference. */
json_t *ac_yaml_to_json(const struct ac_yaml *n);
/** Sets err to AC_EINVAL with "file:line:column: text". */
int ac_yaml_err(const struct ac_yaml_doc *d, const struct ac_yaml *n, struct ac_err *err,
                const char *fmt, ...) AC_PRINTF(4, 5);
/** JSON value as a YAML document text; caller frees. */
char *ac_yaml_from_json(const json_t *j);

/* Label and field selectors: as text of a query, and as the objects of specs. Any thread. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include <aceso/err.h>

#define CL_SELECTOR_MAX_BYTES 4096
#define CL_SELECTOR_MAX_TERMS 64

struct cl_selector;

/** "a=b,c!=d,e in (f,g),!h,i". Empty or NULL text selects all. AC_EPROTO with what is wrong. */
int cl_selector_parse(const char *text, struct cl_selector **ret, struct ac_err *err) AC_MUST_USE;
/** "metadata.name=x,status.phase!=y": = == and != on a dotted path of the object. */
int cl_fields_parse(const char *text, struct cl_selector **ret, struct ac_err *err) AC_MUST_USE;
void cl_selector_destroy(struct cl_selector *s); /* NULL is fine */
/** NULL selects all. */
bool cl_selector_labels(const struct cl_selector *s, const json_t *object);
bool cl_selector_fields(const struct cl_selector *s, const json_t *object);
/** The value of metadata.name=x when the selector asks for one name; else NULL. */
const char *cl_fields_name(const struct cl_selector *s);
/** Canonical text; caller frees. parse(text(s)) selects the same. */
char *cl_selector_text(const struct cl_selector *s);

/** {matchLabels, matchExpressions} against a map of labels (NULL = no labels). An empty selector
 * selects all, NULL none. */
bool cl_match_selector(const json_t *selector, const json_t *labels);
/** Plain {k: v} map. An empty or absent map selects none. */
bool cl_match_labels(const json_t *map, const json_t *labels);

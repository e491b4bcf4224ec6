/* What the files of this module share. */
#pragma once

#include <stdbool.h>

#include <aceso/buf.h>
#include <aceso/conf.h>

/* An option and the struct that it fills. */
struct conf_ref {
    const struct ac_conf_opt *opt;
    void *target;
    size_t index; /* over all tables */
};

/** Sets the field from text. Bounds are checked. append: a list keeps what it has. The error says
 * what was expected, without the key. */
int ac_conf_set_(const struct conf_ref *r, const char *text, bool append, struct ac_err *err);
void ac_conf_clear_(const struct conf_ref *r);
/** The field as text that ac_conf_set_ reads back ("" for a NULL string). Secrets are masked. */
void ac_conf_text_(const struct conf_ref *r, struct ac_buf *out);
const char *ac_conf_type_name_(enum ac_conf_type t); /* "an integer" */

/** for (struct conf_ref r = {0}; ac_conf_next_(spec, &r);) */
bool ac_conf_next_(const struct ac_conf_spec *spec, struct conf_ref *r);
bool ac_conf_find_(const struct ac_conf_spec *spec, const char *key, size_t key_len,
                   struct conf_ref *r);
/** "; did you mean 'x'?" or "". */
void ac_conf_hint_(const struct ac_conf_spec *spec, const char *key, char *dst, size_t dst_size);
void ac_conf_env_name_(const char *prefix, const char *key, char *dst, size_t dst_size);

void ac_conf_write_help_(const struct ac_conf_spec *spec, FILE *out);
void ac_conf_write_dump_(const struct ac_conf_spec *spec, FILE *out);

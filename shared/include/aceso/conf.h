/* Options of a program from one table: parser, bounds, --help, docs. Order of precedence:
 * default < file (--config, YAML) < environment < flag. An unknown key is an error with its line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <aceso/err.h>

/* Of all programs of the tree: --version, and aceso_build_info on /metrics. */
#ifndef ACESO_VERSION
#define ACESO_VERSION "0.1.0"
#endif

enum ac_conf_type {
    AC_CONF_STR,      /* char *; owned by the config struct, freed by ac_conf_fini */
    AC_CONF_BOOL,     /* bool; flag form --key or --key=false */
    AC_CONF_I64,      /* int64_t */
    AC_CONF_F64,      /* double */
    AC_CONF_DURATION, /* int64_t ns; text "250ms" */
    AC_CONF_BYTES,    /* uint64_t; text "4MiB" */
    AC_CONF_LIST      /* char **, NULL-terminated; flag may be repeated, text is comma-separated */
};

/* Masked in --dump-config and logs; a text "file:PATH" is replaced by what the file holds. */
#define AC_CONF_SECRET   1u
#define AC_CONF_REQUIRED 2u /* text and lists: must not be empty */

struct ac_conf_opt {
    const char
        *key; /* lower case with '-': flag --key, file key "key", env <PREFIX>_KEY or ACESO_KEY */
    enum ac_conf_type type;
    size_t offset;         /* into the config struct */
    const char *def;       /* text of the default; NULL = zero value */
    const char *min, *max; /* texts of the bounds, NULL = none (numbers, durations, bytes) */
    unsigned flags;
    const char *help;
};

/* In config.def: AC_OPT(field, "key", AC_CONF_I64, "5", "1", "100", 0, "help"). A service includes
 * it to make the struct's table: static const struct ac_conf_opt opts[] = { #define AC_OPT(f, k, t,
 * d, lo, hi, fl, h) {k, t, offsetof(struct cfg, f), d, lo, hi, fl, h}, #include "config.def"
 *   }; */

struct ac_conf_spec {
    const char *program;                     /* "aceso-rca" */
    const char *summary;                     /* one line for --help */
    const char *env_prefix;                  /* "ACESO_RCA": tried before plain "ACESO" */
    const struct ac_conf_opt *const *tables; /* NULL-ended list of tables ... */
    const size_t *table_lens;                /* ... and their lengths */
    void *const *targets;                    /* config struct that each table fills */
};

enum ac_conf_result {
    AC_CONF_RUN = 0,
    AC_CONF_EXIT = 1
};

/** Fills the targets. Handles --help, --version, --check-config, --dump-config, --config FILE: then
 * returns AC_CONF_EXIT after printing to out (exit 0). A negative AC_E* with one clear line in err
 * (file, line, column where there is one) on wrong usage: the caller prints it and exits 2.
 * Targets must be zeroed before. */
int ac_conf_load(const struct ac_conf_spec *spec, int argc, char **argv, FILE *out,
                 struct ac_err *err) AC_MUST_USE;
/** As above for tests and for tools: text of a YAML mapping. */
int ac_conf_parse_text(const struct ac_conf_spec *spec, const char *file_name, const char *text,
                       struct ac_err *err) AC_MUST_USE;
/** Frees strings and lists of one table's target. */
void ac_conf_fini(const struct ac_conf_opt *table, size_t n, void *target);
/** Markdown table of the options for docs/. */
void ac_conf_write_docs(const struct ac_conf_spec *spec, FILE *out);

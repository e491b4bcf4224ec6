/* The command line's verbs: one file a verb group in verbs/. Each verbs/<name>.c defines
 *   const struct cli_verb cli_verb_<name> = {"rule", "check, format and evaluate rules", cmd_rule,
 * USAGE}; and main.c's table is generated from the files that are there. */
#pragma once

#include <stdbool.h>

#include <aceso/err.h>

struct cli_ctx {
    bool
        json; /* --json was given: the last line of stdout is one JSON object, nothing else there */
};

/** argv[0] is the verb; --json is taken out already. Returns the exit code: 0, 1 failed, 2 usage.
 */
typedef int (*cli_verb_fn)(int argc, char **argv, const struct cli_ctx *ctx);

struct cli_verb {
    const char *name;
    const char *summary; /* one line; NULL = internal, not listed */
    cli_verb_fn fn;
    const char *usage; /* text of --help: a usage line an action, then the options */
};

#define CLI_OK     0
#define CLI_FAILED 1
#define CLI_USAGE  2

/** Prints "aceso <verb>: <text>" on stderr as one line and returns CLI_USAGE. */
int cli_usage(const char *verb, const char *fmt, ...) AC_PRINTF(2, 3);
/** The same for an error; returns CLI_USAGE for AC_EINVAL (bad input), else CLI_FAILED. */
int cli_fail(const char *verb, const struct ac_err *err);
/** The same for a file that the user named: that it cannot be read is wrong usage. */
int cli_fail_input(const char *verb, const struct ac_err *err);
/** Progress for people: one line on stderr. */
void cli_progress(const char *fmt, ...) AC_PRINTF(1, 2);

/* Options of a verb: long options with or without a value; positional arguments stay in order. */
struct cli_opt {
    const char *name; /* "--series" */
    bool has_value;
    const char **value; /* where the text goes (a flag sets it to "1"); for repeat: array of max */
    bool repeat;
    int max;
    int *count;     /* for repeat: how many */
    const char *of; /* "a and b": the parts of the verb that take it; NULL: all */
};
/** Parses argv[1..]; positionals are moved to argv[1..*ret_npos]. --help prints the usage and
 * returns 1 (exit 0); negative on wrong usage (message printed, exit 2). After a repeat option all
 * arguments up to the next option are its values. */
int cli_parse(const struct cli_verb *verb, int argc, char **argv, const struct cli_opt *opts,
              int n_opts, int *ret_npos);
/** 0, or exit 2 with the message printed: an option was given that the part does not take. */
int cli_opts_of(const struct cli_verb *verb, const char *part, const struct cli_opt *opts,
                int n_opts);
/** The number that an option gives, *ret left alone where it was not given. False: not a number
 * from lo to hi. */
bool cli_number(const char *text, double lo, double hi, double *ret);

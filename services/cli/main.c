/* aceso: the command line. Finds the verb, takes out --json, and calls it. */
#include "verbs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/log.h>
#include <aceso/str.h>

#ifndef ACESO_VERSION
#define ACESO_VERSION "0.1.0"
#endif

#define CLI_VERB(n) extern const struct cli_verb cli_verb_##n;
#include "cli_verbs.def"
#undef CLI_VERB

static const struct cli_verb *const VERBS[] = {
#define CLI_VERB(n) &cli_verb_##n,
#include "cli_verbs.def"
#undef CLI_VERB
    NULL,
};

int cli_usage(const char *verb, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "aceso %s: ", verb);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return CLI_USAGE;
}

int cli_fail(const char *verb, const struct ac_err *err)
{
    fprintf(stderr, "aceso %s: %s\n", verb, err->msg[0] ? err->msg : ac_err_text(err->code));
    return err->code == AC_EINVAL ? CLI_USAGE : CLI_FAILED;
}

void cli_progress(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

static const struct cli_opt *find_opt(const struct cli_opt *opts, int n, const char *name,
                                      size_t len)
{
    for (int i = 0; i < n; i++) {
        if (strlen(opts[i].name) == len && strncmp(opts[i].name, name, len) == 0)
            return &opts[i];
    }
    return NULL;
}

static int store(const struct cli_verb *verb, const struct cli_opt *o, const char *value)
{
    if (!o->repeat) {
        *o->value = value;
        return 0;
    }
    if (*o->count == o->max) {
        cli_usage(verb->name, "%s: at most %d values", o->name, o->max);
        return AC_EINVAL;
    }
    o->value[(*o->count)++] = value;
    return 0;
}

/* Returns the index of the last argument used, or a negative code. */
static int take_option(const struct cli_verb *verb, int argc, char **argv, int i,
                       const struct cli_opt *opts, int n_opts)
{
    const char *arg = argv[i], *eq = strchr(arg, '=');
    const struct cli_opt *o = find_opt(opts, n_opts, arg, eq ? (size_t)(eq - arg) : strlen(arg));
    if (!o) {
        cli_usage(verb->name, "unknown option %s (see aceso %s --help)", arg, verb->name);
        return AC_EINVAL;
    }
    if (!o->has_value) {
        *o->value = "1";
        return i;
    }
    if (eq)
        return store(verb, o, eq + 1) == 0 ? i : AC_EINVAL;
    if (i + 1 >= argc) {
        cli_usage(verb->name, "%s needs a value", o->name);
        return AC_EINVAL;
    }
    if (store(verb, o, argv[++i]) != 0)
        return AC_EINVAL;
    while (o->repeat && i + 1 < argc && !ac_str_starts(argv[i + 1], "--")) {
        if (store(verb, o, argv[++i]) != 0)
            return AC_EINVAL;
    }
    return i;
}

int cli_parse(const struct cli_verb *verb, int argc, char **argv, const struct cli_opt *opts,
              int n_opts, int *ret_npos)
{
    int npos = 0;
    for (int i = 1; i < argc; i++) {
        if (ac_streq(argv[i], "--help")) {
            printf("aceso %s: %s\n\n%s", verb->name, verb->summary, verb->usage ? verb->usage : "");
            return 1;
        }
        if (!ac_str_starts(argv[i], "--")) {
            argv[1 + npos++] = argv[i];
            continue;
        }
        i = take_option(verb, argc, argv, i, opts, n_opts);
        if (i < 0)
            return AC_EINVAL;
    }
    *ret_npos = npos;
    return 0;
}

static void print_help(FILE *out)
{
    fputs("usage: aceso VERB [ARGUMENTS] [--json] [--help]\n\n", out);
    for (const struct cli_verb *const *v = VERBS; *v; v++) {
        if ((*v)->summary) /* internal verbs have none */
            fprintf(out, "  %-12s %s\n", (*v)->name, (*v)->summary);
    }
    fputs("\nExit codes: 0 success, 1 a failed check or task, 2 wrong usage.\n", out);
}

static int unknown_verb(const char *name)
{
    const char *best = NULL;
    int best_d = 3;
    for (const struct cli_verb *const *v = VERBS; *v; v++) {
        int d = ac_str_distance(name, (*v)->name);
        if (d < best_d) {
            best_d = d;
            best = (*v)->name;
        }
    }
    if (best)
        fprintf(stderr, "aceso: unknown verb '%s'; did you mean '%s'?\n", name, best);
    else
        fprintf(stderr, "aceso: unknown verb '%s'; aceso --help lists them\n", name);
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    struct cli_ctx ctx = {0};
    int n = 1;
    for (int i = 1; i < argc; i++) {
        if (ac_streq(argv[i], "--json"))
            ctx.json = true;
        else
            argv[n++] = argv[i];
    }
    argv[n] = NULL;
    if (ac_log_configure("cli", "warn", NULL) != 0)
        return CLI_FAILED;
    if (n < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    if (ac_streq(argv[1], "--help") || ac_streq(argv[1], "help")) {
        print_help(stdout);
        return CLI_OK;
    }
    if (ac_streq(argv[1], "--version")) {
        puts("aceso " ACESO_VERSION);
        return CLI_OK;
    }
    for (const struct cli_verb *const *v = VERBS; *v; v++) {
        if (ac_streq((*v)->name, argv[1]))
            return (*v)->fn(n - 1, argv + 1, &ctx);
    }
    return unknown_verb(argv[1]);
}

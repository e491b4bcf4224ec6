/* aceso: the command line. Finds the verb, takes out --json, and calls it. */
#include "verbs.h"

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

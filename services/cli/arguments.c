/* Arguments and words of the verbs. */
#include "verbs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <aceso/str.h>

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

int cli_fail_input(const char *verb, const struct ac_err *err)
{
    (void)cli_fail(verb, err);
    return CLI_USAGE;
}

bool cli_number(const char *text, double lo, double hi, double *ret)
{
    return !text || (ac_str_to_f64(text, ret) && *ret >= lo && *ret <= hi);
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

int cli_opts_of(const struct cli_verb *verb, const char *part, const struct cli_opt *opts,
                int n_opts)
{
    for (int i = 0; i < n_opts; i++) {
        const struct cli_opt *o = &opts[i];
        bool given = o->repeat ? *o->count > 0 : *o->value != NULL;
        if (given && o->of && !strstr(o->of, part))
            return cli_usage(verb->name, "%s is an option of %s %s, not of %s", o->name, verb->name,
                             o->of, part);
    }
    return CLI_OK;
}

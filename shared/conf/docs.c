/* --help, --dump-config and the table for docs/. */
#include "conf_priv.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/json.h>
#include <aceso/str.h>

#define HELP_COLUMN 30

static void write_wrapped(FILE *out, int at, const char *text)
{
    int width = 100 - HELP_COLUMN, room = width;
    if (at >= HELP_COLUMN) {
        fputc('\n', out);
        at = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - at, "");
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (word > room && room < width) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            room = width;
        }
        fprintf(out, "%.*s", word, text);
        text += word;
        room -= word + 1;
        if (*text == ' ') {
            text++;
            if (*text && (int)strcspn(text, " ") <= room)
                fputc(' ', out);
        }
    }
    fputc('\n', out);
}

static const char *metavar(enum ac_conf_type t)
{
    static const char *const names[] = {
        [AC_CONF_STR] = "TEXT",     [AC_CONF_BOOL] = "",         [AC_CONF_I64] = "N",
        [AC_CONF_F64] = "X",        [AC_CONF_DURATION] = "TIME", [AC_CONF_BYTES] = "SIZE",
        [AC_CONF_LIST] = "A,B,...",
    };
    return names[t];
}

static void write_option(FILE *out, const struct ac_conf_opt *o)
{
    const char *meta = metavar(o->type);
    int at = fprintf(out, "  --%s%s%s", o->key, *meta ? " " : "", meta);
    struct ac_buf b;
    ac_buf_init(&b, 64 * 1024);
    ac_buf_puts(&b, o->help ? o->help : "");
    if (o->flags & AC_CONF_REQUIRED)
        ac_buf_puts(&b, " (required)");
    else if (o->def && *o->def)
        ac_buf_printf(&b, " (default %s)", o->def);
    write_wrapped(out, at, ac_buf_str(&b));
    ac_buf_fini(&b);
}

void ac_conf_write_help_(const struct ac_conf_spec *spec, FILE *out)
{
    static const struct ac_conf_opt common[] = {
        {.key = "config", .help = "Options from a YAML file: a mapping of the names below"},
        {.key = "check-config", .type = AC_CONF_BOOL, .help = "Check all options and exit"},
        {.key = "dump-config", .type = AC_CONF_BOOL, .help = "Print the options in force and exit"},
        {.key = "version", .type = AC_CONF_BOOL, .help = "Print the version and exit"},
        {.key = "help", .type = AC_CONF_BOOL, .help = "Print this and exit"},
    };
    char env[128];
    fprintf(out, "%s: %s\n\nUsage: %s [--OPTION VALUE]...\n\n", spec->program,
            spec->summary ? spec->summary : "", spec->program);
    for (struct conf_ref r = {0}; ac_conf_next_(spec, &r);)
        write_option(out, r.opt);
    fputc('\n', out);
    for (size_t i = 0; i < AC_ARRAY_LEN(common); i++)
        write_option(out, &common[i]);
    struct conf_ref first = {0};
    if (ac_conf_next_(spec, &first)) {
        ac_conf_env_name_(spec->env_prefix, first.opt->key, env, sizeof(env));
        fprintf(
            out,
            "\nA flag wins over the environment (%s for --%s), that over the file, that over the "
            "default.\n",
            env, first.opt->key);
    }
}

void ac_conf_write_dump_(const struct ac_conf_spec *spec, FILE *out)
{
    for (struct conf_ref r = {0}; ac_conf_next_(spec, &r);) {
        struct ac_buf text, quoted;
        ac_buf_init(&text, 1 << 20);
        ac_buf_init(&quoted, 8 << 20);
        ac_conf_text_(&r, &text);
        /* Numbers stand as they are; the rest is quoted as JSON, which YAML reads too. */
        bool plain = r.opt->type != AC_CONF_STR && r.opt->type != AC_CONF_LIST;
        if (!plain)
            ac_buf_put_json_str(&quoted, ac_buf_str(&text));
        fprintf(out, "%s: %s\n", r.opt->key, plain ? ac_buf_str(&text) : ac_buf_str(&quoted));
        ac_buf_fini(&text);
        ac_buf_fini(&quoted);
    }
}

static void write_bounds(FILE *out, const struct ac_conf_opt *o)
{
    if (o->min && o->max)
        fprintf(out, "%s to %s", o->min, o->max);
    else if (o->min)
        fprintf(out, "at least %s", o->min);
    else if (o->max)
        fprintf(out, "at most %s", o->max);
}

void ac_conf_write_docs(const struct ac_conf_spec *spec, FILE *out)
{
    static const char *const types[] = {
        [AC_CONF_STR] = "text",   [AC_CONF_BOOL] = "bool",         [AC_CONF_I64] = "integer",
        [AC_CONF_F64] = "number", [AC_CONF_DURATION] = "duration", [AC_CONF_BYTES] = "size",
        [AC_CONF_LIST] = "list",
    };
    fprintf(out, "| option | type | default | bounds | meaning |\n|---|---|---|---|---|\n");
    for (struct conf_ref r = {0}; ac_conf_next_(spec, &r);) {
        const struct ac_conf_opt *o = r.opt;
        fprintf(out, "| `--%s` | %s | ", o->key, types[o->type]);
        if (o->flags & AC_CONF_REQUIRED)
            fputs("required", out);
        else if (o->def && *o->def)
            fprintf(out, "`%s`", o->def);
        fputs(" | ", out);
        write_bounds(out, o);
        fprintf(out, " | %s%s |\n", o->help ? o->help : "",
                o->flags & AC_CONF_SECRET ? " (secret)" : "");
    }
}

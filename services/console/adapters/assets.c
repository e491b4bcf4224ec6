/* The page's files, put into the program by the assembler (from the project's root, where make runs
 * the compiler). */
#include "console_service.h"

#include <inttypes.h>
#include <stdio.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define CONSOLE_ASSETS(X)                                                                          \
    X(index, "index.html", "text/html; charset=utf-8")                                             \
    X(style, "style.css", "text/css; charset=utf-8")                                               \
    X(app, "app.js", "text/javascript; charset=utf-8")                                             \
    X(dom, "dom.js", "text/javascript; charset=utf-8")                                             \
    X(incident, "incident.js", "text/javascript; charset=utf-8")                                   \
    X(chart, "chart.js", "text/javascript; charset=utf-8")                                         \
    X(icon, "icon.svg", "image/svg+xml")

#define X(id, name, type)                                                                          \
    __asm__(".pushsection .rodata\n"                                                               \
            "console_asset_" #id ": .incbin \"services/console/web/" name "\"\n"                   \
            "console_asset_" #id "_end: .byte 0\n"                                                 \
            ".popsection\n");                                                                      \
    extern const char console_asset_##id[], console_asset_##id##_end[];
CONSOLE_ASSETS(X)
#undef X

const struct console_asset *console_asset_find(const char *name)
{
#define X(id, file, mime) {.name = (file), .type = (mime), .data = console_asset_##id},
    static struct console_asset assets[] = {CONSOLE_ASSETS(X)};
#undef X
#define X(id, file, mime) console_asset_##id##_end,
    static const char *const ends[] = {CONSOLE_ASSETS(X)};
#undef X
    static char etags[AC_ARRAY_LEN(assets)][20];
    for (size_t i = 0; i < AC_ARRAY_LEN(assets); i++) {
        struct console_asset *a = &assets[i];
        if (!ac_streq(a->name, name))
            continue;
        if (!a->etag) {
            a->len = (size_t)(ends[i] - (const char *)a->data);
            (void)snprintf(etags[i], sizeof(etags[i]), "\"%016" PRIx64 "\"",
                           ac_hash_bytes(a->data, a->len));
            a->etag = etags[i];
        }
        return a;
    }
    return NULL;
}

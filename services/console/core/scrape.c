#include "scrape.h"

#include <stdbool.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define LINE_MAX_BYTES 512

/* Later than the year 2200 is no start of a process. */
#define START_MAX_S 7.3e9

static void take_start(const char *rest, struct console_scrape *ret)
{
    double s;
    while (*rest == ' ')
        rest++;
    if (ac_str_to_f64(rest, &s) && s > 0 && s < START_MAX_S)
        ret->started_ns = (int64_t)(s * 1e9);
}

static void take_version(const char *labels, struct console_scrape *ret)
{
    const char *v = strstr(labels, "version=\"");
    if (!v)
        return;
    v += strlen("version=\"");
    size_t n = strcspn(v, "\"\\\n"); /* a version needs no escapes */
    if (v[n] != '"' || n >= sizeof(ret->version))
        return;
    memcpy(ret->version, v, n);
    ret->version[n] = '\0';
}

static void take_line(const char *line, struct console_scrape *ret)
{
    static const char start[] = "process_start_time_seconds", build[] = "aceso_build_info{";
    if (ac_str_starts(line, start) && line[sizeof(start) - 1] == ' ')
        take_start(line + sizeof(start) - 1, ret);
    else if (ac_str_starts(line, build))
        take_version(line + sizeof(build) - 1, ret);
}

void console_scrape_parse(const char *text, size_t len, struct console_scrape *ret)
{
    *ret = (struct console_scrape){0};
    for (const char *p = text, *end = text + len; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((nl ? nl : end) - p);
        char line[LINE_MAX_BYTES];
        if (n < sizeof(line)) {
            memcpy(line, p, n);
            line[n] = '\0';
            take_line(line, ret);
        }
        p += n + 1;
    }
}

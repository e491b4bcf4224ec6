/* Lines "key=value" as a request's parameters; the first line is its path, the second its Host. */
#include "query.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/str.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 64

struct lines {
    char *at[LINES_MAX];
    unsigned n;
};

static const char *line_get(const void *arg, const char *key, unsigned i)
{
    const struct lines *l = arg;
    size_t n = strlen(key);
    for (unsigned k = 2; k < l->n; k++) {
        if (ac_str_starts(l->at[k], key) && l->at[k][n] == '=' && i-- == 0)
            return l->at[k] + n + 1;
    }
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16)
        return 0;
    char *text = ac_xstrndup((const char *)data, size), *rest = text;
    struct lines l = {.n = 0};
    for (char *one; l.n < LINES_MAX && (one = ac_str_next(&rest, '\n'));)
        l.at[l.n++] = one;
    const struct console_params p = {.get = line_get, .arg = &l};
    struct console_list_query list;
    struct console_series_query series;
    struct ac_err err;
    if (console_list_parse(&p, &list, &err) == AC_OK) {
        AC_ASSERT(list.limit >= 1 && list.limit <= CONSOLE_LIST_MAX && list.since_ns >= 0);
        AC_ASSERT(strlen(list.namespace_) <= CONSOLE_NAME_MAX && ac_utf8_valid(list.namespace_));
    }
    if (console_series_parse(&p, &series, &err) == AC_OK) {
        AC_ASSERT(series.n_labels <= CONSOLE_LABELS_MAX && series.from_ns < series.to_ns);
        for (size_t i = 0; i < series.n_labels; i++)
            AC_ASSERT(ac_utf8_valid(series.label[i].key) && ac_utf8_valid(series.label[i].value));
    }
    if (l.n > 1) {
        const char *id;
        char shown[40];
        if (console_route_of(l.at[0], &id) == CONSOLE_INCIDENT && console_id_check(id, &err) == 0)
            AC_ASSERT(strlen(id) <= 128);
        (void)console_host_allowed("127.0.0.1:1", l.at[1]);
        (void)console_host_allowed(l.at[1], "localhost");
        console_address_show(l.at[1], shown, sizeof(shown));
        AC_ASSERT(!strchr(shown, '@'));
    }
    free(text);
    return 0;
}

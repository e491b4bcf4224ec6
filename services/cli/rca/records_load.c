/* Logs and spans in the files of a case. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ctype.h>
#include <dirent.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "rca/records.h"
#include "readers/rca_dataset.h"

#define FILE_MAX_BYTES ((size_t)1 << 30)

struct loading {
    struct ac_rca_lines *l;
    struct ac_rca_spans *s;
    struct ac_err *err;
};

enum what {
    LOGS,
    SPANS
};

static int read_text(struct loading *k, const char *path, const char *text, size_t len,
                     enum what what)
{
    if (!ac_str_ends(path, ".csv") && !ac_str_ends(path, ".csv.gz"))
        return rca_records_json(path, text, len, what == LOGS ? k->l : NULL,
                                what == SPANS ? k->s : NULL, k->err);
    return what == LOGS ? rca_logs_csv(path, text, len, k->l, k->err)
                        : rca_spans_csv(path, text, len, k->s, k->err);
}

static int read_file(struct loading *k, const char *path, enum what what)
{
    char *text;
    size_t len;
    int rc = ac_rca_text_read(path, FILE_MAX_BYTES, &text, &len, k->err);
    if (rc)
        return rc;
    rc = read_text(k, path, text, len, what);
    free(text);
    return rc;
}

static int read_named(struct loading *k, const char *dir, const char *stem, enum what what)
{
    static const char *const ends[] = {".csv",    ".json",    ".jsonl",
                                       ".csv.gz", ".json.gz", ".jsonl.gz"};
    int rc = 0;
    for (size_t i = 0; !rc && i < AC_ARRAY_LEN(ends); i++) {
        ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s%s", dir, stem, ends[i]);
        if (ac_path_exists(path))
            rc = read_file(k, path, what);
    }
    return rc;
}

/* Every file of a folder with this end; no folder is no error. */
static int read_minutes(struct loading *k, const char *dir, const char *folder, const char *end,
                        enum what what)
{
    struct dirent **names;
    ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, folder);
    int rc = 0, n = ac_path_exists(path) ? scandir(path, &names, NULL, alphasort) : 0;
    if (n < 0)
        return ac_err_set(k->err, AC_EINVAL, "%s: cannot read the directory: %m", path);
    for (int i = 0; i < n; i++) {
        ac_cleanup(ac_free_p) char *file = ac_xasprintf("%s/%s", path, names[i]->d_name);
        if (!rc && ac_str_ends(file, end))
            rc = read_file(k, file, what);
        free(names[i]);
    }
    if (n > 0)
        free(names);
    return rc;
}

/* Traces rather than a list of calls: JSON, or a header that names spans. */
static bool is_traces(const char *text, size_t len)
{
    size_t i = 0, n = 0;
    char head[1024];
    while (i < len && (unsigned char)text[i] <= ' ')
        i++;
    if (i < len && (text[i] == '{' || text[i] == '['))
        return true;
    for (; i < len && text[i] != '\n' && n + 1 < sizeof(head); i++)
        if (text[i] != '_' && text[i] != ' ')
            head[n++] = (char)tolower((unsigned char)text[i]);
    head[n] = '\0';
    return strstr(head, "traceid") && strstr(head, "spanid");
}

int rca_calls_load(const char *path, struct ac_rca_case *c, struct ac_err *err)
{
    struct loading k = {.s = ac_rca_spans_create(), .err = err};
    char *text;
    size_t len;
    int rc = ac_rca_text_read(path, FILE_MAX_BYTES, &text, &len, err);
    if (!rc && is_traces(text, len)) {
        rc = read_text(&k, path, text, len, SPANS);
        if (!rc)
            rc = ac_rca_spans_build(k.s, c, err);
        if (!rc && c->nedges == 0)
            rc = ac_err_set(err, AC_EINVAL, "%s: no span calls another component", path);
        free(text);
    } else if (!rc) {
        free(text);
        rc = ac_rca_edges_load(path, c, err);
    }
    ac_rca_spans_destroy(k.s);
    return rc;
}

int rca_records_load(const char *dir, struct ac_rca_case *c, struct ac_err *err)
{
    struct loading k = {.l = ac_rca_lines_create(), .s = ac_rca_spans_create(), .err = err};
    int rc = read_named(&k, dir, "logs", LOGS);
    if (!rc)
        rc = read_named(&k, dir, "traces", SPANS);
    if (!rc)
        rc = read_minutes(&k, dir, "log", "_log.csv", LOGS);
    if (!rc)
        rc = read_minutes(&k, dir, "trace", "_trace.csv", SPANS);
    if (!rc)
        rc = ac_rca_spans_build(k.s, c, err);
    if (!rc)
        rc = ac_rca_lines_build(k.l, c, 0, err);
    if (!rc)
        ac_rca_case_one_statistic(c);
    ac_rca_lines_destroy(k.l);
    ac_rca_spans_destroy(k.s);
    return rc;
}

#include "rule/nab_corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <aceso/base.h>
#include <aceso/json.h>
#include <aceso/series.h>
#include <aceso/series_csv.h>
#include <aceso/str.h>

#define FILES_MAX   4096
#define WINDOWS_MAX 10000

void nab_corpus_fini(struct nab_corpus *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->files[i].values);
        free(c->files[i].score);
        free(c->files[i].windows);
    }
    free(c->files);
    *c = (struct nab_corpus){0};
}

/* The row of a time, the first one from row `from` on; SIZE_MAX: none. */
static size_t row_at(const struct ac_series *f, size_t from, const json_t *text)
{
    int64_t t;
    if (!json_is_string(text) || !ac_csv_time(json_string_value(text), &t))
        return SIZE_MAX;
    for (size_t i = from; i < f->n; i++) {
        if (ac_series_time(f, i) == t)
            return i;
    }
    return SIZE_MAX;
}

static int put_windows(const char *key, const json_t *windows, const struct ac_series *f,
                       struct nab_file *ret, struct ac_err *err)
{
    size_t n = json_array_size(windows), from = 0;
    if (!json_is_array(windows) || n > WINDOWS_MAX)
        return ac_err_set(err, AC_EINVAL, "combined_windows.json: %s: expected a list of windows",
                          key);
    ret->windows = ac_xcalloc(n + 1, sizeof *ret->windows);
    for (size_t i = 0; i < n; i++) {
        const json_t *w = json_array_get(windows, i);
        size_t a = row_at(f, from, json_array_get(w, 0));
        size_t b = a == SIZE_MAX ? SIZE_MAX : row_at(f, a, json_array_get(w, 1));
        if (b == SIZE_MAX)
            return ac_err_set(err, AC_EINVAL,
                              "combined_windows.json: %s: window %zu does not begin and end at "
                              "times of the series, behind the window before",
                              key, i + 1);
        ret->windows[ret->n_windows++] = (struct score_segment){a, b};
        from = b + 1;
    }
    return 0;
}

static int read_series(const char *dir, const char *key, const json_t *windows,
                       struct nab_file *ret, struct ac_err *err)
{
    struct stat st;
    struct ac_series *f = NULL;
    if (key[0] == '/' || strstr(key, "..") || !ac_str_ends(key, ".csv"))
        return ac_err_set(err, AC_EINVAL, "combined_windows.json: %s: not a series of the folder",
                          key);
    char *path = ac_xasprintf("%s/data/%s.gz", dir, key);
    if (stat(path, &st) != 0)
        path[strlen(path) - 3] = 0;
    int rc = ac_series_read(path, &f, err);
    free(path);
    if (rc < 0)
        return rc;
    ac_str_copy(ret->name, sizeof ret->name, key);
    ret->name[strlen(ret->name) - 4 * (size_t)ac_str_ends(ret->name, ".csv")] = 0;
    rc = put_windows(key, windows, f, ret, err);
    ret->n = f->n;
    ret->step_ns = ac_series_infer_step(f);
    ret->score = ac_xcalloc(f->n + 1, sizeof(double));
    ret->values = f->values;
    f->values = NULL;
    ac_series_destroy(f);
    return rc;
}

static void group(struct nab_corpus *c, size_t i)
{
    struct nab_file *f = &c->files[i];
    const char *slash = strchr(f->name, '/');
    size_t len = slash ? (size_t)(slash - f->name) + 1 : 0;
    for (size_t k = 0; k < i; k++) {
        if (strncmp(c->files[k].name, f->name, len) == 0) {
            f->group = c->files[k].group;
            return;
        }
    }
    f->group = c->groups++;
}

int nab_corpus_read(const char *dir, struct nab_corpus *ret, struct ac_err *err)
{
    struct nab_corpus c = {0};
    ac_cleanup_json labels = NULL;
    char *path = ac_xasprintf("%s/labels/combined_windows.json", dir);
    int rc = ac_json_load_file(path, &labels, err);
    if (rc == 0 && (!json_is_object(labels) || !json_object_size(labels) ||
                    json_object_size(labels) > FILES_MAX))
        rc = ac_err_set(err, AC_EINVAL, "%s: expected windows by series", path);
    free(path);
    if (rc < 0)
        return rc;
    c.files = ac_xcalloc(json_object_size(labels), sizeof *c.files);
    const char *key;
    json_t *windows;
    json_object_foreach(labels, key, windows)
    {
        rc = read_series(dir, key, windows, &c.files[c.n++], err);
        if (rc < 0) {
            nab_corpus_fini(&c);
            return rc;
        }
        group(&c, c.n - 1);
    }
    *ret = c;
    return 0;
}

/* The model repository on disk: DIR/<model>/<version>/model.onnx and, optional,
 * DIR/<model>/config.pbtxt, of which max_batch_size is read. */
#include "controller_service.h"
#include "graph.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <dirent.h>
#include <openssl/evp.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>

#define MODELS_MAX   4096
#define MODEL_BYTES  ((size_t)1 << 30)
#define CONFIG_BYTES ((size_t)1 << 20)

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the directories in dir, sorted; hidden ones are left out. */
static int list_dirs(const char *dir, char ***ret_names, size_t *ret_n, struct ac_err *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return ac_err_errno(err, errno, "%s", dir);
    char **names = NULL;
    size_t n = 0, cap = 0;
    for (const struct dirent *e; (e = readdir(d)) && n < MODELS_MAX;) {
        struct stat st;
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.' || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
            continue;
        ac_grow(&names, &cap, n + 1, sizeof(char *));
        names[n++] = ac_xstrdup(e->d_name);
    }
    closedir(d);
    if (n)
        qsort(names, n, sizeof(char *), by_text);
    *ret_names = names;
    *ret_n = n;
    return 0;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

static void sha256_hex(const void *p, size_t n, char ret[65])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    AC_ASSERT(EVP_Digest(p, n, md, &len, EVP_sha256(), NULL) == 1 && len == 32);
    for (unsigned int i = 0; i < len; i++)
        snprintf(ret + (size_t)2 * i, 3, "%02x", md[i]);
}

static int describe(const char *bytes, size_t len, struct ctl_found *f, struct ac_err *err)
{
    struct wk_onnx onnx;
    struct wk_graph g;
    struct ac_arena *arena = ac_arena_create(WK_DESCRIPTION);
    int rc = wk_onnx_parse(bytes, len, arena, &onnx, err);
    if (rc == 0)
        rc = wk_graph_build(&onnx, 1, arena, &g, err);
    if (rc == 0)
        rc = wk_model_describe(&g, &f->info, err);
    ac_arena_destroy(arena);
    return rc;
}

static int read_model(struct ctl_found *f, int max_batch, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *bytes = NULL;
    size_t len = 0;
    int rc = ac_file_read(f->path, MODEL_BYTES, &bytes, &len, err);
    if (rc)
        return rc;
    f->bytes = len;
    sha256_hex(bytes, len, f->sha256);
    rc = describe(bytes, len, f, err);
    if (rc)
        return ac_err_wrap(err, "%s", f->path);
    f->max_rows =
        ctl_model_max_rows(&f->info, max_batch > 0 ? (uint32_t)max_batch : 0, CTL_BATCH_BYTES);
    if (f->max_rows == 0)
        return ac_err_set(err, AC_ERANGE, "%s: one row of its tensors is above %u bytes", f->path,
                          CTL_BATCH_BYTES);
    return 0;
}

static void note_error(struct ctl_scan *s, const char *text)
{
    ac_grow(&s->errors, &s->cap_errors, s->n_errors + 1, sizeof(char *));
    s->errors[s->n_errors++] = ac_xstrdup(text);
}

static void scan_version(struct ctl_scan *s, const char *dir, const char *name, const char *version,
                         int max_batch, const char *config_error)
{
    ac_grow(&s->found, &s->cap, s->n + 1, sizeof(*s->found));
    struct ctl_found *f = &s->found[s->n++];
    *f = (struct ctl_found){.path = ac_xasprintf("%s/%s/%s/model.onnx", dir, name, version)};
    (void)ac_str_copy(f->name, sizeof(f->name), name);
    (void)ac_str_copy(f->version, sizeof(f->version), version);
    struct ac_err err = AC_ERR_INIT;
    if (config_error[0])
        (void)ac_str_copy(f->error, sizeof(f->error), config_error);
    else if (read_model(f, max_batch, &err) != 0)
        (void)ac_str_copy(f->error, sizeof(f->error), err.msg);
    if (f->error[0])
        note_error(s, f->error);
}

static void scan_model(struct ctl_scan *s, const char *dir, const char *name)
{
    char path[4096];
    struct ac_err err = AC_ERR_INIT;
    int max_batch = -1;
    snprintf(path, sizeof(path), "%s/%s/config.pbtxt", dir, name);
    if (ac_path_exists(path)) {
        ac_cleanup(ac_free_p) char *text = NULL;
        size_t len = 0;
        if (ac_file_read(path, CONFIG_BYTES, &text, &len, &err) == 0 &&
            ctl_config_max_batch(text, &max_batch, &err) != 0)
            ac_err_wrap(&err, "%s/%s", dir, name);
    }
    char **versions = NULL;
    size_t n = 0, used = 0;
    struct ac_err list_err = AC_ERR_INIT;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (list_dirs(path, &versions, &n, &list_err) != 0) {
        note_error(s, list_err.msg);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!ctl_version_ok(versions[i]))
            continue;
        scan_version(s, dir, name, versions[i], max_batch, err.msg);
        used++;
    }
    if (used == 0) {
        snprintf(path, sizeof(path), "%s/%s: no version in it (a directory named by a number)", dir,
                 name);
        note_error(s, path);
    }
    free_names(versions, n);
}

int ctl_scan_run(const char *dir, struct ctl_scan *ret_s, struct ac_err *err)
{
    char **names = NULL;
    size_t n = 0;
    *ret_s = (struct ctl_scan){0};
    int rc = list_dirs(dir, &names, &n, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (ctl_name_ok(names[i])) {
            scan_model(ret_s, dir, names[i]);
        } else {
            char text[512];
            snprintf(text, sizeof(text),
                     "%s/%.200s: not a name for a model (letters, digits, . _ -)", dir, names[i]);
            note_error(ret_s, text);
        }
    }
    free_names(names, n);
    return 0;
}

void ctl_scan_fini(struct ctl_scan *s)
{
    for (size_t i = 0; i < s->n; i++)
        ctl_found_fini(&s->found[i]);
    for (size_t i = 0; i < s->n_errors; i++)
        free(s->errors[i]);
    free(s->found);
    free(s->errors);
}

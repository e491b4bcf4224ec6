/* The image table: an image is a program of this machine. */
#include "js.h"
#include "podspec.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

const json_t *cl_image_find(const json_t *table, const char *image)
{
    static const char *const prefixes[] = {"docker.io/", "library/"};
    char name[512];
    for (size_t i = 0; i < AC_ARRAY_LEN(prefixes); i++)
        if (ac_str_starts(image, prefixes[i]))
            image += strlen(prefixes[i]);
    const char *slash = strrchr(image, '/');
    bool tagged = strchr(slash != NULL ? slash : image, ':') != NULL || strchr(image, '@') != NULL;
    (void)snprintf(name, sizeof(name), "%.480s%s", image, tagged ? "" : ":latest");
    size_t i;
    json_t *row;
    json_array_foreach(table, i, row) if (ac_str_glob(js_str(row, "match", ""), name)) return row;
    return NULL;
}

static int strings(const json_t *row, const char *key, struct ac_err *err)
{
    const json_t *list = json_object_get(row, key);
    size_t i;
    json_t *v;
    if (list != NULL && !json_is_array(list))
        return ac_err_set(err, AC_EINVAL, "images: %s: expected a list", key);
    json_array_foreach(list, i, v) if (!json_is_string(v)) return ac_err_set(
        err, AC_EINVAL, "images: %s[%zu]: expected a string", key, i);
    return 0;
}

int cl_image_check(const json_t *table, struct ac_err *err)
{
    size_t i;
    json_t *row;
    if (!json_is_array(table))
        return ac_err_set(err, AC_EINVAL, "images: expected a list of {match, entrypoint, cmd}");
    json_array_foreach(table, i, row)
    {
        if (ac_str_empty(js_str(row, "match", NULL)))
            return ac_err_set(err, AC_EINVAL, "images[%zu].match: missing", i);
        int r = strings(row, "entrypoint", err);
        if (r == 0)
            r = strings(row, "cmd", err);
        if (r != 0)
            return r;
    }
    return 0;
}

json_t *cl_image_builtin(const char *bin_dir, const char *lib_dir)
{
    char app[4096], postgres[4096], redis[4096];
    (void)snprintf(app, sizeof(app), "%.4000s/aceso-app", bin_dir);
    (void)snprintf(postgres, sizeof(postgres), "%.4000s/postgres-entrypoint.sh", lib_dir);
    (void)snprintf(redis, sizeof(redis), "%.4000s/redis-entrypoint.sh", lib_dir);
    /* lib_dir is not on PATH: scripts are named in full. user: an account that the program needs
     * when the cluster runs as root, the first that exists. */
    return json_pack(
        "[{s:s,s:[s]},{s:s,s:[s,s],s:s,s:s,s:{s:s}},{s:s,s:[s,s],s:s},{s:s,s:[s,s]},{s:s,s:[s]},"
        "{s:s,s:[s]},{s:s,s:[s]}]",
        "match", "aceso/app:*", "entrypoint", app, "match", "postgres:*", "entrypoint", "/bin/sh",
        postgres, "user", "postgres,nobody", "stopSignal", "INT", "env", "PGHOST",
        "@aceso-$(ACESO_POD_UID)", "match", "redis:*", "entrypoint", "/bin/sh", redis, "user",
        "redis,nobody", "match", "*pause:*", "entrypoint", "sleep", "infinity", "match",
        "busybox:*", "cmd", "/bin/sh", "match", "python:*", "cmd", "python3", "match", "debian:*",
        "cmd", "/bin/bash");
}

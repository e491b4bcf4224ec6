#include "rca/networks.h"

#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include <aceso/base.h>
#include <aceso/series.h>
#include <aceso/str.h>

#define MAX_DEPTH 6
#define MAX_BYTES ((size_t)64 << 20)

struct visit {
    int (*each)(const char *name, const struct ac_rca_bif *b, void *arg, struct ac_err *err);
    void *arg;
    size_t n;
};

static int visit_file(const char *path, const char *name, struct visit *v, struct ac_err *err)
{
    char *text;
    size_t len;
    struct ac_rca_bif b;
    int rc = ac_gz_read(path, MAX_BYTES, &text, &len, err);
    if (rc)
        return rc;
    rc = ac_rca_bif_parse(path, text, len, &b, err);
    free(text);
    if (rc)
        return rc;
    v->n++;
    rc = v->each(name, &b, v->arg, err);
    ac_rca_bif_fini(&b);
    return rc;
}

/* Files may lie in the folder itself or some levels below. */
static int visit_folder(const char *dir, int depth, struct visit *v, struct ac_err *err)
{
    struct dirent **names;
    int rc = 0, n = depth > MAX_DEPTH ? 0 : scandir(dir, &names, NULL, alphasort);
    if (n < 0)
        return depth > 0 ? 0 : ac_err_set(err, AC_EINVAL, "%s: cannot read the directory: %m", dir);
    for (int i = 0; i < n; i++) {
        ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, names[i]->d_name);
        const char *dot = strstr(names[i]->d_name, ".bif");
        if (!rc && dot && (ac_streq(dot, ".bif") || ac_streq(dot, ".bif.gz"))) {
            ac_cleanup(ac_free_p) char *name =
                ac_xstrndup(names[i]->d_name, (size_t)(dot - names[i]->d_name));
            rc = visit_file(path, name, v, err);
        } else if (!rc && names[i]->d_name[0] != '.' && names[i]->d_type == DT_DIR) {
            rc = visit_folder(path, depth + 1, v, err);
        }
        free(names[i]);
    }
    if (depth <= MAX_DEPTH)
        free(names);
    return rc;
}

int rca_networks(const char *dir,
                 int (*each)(const char *name, const struct ac_rca_bif *b, void *arg,
                             struct ac_err *err),
                 void *arg, struct ac_err *err)
{
    struct visit v = {.each = each, .arg = arg};
    int rc = visit_folder(dir, 0, &v, err);
    if (!rc && v.n == 0)
        return ac_err_set(err, AC_EINVAL, "%s: no network found (*.bif, *.bif.gz)", dir);
    return rc;
}

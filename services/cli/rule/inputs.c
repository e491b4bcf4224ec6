#include "rule/inputs.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules_zone.h>

static int fill_zone(const char *zone, const struct series_file *f, double *out, struct ac_err *err)
{
    struct ac_zone *z = NULL;
    int rc = ac_zone_load(NULL, zone, &z, err);
    if (rc < 0) {
        err->code = AC_EINVAL; /* the rule names it: wrong usage */
        return AC_EINVAL;
    }
    for (size_t i = 0; i < f->n; i++)
        out[i] = ac_zone_offset_s(z, f->t0_ns + (int64_t)i * f->step_ns);
    ac_zone_destroy(z);
    return 0;
}

int rule_inputs_read(const char *path, const struct ac_plan *p, struct series_file *ret_file,
                     struct rule_inputs *ret, struct ac_err *err)
{
    const char *names[32];
    size_t n = ac_plan_n_inputs(p), n_names = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ac_rule_input *in = ac_plan_input(p, i);
        if (in->kind == AC_INPUT_ZONE)
            continue;
        if (n_names == AC_ARRAY_LEN(names))
            return ac_err_set(err, AC_EINVAL, "%s: the rules read more than %zu columns", path,
                              AC_ARRAY_LEN(names));
        names[n_names++] = in->name;
    }
    int rc = series_file_read_columns(path, names, n_names, ret_file, err);
    if (rc < 0)
        return rc;
    struct rule_inputs in = {ac_xcalloc(n + 1, sizeof(double *)), n};
    for (size_t i = 0, k = 0; i < n && rc == 0; i++) {
        in.column[i] = ac_xmalloc(ret_file->n * sizeof(double));
        if (ac_plan_input(p, i)->kind == AC_INPUT_ZONE)
            rc = fill_zone(ac_plan_input(p, i)->of, ret_file, in.column[i], err);
        else
            memcpy(in.column[i], ret_file->columns[k++], ret_file->n * sizeof(double));
    }
    if (rc < 0) {
        rule_inputs_fini(&in);
        series_file_fini(ret_file);
        return rc;
    }
    *ret = in;
    return 0;
}

void rule_inputs_fini(struct rule_inputs *in)
{
    for (size_t i = 0; i < in->n; i++)
        free(in->column[i]);
    free(in->column);
    *in = (struct rule_inputs){0};
}

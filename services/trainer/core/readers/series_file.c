#include "series_file.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/series.h>
#include <aceso/str.h>

#define DEFAULT_STEP_NS (60 * AC_NS_PER_S)

void series_file_fini(struct series_file *s)
{
    free(s->values);
    free(s->labels);
    for (size_t i = 0; s->columns && i < s->n_columns; i++)
        free(s->columns[i]);
    free(s->columns);
    s->values = NULL;
    s->labels = NULL;
    s->columns = NULL;
}

static size_t count_uneven(const struct ac_series *s, int64_t step_ns)
{
    size_t k = 0;
    for (size_t i = 1; s->times_ns && i < s->n; i++)
        k += (uint64_t)s->times_ns[i] - (uint64_t)s->times_ns[i - 1] != (uint64_t)step_ns;
    return k;
}

/* Points are taken one step apart from the first on: those times must exist. */
static int settle_step(const char *path, const struct ac_series *s, struct series_file *f,
                       struct ac_err *err)
{
    int64_t end;
    f->t0_ns = s->n ? ac_series_time(s, 0) : 0;
    f->step_ns = ac_series_infer_step(s);
    if (f->step_ns <= 0)
        f->step_ns = DEFAULT_STEP_NS;
    if (__builtin_mul_overflow(f->step_ns, (int64_t)s->n, &end) ||
        __builtin_add_overflow(f->t0_ns, end, &end))
        return ac_err_set(err, AC_EINVAL, "%s:1:1: the times run past the year 2262", path);
    f->uneven = count_uneven(s, f->step_ns);
    return 0;
}

static int read_as(const char *path, struct ac_series_want want, struct series_file *ret,
                   struct ac_err *err)
{
    struct ac_err unused = AC_ERR_INIT;
    struct ac_series *s = NULL;
    struct series_file f = {.uneven = 0};
    want.rising = true;
    err = err ? err : &unused;
    int rc = ac_series_read_as(path, &want, &s, err);
    rc = rc < 0 ? rc : settle_step(path, s, &f, err);
    if (rc < 0) {
        ac_series_destroy(s);
        err->code = rc == AC_ENOMEM ? rc : AC_EINVAL; /* whoever names a file answers for it */
        return err->code;
    }
    ac_str_copy(f.name, sizeof f.name, s->name);
    f.n = s->n;
    f.n_train = s->n_train;
    f.labelled = s->labels;
    f.values = s->values;
    f.labels = s->labels ? s->labels : ac_xcalloc(s->n, 1);
    f.columns = s->columns;
    f.n_columns = s->n_columns;
    s->values = NULL; /* all these are the file's now */
    s->labels = NULL;
    s->columns = NULL;
    s->n_columns = 0;
    ac_series_destroy(s);
    *ret = f;
    return 0;
}

int series_file_read(const char *path, struct series_file *ret, struct ac_err *err)
{
    return read_as(path, (struct ac_series_want){.train_only = false}, ret, err);
}

int series_file_read_train(const char *path, struct series_file *ret, struct ac_err *err)
{
    return read_as(path, (struct ac_series_want){.train_only = true}, ret, err);
}

int series_file_read_columns(const char *path, const char *const *names, size_t n_names,
                             struct series_file *ret, struct ac_err *err)
{
    struct ac_series_want want = {.columns = names, .n_columns = n_names};
    return read_as(path, want, ret, err);
}

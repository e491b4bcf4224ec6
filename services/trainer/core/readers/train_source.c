#include "train_source.h"

#include "series_file.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

struct train_source {
    struct series_file file;
    struct train_part part;
    size_t stated;
};

/* A smaller block of its own: what was behind the cut is not in it. */
static void *shortened(void *v, size_t n, size_t size)
{
    void *out = ac_xmalloc((n + 1) * size);
    memcpy(out, v, n * size);
    free(v);
    return out;
}

int train_source_open(const char *path, enum train_share share, struct train_source **ret,
                      struct ac_err *err)
{
    struct train_source *s = ac_xcalloc(1, sizeof *s);
    int rc = series_file_read_train(path, &s->file, err);
    if (rc < 0) {
        free(s);
        return rc;
    }
    struct series_file *f = &s->file;
    size_t n = f->n_train || share == TRAIN_SHARE_STATED ? f->n : f->n / 2;
    s->stated = f->n_train || share != TRAIN_SHARE_STATED ? n : SIZE_MAX;
    n = share == TRAIN_SHARE_ARGOS ? n * 7 / 10 : n;
    if (n < f->n) {
        f->values = shortened(f->values, n, sizeof *f->values);
        f->labels = shortened(f->labels, n, sizeof *f->labels);
        f->n = n;
    }
    s->part = (struct train_part){.name = f->name,
                                  .values = f->values,
                                  .labels = f->labels,
                                  .n = f->n,
                                  .step_ns = f->step_ns};
    *ret = s;
    return 0;
}

void train_source_close(struct train_source *s)
{
    if (!s)
        return;
    series_file_fini(&s->file);
    free(s);
}

const struct train_part *train_source_part(const struct train_source *s)
{
    return &s->part;
}

size_t train_source_stated(const struct train_source *s)
{
    return s->stated;
}

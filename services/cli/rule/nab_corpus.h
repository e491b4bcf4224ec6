/* The Numenta Anomaly Benchmark's data: DIR/data/<group>/<series>.csv and
 * DIR/labels/combined_windows.json. */
#pragma once

#include "nab.h"

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

struct nab_file {
    char name[160]; /* "<group>/<series>" */
    size_t group;   /* same number: same group */
    double *values, *score;
    size_t n;
    int64_t step_ns;
    struct score_segment *windows;
    size_t n_windows;
};

struct nab_corpus {
    struct nab_file *files;
    size_t n, groups;
};

/** AC_EINVAL names the file. */
int nab_corpus_read(const char *dir, struct nab_corpus *ret, struct ac_err *err) AC_MUST_USE;
void nab_corpus_fini(struct nab_corpus *c);

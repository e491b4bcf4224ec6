/* Bytes as a series file, gzip or not: read, or refused with a text; then made even. */
#include <aceso/base.h>
#include <aceso/series.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_series *s = NULL, *r = NULL;
    struct ac_err err = AC_ERR_INIT;
    char *bytes;
    size_t len;
    /* A cap far below the product's, or inputs that inflate a thousandfold take all the time. */
    if (ac_gz_inflate("fuzz", data, size, 1 << 20, &bytes, &len, &err))
        return 0;
    static const char *const names[] = {"label", "x"};
    struct ac_series_want want = {.train_only = size % 2, .rising = size % 3 == 0};
    want.columns = names;
    want.n_columns = size % 5 == 0 ? 2 : 0;
    int rc = ac_series_parse_as("fuzz.csv", bytes, len, &want, &s, &err);
    free(bytes);
    if (rc) {
        AC_ASSERT(!s && *err.msg);
        return 0;
    }
    AC_ASSERT(s->n > 0 && s->n_train <= s->n);
    int64_t step = ac_series_infer_step(s);
    uint64_t span = (uint64_t)ac_series_time(s, s->n - 1) - (uint64_t)ac_series_time(s, 0);
    if (step > 0 && span / (uint64_t)step < 100000 && ac_series_regular(s, 0, &r, &err) == 0) {
        AC_ASSERT(r->step_ns == step && r->n_train <= r->n);
        ac_series_destroy(ac_series_coarser(r, 3, AC_AGG_MEAN));
        ac_series_fill_gaps(r, AC_FILL_LINEAR, 5);
        ac_series_destroy(r);
    }
    ac_series_destroy(s);
    return 0;
}

/* Bytes as each form of log lines and spans, and a diagnosis of what came out. */
#include "rca_engine.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#include "rca/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void diagnose(struct ac_rca_lines *l, struct ac_rca_spans *s)
{
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rca_result r;
    if (ac_rca_spans_build(s, c, NULL) == 0 && ac_rca_lines_build(l, c, 0, NULL) == 0) {
        for (size_t i = 0; i < c->nmetrics; i++)
            for (size_t k = 0; k < c->metrics[i].n; k++)
                AC_ASSERT(isfinite(c->metrics[i].v[k]) && c->metrics[i].v[k] >= 0.0);
        struct ac_rca_params p = ac_rca_params_default(ac_rca_find_time(c), 300 * AC_NS_PER_S);
        if (ac_rca_localise(c, &p, &r, NULL) == 0) {
            for (size_t i = 0; i < r.ncauses; i++)
                AC_ASSERT(isfinite(r.causes[i].score));
            ac_rca_result_fini(&r);
        }
    }
    ac_rca_case_destroy(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char pattern[AC_RCA_PATTERN_BYTES + 1];
    struct ac_err err = AC_ERR_INIT;
    if (size > 1 << 16)
        return 0;
    struct ac_rca_lines *l = ac_rca_lines_create();
    struct ac_rca_spans *s = ac_rca_spans_create();
    if (rca_logs_csv("input", text, size, l, &err))
        AC_ASSERT(*err.msg);
    if (rca_spans_csv("input", text, size, s, &err))
        AC_ASSERT(*err.msg);
    if (rca_records_json("input", text, size, l, s, &err))
        AC_ASSERT(*err.msg);
    diagnose(l, s);
    ac_cleanup(ac_free_p) char *copy = ac_xstrndup(text, size);
    ac_rca_pattern(copy, pattern);
    AC_ASSERT(strlen(pattern) <= AC_RCA_PATTERN_BYTES);
    ac_rca_lines_destroy(l);
    ac_rca_spans_destroy(s);
    return 0;
}

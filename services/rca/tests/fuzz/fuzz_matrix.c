/* Bytes as a matrix of samples, then every method of discovery on it. */
#include <math.h>

#include <aceso/base.h>

#include "discover/rca_discover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const struct ac_rca_matrix *m, struct ac_rca_discover_params p)
{
    struct ac_rca_discovery d;
    struct ac_err err = AC_ERR_INIT;
    p.max_given = 3;
    if (ac_rca_discover(m, &p, &d, &err)) {
        AC_ASSERT(*err.msg);
        return;
    }
    for (size_t i = 0; i < d.nlinks; i++) {
        const struct ac_rca_link *l = &d.links[i];
        AC_ASSERT(l->from >= 0 && (size_t)l->from < m->p && l->to >= 0 && (size_t)l->to < m->p);
        AC_ASSERT(l->from != l->to && isfinite(l->strength));
    }
    ac_rca_discovery_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_rca_matrix m;
    struct ac_err err = AC_ERR_INIT;
    if (size > 4096)
        return 0;
    if (ac_rca_matrix_parse("input", (const char *)data, size, &m, &err)) {
        AC_ASSERT(*err.msg);
        return 0;
    }
    if (m.p <= 12) {
        for (int i = 0; i < AC_RCA_NMETHODS; i++)
            run(&m, ac_rca_discover_default((enum ac_rca_method)i));
        struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_FCI);
        p.test = AC_RCA_CHISQ;
        run(&m, p);
        p = ac_rca_discover_default(AC_RCA_GES);
        p.score = AC_RCA_BDEU;
        run(&m, p);
        p = ac_rca_discover_default(AC_RCA_PC);
        p.rule = AC_RCA_BY_DEFINITE_P;
        p.test = AC_RCA_GSQ;
        run(&m, p);
    }
    ac_rca_matrix_fini(&m);
    return 0;
}

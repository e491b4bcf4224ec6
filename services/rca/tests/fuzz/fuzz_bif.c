/* Bytes as a Bayesian network, and samples of what came out. */
#include <aceso/base.h>

#include "readers/rca_bif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_rca_bif b;
    struct ac_rca_matrix m;
    struct ac_err err = AC_ERR_INIT;
    struct ac_rng r;
    if (size > 1 << 16)
        return 0;
    if (ac_rca_bif_parse("input", (const char *)data, size, &b, &err)) {
        AC_ASSERT(*err.msg);
        return 0;
    }
    ac_rng_seed(&r, 1);
    if (ac_rca_bif_sample(&b, 16, &r, &m, &err) == 0) {
        for (size_t j = 0; j < m.p; j++)
            for (size_t t = 0; t < m.n; t++)
                AC_ASSERT(m.x[j * m.n + t] < (double)b.v[j].nstates);
        ac_rca_matrix_fini(&m);
    }
    ac_rca_bif_fini(&b);
    return 0;
}

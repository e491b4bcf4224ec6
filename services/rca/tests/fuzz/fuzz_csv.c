/* Bytes as each form of metrics table and of call graph, and a diagnosis of what came out. */
#include "rca_answer.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#include "readers/rca_nezha.h"
#include "readers/rca_tetrad.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_rca_table t;
    struct ac_rca_result r;
    struct ac_rca_case *c = ac_rca_case_create();
    const char *text = (const char *)data;
    if (size > 1 << 16)
        goto out;
    if (ac_rca_table_parse("input", text, size, &t, NULL) == 0) {
        if (ac_rca_table_add("input", &t, 0, c, NULL) == 0) {
            ac_rca_case_one_statistic(c);
            struct ac_rca_params p = ac_rca_params_default(ac_rca_find_time(c), 300 * AC_NS_PER_S);
            if (ac_rca_localise(c, &p, &r, NULL) == 0) {
                for (size_t i = 0; i < r.ncauses; i++)
                    AC_ASSERT(isfinite(r.causes[i].score));
                ac_rca_result_fini(&r);
            }
        }
        ac_rca_table_fini(&t);
    }
    (void)!ac_rca_edges_parse("input", text, size, c, NULL);
    (void)!ac_rca_adjacency_parse("input", text, size, c, NULL);
    (void)!ac_rca_nezha_parse("input", text, size, 0, c, NULL);
    if (ac_rca_nezha_edges_parse("input", text, size, &t, NULL) == 0) {
        (void)!ac_rca_nezha_gaps(&t, &t, 0, c, NULL);
        ac_rca_table_fini(&t);
    }
    struct ac_rca_tetrad g;
    if (ac_rca_tetrad_parse("input", text, size, &g, NULL) == 0)
        ac_rca_tetrad_fini(&g);
out:
    ac_rca_case_destroy(c);
    return 0;
}

#define LOOPS ac_rca_loops_plain
#include "discover/rca_entropy_loops.h"

const struct ac_rca_loops *ac_rca_loops_of(enum ac_rca_wide w)
{
    if (w == AC_RCA_PLAIN)
        return &ac_rca_loops_plain;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (w == AC_RCA_AVX2 && __builtin_cpu_supports("avx2"))
        return &ac_rca_loops_avx2;
    if (w == AC_RCA_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &ac_rca_loops_avx512;
#endif
    return NULL;
}

const struct ac_rca_loops *ac_rca_loops(void)
{
    for (int w = AC_RCA_AVX512; w > AC_RCA_PLAIN; w--)
        if (ac_rca_loops_of((enum ac_rca_wide)w))
            return ac_rca_loops_of((enum ac_rca_wide)w);
    return &ac_rca_loops_plain;
}

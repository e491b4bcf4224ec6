#define LOOPS ac_rca_loops_plain
#include "discover/rca_entropy_loops.h"

#define NORMAL_LOG_COSH 0.37457 /* of a normal column */

double ac_rca_entropy(double log_cosh, double gauss)
{
    double a = log_cosh - (M_LN2 + NORMAL_LOG_COSH);
    return (1.0 + log(2.0 * M_PI)) / 2.0 - 79.047 * a * a - 7.4129 * gauss * gauss;
}

/* (x + e)^2 - x^2 = e (2 x + e) */
double ac_rca_entropy_error(double log_cosh, double gauss, double e)
{
    return 79.047 * e * (2.0 * fabs(log_cosh - M_LN2 - NORMAL_LOG_COSH) + e) +
           7.4129 * e * (2.0 * fabs(gauss) + e);
}

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

/* Runs an operator: the ones in simd.h by the best instruction set of this machine, the others here
 * and in windows.c. */
#define SIMD_KERNEL simd_plain
#include "simd.h"

const struct kernels *simd_kernel(enum simd_level l)
{
    if (l == SIMD_PLAIN)
        return &simd_plain;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (l == SIMD_AVX2 && __builtin_cpu_supports("avx2"))
        return &simd_avx2;
    if (l == SIMD_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &simd_avx512;
#endif
    return NULL;
}

const struct kernels *simd_best(void)
{
    for (enum simd_level l = SIMD_AVX512; l > SIMD_PLAIN; l--) {
        if (simd_kernel(l))
            return simd_kernel(l);
    }
    return &simd_plain;
}

bool simd_takes(const struct node *n)
{
    switch (n->op) {
    case N_QUANTILE:
    case N_MAD:
    case N_MIN:
    case N_MAX:
    case N_SEASON_MEDIAN:
    case N_SEASON_MIN:
    case N_SEASON_MAX:
        return node_is_small(n);
    case N_SUM:
    case N_MEAN:
    case N_STD:
    case N_SLOPE:
    case N_SEASON_MEAN:
    case N_PREDICT:
    case N_AR:
    case N_INCREASE:
    case N_EWMA:
    case N_RUN:
    case N_LATCH:
    case N_EDGE:
    case N_COUNT:
    case N_PERSIST:
        return true;
    default:
        return false;
    }
}

bool node_is_pointwise(enum node_op op)
{
    switch (op) {
#define ONE(node, value)   case node:
#define TWO(node, value)   case node:
#define THREE(node, value) case node:
#include "pointwise.def"
#undef ONE
#undef TWO
#undef THREE
        return true;
    default:
        return false;
    }
}

/* The loops of simd.h, compiled for AVX-512 (see shared/module.mk). */
#ifdef __AVX512F__
#define SIMD_KERNEL simd_avx512
#include "simd.h"
#endif

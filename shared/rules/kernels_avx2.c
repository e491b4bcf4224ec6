/* The loops of simd.h, compiled for AVX2 (see shared/module.mk). */
#ifdef __AVX2__
#define SIMD_KERNEL simd_avx2
#include "simd.h"
#endif

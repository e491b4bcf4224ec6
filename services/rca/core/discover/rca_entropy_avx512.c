/* The loops of rca_entropy_loops.h, compiled for AVX-512 (see module.mk). */
#ifdef __AVX512F__
#define LOOPS ac_rca_loops_avx512
#include "discover/rca_entropy_loops.h"
#endif

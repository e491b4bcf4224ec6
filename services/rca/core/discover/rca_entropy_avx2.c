/* The loops of rca_entropy_loops.h, compiled for AVX2 (see module.mk). */
#ifdef __AVX2__
#define LOOPS ac_rca_loops_avx2
#include "discover/rca_entropy_loops.h"
#endif

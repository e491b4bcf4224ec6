/* One element of a tensor of any numeric type, read and written as a whole or a real number. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Of a real type: towards zero, as far as int64_t reaches. */
int64_t wk_int_at(int dtype, const void *data, size_t i);
double wk_real_at(int dtype, const void *data, size_t i);
/** Low bits of v; BOOL: whether v is not 0. */
void wk_put_int(int dtype, void *data, size_t i, int64_t v);
/** Rounded to the type; whole types: as wk_put_int of the truncated value. */
void wk_put_real(int dtype, void *data, size_t i, double v);
bool wk_is_real(int dtype); /* FP32, FP64, FP16, BF16 */

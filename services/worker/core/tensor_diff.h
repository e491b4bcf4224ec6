/* How far two tensors of one type lie apart. Pure. */
#pragma once

#include "onnx.h"

#include <stddef.h>

/** Largest absolute difference of n elements, each read as its type; 0: all are the same (NaN is
 * the same as NaN), NaN: only one of two is a number. Types without numbers: the share of them that
 * are not the same bytes. */
double wk_tensor_diff(const void *a, const void *b, enum wk_dtype dtype, size_t n);

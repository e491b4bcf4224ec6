/* What the formulas of pointwise.def are written with. */
#pragma once

#include "maths.h"
#include "rules_impl.h"

#include <math.h>

#define NAN_ (__builtin_nan(""))

static inline double pick(bool cond, double x, double y)
{
    return cond ? x : y;
}

static inline double clip_(double a, double low, double high)
{
    double least = pick(a < low, low, a);
    return pick(least > high, high, least);
}

static inline bool known(double v)
{
    return v == v;
}

/* Into the side of 0 that the values are on: traffic that is never negative has no mean below 0. */
static inline double on_side(double v, double negative, double positive)
{
    return ((v < 0) & (negative == 0)) | ((v > 0) & (positive == 0)) ? 0 : v;
}

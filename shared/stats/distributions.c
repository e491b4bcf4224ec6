#include <math.h>

#include <aceso/stats.h>

/* The C library's lgamma leaves the sign in a global, which threads must not share. */
static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

#define TERMS_MAX 1000
#define TINY      1e-300

double ac_stats_normal_cdf(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2);
}

double ac_stats_normal_quantile(double p)
{
    if (!(p >= 0 && p <= 1))
        return NAN;
    if (p == 0 || p == 1)
        return p == 0 ? -INFINITY : INFINITY;
    if (p > 0.5)
        return -ac_stats_normal_quantile(1 - p);
    /* The tail's leading term, then Halley's steps on log cdf, which is nearly a parabola there. */
    double t = sqrt(-2 * log(p)), x = t > 1.6 ? -(t - log(t * sqrt(2 * M_PI)) / t) : -t + 1.177;
    for (int i = 0; i < 30; i++) {
        double cdf = ac_stats_normal_cdf(x), pdf = exp(-0.5 * x * x) / sqrt(2 * M_PI);
        double slope = pdf / cdf, f = log(cdf / p), step = f / slope;
        /* second derivative of log cdf over the first: -x - slope */
        double halley = 1 - 0.5 * step * (-x - slope);
        step /= halley > 0.5 ? halley : 0.5;
        x -= step;
        if (fabs(step) <= 1e-15 * fabs(x) + 1e-17)
            break;
    }
    return x;
}

/* Lower incomplete gamma by its series; good for x < a + 1. */
static double gamma_series(double a, double x)
{
    double term = 1 / a, sum = term;
    for (int i = 1; i < TERMS_MAX && term > sum * 1e-17; i++) {
        term *= x / (a + i);
        sum += term;
    }
    return sum * exp(-x + a * log(x) - log_gamma(a));
}

/* Upper incomplete gamma by its continued fraction (Lentz's way); good for x > a + 1. */
static double gamma_fraction(double a, double x)
{
    double b = x + 1 - a, c = 1 / TINY, d = 1 / b, h = d;
    for (int i = 1; i < TERMS_MAX; i++) {
        double an = -i * (i - a);
        b += 2;
        d = an * d + b;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        c = b + an / c;
        c = fabs(c) < TINY ? TINY : c;
        h *= d * c;
        if (fabs(d * c - 1) < 1e-16)
            break;
    }
    return h * exp(-x + a * log(x) - log_gamma(a));
}

double ac_stats_chi2_sf(double x, double df)
{
    if (isnan(x) || !(df > 0))
        return NAN;
    if (x <= 0)
        return 1;
    if (isinf(x))
        return 0;
    double a = df / 2, h = x / 2;
    return h < a + 1 ? 1 - gamma_series(a, h) : gamma_fraction(a, h);
}

static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < TINY ? TINY : d);
    double h = d;
    for (int m = 1; m < TERMS_MAX; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        for (int half = 0; half < 2; half++) {
            double an = half ? odd : even;
            d = 1 + an * d;
            d = 1 / (fabs(d) < TINY ? TINY : d);
            c = 1 + an / c;
            c = fabs(c) < TINY ? TINY : c;
            h *= d * c;
        }
        if (fabs(d * c - 1) < 1e-16)
            break;
    }
    return h;
}

/* Regularised incomplete beta. */
static double beta_inc(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double ac_stats_t_sf(double x, double df)
{
    if (isnan(x) || !(df > 0))
        return NAN;
    if (isinf(x))
        return x > 0 ? 0 : 1;
    double tail = 0.5 * beta_inc(df / 2, 0.5, df / (df + x * x));
    return x > 0 ? tail : 1 - tail;
}

double ac_stats_f_sf(double x, double df1, double df2)
{
    if (isnan(x) || !(df1 > 0) || !(df2 > 0))
        return NAN;
    if (x <= 0)
        return 1;
    return isinf(x) ? 0 : beta_inc(df2 / 2, df1 / 2, df2 / (df2 + df1 * x));
}

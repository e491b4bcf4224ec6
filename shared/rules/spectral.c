/* The spectral residual of a window, for its last point (Ren et al., KDD 2019), causal: the window
 * ends at this point, behind which the slopes before it are drawn out. Taken afresh at every point:
 * no state besides the history, and nothing that could drift. */
#include "maths.h"
#include "rules_impl.h"

#include <math.h>

#include <aceso/base.h>

#define EXTRA 5 /* points drawn out behind the last */
#define FAINT                                                                                      \
    1e-8 /* amplitudes below this, of a window whose greatest value is 1, are rounding             \
          */

/* cos(2 pi k / 1024), k = 0 .. 256. */
static const double wave[SPECTRAL_MAX / 4 + 1] = {
#include "wave.def"
};

struct spectrum {
    double re[SPECTRAL_MAX], im[SPECTRAL_MAX];
};

static double cosine(uint32_t k) /* k < SPECTRAL_MAX / 2 */
{
    return k <= SPECTRAL_MAX / 4 ? wave[k] : -wave[SPECTRAL_MAX / 2 - k];
}

static double sine(uint32_t k)
{
    return k <= SPECTRAL_MAX / 4 ? wave[SPECTRAL_MAX / 4 - k] : wave[k - SPECTRAL_MAX / 4];
}

static void bit_reverse(struct spectrum *x, uint32_t n)
{
    for (uint32_t i = 1, j = 0; i < n; i++) {
        uint32_t bit = n >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            double re = x->re[i], im = x->im[i];
            x->re[i] = x->re[j], x->im[i] = x->im[j];
            x->re[j] = re, x->im[j] = im;
        }
    }
}

/* In place; direction -1 is the inverse but for its factor, which the ratio at the end cancels. */
static void transform(struct spectrum *x, uint32_t n, double direction)
{
    bit_reverse(x, n);
    for (uint32_t half = 1; half < n; half *= 2) {
        uint32_t turn = SPECTRAL_MAX / 2 / half;
        for (uint32_t k = 0; k < half; k++) {
            double c = cosine(k * turn), s = -direction * sine(k * turn);
            for (uint32_t i = k; i < n; i += 2 * half) {
                uint32_t j = i + half;
                double re = x->re[j] * c - x->im[j] * s, im = x->re[j] * s + x->im[j] * c;
                x->re[j] = x->re[i] - re, x->im[j] = x->im[i] - im;
                x->re[i] += re, x->im[i] += im;
            }
        }
    }
}

/* The window that ends at a[0], gaps filled with the point before, scaled to a greatest size of 1.
 * False when too little of it is known. */
static bool window(struct spectrum *x, const double *a, size_t lanes, uint32_t own)
{
    uint32_t n_known = 0;
    double size = 0, first = 0;
    for (uint32_t k = 0; k < own; k++) { /* backwards in time */
        double v = *(a - k * lanes);
        if (v != v)
            continue;
        n_known++;
        size = fabs(v) > size ? fabs(v) : size;
        first = v;
    }
    if (n_known < (own + 1) / 2 || *a != *a)
        return false;
    for (uint32_t k = own; k-- > 0;) {
        double v = *(a - k * lanes);
        first = v == v ? v : first;
        x->re[own - 1 - k] = size > 0 ? first / size : 0;
    }
    return true;
}

/* The points behind the last one follow those before it: were it drawn on itself, what is strange
 * in it would look like the beginning of something usual. */
static void draw_out(double *x, uint32_t own)
{
    uint32_t m = own - 2 < EXTRA ? own - 2 : EXTRA;
    double slope = 0, last = x[own - 2];
    for (uint32_t i = 1; i <= m; i++)
        slope += (last - x[own - 2 - i]) / i;
    slope /= m;
    for (uint32_t i = 0; i < EXTRA; i++)
        x[own + i] = x[own - 1 - m] + slope * m;
}

/* Amplitudes above the mean of the logarithms around them, phases kept. */
static void residual(struct spectrum *x, uint32_t n)
{
    double log_size[SPECTRAL_MAX] = {0}, size[SPECTRAL_MAX] = {0};
    for (uint32_t k = 0; k < n; k++) {
        size[k] = sqrt(x->re[k] * x->re[k] + x->im[k] * x->im[k]);
        log_size[k] = rule_log(size[k] > FAINT ? size[k] : FAINT);
    }
    for (uint32_t k = 0; k < n; k++) {
        double around = log_size[k ? k - 1 : n - 1] + log_size[k] + log_size[k + 1 < n ? k + 1 : 0];
        double r = size[k] > FAINT ? rule_exp(log_size[k] - around / 3) / size[k] : 0;
        x->re[k] *= r;
        x->im[k] *= r;
    }
}

static double score(struct spectrum *x, const double *a, size_t lanes, uint32_t n)
{
    AC_ASSERT(n >= 8 && n <= SPECTRAL_MAX);
    uint32_t own = n - EXTRA;
    if (!window(x, a, lanes, own))
        return __builtin_nan("");
    draw_out(x->re, own);
    for (uint32_t k = 0; k < n; k++)
        x->im[k] = 0;
    transform(x, n, 1);
    residual(x, n);
    transform(x, n, -1);
    double sum = 0, s = 0;
    for (uint32_t k = 0; k < own; k++) {
        s = sqrt(x->re[k] * x->re[k] + x->im[k] * x->im[k]);
        sum += s;
    }
    return sum > 0 ? rule_canon(s * own / sum - 1) : 0;
}

void kernel_spectral(const struct step *s)
{
    struct spectrum x;
    for (size_t i = 0; i < s->n * s->lanes; i++)
        s->out[i] = score(&x, s->a[0] + i, s->lanes, s->node->w);
}

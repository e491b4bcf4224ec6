#include "inject.h"

#include <math.h>

#include <aceso/base.h>

#define GAP    20
#define SMALL  6.0 /* units */
#define LARGE  40.0
#define GOLDEN 0.6180339887498949 /* its multiples modulo 1 are spread evenly, however many */

static const struct {
    const char *name;
    size_t least, most; /* points */
} kinds_of[INJECT_END] = {[INJECT_SPIKE] = {"spike", 1, 3},
                          [INJECT_STEP] = {"step", 10, INJECT_LONGEST},
                          [INJECT_DROP] = {"drop", 3, 30},
                          [INJECT_FLAT] = {"flat", 12, INJECT_LONGEST},
                          [INJECT_TREND] = {"trend", 15, INJECT_LONGEST},
                          [INJECT_VARIANCE] = {"variance", 12, INJECT_LONGEST}};

const char *inject_kind_name(enum inject_kind k)
{
    return kinds_of[k].name;
}

struct shape {
    double change, low; /* unit of sizes, least value */
};

static struct shape measure(const double *v, size_t n)
{
    struct shape s = {.low = INFINITY};
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        s.low = v[i] < s.low ? v[i] : s.low;
        if (i && v[i] == v[i] && v[i - 1] == v[i - 1]) {
            s.change += fabs(v[i] - v[i - 1]);
            k++;
        }
    }
    s.change = k ? s.change / (double)k : 0;
    return s;
}

static void put(enum inject_kind kind, double *v, size_t len, const struct shape *s, double size,
                struct ac_rng *r)
{
    double from = v[0], sign = ac_rng_below(r, 2) ? 1 : -1;
    for (size_t i = 0; i < len; i++) {
        switch (kind) {
        case INJECT_SPIKE:
        case INJECT_STEP:
            v[i] += sign * size;
            break;
        case INJECT_DROP:
            v[i] = s->low - size / LARGE;
            break;
        case INJECT_FLAT:
            v[i] = from;
            break;
        case INJECT_TREND:
            v[i] += sign * size * (double)(i + 1) / (double)len;
            break;
        case INJECT_VARIANCE:
            v[i] += size / 3 * ac_rng_normal(r);
            break;
        default:
            break;
        }
    }
}

size_t inject(double *v, uint8_t *labels, size_t n, const struct inject_how *how,
              struct ac_rng *rng)
{
    enum inject_kind of[INJECT_END];
    size_t n_kinds = 0, events = 0, every = how->every;
    for (int k = 0; k < INJECT_END; k++) {
        if (how->kinds & (1u << k))
            of[n_kinds++] = (enum inject_kind)k;
    }
    struct shape s = measure(v, n);
    if (how->unit > 0)
        s.change = how->unit;
    if (!n_kinds || !(s.change > 0) || every < 2 * (how->longest + GAP))
        return 0;
    for (size_t at = 0; at + every <= n; at += every) {
        enum inject_kind k = of[ac_rng_below(rng, n_kinds)];
        size_t most = AC_MIN(kinds_of[k].most, how->longest);
        size_t least = AC_MIN(kinds_of[k].least, most);
        size_t len = least + ac_rng_below(rng, most - least + 1);
        size_t a = at + GAP + ac_rng_below(rng, every - how->longest - 2 * (size_t)GAP);
        double u = ac_rng_uniform(rng);
        if (how->even)
            u = fmod((double)events * GOLDEN, 1);
        put(k, v + a, len, &s, s.change * exp(log(SMALL) + u * log(LARGE / SMALL)), rng);
        for (size_t i = 0; i < len; i++)
            labels[a + i] = 1;
        events++;
    }
    return events;
}

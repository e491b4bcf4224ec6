#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

#include <aceso/base.h>
#include <aceso/rng.h>

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void ac_rng_seed(struct ac_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

uint64_t ac_rng_u64(struct ac_rng *r)
{
    uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

uint64_t ac_rng_below(struct ac_rng *r, uint64_t n)
{
    AC_ASSERT(n > 0);
    /* The high half of a 128-bit product; low halves under 2^64 mod n would favour some values. */
    unsigned __int128 m = (unsigned __int128)ac_rng_u64(r) * n;
    if ((uint64_t)m < n) {
        uint64_t floor = -n % n;
        while ((uint64_t)m < floor)
            m = (unsigned __int128)ac_rng_u64(r) * n;
    }
    return (uint64_t)(m >> 64);
}

double ac_rng_uniform(struct ac_rng *r)
{
    return (double)(ac_rng_u64(r) >> 11) * 0x1p-53;
}

double ac_rng_normal(struct ac_rng *r)
{
    /* Polar method; the second value is not kept, so that the state is the four words alone. */
    for (;;) {
        double u = 2.0 * ac_rng_uniform(r) - 1.0, v = 2.0 * ac_rng_uniform(r) - 1.0;
        double q = u * u + v * v;
        if (q > 0.0 && q < 1.0)
            return u * sqrt(-2.0 * log(q) / q);
    }
}

double ac_rng_exponential(struct ac_rng *r)
{
    return -log1p(-ac_rng_uniform(r));
}

double ac_rng_gamma(struct ac_rng *r, double shape)
{
    AC_ASSERT(shape > 0.0);
    if (shape < 1.0) {
        double u = 1.0 - ac_rng_uniform(r); /* (0, 1] */
        return ac_rng_gamma(r, shape + 1.0) * pow(u, 1.0 / shape);
    }
    double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = ac_rng_normal(r), v = 1.0 + c * x;
        if (v <= 0.0)
            continue;
        v = v * v * v;
        double u = 1.0 - ac_rng_uniform(r);
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

static void swap_bytes(unsigned char *a, unsigned char *b, size_t n)
{
    unsigned char tmp[64];
    while (n > 0) {
        size_t k = AC_MIN(n, sizeof(tmp));
        memcpy(tmp, a, k);
        memcpy(a, b, k);
        memcpy(b, tmp, k);
        a += k;
        b += k;
        n -= k;
    }
}

void ac_rng_shuffle(struct ac_rng *r, void *base, size_t n, size_t elem)
{
    unsigned char *p = base;
    for (size_t i = n; i > 1; i--) {
        size_t j = ac_rng_below(r, i);
        if (j != i - 1)
            swap_bytes(p + j * elem, p + (i - 1) * elem, elem);
    }
}

struct ac_rng ac_rng_split(const struct ac_rng *r, uint64_t stream)
{
    uint64_t h = stream;
    for (int i = 0; i < 4; i++) {
        h ^= r->s[i];
        h = splitmix64(&h);
    }
    struct ac_rng out;
    ac_rng_seed(&out, h);
    return out;
}

void ac_random_bytes(void *p, size_t n)
{
    unsigned char *b = p;
    while (n > 0) {
        ssize_t k = getrandom(b, n, 0);
        if (k < 0) {
            AC_ASSERT(errno == EINTR);
            continue;
        }
        b += k;
        n -= (size_t)k;
    }
}

uint64_t ac_random_seed(void)
{
    uint64_t v;
    ac_random_bytes(&v, sizeof(v));
    return v;
}

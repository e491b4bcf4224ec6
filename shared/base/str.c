#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/str.h>

bool ac_streq(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool ac_str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool ac_str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

bool ac_str_empty(const char *s)
{
    return !s || !*s;
}

bool ac_str_to_i64(const char *s, int64_t *ret_v)
{
    bool neg = s && *s == '-';
    uint64_t v;
    const char *d = s && (*s == '-' || *s == '+') ? s + 1 : s;
    if (!d || !isdigit((unsigned char)*d) || !ac_str_to_u64(d, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + neg)
        return false;
    *ret_v = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* Decimal digits from *s on; false when there is none or the value does not fit. */
static bool take_u64(const char **s, uint64_t *ret_v)
{
    if (!isdigit((unsigned char)**s))
        return false;
    uint64_t v = 0;
    for (; isdigit((unsigned char)**s); (*s)++) {
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(**s - '0'), &v))
            return false;
    }
    *ret_v = v;
    return true;
}

bool ac_str_to_u64(const char *s, uint64_t *ret_v)
{
    uint64_t v;
    if (!s)
        return false;
    if (*s == '+')
        s++;
    if (!take_u64(&s, &v) || *s)
        return false;
    *ret_v = v;
    return true;
}

static bool unit_ns(const char *s, int64_t *ret_unit)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"ns", 1},
        {"us", 1000},
        {"ms", 1000000},
        {"s", 1000000000},
        {"m", 60 * 1000000000LL},
        {"h", 3600 * 1000000000LL},
        {"d", 86400 * 1000000000LL},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(units); i++) {
        if (strcmp(s, units[i].name) == 0) {
            *ret_unit = units[i].ns;
            return true;
        }
    }
    return false;
}

bool ac_str_to_duration_ns(const char *s, int64_t *ret_ns)
{
    uint64_t whole;
    if (!s || !take_u64(&s, &whole) || whole > INT64_MAX)
        return false;
    const char *frac = NULL;
    if (*s == '.') {
        frac = ++s;
        while (isdigit((unsigned char)*s))
            s++;
        if (s == frac)
            return false;
    }
    int64_t unit, ns;
    if (!unit_ns(s, &unit) || __builtin_mul_overflow((int64_t)whole, unit, &ns))
        return false;
    /* Digit by digit in integers: 0.1s is 100000000 ns exactly. What is below 1 ns is cut. */
    __int128 rest = unit, part = 0;
    for (int i = 0; frac && i < 15 && isdigit((unsigned char)frac[i]); i++) {
        part = part * 10 + (frac[i] - '0');
        rest *= 10;
    }
    if (part && __builtin_add_overflow(ns, (int64_t)(part * unit / (rest / unit)), &ns))
        return false;
    *ret_ns = ns;
    return true;
}

bool ac_str_to_bytes(const char *s, uint64_t *ret_bytes)
{
    uint64_t v;
    if (!s || !take_u64(&s, &v))
        return false;
    unsigned shift = 0;
    switch (*s) {
    case 'K':
    case 'k':
        shift = 10;
        break;
    case 'M':
        shift = 20;
        break;
    case 'G':
        shift = 30;
        break;
    case 'T':
        shift = 40;
        break;
    default:
        break;
    }
    if (shift) {
        s++;
        if (strcmp(s, "iB") == 0)
            s += 2;
    } else if (strcmp(s, "B") == 0) {
        s++;
    }
    if (*s || (shift && v >> (64 - shift)))
        return false;
    *ret_bytes = v << shift;
    return true;
}

bool ac_str_copy(char *dst, size_t dst_size, const char *src)
{
    if (dst_size == 0)
        return false;
    size_t n = strnlen(src, dst_size);
    bool fits = n < dst_size;
    if (!fits)
        n = dst_size - 1;
    memcpy(dst, src, n);
    dst[n] = '\0';
    return fits;
}

char *ac_str_next(char **rest, char sep)
{
    char *field = *rest;
    if (!field)
        return NULL;
    char *end = strchr(field, sep);
    if (end)
        *end++ = '\0';
    *rest = end;
    return field;
}

char *ac_str_trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    s[n] = '\0';
    return s;
}

bool ac_str_glob(const char *pattern, const char *s)
{
    /* Only the last star needs to be retried, so the cost is at most |pattern| * |s|. */
    const char *star = NULL, *retry = NULL;
    while (*s) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = s;
        } else if (*pattern && (*pattern == '?' || *pattern == *s)) {
            pattern++;
            s++;
        } else if (star) {
            pattern = star;
            s = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

#define DISTANCE_CAP 16
#define DISTANCE_LEN 255

int ac_str_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > DISTANCE_LEN || m > DISTANCE_LEN)
        return strcmp(a, b) == 0 ? 0 : DISTANCE_CAP;
    int row[DISTANCE_LEN + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diag = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = diag + (a[i - 1] != b[j - 1]);
            best = AC_MIN(best, row[j] + 1);
            best = AC_MIN(best, row[j - 1] + 1);
            diag = row[j];
            row[j] = best;
        }
    }
    return AC_MIN(row[m], DISTANCE_CAP);
}

uint64_t ac_hash_bytes(const void *p, size_t n)
{
    const unsigned char *b = p;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    h ^= h >> 33; /* FNV leaves the high bits of short keys poor */
    h *= 0xff51afd7ed558ccdu;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

uint64_t ac_hash_str(const char *s)
{
    return ac_hash_bytes(s, strlen(s));
}

size_t ac_utf8_len(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        unsigned lo = s[0] == 0xe0 ? 0xa0 : 0x80, hi = s[0] == 0xed ? 0x9f : 0xbf;
        return s[1] >= lo && s[1] <= hi && (s[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        unsigned lo = s[0] == 0xf0 ? 0x90 : 0x80, hi = s[0] == 0xf4 ? 0x8f : 0xbf;
        return s[1] >= lo && s[1] <= hi && (s[2] & 0xc0) == 0x80 && (s[3] & 0xc0) == 0x80 ? 4 : 0;
    }
    return 0;
}

bool ac_utf8_valid_n(const char *text, size_t n)
{
    AC_ASSERT(text[n] == '\0');
    for (size_t i = 0, len; i < n; i += len)
        if ((len = ac_utf8_len((const unsigned char *)text + i)) == 0)
            return false;
    return true;
}

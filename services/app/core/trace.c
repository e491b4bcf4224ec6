#include "trace.h"

#include <string.h>

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *s, size_t n, unsigned char *dst)
{
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_digit(s[2 * i]), lo = hi < 0 ? -1 : hex_digit(s[2 * i + 1]);
        if (lo < 0)
            return false;
        dst[i] = (unsigned char)(hi * 16 + lo);
        any |= dst[i];
    }
    return any != 0;
}

bool app_trace_parse(const char *s, struct app_trace *ret)
{
    struct app_trace t;
    unsigned char flags = 0;
    if (!s || strnlen(s, APP_TRACEPARENT_LEN + 1) < APP_TRACEPARENT_LEN)
        return false;
    /* A later version may have more fields; 00 may not; ff is no version. */
    bool v00 = s[0] == '0' && s[1] == '0';
    if (hex_digit(s[0]) < 0 || hex_digit(s[1]) < 0 || (s[0] == 'f' && s[1] == 'f') || s[2] != '-' ||
        s[35] != '-' || s[52] != '-' ||
        (v00 ? s[APP_TRACEPARENT_LEN] != '\0'
             : s[APP_TRACEPARENT_LEN] != '\0' && s[APP_TRACEPARENT_LEN] != '-'))
        return false;
    if (!parse_hex(s + 3, 16, t.trace_id) || !parse_hex(s + 36, 8, t.parent_id))
        return false;
    if (hex_digit(s[53]) < 0 || hex_digit(s[54]) < 0)
        return false;
    (void)parse_hex(s + 53, 1, &flags);
    t.sampled = flags & 1;
    *ret = t;
    return true;
}

void app_hex(const unsigned char *p, size_t n, char *dst)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        dst[2 * i] = digits[p[i] >> 4];
        dst[2 * i + 1] = digits[p[i] & 15];
    }
    dst[2 * n] = '\0';
}

void app_trace_format(const struct app_trace *t, const unsigned char span_id[8], char *dst)
{
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the text goes on behind it */
    memcpy(dst, "00-", 3);
    app_hex(t->trace_id, 16, dst + 3);
    dst[35] = '-';
    app_hex(span_id, 8, dst + 36);
    memcpy(dst + 52, t->sampled ? "-01" : "-00", 4);
}

void app_trace_span_id(struct ac_rng *rng, unsigned char ret[8])
{
    uint64_t id = 0;
    while (id == 0)
        id = ac_rng_u64(rng);
    memcpy(ret, &id, 8);
}

void app_trace_root(struct app_trace *t, struct ac_rng *rng, double ratio)
{
    memset(t, 0, sizeof(*t));
    app_trace_span_id(rng, t->trace_id);
    app_trace_span_id(rng, t->trace_id + 8);
    t->sampled = ac_rng_uniform(rng) < ratio;
}

bool app_budget_take(struct app_budget *b)
{
    if (b->left == 0) {
        b->refused++;
        return false;
    }
    b->left--;
    return true;
}

void app_budget_refill(struct app_budget *b)
{
    b->left = b->per_interval;
}

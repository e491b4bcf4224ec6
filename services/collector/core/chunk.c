#include "chunk.h"

#include <stdbool.h>
#include <string.h>

#include <zlib.h>

static void put_varint(struct ac_buf *b, uint64_t v)
{
    char raw[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        raw[n++] = (char)(v | 0x80);
    raw[n++] = (char)v;
    ac_buf_append(b, raw, n);
}

struct reader {
    const unsigned char *p, *end;
    bool bad;
};

static uint64_t get_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; r->p < r->end && shift < 64; shift += 7) {
        unsigned char c = *r->p++;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}

/* Differences wrap around: any two times have one. */
static uint64_t zigzag(uint64_t d)
{
    return (d << 1) ^ (0 - (d >> 63));
}

static uint64_t unzigzag(uint64_t z)
{
    return (z >> 1) ^ (0 - (z & 1));
}

/* 0 = the same value; else the number of zero bytes at the top (high nibble) and of bytes that
 * follow (low nibble), low ones first; zero bytes below those are left out. */
static void put_value(struct ac_buf *b, uint64_t x)
{
    char raw[9];
    unsigned skip = 0, n = 8;
    if (x == 0) {
        ac_buf_putc(b, 0);
        return;
    }
    for (; (x >> 56) == 0; x <<= 8)
        skip++;
    for (n = 8 - skip; ((x >> (8 * (8 - n))) & 0xff) == 0; n--)
        continue;
    raw[0] = (char)(skip << 4 | n);
    for (unsigned i = 0; i < n; i++)
        raw[1 + i] = (char)(x >> (56 - 8 * i));
    ac_buf_append(b, raw, 1 + n);
}

static uint64_t get_value(struct reader *r)
{
    uint64_t x = 0;
    if (r->p == r->end) {
        r->bad = true;
        return 0;
    }
    unsigned head = *r->p++, skip = head >> 4, n = head & 15;
    if (head == 0)
        return 0;
    if (n == 0 || skip + n > 8 || (size_t)(r->end - r->p) < n) {
        r->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        x |= (uint64_t)*r->p++ << (56 - 8 * (skip + i));
    return x;
}

void col_chunk_encode(const int64_t *t, const double *v, size_t n, struct ac_buf *out)
{
    uint64_t last = 0, step = 0, bits = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t d = (uint64_t)t[i] - last;
        put_varint(out, zigzag(d - step));
        step = i == 0 ? 0 : d; /* the first difference is the time itself: no step to expect */
        last = (uint64_t)t[i];
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t b;
        memcpy(&b, &v[i], sizeof(b));
        put_value(out, b ^ bits);
        bits = b;
    }
}

int col_chunk_decode(const void *data, size_t len, size_t n, int64_t *t, double *v,
                     struct ac_err *err)
{
    struct reader r = {.p = data, .end = (const unsigned char *)data + len};
    uint64_t last = 0, step = 0, bits = 0;
    for (size_t i = 0; i < n && !r.bad; i++) {
        uint64_t d = unzigzag(get_varint(&r)) + step;
        step = i == 0 ? 0 : d;
        last += d;
        t[i] = (int64_t)last;
    }
    for (size_t i = 0; i < n && !r.bad; i++) {
        bits ^= get_value(&r);
        memcpy(&v[i], &bits, sizeof(bits));
    }
    if (r.bad || r.p != r.end)
        return ac_err_set(err, AC_EDATALOSS, "a chunk of %zu samples does not decode", n);
    return 0;
}

void col_record_put(struct ac_buf *raw, const void *p, size_t n)
{
    put_varint(raw, n);
    ac_buf_append(raw, p, n);
}

int col_records_deflate(const struct ac_buf *raw, struct ac_buf *out, struct ac_err *err)
{
    z_stream z = {0};
    unsigned char piece[16 << 10];
    int rc;
    if (raw->failed)
        return ac_err_set(err, AC_EAGAIN, "a chunk of records is too large");
    if (deflateInit(&z, Z_BEST_SPEED) != Z_OK)
        return ac_err_set(err, AC_ENOMEM, "deflate");
    z.next_in = (unsigned char *)raw->data;
    z.avail_in = (uInt)raw->len;
    do {
        z.next_out = piece;
        z.avail_out = sizeof(piece);
        rc = deflate(&z, Z_FINISH);
        ac_buf_append(out, piece, sizeof(piece) - z.avail_out);
    } while (rc == Z_OK);
    (void)deflateEnd(&z);
    if (rc != Z_STREAM_END || out->failed)
        return ac_err_set(err, AC_EAGAIN, "a chunk of records is too large");
    return 0;
}

static int inflate_into(const void *data, size_t len, int window, struct ac_buf *out,
                        struct ac_err *err)
{
    z_stream z = {0};
    unsigned char piece[16 << 10];
    int rc = Z_OK;
    if (inflateInit2(&z, window) != Z_OK)
        return ac_err_set(err, AC_ENOMEM, "inflate");
    z.next_in = (unsigned char *)(uintptr_t)data;
    z.avail_in = (uInt)len;
    while (rc == Z_OK && !out->failed) {
        z.next_out = piece;
        z.avail_out = sizeof(piece);
        rc = inflate(&z, Z_NO_FLUSH);
        ac_buf_append(out, piece, sizeof(piece) - z.avail_out);
    }
    size_t left = z.avail_in;
    (void)inflateEnd(&z);
    if (out->failed)
        return ac_err_set(err, AC_EAGAIN, "larger than %zu bytes once inflated", out->max);
    if (rc != Z_STREAM_END || left > 0)
        return ac_err_set(err, AC_EDATALOSS, "%zu compressed bytes do not inflate", len);
    return 0;
}

int col_records_inflate(const void *data, size_t len, struct ac_buf *raw, struct ac_err *err)
{
    return inflate_into(data, len, 15, raw, err);
}

int col_gunzip(const void *data, size_t len, struct ac_buf *out, struct ac_err *err)
{
    return inflate_into(data, len, 15 + 32, out, err);
}

const void *col_record_next(const struct ac_buf *raw, size_t *at, size_t *ret_len)
{
    const unsigned char *base = (const unsigned char *)raw->data;
    if (*at >= raw->len)
        return NULL;
    struct reader r = {.p = base + *at, .end = base + raw->len};
    uint64_t n = get_varint(&r);
    if (r.bad || n > (uint64_t)(r.end - r.p))
        return NULL;
    *ret_len = (size_t)n;
    *at = (size_t)(r.p - base) + (size_t)n;
    return r.p;
}

#include "wire.h"

#include <string.h>

struct wk_wire wk_wire_of(const void *p, size_t n)
{
    const uint8_t *b = p;
    return (struct wk_wire){.at = b, .end = b + n, .base = b};
}

struct wk_wire wk_wire_nested(const struct wk_wire *w, const struct wk_field *f)
{
    return (struct wk_wire){.at = f->bytes, .end = f->bytes + f->len, .base = w->base};
}

size_t wk_wire_place(const struct wk_wire *w)
{
    return (size_t)(w->at - w->base);
}

bool wk_wire_varint(struct wk_wire *w, uint64_t *ret_v)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (w->at == w->end) {
            w->bad = true;
            return false;
        }
        uint8_t b = *w->at++;
        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret_v = v;
            return true;
        }
    }
    w->bad = true;
    return false;
}

static bool fixed(struct wk_wire *w, size_t n, uint64_t *ret_v)
{
    if ((size_t)(w->end - w->at) < n)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)w->at[i] << (8 * i);
    w->at += n;
    *ret_v = v;
    return true;
}

bool wk_wire_next(struct wk_wire *w, struct wk_field *ret_f)
{
    uint64_t key, n;
    if (w->bad || w->at == w->end || !wk_wire_varint(w, &key))
        return false;
    struct wk_field f = {.number = (uint32_t)(key >> 3)};
    bool ok = key >> 3 != 0 && key >> 3 < (1u << 29);
    switch (key & 7) {
    case WK_VARINT:
        f.wire = WK_VARINT;
        ok = ok && wk_wire_varint(w, &f.v);
        break;
    case WK_FIXED64:
        f.wire = WK_FIXED64;
        ok = ok && fixed(w, 8, &f.v);
        break;
    case WK_FIXED32:
        f.wire = WK_FIXED32;
        ok = ok && fixed(w, 4, &f.v);
        break;
    case WK_BYTES:
        f.wire = WK_BYTES;
        ok = ok && wk_wire_varint(w, &n) && n <= (size_t)(w->end - w->at);
        if (ok) {
            f.bytes = w->at;
            f.len = (size_t)n;
            w->at += n;
        }
        break;
    default:
        ok = false;
    }
    if (!ok) {
        w->bad = true;
        return false;
    }
    *ret_f = f;
    return true;
}

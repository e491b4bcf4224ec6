/* A walker over protobuf wire format: one field after the other, nothing allocated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wk_wire {
    const uint8_t *at, *end, *base;
    bool bad; /* malformed; sticky */
};

struct wk_field {
    uint32_t number;
    enum {
        WK_VARINT = 0,
        WK_FIXED64 = 1,
        WK_BYTES = 2,
        WK_FIXED32 = 5
    } wire;
    uint64_t v;           /* varint and fixed */
    const uint8_t *bytes; /* length-delimited */
    size_t len;
};

struct wk_wire wk_wire_of(const void *p, size_t n);
/** A nested message; places in errors stay those of the whole. */
struct wk_wire wk_wire_nested(const struct wk_wire *w, const struct wk_field *f);
/** False at the end or when the bytes are malformed (then w->bad). Groups are refused. */
bool wk_wire_next(struct wk_wire *w, struct wk_field *ret_f);
bool wk_wire_varint(struct wk_wire *w, uint64_t *ret_v);
size_t wk_wire_place(const struct wk_wire *w);

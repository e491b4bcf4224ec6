/* Redis protocol (RESP2): commands out, replies in, from bytes that come in pieces. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/arena.h>
#include <aceso/buf.h>

#define APP_RESP_MAX_BULK  (4u << 20)
#define APP_RESP_MAX_ITEMS 4096
#define APP_RESP_MAX_DEPTH 4

enum app_resp_kind {
    APP_RESP_NIL,
    APP_RESP_STATUS,
    APP_RESP_ERROR,
    APP_RESP_INT,
    APP_RESP_BULK,
    APP_RESP_ARRAY
};

struct app_resp {
    enum app_resp_kind kind;
    int64_t num;
    const char *s; /* STATUS, ERROR, BULK: NUL-terminated copy in the arena */
    size_t len;
    const struct app_resp *items; /* ARRAY */
    size_t n;
};

/** *args of n texts as one command. */
void app_resp_command(struct ac_buf *out, const char *const *args, const size_t *lens, size_t n);

/** One reply at the start of data. 0: *ret is set and *ret_used bytes belong to it. AC_EAGAIN: more
 * bytes are needed. AC_EPROTO: the stream is broken. AC_ENOMEM: the arena is full. */
int app_resp_parse(struct ac_arena *a, const char *data, size_t len, struct app_resp *ret,
                   size_t *ret_used);

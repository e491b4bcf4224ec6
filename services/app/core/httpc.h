/* The client's side of HTTP/1.1: reads one response from bytes that come in pieces. The body is
 * counted, and its beginning kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APP_HTTPC_MAX_HEAD 16384
#define APP_HTTPC_KEEP     256

enum app_httpc_state {
    APP_HTTPC_HEAD,
    APP_HTTPC_BODY,
    APP_HTTPC_CHUNK_SIZE,
    APP_HTTPC_CHUNK_DATA,
    APP_HTTPC_CHUNK_END,
    APP_HTTPC_TRAILER,
    APP_HTTPC_TO_CLOSE, /* body ends with the connection */
    APP_HTTPC_DONE
};

struct app_httpc {
    enum app_httpc_state state;
    int status;
    bool keep_alive;
    bool chunked, has_length;
    uint64_t left; /* of the body or chunk */
    uint64_t body_bytes;
    char line[1024];
    size_t line_len, head_bytes;
    bool first_line_seen;
    char kept[APP_HTTPC_KEEP + 1];
    size_t kept_len;
};

void app_httpc_init(struct app_httpc *h);
/** 0 (look at state), or AC_EPROTO. *ret_used bytes were taken; after DONE the rest is not ours. */
int app_httpc_feed(struct app_httpc *h, const char *data, size_t len, size_t *ret_used);
/** The peer closed: 0 when that is the proper end of the response. */
int app_httpc_eof(struct app_httpc *h);

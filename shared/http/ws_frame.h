/* Frames of RFC 6455, as a server reads and writes them. Pure: bytes in, events out. The peer must
 * mask, no extension is spoken, a message is at most HTTP_WS_MESSAGE bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>

#define HTTP_WS_MESSAGE (1024u * 1024)

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

/* Status codes of a close frame (RFC 6455, 7.4.1). */
enum ws_close {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_NONE = 1005, /* the peer named no code; never on the wire */
    WS_CLOSE_INVALID_DATA = 1007,
    WS_CLOSE_TOO_BIG = 1009
};

/** A whole message (text, binary), ping, pong or close (code, or WS_CLOSE_NONE). data is valid
 * during the call. False = no more of the input is wanted. */
typedef bool (*ws_event)(enum ws_opcode op, unsigned code, const void *data, size_t len, void *arg);

struct ws_parser {
    uint8_t head[14];    /* of the frame under way */
    size_t head_len;     /* bytes of it that are there */
    uint64_t left;       /* bytes of its payload that are not */
    size_t masked;       /* bytes of its payload that are: where the mask stands */
    bool in_payload;     /* the head is complete */
    bool failed;         /* sticky */
    enum ws_opcode type; /* of the message under way; WS_CONTINUATION = none */
    struct ac_buf message;
    char control[126]; /* a NUL behind its payload */
    size_t control_len;
};

void ws_parser_init(struct ws_parser *p);
void ws_parser_fini(struct ws_parser *p);
/** Any cut of the stream gives the same events. 0, or the close code that the peer has earned (then
 * the parser takes nothing more). */
unsigned ws_parse(struct ws_parser *p, const void *data, size_t len, ws_event fn, void *arg);

#define WS_HEAD_MAX 10
/** Head of an unmasked, whole frame; its length. */
size_t ws_frame_head(uint8_t head[WS_HEAD_MAX], enum ws_opcode op, size_t len);
/** May a peer send it? */
bool ws_close_code_ok(unsigned code);

#include "ws_frame.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define FIN  0x80
#define RSV  0x70
#define MASK 0x80

void ws_parser_init(struct ws_parser *p)
{
    memset(p, 0, sizeof(*p));
    ac_buf_init(&p->message, HTTP_WS_MESSAGE + 1);
}

void ws_parser_fini(struct ws_parser *p)
{
    ac_buf_fini(&p->message);
}

static bool is_control(const struct ws_parser *p)
{
    return (p->head[0] & 8) != 0;
}

/* How long the head is, as far as what is there tells. */
static size_t head_size(const struct ws_parser *p)
{
    if (p->head_len < 2)
        return 2;
    unsigned n = p->head[1] & 0x7f;
    return 2U + (n == 126 ? 2U : n == 127 ? 8U : 0U) + 4U;
}

static unsigned check_first_two(const struct ws_parser *p)
{
    unsigned op = p->head[0] & 0x0f;
    bool fin = (p->head[0] & FIN) != 0;
    if ((p->head[0] & RSV) != 0 || (p->head[1] & MASK) == 0)
        return WS_CLOSE_PROTOCOL;
    switch (op) {
    case WS_CONTINUATION:
        return p->type != WS_CONTINUATION ? 0 : WS_CLOSE_PROTOCOL;
    case WS_TEXT:
    case WS_BINARY:
        return p->type == WS_CONTINUATION ? 0 : WS_CLOSE_PROTOCOL;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return fin && (p->head[1] & 0x7f) <= 125 ? 0 : WS_CLOSE_PROTOCOL;
    default:
        return WS_CLOSE_PROTOCOL;
    }
}

/* The head is complete: payload length, limits, and which message it belongs to. */
static unsigned begin_payload(struct ws_parser *p)
{
    unsigned n = p->head[1] & 0x7f, op = p->head[0] & 0x0f;
    uint64_t len = n;
    if (n >= 126) {
        len = 0;
        for (size_t i = 2; i < head_size(p) - 4; i++)
            len = len << 8 | p->head[i];
        if (len <= (n == 126 ? 125U : 0xffffU) || len >> 63 != 0)
            return WS_CLOSE_PROTOCOL; /* not the shortest form */
    }
    if (!is_control(p)) {
        if (len > HTTP_WS_MESSAGE - p->message.len)
            return WS_CLOSE_TOO_BIG;
        if (op != WS_CONTINUATION)
            p->type = (enum ws_opcode)op;
    }
    p->left = len;
    p->masked = 0;
    p->control_len = 0;
    p->in_payload = true;
    return 0;
}

static size_t take_head(struct ws_parser *p, const uint8_t *b, size_t n, unsigned *ret_code)
{
    size_t used = 0;
    while (used < n && p->head_len < head_size(p)) {
        p->head[p->head_len++] = b[used++];
        if (p->head_len == 2 && (*ret_code = check_first_two(p)) != 0)
            return used;
    }
    if (p->head_len >= 2 && p->head_len == head_size(p))
        *ret_code = begin_payload(p);
    return used;
}

static size_t take_payload(struct ws_parser *p, const uint8_t *b, size_t n)
{
    const uint8_t *mask = p->head + head_size(p) - 4;
    size_t take = (size_t)AC_MIN((uint64_t)n, p->left);
    uint8_t plain[4096];
    take = AC_MIN(take, sizeof(plain));
    for (size_t i = 0; i < take; i++)
        plain[i] = b[i] ^ mask[(p->masked + i) & 3];
    if (is_control(p)) {
        memcpy(p->control + p->control_len, plain, take);
        p->control_len += take;
    } else {
        (void)ac_buf_append(&p->message, plain, take);
    }
    p->masked += take;
    p->left -= take;
    return take;
}

bool ws_close_code_ok(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static unsigned control_frame(struct ws_parser *p, ws_event fn, void *arg, bool *ret_more)
{
    enum ws_opcode op = (enum ws_opcode)(p->head[0] & 0x0f);
    const char *data = p->control;
    size_t len = p->control_len;
    unsigned code = WS_CLOSE_NONE;
    p->control[len] = '\0';
    if (op == WS_CLOSE && len > 0) {
        if (len == 1)
            return WS_CLOSE_PROTOCOL;
        code = (unsigned)(uint8_t)data[0] << 8 | (uint8_t)data[1];
        data += 2;
        len -= 2;
        if (!ws_close_code_ok(code))
            return WS_CLOSE_PROTOCOL;
        if (!ac_utf8_valid_n(data, len))
            return WS_CLOSE_INVALID_DATA;
    }
    *ret_more = fn(op, code, data, len, arg);
    return 0;
}

/* The payload is complete. */
static unsigned end_frame(struct ws_parser *p, ws_event fn, void *arg, bool *ret_more)
{
    unsigned code = 0;
    p->in_payload = false;
    p->head_len = 0;
    if (is_control(p))
        return control_frame(p, fn, arg, ret_more);
    if ((p->head[0] & FIN) == 0)
        return 0;
    enum ws_opcode type = p->type;
    p->type = WS_CONTINUATION;
    if (type == WS_TEXT && !ac_utf8_valid_n(ac_buf_str(&p->message), p->message.len))
        code = WS_CLOSE_INVALID_DATA;
    else
        *ret_more = fn(type, 0, ac_buf_str(&p->message), p->message.len, arg);
    ac_buf_reset(&p->message);
    return code;
}

unsigned ws_parse(struct ws_parser *p, const void *data, size_t len, ws_event fn, void *arg)
{
    const uint8_t *b = data;
    unsigned code = 0;
    bool more = true;
    if (p->failed)
        return 0;
    for (size_t i = 0; code == 0 && more && i < len;) {
        if (!p->in_payload)
            i += take_head(p, b + i, len - i, &code);
        else if (p->left > 0)
            i += take_payload(p, b + i, len - i);
        if (code == 0 && p->in_payload && p->left == 0)
            code = end_frame(p, fn, arg, &more);
    }
    p->failed = code != 0 || !more;
    return code;
}

size_t ws_frame_head(uint8_t head[WS_HEAD_MAX], enum ws_opcode op, size_t len)
{
    size_t bytes = len < 126 ? 0 : len <= 0xffff ? 2 : 8;
    head[0] = (uint8_t)(FIN | op);
    head[1] = (uint8_t)(bytes == 0 ? len : bytes == 2 ? 126 : 127);
    for (size_t i = 0; i < bytes; i++)
        head[2 + i] = (uint8_t)((uint64_t)len >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

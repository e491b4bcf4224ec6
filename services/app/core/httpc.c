#include "httpc.h"

#include <string.h>
#include <strings.h>

#include <aceso/base.h>
#include <aceso/str.h>

void app_httpc_init(struct app_httpc *h)
{
    memset(h, 0, sizeof(*h));
    h->keep_alive = true;
}

static int status_line(struct app_httpc *h)
{
    const char *s = h->line;
    if (strncmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') || s[8] != ' ' ||
        strlen(s) < 12)
        return AC_EPROTO;
    int status = 0;
    for (int i = 9; i < 12; i++) {
        if (s[i] < '0' || s[i] > '9')
            return AC_EPROTO;
        status = status * 10 + (s[i] - '0');
    }
    if (status < 100 || (s[12] != '\0' && s[12] != ' '))
        return AC_EPROTO;
    h->keep_alive = s[7] == '1';
    h->status = status;
    return 0;
}

static int header(struct app_httpc *h)
{
    char *colon = strchr(h->line, ':');
    if (!colon || colon == h->line)
        return AC_EPROTO;
    *colon = '\0';
    char *v = ac_str_trim(colon + 1);
    if (strcasecmp(h->line, "content-length") == 0) {
        uint64_t n = 0;
        if (!ac_str_to_u64(v, &n) || n > (1ull << 40) || (h->has_length && n != h->left))
            return AC_EPROTO;
        h->has_length = true;
        h->left = n;
    } else if (strcasecmp(h->line, "transfer-encoding") == 0) {
        if (strcasecmp(v, "chunked") != 0)
            return AC_EPROTO;
        h->chunked = true;
    } else if (strcasecmp(h->line, "connection") == 0) {
        if (strcasecmp(v, "close") == 0)
            h->keep_alive = false;
        else if (strcasecmp(v, "keep-alive") == 0)
            h->keep_alive = true;
    }
    return 0;
}

static int head_end(struct app_httpc *h)
{
    if (h->status / 100 == 1) { /* 100 Continue and the like: another head follows */
        h->first_line_seen = false;
        h->chunked = h->has_length = false;
        return 0;
    }
    if (h->status == 204 || h->status == 304) {
        h->state = APP_HTTPC_DONE;
    } else if (h->chunked) {
        h->state = APP_HTTPC_CHUNK_SIZE;
    } else if (h->has_length) {
        h->state = h->left ? APP_HTTPC_BODY : APP_HTTPC_DONE;
    } else {
        h->state = APP_HTTPC_TO_CLOSE;
        h->keep_alive = false;
    }
    return 0;
}

static int chunk_size(struct app_httpc *h)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; h->line[i]; i++) {
        char c = h->line[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 16;
        if (d == 16)
            break;
        n = n * 16 + d;
        if (n > (1ull << 40))
            return AC_EPROTO;
    }
    if (i == 0 || (h->line[i] != '\0' && h->line[i] != ';' && h->line[i] != ' '))
        return AC_EPROTO;
    h->left = n;
    h->state = n ? APP_HTTPC_CHUNK_DATA : APP_HTTPC_TRAILER;
    return 0;
}

/* A whole line without its end is in h->line. */
static int on_line(struct app_httpc *h)
{
    bool empty = h->line[0] == '\0';
    switch (h->state) {
    case APP_HTTPC_HEAD:
        if (!h->first_line_seen) {
            h->first_line_seen = true;
            return status_line(h);
        }
        return empty ? head_end(h) : header(h);
    case APP_HTTPC_CHUNK_SIZE:
        return chunk_size(h);
    case APP_HTTPC_CHUNK_END:
        h->state = APP_HTTPC_CHUNK_SIZE;
        return empty ? 0 : AC_EPROTO;
    default:
        if (empty)
            h->state = APP_HTTPC_DONE;
        return 0;
    }
}

static int feed_line(struct app_httpc *h, char c)
{
    if (++h->head_bytes > APP_HTTPC_MAX_HEAD && h->state == APP_HTTPC_HEAD)
        return AC_EPROTO;
    if (c != '\n') {
        if (c == '\0' || h->line_len >= sizeof(h->line) - 1)
            return AC_EPROTO;
        h->line[h->line_len++] = c;
        return 0;
    }
    if (h->line_len && h->line[h->line_len - 1] == '\r')
        h->line_len--;
    h->line[h->line_len] = '\0';
    h->line_len = 0;
    return on_line(h);
}

static void keep(struct app_httpc *h, const char *data, size_t n)
{
    size_t room = APP_HTTPC_KEEP - h->kept_len, take = n < room ? n : room;
    memcpy(h->kept + h->kept_len, data, take);
    h->kept_len += take;
    h->kept[h->kept_len] = '\0';
    h->body_bytes += n;
}

int app_httpc_feed(struct app_httpc *h, const char *data, size_t len, size_t *ret_used)
{
    size_t i = 0;
    int rc = 0;
    while (i < len && h->state != APP_HTTPC_DONE && !rc) {
        bool body = h->state == APP_HTTPC_BODY || h->state == APP_HTTPC_CHUNK_DATA;
        if (body || h->state == APP_HTTPC_TO_CLOSE) {
            size_t n = body && h->left < len - i ? (size_t)h->left : len - i;
            keep(h, data + i, n);
            i += n;
            h->left -= body ? n : 0;
            if (body && h->left == 0)
                h->state = h->state == APP_HTTPC_BODY ? APP_HTTPC_DONE : APP_HTTPC_CHUNK_END;
        } else {
            rc = feed_line(h, data[i++]);
        }
    }
    *ret_used = i;
    return rc;
}

int app_httpc_eof(struct app_httpc *h)
{
    if (h->state != APP_HTTPC_TO_CLOSE)
        return AC_ENET;
    h->state = APP_HTTPC_DONE;
    return 0;
}

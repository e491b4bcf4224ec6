#include <stdint.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *ac_base64(const void *p, size_t n)
{
    const uint8_t *b = p;
    char *out = ac_xmalloc((n + 2) / 3 * 4 + 1), *o = out;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)b[i] << 16;
        v |= i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0;
        v |= i + 2 < n ? b[i + 2] : 0;
        *o++ = letters[v >> 18];
        *o++ = letters[v >> 12 & 63];
        *o++ = (char)(i + 1 < n ? letters[v >> 6 & 63] : '=');
        *o++ = (char)(i + 2 < n ? letters[v & 63] : '=');
    }
    *o = '\0';
    return out;
}

char *ac_unbase64(const char *text, size_t *ret_len)
{
    size_t n = strlen(text), len = 0;
    uint32_t v = 0;
    unsigned bits = 0;
    while (n > 0 && (text[n - 1] == '=' || text[n - 1] == '\n'))
        n--;
    char *out = ac_xmalloc(n * 3 / 4 + 2);
    for (size_t i = 0; i < n; i++) {
        const char *at = text[i] == '\n' ? NULL : strchr(letters, text[i]);
        if (at == NULL && text[i] == '\n')
            continue;
        if (at == NULL || *at == '\0') {
            free(out);
            return NULL;
        }
        v = v << 6 | (uint32_t)(at - letters);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[len++] = (char)(v >> bits & 0xff);
        }
    }
    out[len] = '\0';
    if (ret_len != NULL)
        *ret_len = len;
    return out;
}

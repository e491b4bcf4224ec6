/* First byte: where the rest is cut in two. However it is cut, the events are the same; and what
 * comes whole through the parser comes through it again when framed anew. */
#include <stdint.h>
#include <string.h>

#include <aceso/base.h>

#include "../ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash;
    size_t events;
};

static bool note(enum ws_opcode op, unsigned code, const void *data, size_t len, void *arg)
{
    struct seen *s = arg;
    const uint8_t *b = data;

    AC_ASSERT(len <= HTTP_WS_MESSAGE);
    AC_ASSERT(op < WS_CLOSE || len <= 125);
    s->hash = s->hash * 31 + op * 7 + code;
    for (size_t i = 0; i < len; i++)
        s->hash = s->hash * 31 + b[i];
    s->events++;
    return op != WS_CLOSE;
}

static unsigned run(const uint8_t *data, size_t size, size_t cut, struct seen *ret)
{
    struct ws_parser p;

    ws_parser_init(&p);
    unsigned code = ws_parse(&p, data, cut, note, ret);
    if (code == 0)
        code = ws_parse(&p, data + cut, size - cut, note, ret);
    AC_ASSERT(code == 0 || p.failed);
    ws_parser_fini(&p);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = {0}, cut = {0}, bytes = {0};

    if (size < 1)
        return 0;
    size_t at = AC_MIN((size_t)data[0], size - 1);
    unsigned a = run(data + 1, size - 1, 0, &whole), b = run(data + 1, size - 1, at, &cut), c = 0;
    struct ws_parser p;
    ws_parser_init(&p);
    for (size_t i = 1; i < size && c == 0; i++)
        c = ws_parse(&p, data + i, 1, note, &bytes);
    ws_parser_fini(&p);
    AC_ASSERT(a == b && a == c);
    AC_ASSERT(whole.hash == cut.hash && whole.events == cut.events);
    AC_ASSERT(whole.hash == bytes.hash && whole.events == bytes.events);
    return 0;
}

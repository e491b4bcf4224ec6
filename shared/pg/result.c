/* Reading results and making parameters. */
#include "internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/str.h>

/* Header of a decoded value; the bytes follow it. */
struct pg_bytes {
    size_t len;
    unsigned char data[];
};

struct ac_pg_param ac_pg_i64(char buf[24], int64_t v)
{
    (void)snprintf(buf, 24, "%" PRId64, v);
    return AC_PG_TEXT(buf);
}

struct ac_pg_param ac_pg_f64(char buf[32], double v)
{
    if (isnan(v))
        (void)ac_str_copy(buf, 32, "NaN");
    else if (isinf(v))
        (void)ac_str_copy(buf, 32, v < 0 ? "-Infinity" : "Infinity");
    else
        (void)ac_str_from_f64(buf, 32, v);
    return AC_PG_TEXT(buf);
}

int ac_pg_rows(const struct ac_pg_result *r)
{
    return PQntuples(r->res);
}

int64_t ac_pg_affected(const struct ac_pg_result *r)
{
    int64_t n = 0;

    (void)ac_str_to_i64(PQcmdTuples(r->res), &n);
    return n;
}

/* A wrong row or column is a bug of ours, not bad input. */
static void check(const struct ac_pg_result *r, int row, int col)
{
    AC_ASSERT(row >= 0 && row < PQntuples(r->res) && col >= 0 && col < PQnfields(r->res));
}

bool ac_pg_is_null(const struct ac_pg_result *r, int row, int col)
{
    check(r, row, col);
    return PQgetisnull(r->res, row, col);
}

const char *ac_pg_str(const struct ac_pg_result *r, int row, int col)
{
    check(r, row, col);
    return PQgetvalue(r->res, row, col);
}

int64_t ac_pg_int(const struct ac_pg_result *r, int row, int col)
{
    const char *s = ac_pg_str(r, row, col);
    int64_t v = 0;

    if (s[0] == 't' && !s[1])
        return 1;
    (void)ac_str_to_i64(s, &v);
    return v;
}

double ac_pg_float(const struct ac_pg_result *r, int row, int col)
{
    const char *s = ac_pg_str(r, row, col);
    double v = 0;

    if (ac_streq(s, "NaN"))
        return NAN;
    if (ac_streq(s, "Infinity"))
        return INFINITY;
    if (ac_streq(s, "-Infinity"))
        return -INFINITY;
    (void)ac_str_to_f64(s, &v);
    return v;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* bytea_output is hex on our connections: \x0a1b...; any other column gives its text. */
static struct pg_bytes *decode(const char *s, size_t n)
{
    bool hex = n >= 2 && s[0] == '\\' && s[1] == 'x';
    size_t len = hex ? (n - 2) / 2 : n;
    struct pg_bytes *b = ac_xmalloc(sizeof *b + len + 1);
    b->len = len;
    for (size_t i = 0; hex && i < len; i++)
        b->data[i] = (unsigned char)(nibble(s[2 + 2 * i]) << 4 | nibble(s[3 + 2 * i]));
    if (!hex)
        memcpy(b->data, s, len);
    b->data[len] = 0;
    return b;
}

const void *ac_pg_bytes(const struct ac_pg_result *r, int row, int col, size_t *ret_len)
{
    /* What was handed out is a cache: the result stays the same to its user. */
    struct ac_pg_result *own = (struct ac_pg_result *)(uintptr_t)r;
    const char *s = ac_pg_str(r, row, col);
    size_t n = (size_t)PQgetlength(r->res, row, col), columns = (size_t)PQnfields(r->res);

    if (!own->decoded)
        own->decoded = ac_xcalloc((size_t)PQntuples(r->res) * columns, sizeof(struct pg_bytes *));
    struct pg_bytes **at = &own->decoded[(size_t)row * columns + (size_t)col];
    if (!*at)
        *at = decode(s, n);
    *ret_len = (*at)->len;
    return (*at)->data;
}

void ac_pg_result_free(struct ac_pg_result *r)
{
    if (!r)
        return;
    size_t cells = (size_t)PQntuples(r->res) * (size_t)PQnfields(r->res);
    for (size_t i = 0; r->decoded && i < cells; i++)
        free(r->decoded[i]);
    free(r->decoded);
    PQclear(r->res);
    free(r);
}

/* COPY ... FROM STDIN in the binary format: network byte order, each field with its length. */
#include "internal.h"

#include <stdint.h>
#include <string.h>

#include <aceso/buf.h>
#include <aceso/clock.h>

#define FLUSH_BYTES (64u * 1024)
#define MAX_FIELD   (512u * 1024 * 1024)

struct ac_pg_copy {
    struct ac_pg_conn *conn;
    struct ac_buf buf;
    struct ac_err err; /* the first error; later calls do nothing */
    int fields_left;
};

static void put(struct ac_pg_copy *k, const void *p, size_t n)
{
    if (!k->err.code && !ac_buf_append(&k->buf, p, n))
        ac_err_set(&k->err, AC_ENOMEM, "copy: row larger than %u bytes", MAX_FIELD);
}

static void put_u16(struct ac_pg_copy *k, uint16_t v)
{
    const unsigned char b[2] = {(unsigned char)(v >> 8), (unsigned char)v};
    put(k, b, sizeof b);
}

static void put_u32(struct ac_pg_copy *k, uint32_t v)
{
    const unsigned char b[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
                                (unsigned char)(v >> 8), (unsigned char)v};
    put(k, b, sizeof b);
}

static void put_u64(struct ac_pg_copy *k, uint64_t v)
{
    put_u32(k, (uint32_t)(v >> 32));
    put_u32(k, (uint32_t)v);
}

static void flush(struct ac_pg_copy *k)
{
    if (!k->err.code && k->buf.len && PQputCopyData(k->conn->pq, k->buf.data, (int)k->buf.len) != 1)
        pg_error(k->conn, NULL, &k->err);
    ac_buf_reset(&k->buf);
}

int ac_pg_copy_begin(struct ac_pg_conn *c, const char *table_and_columns, struct ac_pg_copy **ret,
                     struct ac_err *err)
{
    static const unsigned char header[] =
        "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* and flags, length */
    struct ac_pg_copy *k;
    char *sql;
    int rc;

    AC_CHECK_OBJ(c, PG_CONN_MAGIC);
    sql = ac_xasprintf("COPY %s FROM STDIN (FORMAT binary)", table_and_columns);
    rc = pg_conn_simple(c, sql, pg_conn_deadline(c) - ac_now_ns(), err);
    free(sql);
    if (rc)
        return rc;
    k = ac_xcalloc(1, sizeof *k);
    k->conn = c;
    ac_buf_init(&k->buf, MAX_FIELD + FLUSH_BYTES);
    put(k, header, 19);
    *ret = k;
    return AC_OK;
}

void ac_pg_copy_row(struct ac_pg_copy *k, int fields)
{
    AC_ASSERT(k->fields_left == 0 && fields > 0 && fields < INT16_MAX);
    if (k->buf.len >= FLUSH_BYTES)
        flush(k);
    k->fields_left = fields;
    put_u16(k, (uint16_t)fields);
}

static void field(struct ac_pg_copy *k, uint32_t len)
{
    AC_ASSERT(k->fields_left > 0);
    k->fields_left--;
    put_u32(k, len);
}

void ac_pg_copy_i64(struct ac_pg_copy *k, int64_t v)
{
    field(k, 8);
    put_u64(k, (uint64_t)v);
}

void ac_pg_copy_i32(struct ac_pg_copy *k, int32_t v)
{
    field(k, 4);
    put_u32(k, (uint32_t)v);
}

void ac_pg_copy_f64(struct ac_pg_copy *k, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    field(k, 8);
    put_u64(k, bits);
}

void ac_pg_copy_bytes(struct ac_pg_copy *k, const void *p, size_t n)
{
    if (!p) {
        field(k, UINT32_MAX);
        return;
    }
    if (n > MAX_FIELD) {
        ac_err_set(k->err.code ? NULL : &k->err, AC_ERANGE, "copy: field of %zu bytes", n);
        n = 0;
    }
    field(k, (uint32_t)n);
    put(k, p, n);
}

void ac_pg_copy_text(struct ac_pg_copy *k, const char *s)
{
    ac_pg_copy_bytes(k, s, s ? strlen(s) : 0);
}

int ac_pg_copy_end(struct ac_pg_copy *k, struct ac_err *err)
{
    struct ac_pg_conn *c = k->conn;
    struct ac_err ours = k->err;
    int64_t deadline = pg_conn_deadline(c);
    PGresult *res = NULL;
    int rc = AC_OK;

    AC_ASSERT(k->fields_left == 0 || ours.code);
    if (!ours.code) {
        put_u16(k, UINT16_MAX);
        flush(k);
        ours = k->err;
    }
    if (pg_conn_alive(c) && PQputCopyEnd(c->pq, ours.code ? ours.msg : NULL) != 1)
        rc = pg_error(c, NULL, err);
    while (!rc && pg_conn_alive(c)) {
        rc = pg_conn_result(c, deadline, &res, err);
        if (rc || !res)
            break;
        if (PQresultStatus(res) != PGRES_COMMAND_OK && !ours.code)
            pg_error(c, res, &ours);
        PQclear(res);
    }
    ac_buf_fini(&k->buf);
    free(k);
    if (ours.code)
        return ac_err_set(err, ours.code, "%s", ours.msg);
    if (!rc && !pg_conn_alive(c))
        return pg_error(c, NULL, err);
    return rc;
}

#include "pg_result.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

/* OIDs of pg_type that are not text to us. */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700,
    OID_JSONB = 3802
};

#define MAX_ROWS 10000

static const struct app_value *cell(struct ac_arena *a, const PGresult *r, int row, int col)
{
    const struct app_value *v = NULL;
    double d = 0;
    if (PQgetisnull(r, row, col))
        return &app_null;
    const char *s = PQgetvalue(r, row, col);
    size_t len = (size_t)PQgetlength(r, row, col);
    switch (PQftype(r, col)) {
    case OID_BOOL:
        return app_bool(s[0] == 't');
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC:
        return ac_str_to_f64(s, &d) ? app_num(a, d) : &app_null;
    case OID_JSON:
    case OID_JSONB:
        return app_json_parse(a, s, len, &v, NULL) ? &app_null : v;
    default:
        return app_str(a, s, len);
    }
}

static int refused(const PGresult *res, struct ac_err *err)
{
    static const struct {
        const char *state;
        int code;
    } codes[] = {{"42501", AC_EPERM}, {"57014", AC_ETIMEOUT}, {"23505", AC_EEXISTS},
                 {"40", AC_EABORTED}, {"28", AC_EUNAUTH},     {"53", AC_EAGAIN},
                 {"57P", AC_ENET},    {"08", AC_ENET},        {"22", AC_EINVAL}};
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    int code = AC_EIO;
    for (size_t i = 0; state && i < AC_ARRAY_LEN(codes); i++) {
        if (ac_str_starts(state, codes[i].state)) {
            code = codes[i].code;
            break;
        }
    }
    /* Without SQLSTATE libpq speaks itself: the connection is gone. */
    if (!state)
        code = AC_ENET;
    return ac_err_set(err, code, "%s", text ? text : "connection lost");
}

static const struct app_value *row_of(struct ac_arena *a, const PGresult *r, int row,
                                      const char *const *keys, int n)
{
    const struct app_value **items = ac_arena_calloc(a, (size_t)n + 1, sizeof(*items));
    for (int i = 0; items && i < n; i++) {
        if (!(items[i] = cell(a, r, row, i)))
            return NULL;
    }
    return items ? app_map(a, keys, items, (size_t)n) : NULL;
}

int app_pg_result(struct ac_arena *a, const PGresult *res, bool one, const struct app_value **ret,
                  struct ac_err *err)
{
    ExecStatusType st = PQresultStatus(res);
    if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK)
        return refused(res, err);
    int rows = PQntuples(res), cols = PQnfields(res);
    if (rows > MAX_ROWS)
        return ac_err_set(err, AC_EAGAIN, "more than %d rows", MAX_ROWS);
    const char **keys = ac_arena_calloc(a, (size_t)cols + 1, sizeof(*keys));
    const struct app_value **items = ac_arena_calloc(a, (size_t)rows + 1, sizeof(*items));
    for (int i = 0; keys && i < cols; i++) {
        if (!(keys[i] = ac_arena_strdup(a, PQfname(res, i))))
            keys = NULL;
    }
    if (one)
        rows = AC_MIN(rows, 1);
    for (int i = 0; keys && items && i < rows; i++) {
        if (!(items[i] = row_of(a, res, i, keys, cols)))
            items = NULL;
    }
    if (!keys || !items)
        return ac_err_set(err, AC_EAGAIN, "result too large");
    const struct app_value *v = one && rows ? items[0]
                                : one       ? &app_null
                                            : app_list(a, items, (size_t)rows);
    if (!v)
        return ac_err_set(err, AC_EAGAIN, "result too large");
    *ret = v;
    return 0;
}

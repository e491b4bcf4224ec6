#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/err.h>
#include <aceso/str.h>

struct err_row {
    const char *name, *text;
    int grpc;
    bool retryable;
};

static const struct err_row rows[] = {[AC_ORD_OK] = {"OK", "ok", 0, false},
#define X(name, text, grpc, retry) [AC_ORD_##name] = {#name, text, grpc, retry},
                                      AC_ERR_MAP(X)
#undef X
};

static const struct err_row *row_of(int code)
{
    if (code > 0 || code <= -(int)AC_ORD_END)
        return NULL;
    return &rows[-code];
}

int ac_err_vset(struct ac_err *err, int code, const char *fmt, va_list ap)
{
    if (err) {
        /* The arguments may point into err->msg, so format elsewhere first. */
        char msg[AC_ERR_MSG_MAX];
        (void)vsnprintf(msg, sizeof(msg), fmt, ap);
        err->code = code;
        memcpy(err->msg, msg, sizeof(msg));
    }
    return code;
}

int(ac_err_set)(struct ac_err *err, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ac_err_vset(err, code, fmt, ap);
    va_end(ap);
    return code;
}

/* Formats into msg, then ": " and tail as far as they fit. */
static void join(char msg[AC_ERR_MSG_MAX], const char *tail, const char *fmt, va_list ap)
    AC_PRINTF(3, 0);
static void join(char msg[AC_ERR_MSG_MAX], const char *tail, const char *fmt, va_list ap)
{
    int n = vsnprintf(msg, AC_ERR_MSG_MAX, fmt, ap);
    size_t used = n < 0 ? 0 : AC_MIN((size_t)n, AC_ERR_MSG_MAX - 1);
    ac_str_copy(msg + used, AC_ERR_MSG_MAX - used, ": ");
    used = strlen(msg);
    ac_str_copy(msg + used, AC_ERR_MSG_MAX - used, tail);
}

int ac_err_wrap(struct ac_err *err, const char *fmt, ...)
{
    if (!err)
        return AC_EINTERNAL;
    char msg[AC_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    join(msg, err->msg, fmt, ap);
    va_end(ap);
    memcpy(err->msg, msg, sizeof(msg));
    return err->code;
}

static int code_of_errno(int e)
{
    switch (e) {
    case ENOENT:
    case ESRCH:
        return AC_ENOTFOUND;
    case EEXIST:
    case EADDRINUSE:
        return AC_EEXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return AC_EPERM;
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
        return AC_EAGAIN;
    case ENOMEM:
        return AC_ENOMEM;
    case ETIMEDOUT:
        return AC_ETIMEOUT;
    case ECANCELED:
    case EINTR:
        return AC_ECANCELED;
    case EINVAL:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
        return AC_EINVAL;
    case ERANGE:
    case EOVERFLOW:
    case EFBIG:
        return AC_ERANGE;
    case ENOTSUP:
    case ENOSYS:
    case EAFNOSUPPORT:
        return AC_ENOTSUP;
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTUNREACH:
    case ENOTCONN:
    case EADDRNOTAVAIL:
        return AC_ENET;
    case EPROTO:
    case EBADMSG:
        return AC_EPROTO;
    case EBUSY:
    case ENOTEMPTY:
        return AC_ESTATE;
    default:
        return AC_EIO;
    }
}

int ac_err_errno(struct ac_err *err, int errno_value, const char *fmt, ...)
{
    int code = code_of_errno(errno_value);
    if (!err)
        return code;
    char msg[AC_ERR_MSG_MAX], text[96];
    va_list ap;
    va_start(ap, fmt);
    join(msg, strerror_r(errno_value, text, sizeof(text)), fmt, ap);
    va_end(ap);
    err->code = code;
    memcpy(err->msg, msg, sizeof(msg));
    return code;
}

const char *ac_err_name(int code)
{
    const struct err_row *r = row_of(code);
    return r ? r->name : "?";
}

const char *ac_err_text(int code)
{
    const struct err_row *r = row_of(code);
    return r ? r->text : "unknown error";
}

int ac_err_grpc_status(int code)
{
    const struct err_row *r = row_of(code);
    return r ? r->grpc : 13;
}

int ac_err_from_grpc_status(int status)
{
    if (status ==
        13) /* INTERNAL stands for several of ours; the least specific is the honest one */
        return AC_EINTERNAL;
    for (size_t i = 0; i < AC_ARRAY_LEN(rows); i++) {
        if (rows[i].grpc == status)
            return -(int)i;
    }
    return AC_EINTERNAL;
}

bool ac_err_retryable(int code)
{
    const struct err_row *r = row_of(code);
    return r && r->retryable;
}

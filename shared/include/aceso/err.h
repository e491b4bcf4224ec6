/* Error codes and error texts. One table gives names, texts, gRPC status and retryability.
 * Functions return 0 or a negative AC_E*; text goes to a caller-owned struct ac_err (NULL allowed).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

/* X(name, text, gRPC status code, retryable) in the order of their values -1, -2, ... */
#define AC_ERR_MAP(X)                                                                              \
    X(EINVAL, "invalid argument", 3, false)                                                        \
    X(ENOTFOUND, "not found", 5, false)                                                            \
    X(EEXISTS, "already exists", 6, false)                                                         \
    X(EPERM, "permission denied", 7, false)                                                        \
    X(EUNAUTH, "not authenticated", 16, false)                                                     \
    X(EAGAIN, "resource exhausted", 8, true)                                                       \
    X(ENOMEM, "out of memory", 8, true)                                                            \
    X(ETIMEOUT, "deadline exceeded", 4, true)                                                      \
    X(ECANCELED, "cancelled", 1, false)                                                            \
    X(EIO, "input/output error", 13, false)                                                        \
    X(ENET, "unavailable", 14, true)                                                               \
    X(EPROTO, "protocol error", 13, false)                                                         \
    X(ESTATE, "failed precondition", 9, false)                                                     \
    X(EABORTED, "conflict", 10, true)                                                              \
    X(ERANGE, "out of range", 11, false)                                                           \
    X(ENOTSUP, "not supported", 12, false)                                                         \
    X(EINTERNAL, "internal error", 13, false)                                                      \
    X(EDATALOSS, "data loss", 15, false)

enum ac_err_ordinal {
    AC_ORD_OK = 0,
#define X(name, text, grpc, retry) AC_ORD_##name,
    AC_ERR_MAP(X)
#undef X
    AC_ORD_END
};

enum ac_err_code {
    AC_OK = 0,
#define X(name, text, grpc, retry) AC_##name = -(int)AC_ORD_##name,
    AC_ERR_MAP(X)
#undef X
};

#define AC_ERR_MSG_MAX 256

struct ac_err {
    int code;
    char msg[AC_ERR_MSG_MAX];
};

#define AC_ERR_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

#define AC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define AC_MUST_USE          __attribute__((warn_unused_result))

/** Stores code and text; err may be NULL. Returns code, so that `return ac_err_set(...)` works. */
int ac_err_set(struct ac_err *err, int code, const char *fmt, ...) AC_PRINTF(3, 4);
#ifdef __clang_analyzer__ /* so that it sees that the result is the code, never 0 */
int ac_err_seen_(const char *fmt, ...) AC_PRINTF(1, 2);
#define ac_err_set(err, code, ...) ((void)ac_err_seen_(__VA_ARGS__), (void)(err), (code))
#endif
int ac_err_vset(struct ac_err *err, int code, const char *fmt, va_list ap) AC_PRINTF(3, 0);

/** Puts "prefix: " before the text that err holds. Returns err->code (AC_EINTERNAL when err is
 * NULL). */
int ac_err_wrap(struct ac_err *err, const char *fmt, ...) AC_PRINTF(2, 3);

/** As ac_err_set, with ": strerror(errno_value)" appended and the code chosen from errno_value. */
int ac_err_errno(struct ac_err *err, int errno_value, const char *fmt, ...) AC_PRINTF(3, 4);

const char *ac_err_name(int code); /* "EINVAL"; "OK" for 0; "?" for unknown */
const char *ac_err_text(int code); /* "invalid argument" */
int ac_err_grpc_status(int code);  /* 0 for AC_OK, 13 for unknown */
int ac_err_from_grpc_status(int status);
bool ac_err_retryable(int code);

/* Structured logging: one JSON object a line on stderr: ts lvl svc comp event trace_id k=v...
 * Any thread. Levels per component by ac_log_configure ("info", "rpc:debug,bus:trace,info").
 * The level check precedes the evaluation of arguments. Never log payloads or secrets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <aceso/err.h>

enum ac_log_level {
    AC_LOG_TRACE,
    AC_LOG_DEBUG,
    AC_LOG_INFO,
    AC_LOG_WARN,
    AC_LOG_ERROR
};

struct ac_log_kv {
    const char *key;
    enum {
        AC_KV_STR,
        AC_KV_INT,
        AC_KV_F64,
        AC_KV_BOOL
    } kind;
    union {
        const char *s;
        int64_t i;
        double f;
        bool b;
    } v;
};

#define AC_KS(k, val) ((struct ac_log_kv){.key = (k), .kind = AC_KV_STR, .v.s = (val)})
#define AC_KI(k, val) ((struct ac_log_kv){.key = (k), .kind = AC_KV_INT, .v.i = (int64_t)(val)})
#define AC_KF(k, val) ((struct ac_log_kv){.key = (k), .kind = AC_KV_F64, .v.f = (val)})
#define AC_KB(k, val) ((struct ac_log_kv){.key = (k), .kind = AC_KV_BOOL, .v.b = (val)})
/* The error's name and text under keys "err" and "msg". */
#define AC_KERR(e) AC_KS("err", ac_err_name((e)->code)), AC_KS("msg", (e)->msg)

bool ac_log_enabled(enum ac_log_level lvl, const char *comp);
void ac_log_write(enum ac_log_level lvl, const char *comp, const char *event,
                  const struct ac_log_kv *kv, unsigned n);

/* AC_LOG(AC_LOG_INFO, "rpc", "listening", AC_KS("address", addr), AC_KI("port", port)) */
#define AC_LOG(lvl, comp, event, ...)                                                              \
    do {                                                                                           \
        if (ac_log_enabled((lvl), (comp))) {                                                       \
            const struct ac_log_kv ac_kv_[] = {{0}, ##__VA_ARGS__};                                \
            ac_log_write((lvl), (comp), (event), ac_kv_ + 1,                                       \
                         (unsigned)(sizeof(ac_kv_) / sizeof(ac_kv_[0])) - 1);                      \
        }                                                                                          \
    } while (0)
#define AC_LOGE(comp, event, ...) AC_LOG(AC_LOG_ERROR, comp, event, ##__VA_ARGS__)
#define AC_LOGW(comp, event, ...) AC_LOG(AC_LOG_WARN, comp, event, ##__VA_ARGS__)
#define AC_LOGI(comp, event, ...) AC_LOG(AC_LOG_INFO, comp, event, ##__VA_ARGS__)
#define AC_LOGD(comp, event, ...) AC_LOG(AC_LOG_DEBUG, comp, event, ##__VA_ARGS__)

/** Service name and level spec; call once at start, before threads. AC_EINVAL on a bad spec. */
int ac_log_configure(const char *service, const char *spec, struct ac_err *err);
/** Trace id of the calling thread's current work, shown on its lines; NULL clears. Copied. */
void ac_log_set_trace(const char *trace_id);
/** Lines suppressed by the rate limit (100 a second and event) since start. */
uint64_t ac_log_suppressed(void);

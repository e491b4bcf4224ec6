#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define LINE_MAX_BYTES  ((size_t)64 * 1024)
#define VALUE_MAX_BYTES 2048
#define COMP_MAX        32
#define RATE_SLOTS      256
#define RATE_PER_S      100

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error"};

/* Written by ac_log_configure before there are threads, read by all of them afterwards. */
static struct {
    char service[64];
    enum ac_log_level base;
    struct {
        char name[32];
        enum ac_log_level lvl;
    } comps[COMP_MAX];
    unsigned n_comps;
} conf = {.service = "aceso", .base = AC_LOG_INFO};

struct rate {
    uint64_t event; /* hash; two events that meet in a slot share its budget in turns */
    int64_t second;
    uint32_t count, dropped;
};

static pthread_mutex_t rate_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rate rates[RATE_SLOTS];
static _Atomic uint64_t suppressed;
static _Thread_local char trace[64];

bool ac_log_enabled(enum ac_log_level lvl, const char *comp)
{
    for (unsigned i = 0; i < conf.n_comps; i++) {
        if (strcmp(conf.comps[i].name, comp) == 0)
            return lvl >= conf.comps[i].lvl;
    }
    return lvl >= conf.base;
}

static bool level_of(const char *s, enum ac_log_level *ret_lvl)
{
    for (unsigned i = 0; i < AC_ARRAY_LEN(level_names); i++) {
        if (strcmp(s, level_names[i]) == 0) {
            *ret_lvl = (enum ac_log_level)i;
            return true;
        }
    }
    return false;
}

int ac_log_configure(const char *service, const char *spec, struct ac_err *err)
{
    typeof(conf) next = {.base = AC_LOG_INFO};
    ac_str_copy(next.service, sizeof(next.service), service);
    ac_cleanup(ac_free_p) char *copy = ac_xstrdup(spec ? spec : "");
    char *rest = copy, *field;
    while ((field = ac_str_next(&rest, ','))) {
        field = ac_str_trim(field);
        if (!*field)
            continue;
        char *colon = strchr(field, ':');
        const char *name = colon ? colon + 1 : field;
        enum ac_log_level lvl;
        if (!level_of(name, &lvl))
            return ac_err_set(err, AC_EINVAL,
                              "log level '%s' is none of trace, debug, info, warn, error", name);
        if (!colon) {
            next.base = lvl;
            continue;
        }
        *colon = '\0';
        if (next.n_comps == COMP_MAX || !*field ||
            !ac_str_copy(next.comps[next.n_comps].name, sizeof(next.comps[0].name), field))
            return ac_err_set(err, AC_EINVAL, "log component '%s' is empty, too long or too many",
                              field);
        next.comps[next.n_comps++].lvl = lvl;
    }
    conf = next;
    return 0;
}

void ac_log_set_trace(const char *trace_id)
{
    ac_str_copy(trace, sizeof(trace), trace_id ? trace_id : "");
}

uint64_t ac_log_suppressed(void)
{
    return atomic_load(&suppressed);
}

/* True when the line may go out; *ret_dropped is what this event lost since its last line. */
static bool within_rate(const char *comp, const char *event, uint32_t *ret_dropped)
{
    uint64_t h = ac_hash_str(event) ^ ac_hash_str(comp) * 3;
    int64_t second = ac_now_ns() / AC_NS_PER_S;
    pthread_mutex_lock(&rate_lock);
    struct rate *r = &rates[h % RATE_SLOTS];
    if (r->event != h)
        *r = (struct rate){.event = h, .second = second};
    if (r->second != second) {
        r->second = second;
        r->count = 0;
    }
    bool ok = r->count < RATE_PER_S;
    *ret_dropped = 0;
    if (ok) {
        r->count++;
        *ret_dropped = r->dropped;
        r->dropped = 0;
    } else {
        r->dropped++;
    }
    pthread_mutex_unlock(&rate_lock);
    if (!ok)
        atomic_fetch_add(&suppressed, 1);
    return ok;
}

static void put_str(struct ac_buf *b, const char *s)
{
    if (!s)
        s = "";
    if (strnlen(s, VALUE_MAX_BYTES + 1) <= VALUE_MAX_BYTES) {
        ac_buf_put_json_str(b, s);
        return;
    }
    char cut[VALUE_MAX_BYTES + 1];
    ac_str_copy(cut, sizeof(cut), s);
    ac_buf_put_json_str(b, cut);
}

static void put_kv(struct ac_buf *b, const struct ac_log_kv *kv)
{
    char num[32];
    ac_buf_putc(b, ',');
    put_str(b, kv->key);
    ac_buf_putc(b, ':');
    switch (kv->kind) {
    case AC_KV_STR:
        put_str(b, kv->v.s);
        break;
    case AC_KV_INT:
        ac_buf_printf(b, "%" PRId64, kv->v.i);
        break;
    case AC_KV_F64:
        ac_str_from_f64(num, sizeof(num), kv->v.f);
        ac_buf_printf(b, isfinite(kv->v.f) ? "%s" : "\"%s\"", num);
        break;
    case AC_KV_BOOL:
        ac_buf_puts(b, kv->v.b ? "true" : "false");
        break;
    }
}

static void write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDERR_FILENO, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return; /* nowhere left to complain */
        p += k;
        n -= (size_t)k;
    }
}

void ac_log_write(enum ac_log_level lvl, const char *comp, const char *event,
                  const struct ac_log_kv *kv, unsigned n)
{
    uint32_t dropped;
    if (!within_rate(comp, event, &dropped))
        return;
    int saved = errno;
    char ts[32];
    ac_time_format(ac_wall_ns(), ts, sizeof(ts));
    struct ac_buf b;
    ac_buf_init(&b, LINE_MAX_BYTES);
    ac_buf_printf(&b, "{\"ts\":\"%s\",\"lvl\":\"%s\",\"svc\":", ts, level_names[lvl]);
    put_str(&b, conf.service);
    ac_buf_puts(&b, ",\"comp\":");
    put_str(&b, comp);
    ac_buf_puts(&b, ",\"event\":");
    put_str(&b, event);
    if (*trace) {
        ac_buf_puts(&b, ",\"trace_id\":");
        put_str(&b, trace);
    }
    for (unsigned i = 0; i < n; i++)
        put_kv(&b, &kv[i]);
    if (dropped)
        ac_buf_printf(&b, ",\"suppressed\":%u", dropped);
    ac_buf_puts(&b, "}\n");
    if (!b.failed)
        write_all(b.data, b.len); /* one call: lines of several processes do not mix */
    ac_buf_fini(&b);
    errno = saved;
}

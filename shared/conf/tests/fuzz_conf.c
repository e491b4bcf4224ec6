/* Bytes as a configuration file: accepted and within bounds, or refused with a text. */
#include <string.h>

#include <aceso/base.h>
#include <aceso/conf.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct cfg {
    char *name;
    bool on;
    int64_t count, time_ns;
    double ratio;
    uint64_t bytes;
    char **list;
};

#define OPT(f, k, t, d, lo, hi)                                                                    \
    {                                                                                              \
        k, t, offsetof(struct cfg, f), d, lo, hi, 0, ""                                            \
    }
static const struct ac_conf_opt opts[] = {
    OPT(name, "name", AC_CONF_STR, "x", NULL, NULL),
    OPT(on, "on", AC_CONF_BOOL, NULL, NULL, NULL),
    OPT(count, "count", AC_CONF_I64, "1", "-5", "5"),
    OPT(time_ns, "time", AC_CONF_DURATION, "1s", "1ms", "1h"),
    OPT(ratio, "ratio", AC_CONF_F64, "0.5", "0", "1"),
    OPT(bytes, "bytes", AC_CONF_BYTES, NULL, NULL, "1G"),
    OPT(list, "list", AC_CONF_LIST, "a", NULL, NULL),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cfg cfg = {0};
    const struct ac_conf_opt *const tables[] = {opts, NULL};
    const size_t lens[] = {AC_ARRAY_LEN(opts)};
    void *const targets[] = {&cfg};
    const struct ac_conf_spec spec = {
        .program = "fuzz", .tables = tables, .table_lens = lens, .targets = targets};
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup(ac_free_p) char *text = ac_xstrndup((const char *)data, size);
    if (ac_conf_parse_text(&spec, "fuzz", text, &err)) {
        AC_ASSERT(*err.msg && !cfg.name && !cfg.list);
        return 0;
    }
    AC_ASSERT(cfg.name && cfg.list && cfg.count >= -5 && cfg.count <= 5);
    AC_ASSERT(cfg.ratio >= 0 && cfg.ratio <= 1 && cfg.time_ns >= 1000000);
    ac_conf_fini(opts, AC_ARRAY_LEN(opts), &cfg);
    return 0;
}

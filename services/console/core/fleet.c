#include "fleet.h"

#include <inttypes.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

static const struct {
    const char *name, *about;
} rows[CONSOLE_NROWS] = {
#define CONSOLE_SERVICE(id, name, about) [CONSOLE_##id] = {name, about},
#include "services.def"
#undef CONSOLE_SERVICE
    [CONSOLE_ROW_NATS] = {"nats", "message bus"},
    [CONSOLE_ROW_POSTGRES] = {"postgres", "state"},
    [CONSOLE_ROW_SELF] = {"console", "this page"},
};

static const char *const state_names[CONSOLE_NSTATES] = {"unknown", "healthy", "not_ready", "down"};

/* Clocks of two readings of one process's start differ by rounding. */
#define START_SLACK_NS AC_NS_PER_S

const char *console_row_name(unsigned row)
{
    AC_ASSERT(row < CONSOLE_NROWS);
    return rows[row].name;
}

const char *console_state_name(enum console_state s)
{
    return (unsigned)s < CONSOLE_NSTATES ? state_names[s] : "unknown";
}

void console_fleet_configure(struct console_fleet *f, unsigned row, const char *address)
{
    AC_ASSERT(row < CONSOLE_NROWS);
    struct console_unit *u = &f->row[row];
    *u = (struct console_unit){.configured = !ac_str_empty(address), .latency_ns = -1};
    if (u->configured)
        (void)ac_str_copy(u->address, sizeof(u->address), address);
}

bool console_fleet_probed(struct console_fleet *f, unsigned row, const struct console_probe *p,
                          int64_t now_ns)
{
    AC_ASSERT(row < CONSOLE_NROWS && (unsigned)p->state < CONSOLE_NSTATES);
    struct console_unit *u = &f->row[row];
    bool changed = u->state != p->state;
    u->state = p->state;
    u->checked_ns = now_ns;
    u->latency_ns = p->latency_ns;
    if (changed)
        u->since_ns = now_ns;
    if (p->state == CONSOLE_HEALTHY || !p->detail)
        u->detail[0] = '\0';
    else
        (void)ac_str_copy(u->detail, sizeof(u->detail), p->detail);
    return changed;
}

bool console_fleet_process(struct console_fleet *f, unsigned row, int64_t started_ns,
                           const char *version)
{
    AC_ASSERT(row < CONSOLE_NROWS);
    struct console_unit *u = &f->row[row];
    bool again = false;
    if (!ac_str_empty(version))
        (void)ac_str_copy(u->version, sizeof(u->version), version);
    if (started_ns > 0) {
        again = u->started_ns > 0 && started_ns > u->started_ns + START_SLACK_NS;
        u->restarts += again;
        u->started_ns = started_ns;
    }
    return again;
}

bool console_fleet_healthy(const struct console_fleet *f)
{
    for (unsigned i = 0; i < CONSOLE_NROWS; i++) {
        if (f->row[i].configured && f->row[i].state != CONSOLE_HEALTHY)
            return false;
    }
    return true;
}

static void put_unit(const struct console_unit *u, unsigned row, struct ac_buf *out)
{
    (void)ac_buf_puts(out, "{\"name\":");
    (void)ac_buf_put_json_str(out, rows[row].name);
    (void)ac_buf_puts(out, ",\"about\":");
    (void)ac_buf_put_json_str(out, rows[row].about);
    (void)ac_buf_printf(out, ",\"state\":\"%s\",\"since_ns\":%" PRId64 ",\"checked_ns\":%" PRId64,
                        console_state_name(u->state), u->since_ns, u->checked_ns);
    if (u->latency_ns >= 0)
        (void)ac_buf_printf(out, ",\"latency_ms\":%.3f",
                            (double)u->latency_ns / (double)AC_NS_PER_MS);
    (void)ac_buf_printf(out,
                        ",\"started_ns\":%" PRId64 ",\"restarts\":%u,\"version\":", u->started_ns,
                        u->restarts);
    (void)ac_buf_put_json_str(out, u->version);
    (void)ac_buf_puts(out, ",\"address\":");
    (void)ac_buf_put_json_str(out, u->address);
    (void)ac_buf_puts(out, ",\"detail\":");
    (void)ac_buf_put_json_str(out, u->detail);
    (void)ac_buf_putc(out, '}');
}

void console_fleet_json(const struct console_fleet *f, int64_t now_ns, struct ac_buf *out)
{
    unsigned shown = 0, healthy = 0;
    (void)ac_buf_printf(out, "{\"now_ns\":%" PRId64 ",\"services\":[", now_ns);
    for (unsigned i = 0; i < CONSOLE_NROWS; i++) {
        const struct console_unit *u = &f->row[i];
        if (!u->configured)
            continue;
        if (shown++)
            (void)ac_buf_putc(out, ',');
        healthy += u->state == CONSOLE_HEALTHY;
        put_unit(u, i, out);
    }
    (void)ac_buf_printf(out, "],\"healthy\":%u,\"total\":%u}", healthy, shown);
}

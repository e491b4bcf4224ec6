/* What the console knows of the services: fed by probes, shown as JSON. Pure; one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <aceso/buf.h>

enum console_id {
#define CONSOLE_SERVICE(id, name, about) CONSOLE_##id,
#include "services.def"
#undef CONSOLE_SERVICE
    CONSOLE_NSERVICES
};

/* Beside the services: what they all stand on, and the console itself. */
enum console_row {
    CONSOLE_ROW_NATS = CONSOLE_NSERVICES,
    CONSOLE_ROW_POSTGRES,
    CONSOLE_ROW_SELF,
    CONSOLE_NROWS
};

enum console_state {
    CONSOLE_UNKNOWN, /* not asked yet */
    CONSOLE_HEALTHY,
    CONSOLE_NOT_READY, /* it answers, and says that it does not serve */
    CONSOLE_DOWN,      /* no answer */
    CONSOLE_NSTATES
};

#define CONSOLE_DETAIL_MAX 160

struct console_probe {
    enum console_state state;
    int64_t latency_ns; /* negative = not measured */
    const char *detail; /* why it is not healthy; NULL = nothing to say */
};

struct console_unit {
    bool configured; /* only these are shown */
    char address[128];
    enum console_state state;
    int64_t since_ns, checked_ns; /* wall clock; 0 = never */
    int64_t latency_ns;
    int64_t started_ns; /* of its process; 0 = unknown */
    char version[32];
    char detail[CONSOLE_DETAIL_MAX];
    unsigned restarts; /* seen since the console began */
};

struct console_fleet {
    struct console_unit row[CONSOLE_NROWS];
};

const char *console_row_name(unsigned row);
const char *console_state_name(enum console_state s);
/** address "" or NULL: the row stays hidden. */
void console_fleet_configure(struct console_fleet *f, unsigned row, const char *address);
/** Takes a probe's result; true when the state changed. */
bool console_fleet_probed(struct console_fleet *f, unsigned row, const struct console_probe *p,
                          int64_t now_ns);
/** What the service said of its process. started_ns 0 and version NULL or "" = not said. True when
 * it has been restarted. */
bool console_fleet_process(struct console_fleet *f, unsigned row, int64_t started_ns,
                           const char *version);
/** Is everything that is shown healthy? */
bool console_fleet_healthy(const struct console_fleet *f);
void console_fleet_json(const struct console_fleet *f, int64_t now_ns, struct ac_buf *out);

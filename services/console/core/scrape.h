/* What the console takes from a service's /metrics page. Pure; the text is a peer's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct console_scrape {
    int64_t started_ns; /* process_start_time_seconds; 0 = not there */
    char version[32];   /* aceso_build_info{version="..."}; "" = not there */
};

/** Reads Prometheus text; lines that it does not know or understand are passed over. */
void console_scrape_parse(const char *text, size_t len, struct console_scrape *ret);

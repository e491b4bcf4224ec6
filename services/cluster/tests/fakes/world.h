/* A store with a clock that stands still and a seeded generator. */
#pragma once

#include "core/ctl.h"

struct world {
    int64_t now_ns;
    uint64_t seed;
    struct cl_store *store;
    struct cl_ctl ctl;
};

void world_open(struct world *w); /* namespaces default and chaos, one node */
void world_close(struct world *w);
json_t *world_add(struct world *w, enum cl_kind_id k, const char *json_text);
/** Stands in for the runtime: gives placed pods an address and makes them ready; drops those that
 * are deleted. Runs the controllers before and after, until all is at rest. */
void world_settle(struct world *w);

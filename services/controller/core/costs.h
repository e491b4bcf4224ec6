/* The table of what models cost on a device: CSV with the header
 * model,input_kb,output_kb,weights_mb,load_ms,b1_ms,b2_ms,b4_ms,b8_ms,b16_ms[,...]. */
#pragma once

#include "policy.h"

#include <stddef.h>

#define COSTS_NAME_MAX   64
#define COSTS_ROWS_MAX   4096
#define COSTS_PAGE_BYTES (16u << 20)

struct costs_row {
    char model[COSTS_NAME_MAX];
    double input_kb, output_kb, weights_mb;
    struct policy_cost cost;
};

struct costs {
    struct costs_row *rows;
    size_t n;
};

/** Parses text (len bytes). On error the message names row and column; c is left empty. */
int serving_costs_parse(const char *text, size_t len, struct costs *ret_c,
                        struct ac_err *err) AC_MUST_USE;
void serving_costs_free(struct costs *c);
/** NULL when there is none of that name. */
const struct costs_row *serving_costs_find(const struct costs *c, const char *model);

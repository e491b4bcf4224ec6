/* A document tree with positions, as a YAML parser makes it; the adapter fills it. Strings and
 * nodes belong to the arena they were made in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum app_node_kind {
    APP_NODE_SCALAR,
    APP_NODE_SEQ,
    APP_NODE_MAP
};

struct app_node {
    enum app_node_kind kind;
    int line, column; /* from 1 */
    const char *scalar;
    bool quoted;
    size_t len;
    const char *const *keys;
    const struct app_node *const *items;
};

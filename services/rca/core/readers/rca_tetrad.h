/* Graphs in Tetrad's text form: "Graph Nodes:" with names between semicolons, "Graph Edges:" with
 * lines such as "3. X1 o-> X7". Pure. */
#pragma once

#include <aceso/err.h>

#include "discover/rca_pdag.h"

struct ac_rca_tetrad {
    char **names; /* by node of g */
    struct ac_rca_pdag g;
};

#define AC_RCA_TETRAD_MAX_NODES 1024

/** AC_EINVAL with "name:line: text". */
int ac_rca_tetrad_parse(const char *name, const char *text, size_t len, struct ac_rca_tetrad *ret,
                        struct ac_err *err) AC_MUST_USE;
void ac_rca_tetrad_fini(struct ac_rca_tetrad *t);
int ac_rca_tetrad_find(const struct ac_rca_tetrad *t, const char *node); /* -1 when absent */

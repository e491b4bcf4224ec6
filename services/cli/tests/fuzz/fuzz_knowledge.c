/* Any bytes as what is known of a graph, and of the variables of a matrix. */
#include "fuzz_file.h"

#include <stdlib.h>
#include <string.h>

#include "discover/rca_discover.h"
#include "rca/discover.h"
#include "rca/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_a_graph(const char *path)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_rca_graph *g = ac_rca_graph_create();
    int a = ac_rca_graph_node(g, "a", AC_RCA_OTHER), b = ac_rca_graph_node(g, "b", AC_RCA_OTHER);
    int c = ac_rca_graph_node(g, "c", AC_RCA_OTHER);
    AC_ASSERT(ac_rca_graph_edge(g, a, b, AC_RCA_CALLS, 0.5, "") >= 0);
    AC_ASSERT(ac_rca_graph_edge(g, b, c, AC_RCA_CALLS, 0.5, "") >= 0);
    AC_ASSERT(ac_rca_graph_node(g, "a", AC_RCA_MEM) >= 0);
    if (rca_knowledge_apply(path, g, false, &err))
        AC_ASSERT(strstr(err.msg, path));
    AC_ASSERT(g->nnodes == 4);
    for (size_t i = 0; i < g->nedges; i++)
        AC_ASSERT(g->edges[i].from != g->edges[i].to);
    ac_rca_graph_destroy(g);
}

static void on_a_matrix(const char *path)
{
    static const char text[] = "a,b,c\n1,2,3\n2,3,5\n";
    struct ac_err err = AC_ERR_INIT;
    struct ac_rca_matrix m;
    int rc = ac_rca_matrix_parse("m", text, sizeof text - 1, &m, &err);
    AC_ASSERT(rc == 0);
    bool required[9] = {false}, forbidden[9] = {false};
    struct ac_rca_knowledge k = {.required = required, .forbidden = forbidden};
    rc = rca_knowledge_read(path, &m, &k, &err);
    if (rc)
        AC_ASSERT(strstr(err.msg, path));
    for (size_t i = 0; i < 9 && !rc; i++)
        AC_ASSERT(!(required[i] && forbidden[i]));
    ac_rca_matrix_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    if (size > 1 << 16)
        return 0;
    int fd = fuzz_file(data, size, path);
    on_a_graph(path);
    on_a_matrix(path);
    (void)close(fd);
    return 0;
}

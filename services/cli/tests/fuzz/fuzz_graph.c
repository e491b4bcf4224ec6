/* Any bytes as a causal graph: refused with the file's name, or read; what is written of it is a
 * graph again, with the same nodes and edges, and every picture of it ends. */
#include "fuzz_file.h"

#include <string.h>

#include <aceso/buf.h>

#include "graph/rca_graph_write.h"
#include "rca/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct ac_rca_graph *g = NULL, *again = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (size > 1 << 16)
        return 0;
    int fd = fuzz_file(data, size, path);
    int rc = rca_graph_load(path, &g, &err);
    AC_ASSERT(rc == 0 || strstr(err.msg, path));
    (void)close(fd);
    if (rc)
        return 0;
    struct ac_buf b;
    ac_buf_init(&b, 64u << 20);
    ac_rca_graph_svg(g, &b);
    ac_rca_graph_dot(g, &b);
    ac_rca_graph_graphml(g, &b);
    ac_buf_reset(&b);
    ac_rca_graph_json(g, false, &b);
    AC_ASSERT(!b.failed);
    fd = fuzz_file((const uint8_t *)b.data, b.len, path);
    rc = rca_graph_load(path, &again, &err);
    AC_ASSERT(rc == 0 && again->nnodes == g->nnodes && again->nedges == g->nedges);
    (void)close(fd);
    ac_buf_fini(&b);
    ac_rca_graph_destroy(again);
    ac_rca_graph_destroy(g);
    return 0;
}

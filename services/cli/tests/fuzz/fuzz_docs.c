/* Any bytes as documents of a system: what stands before a NUL byte is YAML (manifests, compose),
 * what follows is a description in Markdown, and an interface in protobuf. */
#include "fuzz_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <aceso/file.h>

#include "rca/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/fuzz_docs.XXXXXX", yaml[64], folder[64], prose[64], proto[64];

static void clean(void)
{
    (void)unlink(yaml);
    (void)unlink(prose);
    (void)unlink(proto);
    (void)rmdir(folder);
    (void)rmdir(dir);
}

static void make_folders(void)
{
    AC_ASSERT(mkdtemp(dir));
    (void)snprintf(yaml, sizeof yaml, "%s/all.yaml", dir);
    (void)snprintf(folder, sizeof folder, "%s/web", dir);
    (void)snprintf(prose, sizeof prose, "%s/README.md", folder);
    (void)snprintf(proto, sizeof proto, "%s/api.proto", folder);
    AC_ASSERT(mkdir(folder, 0700) == 0 && atexit(clean) == 0);
}

static void put(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "w");
    AC_ASSERT(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_err err = AC_ERR_INIT;
    if (size > 1 << 14)
        return 0;
    if (!*yaml)
        make_folders();
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - data) : size;
    put(yaml, data, n);
    put(prose, nul ? nul + 1 : data, nul ? size - n - 1 : 0);
    put(proto, nul ? nul + 1 : data, nul ? size - n - 1 : 0);
    struct ac_rca_graph *g = ac_rca_graph_create();
    int rc = rca_docs_read(dir, g, &err);
    AC_ASSERT(rc == 0 ? g->nnodes > 0 : g->nnodes == 0 && strstr(err.msg, dir));
    for (size_t i = 0; i < g->nedges; i++) {
        AC_ASSERT((size_t)g->edges[i].from < g->nnodes && (size_t)g->edges[i].to < g->nnodes);
        AC_ASSERT(g->edges[i].from != g->edges[i].to);
        AC_ASSERT(g->edges[i].confidence > 0 && g->edges[i].confidence <= 1);
    }
    ac_rca_graph_destroy(g);
    return 0;
}

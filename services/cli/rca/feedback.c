/* aceso rca feedback. */
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "graph/rca_feedback.h"
#include "graph/rca_graph_write.h"
#include "rca/graph.h"

#define OUT_MAX  ((size_t)256 << 20)
#define MAX_PATH 64

/* "db,cart,web" as nodes of the graph. */
static int parse_path(const struct ac_rca_graph *g, const char *text, int *ret, size_t *ret_n,
                      struct ac_err *err)
{
    size_t n = 0;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        ac_cleanup(ac_free_p) char *name = ac_xstrndup(at, length);
        if (n == MAX_PATH)
            return ac_err_set(err, AC_EINVAL, "--path: more than %d nodes", MAX_PATH);
        ret[n] = ac_rca_graph_find(g, name);
        if (ret[n++] < 0)
            return ac_err_set(err, AC_EINVAL, "--path: the graph has no node %.100s", name);
        at += length;
        if (!*at)
            break;
    }
    *ret_n = n;
    return 0;
}

static int write_graph(const struct ac_rca_graph *g, const char *path, struct ac_err *err)
{
    struct ac_buf b;
    ac_buf_init(&b, OUT_MAX);
    ac_rca_graph_json(g, false, &b);
    int rc = b.failed ? ac_err_set(err, AC_ERANGE, "the graph is too large to write")
                      : ac_file_write_atomic(path, b.data, b.len, 0644, err);
    ac_buf_fini(&b);
    return rc;
}

int rca_feedback_verb(const char *graph, const struct rca_feedback_args *a,
                      const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_rca_graph *g = NULL;
    int path[MAX_PATH];
    size_t changed = 0;
    if (!a->path || !a->incident || !*a->incident || !a->confirmed == !a->refuted)
        return cli_usage("rca", "feedback needs --path CAUSE,...,SYMPTOM, --incident NAME, and "
                                "either --confirmed or --refuted");
    struct ac_rca_feedback f = {
        .incident = a->incident, .path = path, .confirmed = a->confirmed != NULL};
    int rc = rca_graph_load(graph, &g, &err);
    if (!rc)
        rc = parse_path(g, a->path, path, &f.n, &err);
    if (!rc)
        rc = ac_rca_graph_feedback(g, &f, &changed, &err);
    if (!rc)
        rc = write_graph(g, a->out ? a->out : graph, &err);
    if (!rc)
        printf(ctx->json ? "{\"changed\":%zu}\n" : "%zu edges changed\n", changed);
    ac_rca_graph_destroy(g);
    return rc ? cli_fail("rca", &err) : CLI_OK;
}

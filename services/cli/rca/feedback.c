/* aceso rca feedback. */
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/json.h>
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

/* What a verdict is on: an incident that the user names, or an answer of localise --json. */
struct verdict {
    char *path, *incident;
    uint64_t id;
};

static void verdict_fini(struct verdict *v)
{
    free(v->path);
    free(v->incident);
}

/* The path and the identity of an answer: its time and whom it names. */
static int read_answer(const char *file, struct verdict *v, struct ac_err *err)
{
    ac_cleanup_json j = NULL;
    json_t *one;
    size_t i, n = 0;
    const char *names[MAX_PATH], *from, *to;
    struct ac_buf b;
    int rc = ac_json_load_file(file, &j, err);
    if (rc) {
        if (err)
            err->code = AC_EINVAL; /* a wrong argument, not a failed task */
        return AC_EINVAL;
    }
    json_array_foreach(ac_json_at(j, "root_causes"), i, one)
    {
        names[n] = ac_json_str(one, "component", "");
        n += n + 1 < MAX_PATH;
    }
    double time = ac_json_f64(j, "time", 0.0);
    if (n == 0 || !(time > 0.0 && time < 4.2e9))
        return ac_err_set(err, AC_EINVAL,
                          "%s: no answer of rca localise --json: expected root_causes[] and time",
                          file);
    v->id = ac_rca_incident_id(names, n, (int64_t)(time * 1e3) * AC_NS_PER_MS);
    v->incident = ac_xasprintf("%.40s at %.3f", names[0], time);
    ac_buf_init(&b, 64 << 10);
    json_array_foreach(ac_json_at(j, "path"), i, one)
    {
        if (!rc)
            rc = ac_json_need_str(one, "from", &from, err);
        if (!rc)
            rc = ac_json_need_str(one, "to", &to, err);
        if (!rc)
            ac_buf_printf(&b, i == 0 ? "%s,%s" : "%.0s,%s", from, to);
        else
            return ac_buf_fini(&b), ac_err_wrap(err, "%s: path[%zu]", file, i), rc;
    }
    v->path = ac_buf_take(&b);
    return 0;
}

static int verdict_of(const struct rca_feedback_args *a, int64_t time_ns, struct verdict *v,
                      struct ac_err *err)
{
    if (a->answer) {
        int rc = read_answer(a->answer, v, err);
        if (!rc && !a->path && !v->path[0])
            rc = ac_err_set(err, AC_EINVAL, "%s: the answer has no path: say it with --path",
                            a->answer);
        return rc;
    }
    v->incident = ac_xstrdup(a->incident);
    v->id = ac_rca_incident_id(&a->incident, 1, time_ns);
    return 0;
}

int rca_feedback_verb(const char *graph, const struct rca_feedback_args *a, int64_t time_ns,
                      const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_rca_graph *g = NULL;
    struct verdict v = {0};
    int path[MAX_PATH];
    size_t changed = 0;
    bool named = a->path && a->incident && *a->incident;
    if (!a->answer == !named || (a->answer && a->incident) || !a->confirmed == !a->refuted)
        return cli_usage("rca", "feedback needs --path CAUSE,...,SYMPTOM and --incident NAME, or "
                                "--answer FILE, and either --confirmed or --refuted");
    int rc = verdict_of(a, time_ns, &v, &err);
    struct ac_rca_feedback f = {
        .incident = v.incident, .id = v.id, .path = path, .confirmed = a->confirmed != NULL};
    if (!rc)
        rc = rca_graph_load(graph, &g, &err);
    if (!rc)
        rc = parse_path(g, a->path ? a->path : v.path, path, &f.n, &err);
    if (!rc)
        rc = ac_rca_graph_feedback(g, &f, &changed, &err);
    if (!rc)
        rc = write_graph(g, a->out ? a->out : graph, &err);
    if (!rc)
        printf(ctx->json ? "{\"changed\":%zu}\n" : "%zu edges changed\n", changed);
    ac_rca_graph_destroy(g);
    verdict_fini(&v);
    return rc ? cli_fail("rca", &err) : CLI_OK;
}

/* Causal graphs in files: JSON in, knowledge in YAML. */
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/json.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#include "rca/graph.h"
#include "readers/rca_dataset.h"

/* "cart.lat" is a measurement when the part behind the last dot is a kind, else a component. */
static int node_of(struct ac_rca_graph *g, const char *id)
{
    const char *dot = strrchr(id, '.');
    enum ac_rca_kind kind;
    int at = ac_rca_graph_find(g, id);
    if (at >= 0)
        return at;
    if (dot && dot > id && ac_rca_kind_parse(dot + 1, &kind) && kind != AC_RCA_OTHER) {
        ac_cleanup(ac_free_p) char *component = ac_xstrndup(id, (size_t)(dot - id));
        return ac_rca_graph_node(g, component, kind);
    }
    return ac_rca_graph_node(g, id, AC_RCA_OTHER);
}

static int read_edge(struct ac_rca_graph *g, const json_t *j, struct ac_err *err)
{
    const char *from, *to;
    enum ac_rca_edge_kind kind = AC_RCA_CALLS;
    enum ac_rca_edge_state state = AC_RCA_UNTESTED;
    int rc = ac_json_need_str(j, "from", &from, err);
    if (!rc)
        rc = ac_json_need_str(j, "to", &to, err);
    if (rc)
        return rc;
    if (!*from || !*to)
        return ac_err_set(err, AC_EINVAL, "%s: expected a name", *from ? "to" : "from");
    if (!ac_rca_edge_kind_parse(ac_json_str(j, "kind", "calls"), &kind))
        return ac_err_set(err, AC_EINVAL, "kind: expected calls, causes or confounded");
    if (!ac_rca_edge_state_parse(ac_json_str(j, "state", "untested"), &state))
        return ac_err_set(err, AC_EINVAL,
                          "state: expected untested, supported, contradicted or proposed");
    int a = node_of(g, from), b = a < 0 ? a : node_of(g, to);
    if (b < 0)
        return ac_err_set(err, b, "too many nodes");
    int e = ac_rca_graph_edge(g, a, b, kind, ac_json_f64(j, "confidence", 0.5), NULL);
    if (e < 0)
        return ac_err_set(err, e, e == AC_EINVAL ? "%s points at itself" : "too many edges: %s",
                          from);
    g->edges[e].state = state;
    g->edges[e].sign = (int)ac_json_i64(j, "sign", 0) > 0   ? 1
                       : (int)ac_json_i64(j, "sign", 0) < 0 ? -1
                                                            : 0;
    double lag = ac_json_f64(j, "lag_s", 0.0);
    g->edges[e].lag_s = lag > 0.0 && lag < 1e9 ? lag : 0.0;
    json_t *list = ac_json_at(j, "evidence"), *text;
    size_t i;
    json_array_foreach(list, i, text)
    {
        double confidence = g->edges[e].confidence;
        (void)ac_rca_graph_edge(g, a, b, kind, 0.0, json_string_value(text));
        g->edges[e].confidence = confidence;
    }
    return 0;
}

int rca_graph_load(const char *path, struct ac_rca_graph **ret, struct ac_err *err)
{
    ac_cleanup_json j = NULL;
    json_t *item;
    size_t i;
    int rc = ac_json_load_file(path, &j, err);
    if (rc) {
        if (err)
            err->code = AC_EINVAL; /* a wrong argument, not a failed task */
        return AC_EINVAL;
    }
    if (!json_is_array(ac_json_at(j, "nodes")) || !json_is_array(ac_json_at(j, "edges")))
        return ac_err_set(err, AC_EINVAL, "%s: no graph: expected nodes[] and edges[]", path);
    struct ac_rca_graph *g = ac_rca_graph_create();
    json_array_foreach(ac_json_at(j, "nodes"), i, item)
    {
        if (!rc && (!json_is_string(item) || !*json_string_value(item)))
            rc = ac_err_set(err, AC_EINVAL, "%s: nodes[%zu]: expected a name", path, i);
        else if (!rc && node_of(g, json_string_value(item)) < 0)
            rc = ac_err_set(err, AC_ERANGE, "%s: too many nodes", path);
    }
    json_array_foreach(ac_json_at(j, "edges"), i, item)
    {
        if (!rc && (rc = read_edge(g, item, err)))
            ac_err_wrap(err, "%s: edges[%zu]", path, i);
    }
    json_array_foreach(ac_json_at(j, "hidden"), i, item)
    {
        int n = json_is_string(item) ? ac_rca_graph_find(g, json_string_value(item)) : -1;
        if (n >= 0)
            g->nodes[n].hidden = true;
    }
    if (rc) {
        ac_rca_graph_destroy(g);
        return rc;
    }
    *ret = g;
    return 0;
}

int rca_load_calls(const char *path, struct ac_rca_case *c, struct ac_err *err)
{
    struct ac_rca_graph *g;
    if (!ac_str_ends(path, ".json"))
        return ac_rca_edges_load(path, c, err);
    int rc = rca_graph_load(path, &g, err);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < g->nedges; i++) {
        const struct ac_rca_gedge *e = &g->edges[i];
        if (e->kind != AC_RCA_CALLS || e->confidence < 0.5)
            continue;
        int from = ac_rca_component(c, g->nodes[e->from].id);
        int to = from < 0 ? from : ac_rca_component(c, g->nodes[e->to].id);
        rc = to < 0 ? to : ac_rca_edge_add(c, from, to, e->nevidence ? e->evidence[0] : "");
        if (rc)
            rc = ac_err_set(err, rc, "%s: too many components or calls", path);
    }
    ac_rca_graph_destroy(g);
    return rc;
}

/* ---- knowledge ---- */

static int pair_of(const struct ac_yaml_doc *d, const struct ac_yaml *n, struct ac_rca_graph *g,
                   int *a, int *b, struct ac_err *err)
{
    if (n->kind != AC_YAML_SEQ || n->len != 2 || n->items[0]->kind != AC_YAML_SCALAR ||
        n->items[1]->kind != AC_YAML_SCALAR)
        return ac_yaml_err(d, n, err, "expected a pair [from, to]");
    *a = ac_rca_graph_find(g, n->items[0]->scalar);
    *b = ac_rca_graph_find(g, n->items[1]->scalar);
    if (*a < 0 || *b < 0)
        return ac_yaml_err(d, n->items[*a < 0 ? 0 : 1], err, "the graph has no node %s",
                           n->items[*a < 0 ? 0 : 1]->scalar);
    return *a == *b ? ac_yaml_err(d, n, err, "%s points at itself", n->items[0]->scalar) : 0;
}

static enum ac_rca_edge_kind kind_between(const struct ac_rca_graph *g, int a, int b)
{
    return g->nodes[a].kind == AC_RCA_OTHER && g->nodes[b].kind == AC_RCA_OTHER ? AC_RCA_CALLS
                                                                                : AC_RCA_CAUSES;
}

static int apply_pairs(const struct ac_yaml_doc *d, const struct ac_yaml *list, bool require,
                       struct ac_rca_graph *g, struct ac_err *err)
{
    if (list && list->kind != AC_YAML_SEQ)
        return ac_yaml_err(d, list, err, "expected a list of pairs");
    for (size_t i = 0; list && i < list->len; i++) {
        int a = -1, b = -1, rc = pair_of(d, list->items[i], g, &a, &b, err);
        if (rc)
            return rc;
        enum ac_rca_edge_kind kind = kind_between(g, a, b);
        if (require) {
            int e = ac_rca_graph_edge(g, a, b, kind, 0.99, "knowledge: required");
            if (e < 0)
                return ac_yaml_err(d, list->items[i], err, "too many edges");
        } else {
            int e = ac_rca_graph_edge_find(g, a, b, kind);
            if (e >= 0)
                ac_rca_graph_edge_remove(g, (size_t)e);
        }
    }
    return 0;
}

/* Nothing drives a root; a leaf drives nothing. */
static int apply_ends(const struct ac_yaml_doc *d, const struct ac_yaml *list, bool root,
                      struct ac_rca_graph *g, struct ac_err *err)
{
    if (list && list->kind != AC_YAML_SEQ)
        return ac_yaml_err(d, list, err, "expected a list of nodes");
    for (size_t i = 0; list && i < list->len; i++) {
        const struct ac_yaml *n = list->items[i];
        int at = n->kind == AC_YAML_SCALAR ? ac_rca_graph_find(g, n->scalar) : -1;
        if (at < 0)
            return ac_yaml_err(d, n, err, "the graph has no node %s",
                               n->kind == AC_YAML_SCALAR ? n->scalar : "of this form");
        for (size_t k = g->nedges; k-- > 0;)
            if ((root ? g->edges[k].to : g->edges[k].from) == at)
                ac_rca_graph_edge_remove(g, k);
    }
    return 0;
}

int rca_knowledge_apply(const char *path, struct ac_rca_graph *g, struct ac_err *err)
{
    struct ac_yaml_doc *d;
    int rc = ac_yaml_load_file(path, &d, err);
    if (rc) {
        if (err)
            err->code = AC_EINVAL;
        return AC_EINVAL;
    }
    const struct ac_yaml *root = ac_yaml_documents(d) > 0 ? ac_yaml_root(d, 0) : NULL;
    if (!root || root->kind != AC_YAML_MAP)
        rc = ac_err_set(err, AC_EINVAL, "%s: expected keys root, leaf, require, forbid", path);
    if (!rc)
        rc = apply_pairs(d, ac_yaml_get(root, "forbid"), false, g, err);
    if (!rc)
        rc = apply_ends(d, ac_yaml_get(root, "root"), true, g, err);
    if (!rc)
        rc = apply_ends(d, ac_yaml_get(root, "leaf"), false, g, err);
    if (!rc)
        rc = apply_pairs(d, ac_yaml_get(root, "require"), true, g, err);
    ac_yaml_destroy(d);
    return rc;
}

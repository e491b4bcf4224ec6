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

/* What one is not said of has what its kind has. */
static int read_measurement(struct ac_rca_graph *g, const json_t *j, struct ac_err *err)
{
    const char *id;
    char unit[AC_RCA_UNIT_SIZE];
    int rc = ac_json_need_str(j, "id", &id, err);
    if (rc)
        return rc;
    int n = ac_rca_graph_find(g, id);
    if (n < 0 || g->nodes[n].kind == AC_RCA_OTHER)
        return ac_err_set(err, AC_EINVAL, "id: %.80s is no measurement among nodes[]", id);
    enum ac_rca_bad bad = g->nodes[n].bad;
    if (!ac_rca_bad_parse(ac_json_str(j, "bad", ac_rca_bad_name(bad)), &bad))
        return ac_err_set(err, AC_EINVAL, "bad: expected high, low or both");
    ac_rca_unit_spell(ac_json_str(j, "unit", g->nodes[n].unit), unit);
    ac_rca_graph_tell(&g->nodes[n], unit, bad);
    g->nodes[n].told = json_is_true(json_object_get(j, "told"));
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
    json_array_foreach(ac_json_at(j, "measurements"), i, item)
    {
        if (!rc && (rc = read_measurement(g, item, err)))
            ac_err_wrap(err, "%s: measurements[%zu]", path, i);
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
    ac_rca_graph_instruct(g, c);
    ac_rca_graph_destroy(g);
    return rc;
}

/* ---- knowledge ---- */

struct knowledge {
    const char *path;
    const struct ac_yaml_doc *d;
    struct ac_rca_graph *g;
    bool calls; /* the graph has no measurements yet: what names one is left for later */
    struct ac_err *err;
};

/* The node of a scalar; -1, and *ret_rc 0 where it is left for later. */
static int node_at(const struct knowledge *k, const struct ac_yaml *n, int *ret_rc)
{
    int at = n->kind == AC_YAML_SCALAR ? ac_rca_graph_find(k->g, n->scalar) : -1;
    *ret_rc = 0;
    if (at < 0 && !k->calls)
        *ret_rc = ac_yaml_err(k->d, n, k->err, "the graph has no node %s",
                              n->kind == AC_YAML_SCALAR ? n->scalar : "of this form");
    return at;
}

static enum ac_rca_edge_kind kind_between(const struct ac_rca_graph *g, int a, int b)
{
    return g->nodes[a].kind == AC_RCA_OTHER && g->nodes[b].kind == AC_RCA_OTHER ? AC_RCA_CALLS
                                                                                : AC_RCA_CAUSES;
}

static int require(const struct knowledge *k, const struct ac_yaml *n, int a, int b)
{
    char text[600];
    enum ac_rca_edge_kind kind = kind_between(k->g, a, b);
    if (!ac_rca_graph_may(k->g, a, b, kind))
        return ac_yaml_err(k->d, n, k->err, "%s to %s is required and forbidden", k->g->nodes[a].id,
                           k->g->nodes[b].id);
    (void)snprintf(text, sizeof(text), "%.512s:%d: required", k->path, n->line);
    int e = ac_rca_graph_edge(k->g, a, b, kind, 0.99, text);
    return e < 0 ? ac_yaml_err(k->d, n, k->err, "too many edges") : 0;
}

static int apply_pair(const struct knowledge *k, const struct ac_yaml *n, bool required)
{
    int rc;
    if (n->kind != AC_YAML_SEQ || n->len != 2)
        return ac_yaml_err(k->d, n, k->err, "expected a pair [from, to]");
    int a = node_at(k, n->items[0], &rc), b = rc ? -1 : node_at(k, n->items[1], &rc);
    if (rc || a < 0 || b < 0)
        return rc;
    if (a == b)
        return ac_yaml_err(k->d, n, k->err, "%s points at itself", k->g->nodes[a].id);
    if (required)
        return require(k, n, a, b);
    ac_rca_graph_forbid(k->g, a, b, kind_between(k->g, a, b));
    return 0;
}

static int apply_pairs(const struct knowledge *k, const struct ac_yaml *list, bool required)
{
    int rc = 0;
    if (list && list->kind != AC_YAML_SEQ)
        return ac_yaml_err(k->d, list, k->err, "expected a list of pairs");
    for (size_t i = 0; !rc && list && i < list->len; i++)
        rc = apply_pair(k, list->items[i], required);
    return rc;
}

/* Nothing drives a root; a leaf drives nothing. */
static int apply_ends(const struct knowledge *k, const struct ac_yaml *list, bool root)
{
    int rc = 0;
    if (list && list->kind != AC_YAML_SEQ)
        return ac_yaml_err(k->d, list, k->err, "expected a list of nodes");
    for (size_t i = 0; !rc && list && i < list->len; i++) {
        int at = node_at(k, list->items[i], &rc);
        if (at >= 0)
            ac_rca_graph_end(k->g, at, root);
    }
    return rc;
}

static int apply_measurement(const struct knowledge *k, const char *id, const struct ac_yaml *m)
{
    int at = ac_rca_graph_find(k->g, id);
    if (at < 0 && k->calls)
        return 0;
    if (at < 0 || k->g->nodes[at].kind == AC_RCA_OTHER)
        return ac_yaml_err(k->d, m, k->err, "the graph has no measurement %s", id);
    if (m->kind != AC_YAML_MAP)
        return ac_yaml_err(k->d, m, k->err, "%s: expected {unit: U, bad: B}", id);
    for (size_t i = 0; i < m->len; i++) {
        if (!ac_streq(m->keys[i], "unit") && !ac_streq(m->keys[i], "bad"))
            return ac_yaml_err(k->d, m->items[i], k->err, "unknown key %s: expected unit, bad",
                               m->keys[i]);
        if (m->items[i]->kind != AC_YAML_SCALAR)
            return ac_yaml_err(k->d, m->items[i], k->err, "%s: expected a word", m->keys[i]);
    }
    struct ac_rca_gnode *n = &k->g->nodes[at];
    enum ac_rca_bad bad = n->bad;
    char unit[AC_RCA_UNIT_SIZE];
    if (!ac_rca_bad_parse(ac_yaml_str(m, "bad", ac_rca_bad_name(bad)), &bad))
        return ac_yaml_err(k->d, ac_yaml_get(m, "bad"), k->err, "expected high, low or both");
    ac_rca_unit_spell(ac_yaml_str(m, "unit", n->unit), unit);
    ac_rca_graph_tell(n, unit, bad);
    return 0;
}

/* measurements: {cart.mem: {unit: MiB, bad: low}} */
static int apply_measurements(const struct knowledge *k, const struct ac_yaml *map)
{
    int rc = 0;
    if (map && map->kind != AC_YAML_MAP)
        return ac_yaml_err(k->d, map, k->err, "expected <component>.<kind>: {unit: U, bad: B}");
    for (size_t i = 0; !rc && map && i < map->len; i++)
        rc = apply_measurement(k, map->keys[i], map->items[i]);
    return rc;
}

int rca_knowledge_check(const struct ac_yaml_doc *d, const struct ac_yaml *root, struct ac_err *err)
{
    static const char *const known[] = {"root", "leaf", "require", "forbid", "measurements"};
    for (size_t i = 0; i < root->len; i++) {
        size_t at = 0;
        while (at < AC_ARRAY_LEN(known) && !ac_streq(known[at], root->keys[i]))
            at++;
        if (at == AC_ARRAY_LEN(known))
            return ac_yaml_err(
                d, root->items[i], err,
                "unknown key %s: expected root, leaf, require, forbid or measurements",
                root->keys[i]);
    }
    return 0;
}

static int apply(const struct knowledge *k)
{
    const struct ac_yaml *root = ac_yaml_documents(k->d) > 0 ? ac_yaml_root(k->d, 0) : NULL;
    if (!root || root->kind != AC_YAML_MAP)
        return ac_err_set(k->err, AC_EINVAL,
                          "%s: expected keys root, leaf, require, forbid, measurements", k->path);
    int rc = rca_knowledge_check(k->d, root, k->err);
    if (!rc)
        rc = apply_measurements(k, ac_yaml_get(root, "measurements"));
    if (!rc)
        rc = apply_pairs(k, ac_yaml_get(root, "forbid"), false);
    if (!rc)
        rc = apply_ends(k, ac_yaml_get(root, "root"), true);
    if (!rc)
        rc = apply_ends(k, ac_yaml_get(root, "leaf"), false);
    return rc ? rc : apply_pairs(k, ac_yaml_get(root, "require"), true);
}

int rca_knowledge_apply(const char *path, struct ac_rca_graph *g, bool calls, struct ac_err *err)
{
    struct ac_yaml_doc *d;
    int rc = ac_yaml_load_file(path, &d, err);
    if (rc) {
        if (err)
            err->code = AC_EINVAL;
        return AC_EINVAL;
    }
    rc = apply(&(struct knowledge){.path = path, .d = d, .g = g, .calls = calls, .err = err});
    ac_yaml_destroy(d);
    return rc;
}

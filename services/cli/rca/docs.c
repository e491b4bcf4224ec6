/* Components and calls from the documents of a system: Kubernetes manifests, compose files, and
 * descriptions of components in Markdown. Each edge names file and line. */
#include "rca/docs.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <ctype.h>
#include <dirent.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#include "rca/graph.h"

#define MAX_DEPTH 8
#define MAX_FILES 5000
#define MAX_BYTES ((size_t)4 << 20)

/* How far each kind of statement is to be believed. */
#define BY_ADDRESS    0.95 /* an address of the callee in the caller's settings */
#define BY_LINK       0.90
#define BY_NAME       0.80 /* x-db belongs to x */
#define BY_DEPENDENCE 0.60 /* started after: mostly, but not always, called */

static void list_files(struct rca_docs *r, const char *dir, int depth)
{
    struct dirent **names;
    int n = depth > MAX_DEPTH ? -1 : scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        struct stat st;
        char *path = ac_xasprintf("%s/%s", dir, names[i]->d_name);
        if (names[i]->d_name[0] == '.' || lstat(path, &st) != 0) {
            free(path);
        } else if (S_ISDIR(st.st_mode)) {
            list_files(r, path, depth + 1);
            free(path);
        } else if (S_ISREG(st.st_mode) && r->n < MAX_FILES && (size_t)st.st_size <= MAX_BYTES) {
            ac_grow(&r->files, &r->cap, r->n + 1, sizeof(r->files[0]));
            r->files[r->n++] = path;
        } else {
            free(path);
        }
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* Does the text hold the name as a word of its own, as a host or in prose? */
static bool mentions(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = text; (p = strstr(p, name)); p++)
        if ((p == text || !in_name(p[-1])) && !in_name(p[n]))
            return true;
    return false;
}

/* Is the name there as a host: alone, behind // or @, or before a port or a domain? */
bool rca_docs_is_address(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = text; (p = strstr(p, name)); p++) {
        char before = p == text ? '\0' : p[-1], after = p[n];
        bool head = before == '\0' || before == '/' || before == '@' || before == '=' ||
                    before == ',' || before == ' ';
        bool port = after == ':' && isdigit((unsigned char)p[n + 1]);
        if (head && (after == '\0' || port || after == '.' || (after == '/' && before == '/') ||
                     (after == ',' && before != '\0')))
            return true;
    }
    return false;
}

void rca_docs_call(struct rca_docs *r, int from, int to, double confidence, const char *file,
                   int line, const char *what)
{
    char text[400];
    snprintf(text, sizeof(text), "%s:%d: %.200s", file + r->root_len, line, what);
    (void)ac_rca_graph_edge(r->g, from, to, AC_RCA_CALLS, confidence, text);
}

/* Every component whose address a scalar below the node holds. */
static void addresses(struct rca_docs *r, int owner, const struct ac_yaml *n, const char *file)
{
    size_t components = r->g->nnodes;
    if (!n)
        return;
    for (size_t i = 0; n->kind != AC_YAML_SCALAR && i < n->len; i++)
        addresses(r, owner, n->items[i], file);
    for (size_t i = 0; n->kind == AC_YAML_SCALAR && i < components; i++)
        if ((int)i != owner && rca_docs_is_address(n->scalar, r->g->nodes[i].id))
            rca_docs_call(r, owner, (int)i, BY_ADDRESS, file, n->line, n->scalar);
}

/* ---- Kubernetes ---- */

static bool is_workload(const char *kind)
{
    static const char *const kinds[] = {"Deployment", "StatefulSet", "DaemonSet", "Pod",
                                        "ReplicationController"};
    for (size_t i = 0; i < AC_ARRAY_LEN(kinds); i++)
        if (ac_streq(kind, kinds[i]))
            return true;
    return false;
}

static const struct ac_yaml *at(const struct ac_yaml *n, const char *a, const char *b)
{
    n = n && n->kind == AC_YAML_MAP ? ac_yaml_get(n, a) : NULL;
    return n && b ? (n->kind == AC_YAML_MAP ? ac_yaml_get(n, b) : NULL) : n;
}

static void kubernetes(struct rca_docs *r, const struct ac_yaml *root, const char *file, bool names)
{
    const struct ac_yaml *name = at(root, "metadata", "name");
    const char *kind = ac_yaml_str(root, "kind", "");
    if (!is_workload(kind) || !name || name->kind != AC_YAML_SCALAR || !*name->scalar)
        return;
    int owner = ac_rca_graph_node(r->g, name->scalar, AC_RCA_OTHER);
    if (names || owner < 0)
        return;
    const struct ac_yaml *spec = at(root, "spec", NULL);
    const struct ac_yaml *pod =
        ac_streq(kind, "Pod") ? spec : at(at(spec, "template", NULL), "spec", NULL);
    static const char *const lists[] = {"initContainers", "containers"};
    for (size_t l = 0; l < AC_ARRAY_LEN(lists); l++) {
        const struct ac_yaml *c = at(pod, lists[l], NULL);
        for (size_t i = 0; c && c->kind == AC_YAML_SEQ && i < c->len; i++) {
            addresses(r, owner, at(c->items[i], "env", NULL), file);
            addresses(r, owner, at(c->items[i], "args", NULL), file);
            addresses(r, owner, at(c->items[i], "command", NULL), file);
        }
    }
}

/* ---- compose ---- */

static void named_list(struct rca_docs *r, int owner, const struct ac_yaml *n, double confidence,
                       const char *file, const char *what)
{
    for (size_t i = 0; n && n->kind != AC_YAML_SCALAR && i < n->len; i++) {
        const char *name = n->kind == AC_YAML_MAP ? n->keys[i] : n->items[i]->scalar;
        char host[256];
        if (!name || !ac_str_copy(host, sizeof(host), name))
            continue;
        host[strcspn(host, ":")] = '\0'; /* links: service:alias */
        int to = ac_rca_graph_find(r->g, host);
        char text[300];
        snprintf(text, sizeof(text), "%s: %s", what, host);
        if (to >= 0 && to != owner)
            rca_docs_call(r, owner, to, confidence, file, n->items[i]->line, text);
    }
}

static void compose(struct rca_docs *r, const struct ac_yaml *root, const char *file, bool names)
{
    const struct ac_yaml *services = ac_yaml_get(root, "services");
    for (size_t i = 0; services && services->kind == AC_YAML_MAP && i < services->len; i++) {
        const struct ac_yaml *s = services->items[i];
        int owner = ac_rca_graph_node(r->g, services->keys[i], AC_RCA_OTHER);
        if (names || owner < 0 || s->kind != AC_YAML_MAP)
            continue;
        addresses(r, owner, ac_yaml_get(s, "environment"), file);
        addresses(r, owner, ac_yaml_get(s, "command"), file);
        named_list(r, owner, ac_yaml_get(s, "links"), BY_LINK, file, "links");
        if (!ac_yaml_get(s, "logging")) /* else what it waits for is where its logs go */
            named_list(r, owner, ac_yaml_get(s, "depends_on"), BY_DEPENDENCE, file, "depends_on");
    }
}

/* A file that is no YAML of ours, a template say, is passed over. */
static void read_yaml(struct rca_docs *r, const char *file, bool names)
{
    struct ac_yaml_doc *d;
    struct ac_err err = AC_ERR_INIT;
    if (ac_yaml_load_file(file, &d, &err)) {
        if (names)
            cli_progress("passed over: %s", err.msg);
        return;
    }
    for (size_t i = 0; i < ac_yaml_documents(d); i++) {
        const struct ac_yaml *root = ac_yaml_root(d, i);
        if (!root || root->kind != AC_YAML_MAP)
            continue;
        kubernetes(r, root, file, names);
        compose(r, root, file, names);
    }
    ac_yaml_destroy(d);
}

/* ---- prose ---- */

bool rca_docs_says_call(const char *line)
{
    static const char *const verbs[] = {" calls ",    " Calls ",     " Uses ",       " call ",
                                        " uses ",     "etrieves ",   "rchestrates ", " queries ",
                                        " talks to ", "equests to ", " in Redis",    "depends on "};
    for (size_t i = 0; i < AC_ARRAY_LEN(verbs); i++)
        if (strstr(line, verbs[i]) || (verbs[i][0] == ' ' && ac_str_starts(line, verbs[i] + 1)))
            return true;
    return false;
}

/* "carts" for cartservice too: the name without its ending, as a word of more than three letters.
 */
bool rca_docs_speaks_of(const char *line, const char *name)
{
    char stem[128];
    if (mentions(line, name))
        return true;
    if (!ac_str_ends(name, "service") || !ac_str_copy(stem, sizeof(stem), name))
        return false;
    stem[strlen(stem) - strlen("service")] = '\0';
    return strlen(stem) > 3 && mentions(line, stem);
}

/* Whom a line is about: the component whose folder the file is in, or whose table row it is. */
static int subject(const struct rca_docs *r, const char *file, const char *line)
{
    for (size_t i = 0; i < r->g->nnodes; i++) {
        char cell[300];
        snprintf(cell, sizeof(cell), "| [%s]", r->g->nodes[i].id);
        if (ac_str_starts(line, cell))
            return (int)i;
        snprintf(cell, sizeof(cell), "/%s/", r->g->nodes[i].id);
        if (strstr(file + r->root_len, cell))
            return (int)i;
    }
    return -1;
}

static void read_prose(struct rca_docs *r, const char *file)
{
    char *text, *rest, *line;
    size_t len;
    int number = 0;
    if (ac_file_read(file, MAX_BYTES, &text, &len, NULL))
        return;
    rest = text;
    while ((line = ac_str_next(&rest, '\n'))) {
        number++;
        int owner = rca_docs_says_call(line) ? subject(r, file, line) : -1;
        size_t components = owner < 0 ? 0 : r->g->nnodes;
        for (size_t i = 0; i < components; i++)
            if ((int)i != owner && rca_docs_speaks_of(line, r->g->nodes[i].id))
                rca_docs_call(r, owner, (int)i, RCA_DOCS_BY_TEXT, file, number, ac_str_trim(line));
    }
    free(text);
}

/* A store is called by the component whose name it carries. */
static void stores_by_name(struct rca_docs *r)
{
    size_t n = r->g->nnodes;
    for (size_t i = 0; i < n; i++) {
        const char *id = r->g->nodes[i].id;
        static const char *const ends[] = {"-db", "-mongo", "-redis", "-cache", "-memcached"};
        for (size_t k = 0; k < AC_ARRAY_LEN(ends); k++) {
            if (!ac_str_ends(id, ends[k]))
                continue;
            ac_cleanup(ac_free_p) char *owner = ac_xstrndup(id, strlen(id) - strlen(ends[k]));
            int from = ac_rca_graph_find(r->g, owner);
            char text[300];
            snprintf(text, sizeof(text), "name: %s is the store of %s", id, owner);
            if (from >= 0 && (size_t)from != i)
                (void)ac_rca_graph_edge(r->g, from, (int)i, AC_RCA_CALLS, BY_NAME, text);
        }
    }
}

int rca_docs_read(const char *dir, struct ac_rca_graph *g, struct ac_err *err)
{
    struct stat st;
    struct rca_docs r = {.g = g, .root_len = strlen(dir) + 1, .err = err};
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return ac_err_set(err, AC_EINVAL, "%s: not a folder of documents", dir);
    list_files(&r, dir, 0);
    for (int pass = 0; pass < 2; pass++) /* all names first, then who speaks of whom */
        for (size_t i = 0; i < r.n; i++)
            if (ac_str_ends(r.files[i], ".yaml") || ac_str_ends(r.files[i], ".yml"))
                read_yaml(&r, r.files[i], pass == 0);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < r.n; i++)
            rca_docs_interface(&r, r.files[i], pass == 0);
    for (size_t i = 0; i < r.n; i++)
        if (ac_str_ends(r.files[i], ".md"))
            read_prose(&r, r.files[i]);
    stores_by_name(&r);
    for (size_t i = 0; i < r.n; i++)
        free(r.files[i]);
    free(r.files);
    if (g->nnodes == 0)
        return ac_err_set(
            err, AC_EINVAL,
            "%s: no component found (expected Kubernetes manifests, compose, protobuf or "
            "OpenAPI files)",
            dir);
    return 0;
}

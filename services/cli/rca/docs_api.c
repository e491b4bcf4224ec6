/* Interfaces as documents: who is there, and what their comments say of others. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#include "rca/docs.h"
#include "readers/rca_api.h"

#define NAME_MAX_BYTES 256

static bool cut_end(char *name, const char *end)
{
    if (!ac_str_ends(name, end) || strlen(name) == strlen(end))
        return false;
    name[strlen(name) - strlen(end)] = '\0';
    return true;
}

/* What is left of a name without what all interfaces are called. */
static void stem_of(const char *name, char *ret)
{
    ac_rca_plain_name(name, ret, NAME_MAX_BYTES);
    while (cut_end(ret, "api") || cut_end(ret, "service") || cut_end(ret, "server"))
        ;
}

/* The component of that name as the manifests write it; a new one when there is none. */
static int component_of(struct rca_docs *r, const char *name)
{
    char wanted[NAME_MAX_BYTES], have[NAME_MAX_BYTES];
    stem_of(name, wanted);
    if (!*wanted)
        return -1;
    for (size_t i = 0; i < r->g->nnodes; i++) {
        stem_of(r->g->nodes[i].id, have);
        if (ac_streq(wanted, have))
            return (int)i;
    }
    ac_rca_plain_name(name, wanted, sizeof(wanted));
    cut_end(wanted, "api");
    return ac_rca_graph_node(r->g, wanted, AC_RCA_OTHER);
}

static void calls_in(struct rca_docs *r, int owner, const char *text, const char *file, int line)
{
    size_t components = rca_docs_says_call(text) ? r->g->nnodes : 0;
    for (size_t i = 0; i < components; i++)
        if ((int)i != owner && rca_docs_speaks_of(text, r->g->nodes[i].id))
            rca_docs_call(r, owner, (int)i, RCA_DOCS_BY_TEXT, file, line, text);
}

struct proto_file {
    struct rca_docs *r;
    const char *file;
    bool names;
};

static int see_service(const char *service, int line, const char *comment, void *arg)
{
    struct proto_file *p = arg;
    int owner = component_of(p->r, service);
    if (!p->names && owner >= 0)
        calls_in(p->r, owner, comment, p->file, line);
    return 0;
}

static void read_proto(struct rca_docs *r, const char *file, bool names)
{
    char *text;
    size_t len;
    struct ac_err err = AC_ERR_INIT;
    if (ac_file_read(file, RCA_DOCS_MAX_BYTES, &text, &len, NULL))
        return;
    struct proto_file p = {.r = r, .file = file, .names = names};
    if (ac_rca_proto_services(file, text, len, see_service, &p, &err) && names)
        cli_progress("in part only: %s", err.msg);
    free(text);
}

/* Descriptions anywhere in an OpenAPI file. */
static void descriptions(struct rca_docs *r, int owner, const struct ac_yaml *n, const char *file)
{
    for (size_t i = 0; n && n->kind != AC_YAML_SCALAR && i < n->len; i++) {
        const struct ac_yaml *v = n->items[i];
        if (n->kind == AC_YAML_MAP && v->kind == AC_YAML_SCALAR &&
            (ac_streq(n->keys[i], "description") || ac_streq(n->keys[i], "summary")))
            calls_in(r, owner, v->scalar, file, v->line);
        else
            descriptions(r, owner, v, file);
    }
}

/* The host of a server's address is a surer name than the title. */
static int described(struct rca_docs *r, const struct ac_yaml *root)
{
    const struct ac_yaml *servers = ac_yaml_get(root, "servers"), *info = ac_yaml_get(root, "info");
    for (size_t s = 0; servers && servers->kind == AC_YAML_SEQ && s < servers->len; s++)
        for (size_t i = 0; servers->items[s]->kind == AC_YAML_MAP && i < r->g->nnodes; i++)
            if (rca_docs_is_address(ac_yaml_str(servers->items[s], "url", ""), r->g->nodes[i].id))
                return (int)i;
    return info && info->kind == AC_YAML_MAP ? component_of(r, ac_yaml_str(info, "title", "")) : -1;
}

static void read_openapi(struct rca_docs *r, const char *file, bool names)
{
    struct ac_yaml_doc *d;
    if (ac_yaml_load_file(file, &d, NULL))
        return; /* told already, or no YAML */
    const struct ac_yaml *root = ac_yaml_documents(d) > 0 ? ac_yaml_root(d, 0) : NULL;
    if (root && root->kind == AC_YAML_MAP &&
        (ac_yaml_get(root, "openapi") || ac_yaml_get(root, "swagger"))) {
        int owner = described(r, root);
        if (owner >= 0 && !names)
            descriptions(r, owner, root, file);
    }
    ac_yaml_destroy(d);
}

void rca_docs_interface(struct rca_docs *r, const char *file, bool names)
{
    if (ac_str_ends(file, ".proto"))
        read_proto(r, file, names);
    else if (ac_str_ends(file, ".yaml") || ac_str_ends(file, ".yml") || ac_str_ends(file, ".json"))
        read_openapi(r, file, names);
}

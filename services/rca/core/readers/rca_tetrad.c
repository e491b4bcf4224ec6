#include "readers/rca_tetrad.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

int ac_rca_tetrad_find(const struct ac_rca_tetrad *t, const char *node)
{
    for (size_t i = 0; i < t->g.p; i++)
        if (ac_streq(t->names[i], node))
            return (int)i;
    return -1;
}

static int read_nodes(struct ac_rca_tetrad *t, char *line)
{
    size_t n = 0;
    char *name, *rest = line;
    t->names = ac_xcalloc(AC_RCA_TETRAD_MAX_NODES, sizeof(t->names[0]));
    while ((name = ac_str_next(&rest, ';'))) {
        name = ac_str_trim(name);
        if (n == AC_RCA_TETRAD_MAX_NODES || !*name)
            break;
        t->names[n++] = ac_xstrdup(name);
    }
    ac_rca_pdag_init(&t->g, n);
    return n > 0 && !name ? 0 : AC_EINVAL;
}

static bool read_mark(char c, bool left, enum ac_rca_mark *ret)
{
    *ret = c == '-' ? AC_RCA_TAIL : c == 'o' ? AC_RCA_CIRCLE : AC_RCA_ARROW;
    return c == '-' || c == 'o' || c == (left ? '<' : '>');
}

/* "3. X1 o-> X7" */
static int read_edge(struct ac_rca_tetrad *t, char *line)
{
    char *word[4] = {0}, *rest = line, *w;
    enum ac_rca_mark a, b;
    size_t n = 0;
    while ((w = ac_str_next(&rest, ' ')))
        if (*w && n < 4)
            word[n++] = w;
    if (n != 4 || strlen(word[2]) != 3)
        return AC_EINVAL;
    int from = ac_rca_tetrad_find(t, word[1]), to = ac_rca_tetrad_find(t, word[3]);
    if (from < 0 || to < 0 || from == to || word[2][1] != '-' || !read_mark(word[2][0], true, &a) ||
        !read_mark(word[2][2], false, &b))
        return AC_EINVAL;
    ac_rca_put(&t->g, from, to, a, b);
    return 0;
}

int ac_rca_tetrad_parse(const char *name, const char *text, size_t len, struct ac_rca_tetrad *ret,
                        struct ac_err *err)
{
    struct ac_rca_tetrad t = {0};
    ac_cleanup(ac_free_p) char *copy = ac_xstrndup(text, len);
    char *rest = copy, *line;
    int rc = 0, number = 0;
    enum {
        NOTHING,
        NODES,
        EDGES
    } part = NOTHING;
    while (!rc && (line = ac_str_next(&rest, '\n'))) {
        number++;
        line = ac_str_trim(line);
        if (ac_str_starts(line, "Graph Nodes"))
            part = t.names ? NOTHING : NODES;
        else if (ac_str_starts(line, "Graph Edges"))
            part = t.names ? EDGES : NOTHING;
        else if (*line && part == NODES && !t.names)
            rc = read_nodes(&t, line);
        else if (*line && part == EDGES)
            rc = read_edge(&t, line);
        if (rc)
            rc = ac_err_set(err, AC_EINVAL, "%s:%d: not a %s: %.80s", name, number,
                            part == NODES ? "list of nodes" : "edge", line);
    }
    if (!rc && !t.names)
        rc = ac_err_set(err, AC_EINVAL, "%s: no graph: expected Graph Nodes and Graph Edges", name);
    if (rc) {
        ac_rca_tetrad_fini(&t);
        return rc;
    }
    *ret = t;
    return 0;
}

void ac_rca_tetrad_fini(struct ac_rca_tetrad *t)
{
    for (size_t i = 0; i < t->g.p; i++)
        free(t->names[i]);
    free(t->names);
    t->names = NULL;
    ac_rca_pdag_fini(&t->g);
}

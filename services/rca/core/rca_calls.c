#include "rca_calls.h"

#include <string.h>

#include <aceso/base.h>

static void index_ends(const struct ac_rca_case *c, bool in, size_t *at, int *edges)
{
    for (size_t e = 0; e < c->nedges; e++)
        at[(in ? c->edges[e].to : c->edges[e].from) + 1]++;
    for (size_t i = 0; i < c->ncomponents; i++)
        at[i + 1] += at[i];
    for (size_t e = 0; e < c->nedges; e++)
        edges[at[in ? c->edges[e].to : c->edges[e].from]++] = (int)e;
    for (size_t i = c->ncomponents; i > 0; i--) /* each begins where the one before it ended */
        at[i] = at[i - 1];
    at[0] = 0;
}

void rca_calls_init(struct rca_calls *k, const struct ac_rca_case *c)
{
    k->c = c;
    k->out_at = ac_xcalloc(c->ncomponents + 1, sizeof(size_t));
    k->in_at = ac_xcalloc(c->ncomponents + 1, sizeof(size_t));
    k->out = ac_xcalloc(c->nedges + 1, sizeof(int));
    k->in = ac_xcalloc(c->nedges + 1, sizeof(int));
    index_ends(c, false, k->out_at, k->out);
    index_ends(c, true, k->in_at, k->in);
}

void rca_calls_fini(struct rca_calls *k)
{
    free(k->out_at);
    free(k->in_at);
    free(k->out);
    free(k->in);
    memset(k, 0, sizeof(*k));
}

void rca_calls_reach(const struct rca_calls *k, int root, bool against, bool *seen)
{
    const size_t *at = against ? k->in_at : k->out_at;
    const int *edges = against ? k->in : k->out;
    int *queue = ac_xcalloc(k->c->ncomponents + 1, sizeof(int));
    size_t head = 0, tail = 0;
    memset(seen, 0, k->c->ncomponents * sizeof(bool));
    seen[root] = true;
    queue[tail++] = root;
    while (head < tail) {
        int i = queue[head++];
        for (size_t e = at[i]; e < at[i + 1]; e++) {
            const struct ac_rca_edge *x = &k->c->edges[edges[e]];
            int other = against ? x->from : x->to;
            if (!seen[other]) {
                seen[other] = true;
                queue[tail++] = other;
            }
        }
    }
    free(queue);
}

/* Takes away, again and again, what nobody left calls (in), or what calls nobody left. */
static void peel(const struct rca_calls *k, bool in, bool *left)
{
    const struct ac_rca_case *c = k->c;
    const size_t *at = in ? k->out_at : k->in_at;
    const int *edges = in ? k->out : k->in;
    size_t *holds = ac_xcalloc(c->ncomponents + 1, sizeof(size_t)), head = 0, tail = 0;
    int *queue = ac_xcalloc(c->ncomponents + 1, sizeof(int));
    for (size_t e = 0; e < c->nedges; e++)
        if (left[c->edges[e].from] && left[c->edges[e].to])
            holds[in ? c->edges[e].to : c->edges[e].from]++;
    for (size_t i = 0; i < c->ncomponents; i++)
        if (left[i] && holds[i] == 0)
            queue[tail++] = (int)i;
    while (head < tail) {
        int i = queue[head++];
        left[i] = false;
        for (size_t e = at[i]; e < at[i + 1]; e++) {
            const struct ac_rca_edge *x = &c->edges[edges[e]];
            int other = in ? x->to : x->from;
            if (left[other] && --holds[other] == 0)
                queue[tail++] = other;
        }
    }
    free(holds);
    free(queue);
}

void rca_calls_round(const struct rca_calls *k, bool *left)
{
    memset(left, true, k->c->ncomponents * sizeof(bool));
    peel(k, true, left);
    peel(k, false, left);
}

/* d-separation by reachability: x and y are separated by a set when no path between them is open.
 */
#include <string.h>

#include <aceso/base.h>

#include "discover/rca_ci.h"

struct oracle {
    struct ac_rca_ci base;
    const bool *dag;
    const int *observed;
    size_t q;
    bool *in_set, *leads_to_set; /* the node, or one that it causes, is in the set */
    bool *seen;                  /* node x (arrived from a cause, from an effect) */
    int *queue;
};

static void given(struct ac_rca_ci *t, const int *s, size_t k)
{
    struct oracle *o = (struct oracle *)t;
    memset(o->in_set, 0, o->q);
    for (size_t i = 0; i < k; i++)
        o->in_set[o->observed[s[i]]] = true;
    memcpy(o->leads_to_set, o->in_set, o->q);
    for (bool grew = true; grew;) {
        grew = false;
        for (size_t i = 0; i < o->q; i++)
            for (size_t j = 0; j < o->q && !o->leads_to_set[i]; j++)
                if (o->dag[i * o->q + j] && o->leads_to_set[j])
                    o->leads_to_set[i] = grew = true;
    }
}

static void visit(struct oracle *o, size_t node, bool from_cause, size_t *tail)
{
    size_t state = node * 2 + from_cause;
    if (o->seen[state])
        return;
    o->seen[state] = true;
    o->queue[(*tail)++] = (int)state;
}

static bool independent(struct ac_rca_ci *t, int x, int y)
{
    struct oracle *o = (struct oracle *)t;
    size_t head = 0, tail = 0, target = (size_t)o->observed[y];
    t->tests++;
    memset(o->seen, 0, 2 * o->q);
    visit(o, (size_t)o->observed[x], false, &tail);
    while (head < tail) {
        size_t node = (size_t)o->queue[head] / 2;
        bool from_cause = o->queue[head++] % 2;
        if (node == target)
            return false;
        bool up = from_cause ? o->leads_to_set[node] : !o->in_set[node];
        bool down = !o->in_set[node];
        for (size_t i = 0; i < o->q; i++) {
            if (up && o->dag[i * o->q + node])
                visit(o, i, false, &tail);
            if (down && o->dag[node * o->q + i])
                visit(o, i, true, &tail);
        }
    }
    return true;
}

static double p_value(struct ac_rca_ci *t, int x, int y)
{
    return independent(t, x, y) ? 1.0 : 0.0;
}

static void destroy(struct ac_rca_ci *t)
{
    struct oracle *o = (struct oracle *)t;
    free(o->in_set);
    free(o->leads_to_set);
    free(o->seen);
    free(o->queue);
    free(o);
}

static struct ac_rca_ci *twin(const struct ac_rca_ci *t)
{
    const struct oracle *o = (const struct oracle *)t;
    return ac_rca_ci_oracle(o->dag, o->q, o->observed, t->p);
}

struct ac_rca_ci *ac_rca_ci_oracle(const bool *dag, size_t q, const int *observed, size_t p)
{
    struct oracle *o = ac_xcalloc(1, sizeof(*o));
    o->base = (struct ac_rca_ci){.p = p,
                                 .n = SIZE_MAX,
                                 .alpha = 0.5,
                                 .given = given,
                                 .p_value = p_value,
                                 .independent = independent,
                                 .twin = twin,
                                 .destroy = destroy};
    o->dag = dag;
    o->observed = observed;
    o->q = q;
    o->in_set = ac_xcalloc(q, sizeof(bool));
    o->leads_to_set = ac_xcalloc(q, sizeof(bool));
    o->seen = ac_xcalloc(2 * q, sizeof(bool));
    o->queue = ac_xcalloc(2 * q, sizeof(int));
    return &o->base;
}

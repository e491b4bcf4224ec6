/* Rules by namespace. What did not change is shared between the old books and the new ones, so that
 * an exchange costs what changed and not what there is. */
#include "engine_impl.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

static void rule_unref(struct rule *r)
{
    if (--r->books)
        return;
    free(r->name);
    free(r->text);
    ac_ruleset_destroy(r->set);
    free(r);
}

static void book_free(void *p)
{
    struct book *b = p;
    for (size_t i = 0; i < b->n; i++)
        rule_unref(b->r[i]);
    free(b->r);
    free(b);
}

void engine_books_destroy_(struct ac_map *books)
{
    ac_map_destroy(books);
}

/* Only zones can be given to a rule here: a detector follows each series by itself. */
static bool can_feed(const struct engine_opts *o, const struct ac_rule *r)
{
    for (size_t i = 0; i < ac_rule_n_inputs(r); i++) {
        const struct ac_rule_input *in = ac_rule_input(r, i);
        if (in->kind != AC_INPUT_ZONE || !o->zone || !o->zone(in->of, o->zone_arg))
            return false;
    }
    return true;
}

static struct rule *parse(const struct engine_opts *o, const struct engine_rule_in *in)
{
    struct ac_ruleset *set = NULL;
    if (ac_ruleset_parse(in->text, strlen(in->text), &set, NULL) < 0)
        return NULL;
    if (ac_ruleset_len(set) != 1 || !can_feed(o, ac_ruleset_get(set, 0))) {
        ac_ruleset_destroy(set);
        return NULL;
    }
    struct rule *r = ac_xcalloc(1, sizeof *r);
    *r = (struct rule){ac_xstrdup(in->name), ac_xstrdup(in->text), in->version, set, 0};
    return r;
}

/* Lists come in the same order each time, so the place behind the last find is looked at first. */
static struct rule *find(const struct book *b, const struct engine_rule_in *in, size_t *hint)
{
    for (size_t k = 0; b && k < b->n; k++) {
        size_t i = (*hint + k) % b->n;
        struct rule *r = b->r[i];
        if (strcmp(r->name, in->name) != 0)
            continue;
        *hint = i + 1;
        return r->version == in->version && strcmp(r->text, in->text) == 0 ? r : NULL;
    }
    return NULL;
}

struct ac_map *engine_books_create_(const struct engine_opts *o, const struct engine_rule_in *in,
                                    size_t n, const struct ac_map *old, size_t *ret_n_rules)
{
    struct ac_map *books = ac_map_create(book_free);
    size_t hint = 0;
    *ret_n_rules = 0;
    for (size_t i = 0; i < n; i++) {
        struct rule *r = find(old ? ac_map_get(old, in[i].ns) : NULL, &in[i], &hint);
        if (!r && !(r = parse(o, &in[i])))
            continue;
        struct book *b = ac_map_get(books, in[i].ns);
        if (!b) {
            b = ac_xcalloc(1, sizeof *b);
            ac_map_set(books, in[i].ns, b);
        }
        ac_grow(&b->r, &b->cap, b->n + 1, sizeof(struct rule *));
        b->r[b->n++] = r;
        r->books++;
        ++*ret_n_rules;
    }
    return books;
}

bool engine_book_same_(const struct book *a, const struct book *b)
{
    size_t n = a ? a->n : 0;
    return n == (b ? b->n : 0) && (n == 0 || memcmp(a->r, b->r, n * sizeof(struct rule *)) == 0);
}

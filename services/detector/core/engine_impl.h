/* Inside of the engine: engine.c takes points and rules, engine_rules.c keeps the rules by
 * namespace, engine_state.c makes keys and snapshots. */
#pragma once

#include "engine.h"

#include <aceso/map.h>

struct rule {
    char *name, *text;
    uint64_t version;
    struct ac_ruleset *set; /* of this one rule */
    unsigned books;         /* that hold it */
};

/* The rules of a namespace. */
struct book {
    struct rule **r;
    size_t n, cap;
};

struct alert {
    int64_t started_ns, updated_ns;
    uint64_t sequence;
    uint32_t open, quiet, flagged, pad;
};

/* The rules of a series, evaluated together. */
struct watch {
    struct ac_plan *plan;
    struct ac_eval *eval;
    const struct ac_zone **zones; /* the plan's inputs */
    struct rule **rules;
    struct alert *alerts;
    size_t n;
    size_t bytes, unwatched; /* its part of the engine's counts */
};

struct series {
    struct engine_series key;
    char *id; /* of the map */
    struct watch w;
    int64_t last_ns; /* newest point's own time */
    int64_t seen_ns; /* the stream's time then */
    double last;
    bool dirty;
};

struct engine {
    struct engine_opts opts;
    engine_emit emit;
    void *arg;
    struct ac_map *books; /* by namespace */
    struct ac_map *series;
    struct engine_counts counts;
};

/* engine.c */
/** The series of a key; made when it is new. NULL when it may not be. */
struct series *engine_series_(struct engine *e, const struct engine_series *k);
void engine_reset_(struct series *s); /* as if it had just been seen for the first time */

/* engine_rules.c */
/** Rules by namespace. Those that are in the old books just so are shared with them; those that do
 * not compile are left out. */
struct ac_map *engine_books_create_(const struct engine_opts *o, const struct engine_rule_in *in,
                                    size_t n, const struct ac_map *old, size_t *ret_n_rules);
void engine_books_destroy_(struct ac_map *books);
/** Both namespaces have the very same rules. NULL is none. */
bool engine_book_same_(const struct book *a, const struct book *b);

/* engine_state.c */
/** Unambiguous text of a series; NULL when it is over the limits. Caller frees. */
char *engine_key_(const struct engine_series *s);
/** The parts of such a text, cut out of it in place; false when it is none. */
bool engine_key_parse_(char *text, struct engine_series *ret, struct ac_label *labels);
void engine_save_(const struct series *s, struct ac_buf *b);
bool engine_load_(struct engine *e, struct series *s, const void *bytes, size_t len);

/* All series: the samples of the last minutes in memory, sorted by time, and those that are not in
 * the store yet, in columns of a batch. Owned by the loop thread; a sealed batch is only read, by
 * one other thread, until it is released. Pure. */
#pragma once

#include "key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/map.h>

struct col_series;

/* Samples of one series that wait for the store, in order of arrival. */
struct col_column {
    struct col_series *series;
    int64_t *t;
    double *v;
    size_t n, cap;
};

struct col_batch {
    struct col_column **columns;
    size_t n_columns, cap_columns, samples;
};

struct col_series {
    int64_t id;  /* in the store */
    bool stored; /* its row is in the store */
    struct col_key key;
    char *text; /* col_key_text; owns the key's strings with it */
    char *unit;
    enum col_kind kind;
    int64_t first_ns, last_ns; /* first_ns INT64_MAX while it has no samples */
    int64_t *t;                /* the window is [head, head + n) */
    double *v;
    size_t head, n, cap;
    struct col_column *open, *sealed;
    void *owned; /* the key's strings and labels */
};

struct col_space { /* a namespace */
    char *name;
    struct col_series **series;
    size_t n, cap;
};

struct col_store {
    struct ac_map *by_text;   /* struct col_series */
    struct ac_map *spaces;    /* struct col_space */
    struct col_batch *open;   /* where samples go */
    struct col_batch *sealed; /* being stored; NULL = none */
    int64_t next_id;
    size_t max_series;
    size_t in_memory;       /* samples in all windows */
    int64_t memory_from_ns; /* windows are complete from here on */
    struct ac_buf text;     /* scratch */
};

void col_store_init(struct col_store *s, size_t max_series);
void col_store_fini(struct col_store *s);

/** Finds or makes; NULL when there are max_series already. id 0 = the next free one. */
struct col_series *col_series_get(struct col_store *s, const struct col_key *k, enum col_kind kind,
                                  const char *unit, int64_t id);
/** A new sample: into the window and the open batch. A time that is there already gets the new
 * value. */
void col_series_add(struct col_store *s, struct col_series *x, int64_t t_ns, double v);
/** A sample that is stored: into the window only. */
void col_series_load(struct col_store *s, struct col_series *x, int64_t t_ns, double v);
/** First sample of the window at or after t_ns, as an index from 0; n when there is none. */
size_t col_series_seek(const struct col_series *x, int64_t t_ns);

/** The open batch becomes the sealed one (there must be none), and a new one is opened. */
struct col_batch *col_store_seal(struct col_store *s);
/** The sealed batch is stored: its series are, and it is freed. */
void col_store_release(struct col_store *s);

/** Drops samples before from_ns from the windows. */
void col_store_trim(struct col_store *s, int64_t from_ns);
/** Removes series without a sample since older_ns; only while no batch is sealed. fn for each
 * first. */
void col_store_forget(struct col_store *s, int64_t older_ns,
                      void (*fn)(const struct col_series *x, void *arg), void *arg);

struct col_select {
    const char *ns, *component, *metric; /* "" = all; component and metric are globs */
    const struct col_label *labels;      /* all must be equal */
    size_t n_labels;
};
void col_store_select(const struct col_store *s, const struct col_select *q,
                      void (*fn)(struct col_series *x, void *arg), void *arg);

/** Sorts by time; of equal times the last one given stays. Returns how many are left. */
size_t col_sort_samples(int64_t *t, double *v, size_t n);

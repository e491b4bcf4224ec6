/* Bytes as a batch on the bus, the first of them says of what: what gets into memory must be
 * storable, and everything that is done with it must be defined. */
#include "chunk.h"
#include "collector.h"
#include "graph.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool add(const struct col_event *ev, int state, void *arg)
{
    const struct col_key k = {ev->ns, ev->component, "-", NULL, 0};
    (void)state;
    AC_ASSERT(!col_key_check(&k, NULL) && ev->len <= COL_RECORD_BYTES);
    col_graph_add(arg, ev);
    return true;
}

static void use_events(struct col_events *e)
{
    struct col_graph *g = col_graph_create();
    struct col_view v;
    size_t n = 0;
    col_view_open(e, 0, INT64_MAX, &v);
    col_view_each(&v, add, g);
    const struct col_edge *edges = col_graph_edges(g, &n);
    for (size_t i = 0; i < n; i++)
        AC_ASSERT(edges[i].calls > 0 && edges[i].errors <= edges[i].calls);
    (void)col_graph_components(g, &n);
    col_view_close(&v);
    col_graph_destroy(g);
    col_events_seal(e);
    col_events_release(e);
    col_events_trim(e, INT64_MAX, 0);
    AC_ASSERT(e->bytes == 0);
}

static void use_series(struct col_store *s)
{
    const struct col_batch *b = col_store_seal(s);
    struct ac_buf chunk;
    ac_buf_init(&chunk, 64u << 20);
    for (size_t i = 0; i < b->n_columns; i++) {
        struct col_column *c = b->columns[i];
        AC_ASSERT(!col_key_check(&c->series->key, NULL) && ac_utf8_valid(c->series->unit));
        size_t n = col_sort_samples(c->t, c->v, c->n);
        AC_ASSERT(n >= 1 && n == c->series->n);
        col_chunk_encode(c->t, c->v, n, &chunk);
        AC_ASSERT(memcmp(c->t, c->series->t + c->series->head, n * sizeof(*c->t)) == 0);
    }
    col_store_release(s);
    ac_buf_fini(&chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct collector c = {0};
    struct ac_err err = AC_ERR_INIT;
    if (size == 0)
        return 0;
    c.arena = ac_arena_create(64u << 20);
    col_store_init(&c.series, 100);
    col_events_init(&c.spans);
    col_events_init(&c.logs);
    size_t bad =
        col_read_batch(&c, (enum col_signal)(data[0] % COL_SIGNALS), data + 1, size - 1, &err);
    AC_ASSERT((bad > 0) == (err.code != 0));
    use_series(&c.series);
    use_events(&c.spans);
    use_events(&c.logs);
    col_store_fini(&c.series);
    col_events_fini(&c.spans);
    col_events_fini(&c.logs);
    ac_arena_destroy(c.arena);
    return 0;
}

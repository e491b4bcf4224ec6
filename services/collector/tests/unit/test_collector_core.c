/* The collector's core: names, chunks, histograms, series in memory, records in memory, the graph.
 */
#include "chunk.h"
#include "events.h"
#include "graph.h"
#include "hist.h"
#include "key.h"
#include "series.h"

#include <math.h>
#include <string.h>

#include <zlib.h>

#include <aceso/base.h>
#include <aceso/testkit.h>

#define S AC_NS_PER_S

/* ---- names ---- */

static void source_follows_from_the_resource(void **state)
{
    (void)state;
    struct col_source s;
    const struct col_label full[] = {{"k8s.pod.name", "geo-1"},
                                     {"service.name", "geo"},
                                     {"k8s.deployment.name", "geo-deploy"},
                                     {"service.instance.id", "i"},
                                     {"k8s.namespace.name", "hotel"}};
    col_source_of(full, AC_ARRAY_LEN(full), &s);
    assert_string_equal(s.ns, "hotel");
    assert_string_equal(s.component, "geo");
    assert_string_equal(s.pod, "geo-1");
    assert_string_equal(s.instance, "i");
    const struct col_label workload[] = {{"service.name", ""}, {"k8s.statefulset.name", "db"}};
    col_source_of(workload, AC_ARRAY_LEN(workload), &s);
    assert_string_equal(s.ns, "default");
    assert_string_equal(s.component, "db");
    assert_string_equal(s.pod, "");
    col_source_of(NULL, 0, &s);
    assert_string_equal(s.component, "unknown");
}

static void labels_are_sorted_and_carry_the_pod(void **state)
{
    (void)state;
    const struct col_source from = {"n", "c", "pod-1", "i"}, bare = {"n", "c", "", "i"};
    const struct col_label in[] = {{"route", "/a"}, {"method", "GET"}, {"empty", ""}};
    struct col_label out[COL_MAX_LABELS];
    size_t n = 0;
    assert_int_equal(col_labels(in, 3, &from, out, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_string_equal(out[0].key, "method");
    assert_string_equal(out[1].key, "pod");
    assert_string_equal(out[2].key, "route");
    assert_int_equal(col_labels_check(out, n, NULL), 0);
    assert_int_equal(col_labels(in, 3, &bare, out, &n, NULL), 0);
    assert_string_equal(out[0].key, "instance");
    const struct col_label own[] = {{"pod", "other"}}; /* the point knows better */
    assert_int_equal(col_labels(own, 1, &from, out, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_string_equal(out[0].value, "other");
}

static void what_cannot_be_kept_is_refused(void **state)
{
    (void)state;
    const struct col_source from = {"n", "c", "", ""};
    struct col_label out[COL_MAX_LABELS], many[COL_MAX_LABELS];
    struct ac_err err = AC_ERR_INIT;
    size_t n = 0;
    char lng[COL_MAX_VALUE + 2];
    memset(lng, 'x', sizeof(lng) - 1);
    lng[sizeof(lng) - 1] = '\0';
    for (size_t i = 0; i < COL_MAX_LABELS; i++)
        many[i] = (struct col_label){"k", "v"};
    const struct col_label twice[] = {{"a", "1"}, {"a", "2"}}, big[] = {{"a", lng}},
                           bell[] = {{"a", "\a"}}, latin[] = {{"a", "\xe4"}}, none[] = {{"", "v"}};
    assert_int_equal(col_labels(many, COL_MAX_LABELS, &from, out, &n, &err), AC_EINVAL);
    assert_int_equal(col_labels(twice, 2, &from, out, &n, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, "twice"));
    assert_int_equal(col_labels(big, 1, &from, out, &n, &err), AC_EINVAL);
    assert_int_equal(col_labels(bell, 1, &from, out, &n, &err), AC_EINVAL);
    assert_int_equal(col_labels(latin, 1, &from, out, &n, &err), AC_EINVAL);
    assert_int_equal(col_labels(none, 1, &from, out, &n, &err), AC_EINVAL);
    const struct col_key bad[] = {
        {"", "c", "m", NULL, 0}, {"n", "c\n", "m", NULL, 0}, {"n", "c", lng, NULL, 0}};
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++)
        assert_int_equal(col_key_check(&bad[i], &err), AC_EINVAL);
    const struct col_label unsorted[] = {{"b", "1"}, {"a", "2"}};
    assert_int_equal(col_labels_check(unsorted, 2, &err), AC_EINVAL);
}

static void labels_survive_their_text(void **state)
{
    (void)state;
    const struct col_label in[] = {{"a", "1"}, {"b", "x=y, z"}};
    struct col_label out[COL_MAX_LABELS];
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    col_labels_text(in, 2, &b);
    assert_int_equal(col_labels_split(b.data, out), 2);
    assert_string_equal(out[1].key, "b");
    assert_string_equal(out[1].value, "x=y, z");
    char broken[] = "a\x1f"
                    "1";
    assert_int_equal(col_labels_split(broken, out), -1);
    ac_buf_fini(&b);
}

static void subjects_take_any_namespace(void **state)
{
    (void)state;
    char t[16];
    col_subject_token("hotel-1", t, sizeof(t));
    assert_string_equal(t, "hotel-1");
    col_subject_token("a.b *>\xc3\xa4", t, sizeof(t));
    assert_string_equal(t, "a_b_____");
    col_subject_token("", t, sizeof(t));
    assert_string_equal(t, "_");
}

static void texts_are_cut_between_characters(void **state)
{
    (void)state;
    assert_int_equal(col_cut("abc", 3, 5), 3);
    assert_int_equal(col_cut("a\xc3\xa4z", 4, 2), 1);
    assert_int_equal(col_cut("a\xc3\xa4z", 4, 3), 3);
}

/* ---- chunks ---- */

static double any_double(struct ac_rng *r)
{
    uint64_t bits = ac_rng_u64(r);
    double v;
    switch (ac_rng_below(r, 6)) {
    case 0:
        return (double)(int64_t)ac_rng_below(r, 1000);
    case 1:
        return ac_rng_normal(r);
    case 2:
        return NAN;
    case 3:
        return ac_rng_below(r, 2) ? INFINITY : -0.0;
    default:
        memcpy(&v, &bits, sizeof(v));
        return v;
    }
}

static void chunks_decode_to_what_was_encoded(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(1);
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)ac_rng_below(&r, 70);
        int64_t t[70], t2[70], at = (int64_t)ac_rng_u64(&r);
        double v[70], v2[70], last = any_double(&r);
        bool regular = ac_rng_below(&r, 2);
        for (size_t i = 0; i < n; i++) {
            at = regular ? (int64_t)((uint64_t)at + (uint64_t)S) : (int64_t)ac_rng_u64(&r);
            t[i] = at;
            v[i] = last = ac_rng_below(&r, 3) ? last : any_double(&r);
        }
        ac_buf_reset(&b);
        col_chunk_encode(t, v, n, &b);
        assert_int_equal(col_chunk_decode(ac_buf_str(&b), b.len, n, t2, v2, NULL), 0);
        assert_memory_equal(t, t2, n * sizeof(*t));
        assert_memory_equal(v, v2, n * sizeof(*v)); /* the bits: NaN too */
        if (n > 0) {
            assert_int_equal(col_chunk_decode(b.data, b.len - 1, n, t2, v2, NULL), AC_EDATALOSS);
            assert_int_equal(col_chunk_decode(b.data, b.len, n - 1, t2, v2, NULL), AC_EDATALOSS);
        }
    }
    ac_buf_fini(&b);
}

static void a_regular_series_is_small(void **state)
{
    (void)state;
    int64_t t[100];
    double v[100];
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    for (int i = 0; i < 100; i++) {
        t[i] = 1700000000 * S + i * S;
        v[i] = 42;
    }
    col_chunk_encode(t, v, 100, &b);
    assert_true(b.len < 220);
    ac_buf_fini(&b);
}

static void records_survive_deflation(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(2);
    struct ac_buf raw, packed, back;
    unsigned char rec[300];
    size_t lens[200], at = 0, n = 0, len = 0;
    ac_buf_init(&raw, 1 << 20);
    ac_buf_init(&packed, 1 << 20);
    ac_buf_init(&back, 1 << 20);
    for (size_t i = 0; i < 200; i++) {
        lens[i] = (size_t)ac_rng_below(&r, sizeof(rec));
        memset(rec, (int)i, sizeof(rec));
        col_record_put(&raw, rec, lens[i]);
    }
    assert_int_equal(col_records_deflate(&raw, &packed, NULL), 0);
    assert_int_equal(col_records_inflate(packed.data, packed.len, &back, NULL), 0);
    for (const unsigned char *p; (p = col_record_next(&back, &at, &len)); n++) {
        assert_int_equal(len, lens[n]);
        assert_true(len == 0 || (p[0] == (unsigned char)n && p[len - 1] == (unsigned char)n));
    }
    assert_int_equal(n, 200);
    assert_int_equal(at, back.len);
    ac_buf_reset(&back);
    assert_int_equal(col_records_inflate(packed.data, packed.len - 1, &back, NULL), AC_EDATALOSS);
    ac_buf_fini(&back);
    ac_buf_init(&back, 100);
    assert_int_equal(col_records_inflate(packed.data, packed.len, &back, NULL), AC_EAGAIN);
    at = 0;
    ac_buf_reset(&raw);
    ac_buf_append(&raw, "\x7fxx", 3); /* longer than what is there */
    assert_null(col_record_next(&raw, &at, &len));
    assert_int_equal(at, 0);
    ac_buf_fini(&raw);
    ac_buf_fini(&packed);
    ac_buf_fini(&back);
}

static void gzip_is_bounded(void **state)
{
    (void)state;
    static unsigned char zeros[100000], z[2000];
    z_stream s = {0};
    struct ac_buf out;
    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    s.next_in = zeros;
    s.avail_in = sizeof(zeros);
    s.next_out = z;
    s.avail_out = sizeof(z);
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    size_t n = sizeof(z) - s.avail_out;
    (void)deflateEnd(&s);
    ac_buf_init(&out, sizeof(zeros));
    assert_int_equal(col_gunzip(z, n, &out, NULL), 0);
    assert_int_equal(out.len, sizeof(zeros));
    ac_buf_fini(&out);
    ac_buf_init(&out, sizeof(zeros) - 1);
    assert_int_equal(col_gunzip(z, n, &out, NULL), AC_EAGAIN);
    ac_buf_reset(&out);
    assert_int_equal(col_gunzip("no gzip", 7, &out, NULL), AC_EDATALOSS);
    ac_buf_fini(&out);
}

/* ---- histograms ---- */

static struct col_hist hist(const uint64_t *counts, uint64_t count, double sum, int64_t start,
                            int64_t t)
{
    static const double bounds[] = {.1, .2, .4};
    return (struct col_hist){counts, bounds, 3, count, sum, NAN, NAN, start, t};
}

static void quantiles_lie_within_their_bucket(void **state)
{
    (void)state;
    const uint64_t counts[] = {0, 10, 0, 0}, tail[] = {5, 0, 0, 5}, none[] = {0, 0, 0, 0};
    struct col_hist h = hist(counts, 10, 1.5, 0, S);
    assert_true(col_hist_valid(&h, 4));
    assert_true(fabs(col_hist_quantile(&h, .5) - .15) < 1e-12);
    assert_true(fabs(col_hist_quantile(&h, 1) - .2) < 1e-12);
    h = hist(tail, 10, 5, 0, S);
    assert_true(fabs(col_hist_quantile(&h, .99) - .4) < 1e-12); /* open above: its bound */
    h.max = .9;
    assert_true(col_hist_quantile(&h, .99) > .8);
    assert_true(fabs(col_hist_quantile(&h, .1) - .02) < 1e-12); /* latencies begin at 0 */
    h = hist(none, 0, 0, 0, S);
    assert_true(isnan(col_hist_quantile(&h, .5)));
    h.count = 1;
    assert_false(col_hist_valid(&h, 4));
    assert_false(col_hist_valid(&h, 3));
    const double down[] = {2, 1, 3};
    h.count = 0;
    h.bounds = down;
    assert_false(col_hist_valid(&h, 4));
    h.counts = NULL;
    h.n_bounds = 0;
    assert_true(col_hist_valid(&h, 0)); /* count and sum alone */
}

static void intervals_are_differences(void **state)
{
    (void)state;
    struct col_hists *s = col_hists_create(2);
    const uint64_t a[] = {1, 2, 3, 0}, b[] = {1, 4, 3, 1}, c[] = {2, 0, 0, 0};
    const int64_t t0 = 1000 * S;
    struct col_hist r, h = hist(a, 6, 1, t0, t0 + 10 * S);
    assert_true(col_hists_interval(s, "x", &h, &r)); /* young: all of it */
    assert_int_equal(r.count, 6);
    h = hist(b, 9, 3, t0, t0 + 20 * S);
    for (int again = 0; again < 2; again++) { /* sent again: the same interval again */
        assert_true(col_hists_interval(s, "x", &h, &r));
        assert_int_equal(r.count, 3);
        assert_int_equal(r.counts[1], 2);
        assert_int_equal(r.counts[3], 1);
        assert_true(fabs(r.sum - 2) < 1e-12);
    }
    h = hist(a, 6, 1, t0, t0 + 10 * S); /* late */
    assert_false(col_hists_interval(s, "x", &h, &r));
    h = hist(c, 2, .5, t0 + 25 * S, t0 + 30 * S); /* the sender began anew */
    assert_true(col_hists_interval(s, "x", &h, &r));
    assert_int_equal(r.count, 2);
    h = hist(a, 6, 1, t0, t0 + 3600 * S); /* seen first after an hour */
    assert_false(col_hists_interval(s, "y", &h, &r));
    h = hist(b, 9, 3, t0, t0 + 3610 * S);
    assert_true(col_hists_interval(s, "y", &h, &r));
    assert_int_equal(r.count, 3);
    assert_false(col_hists_interval(s, "z", &h, &r)); /* no room */
    col_hists_trim(s, t0 + 3000 * S);
    h.start_ns = h.time_ns - S;
    assert_true(col_hists_interval(s, "z", &h, &r));
    col_hists_destroy(s);
}

/* ---- series ---- */

static struct col_series *series(struct col_store *s, const char *component, const char *metric)
{
    const struct col_label l[] = {{"pod", component}};
    const struct col_key k = {"n", component, metric, l, 1};
    return col_series_get(s, &k, COL_GAUGE, "1", 0);
}

static void the_window_is_sorted_and_has_one_value_a_time(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(3);
    struct col_store s;
    double want[64];
    bool have[64] = {false};
    col_store_init(&s, 10);
    struct col_series *x = series(&s, "a", "m");
    for (int i = 0; i < 500; i++) {
        int at = (int)ac_rng_below(&r, 64);
        want[at] = i;
        have[at] = true;
        col_series_add(&s, x, at * S, i);
    }
    size_t n = 0;
    for (int i = 0; i < 64; i++) {
        if (!have[i])
            continue;
        assert_int_equal(x->t[x->head + n], i * S);
        assert_true(x->v[x->head + n] == want[i]);
        assert_int_equal(col_series_seek(x, i * S), n);
        n++;
    }
    assert_int_equal(x->n, n);
    assert_int_equal(s.in_memory, n);
    assert_int_equal(s.open->samples, 500);
    assert_int_equal(x->open->n, 500);
    col_store_trim(&s, 32 * S);
    assert_true(x->t[x->head] >= 32 * S);
    assert_int_equal(s.in_memory, x->n);
    col_series_add(&s, x, 3 * S, 1); /* too old for the window, but it is stored */
    assert_true(x->t[x->head] >= 32 * S);
    assert_int_equal(s.open->samples, 501);
    col_store_fini(&s);
}

static void count_forgotten(const struct col_series *x, void *arg)
{
    (void)x;
    (*(int *)arg)++;
}

static void batches_go_round(void **state)
{
    (void)state;
    struct col_store s;
    int forgotten = 0;
    col_store_init(&s, 2);
    struct col_series *x = series(&s, "a", "m"), *y = series(&s, "b", "m");
    assert_ptr_equal(series(&s, "a", "m"), x);
    assert_null(series(&s, "c", "m"));
    col_series_add(&s, x, S, 1);
    struct col_batch *b = col_store_seal(&s);
    assert_int_equal(b->n_columns, 1);
    assert_ptr_equal(x->sealed, b->columns[0]);
    assert_false(x->stored);
    col_series_add(&s, x, 2 * S, 2); /* while it is being stored */
    assert_int_equal(x->open->n, 1);
    assert_int_equal(x->sealed->n, 1);
    assert_int_equal(x->n, 2);
    col_store_release(&s);
    assert_true(x->stored);
    assert_false(y->stored);
    assert_null(x->sealed);
    assert_non_null(x->open);
    col_store_forget(&s, 10 * S, count_forgotten, &forgotten);
    assert_int_equal(forgotten, 1); /* y; x has a sample that waits */
    (void)col_store_seal(&s);
    col_store_release(&s);
    col_store_forget(&s, 10 * S, count_forgotten, &forgotten);
    assert_int_equal(forgotten, 2);
    assert_int_equal(s.in_memory, 0);
    assert_non_null(series(&s, "c", "m"));
    col_store_fini(&s);
}

static void count_selected(struct col_series *x, void *arg)
{
    (void)x;
    (*(int *)arg)++;
}

static void selectors_take_globs_and_labels(void **state)
{
    (void)state;
    struct col_store s;
    const struct col_label pod[] = {{"pod", "front"}}, other[] = {{"pod", "x"}};
    static const struct {
        struct col_select q;
        int n;
    } cases[] = {
        {{"", "", "", NULL, 0}, 4},       {{"n", "", "", NULL, 0}, 3},
        {{"n", "front", "", NULL, 0}, 2}, {{"n", "f*", "rpc.*", NULL, 0}, 1},
        {{"n", "", "rpc.?", NULL, 0}, 1}, {{"none", "", "", NULL, 0}, 0},
    };
    col_store_init(&s, 10);
    (void)series(&s, "front", "rpc.a");
    (void)series(&s, "front", "cpu");
    (void)series(&s, "back", "rpc.long");
    const struct col_key k = {"m", "front", "rpc.a", NULL, 0};
    assert_non_null(col_series_get(&s, &k, COL_GAUGE, "1", 0));
    for (size_t i = 0; i < AC_ARRAY_LEN(cases); i++) {
        int n = 0;
        col_store_select(&s, &cases[i].q, count_selected, &n);
        assert_int_equal(n, cases[i].n);
    }
    int n = 0;
    col_store_select(&s, &(struct col_select){"", "", "", pod, 1}, count_selected, &n);
    assert_int_equal(n, 2);
    col_store_select(&s, &(struct col_select){"", "", "", other, 1}, count_selected, &n);
    assert_int_equal(n, 2);
    col_store_fini(&s);
}

static void sorting_keeps_the_last_of_a_time(void **state)
{
    (void)state;
    int64_t t[] = {3, 1, 2, 1, 3};
    double v[] = {30, 10, 20, 11, 31};
    assert_int_equal(col_sort_samples(t, v, 5), 3);
    assert_true(t[0] == 1 && v[0] == 11 && t[1] == 2 && v[1] == 20 && t[2] == 3 && v[2] == 31);
    int64_t sorted[] = {1, 2, 3};
    assert_int_equal(col_sort_samples(sorted, v, 3), 3);
}

/* ---- events ---- */

static void put_event(struct col_events *e, int64_t t, const char *component, bool stored)
{
    const struct col_event ev = {
        .t_ns = t, .ns = "n", .component = component, .peer = "p", .msg = "body", .len = 4};
    col_events_add(e, &ev, stored);
}

struct seen {
    int64_t t[4000];
    size_t n, stop_at;
    size_t waiting;
};

static bool see(const struct col_event *ev, int at, void *arg)
{
    struct seen *s = arg;
    assert_string_equal(ev->ns, "n");
    assert_string_equal(ev->peer, "p");
    assert_memory_equal(ev->msg, "body", 4);
    s->t[s->n++] = ev->t_ns;
    s->waiting += at != COL_BLOCK_STORED;
    return s->n != s->stop_at;
}

static void look(struct col_events *e, int64_t from, int64_t to, struct seen *s)
{
    struct col_view v;
    col_view_open(e, from, to, &v);
    col_view_each(&v, see, s);
    col_view_close(&v);
}

static void a_view_outlives_what_it_shows(void **state)
{
    (void)state;
    struct col_events e;
    struct col_view v;
    static struct seen s;
    col_events_init(&e);
    put_event(&e, S, "a", false);
    col_view_open(&e, 0, 10 * S, &v);
    put_event(&e, 2 * S, "b", false); /* comes later: is not seen */
    col_events_seal(&e);
    col_events_release(&e);
    assert_int_equal(e.stored_from_ns, S);
    col_events_trim(&e, 100 * S, 1 << 30);
    assert_int_equal(e.bytes, 0);
    col_view_each(&v, see, &s);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.waiting, 1); /* as it was */
    col_events_fini(&e);
    col_view_close(&v);
}

static void events_go_through_their_states(void **state)
{
    (void)state;
    struct col_events e;
    static struct seen s;
    col_events_init(&e);
    for (int i = 0; i < 10; i++)
        put_event(&e, i * S, "old", true);
    for (int i = 10; i < 3000; i++)
        put_event(&e, i * S, "new", false);
    assert_int_equal(e.pending, 2990);
    look(&e, 0, INT64_MAX, &s);
    assert_int_equal(s.n, 3000);
    assert_int_equal(s.waiting, 2990);
    assert_int_equal(s.t[0], 2999 * S);
    s = (struct seen){.stop_at = 5};
    look(&e, 5 * S, 20 * S, &s);
    assert_int_equal(s.n, 5);
    s = (struct seen){0};
    look(&e, 5 * S, 20 * S, &s);
    assert_int_equal(s.n, 15);
    col_events_seal(&e);
    put_event(&e, 3000 * S, "later", false);
    assert_int_equal(e.pending, 1);
    col_events_trim(&e, 5000 * S, 1 << 30); /* only what is stored may go */
    s = (struct seen){0};
    look(&e, 0, INT64_MAX, &s);
    assert_int_equal(s.n, 2991);
    col_events_release(&e);
    s = (struct seen){0};
    look(&e, 0, INT64_MAX, &s);
    assert_int_equal(s.waiting, 1);
    e.memory_from_ns = 0;
    col_events_trim(&e, 0, 0); /* no room at all: what is gone is before memory_from */
    s = (struct seen){0};
    look(&e, 0, INT64_MAX, &s);
    assert_int_equal(s.n, 1);
    assert_int_equal(e.memory_from_ns, 2999 * S + 1);
    col_events_fini(&e);
    assert_int_equal(e.bytes, 0);
}

static void hex_is_hex(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(col_parse_hex64("00f000000000000a", &v));
    assert_true(v == 0x00f000000000000a);
    assert_false(col_parse_hex64("00F0000000000000", &v));
    assert_false(col_parse_hex64("00f", &v));
}

/* ---- graph ---- */

static struct col_event span(uint64_t trace, uint64_t id, uint64_t parent, const char *component,
                             uint8_t kind, const char *peer, int64_t ms, uint8_t status)
{
    return (struct col_event){.t_ns = 0,
                              .end_ns = ms * AC_NS_PER_MS,
                              .trace = {trace, 1},
                              .span = id,
                              .parent = parent,
                              .component = component,
                              .kind = kind,
                              .peer = peer,
                              .status = status};
}

static void the_graph_joins_callers_and_callees(void **state)
{
    (void)state;
    const struct col_event spans[] = {
        span(1, 1, 0, "front", 2, "", 50, 0),
        span(1, 2, 1, "front", 3, "geo.svc:8083", 40, 0), /* joined: it is geo */
        span(1, 3, 2, "geo", 2, "", 30, 0),
        span(1, 4, 3, "geo", 3, "mongodb-geo", 20, 2),    /* a store: by its peer's name */
        span(2, 2, 0, "front", 3, "geo.svc:8083", 20, 2), /* not joined: known from trace 1 */
        span(3, 1, 0, "queue", 5, "", 5, 0),
        span(3, 2, 1, "worker", 2, "", 5, 0), /* below a span that is no client's */
        span(4, 1, 0, "front", 1, "", 1, 0),
        span(4, 2, 1, "front", 2, "", 1, 0), /* within one component: no call */
        span(5, 1, 9, "lost", 2, "", 1, 0),  /* its parent was not kept */
    };
    struct col_graph *g = col_graph_create();
    size_t n = 0;
    for (int twice = 0; twice < 2; twice++)
        for (size_t i = 0; i < AC_ARRAY_LEN(spans); i++)
            col_graph_add(g, &spans[i]);
    assert_int_equal(col_graph_spans(g), AC_ARRAY_LEN(spans));
    for (int twice = 0; twice < 2; twice++) {
        const struct col_edge *e = col_graph_edges(g, &n);
        assert_int_equal(n, 3);
        assert_string_equal(e[0].caller, "front");
        assert_string_equal(e[0].callee, "geo");
        assert_int_equal(e[0].calls, 2);
        assert_int_equal(e[0].errors, 1);
        assert_true(fabs(e[0].total_ms - 60) < 1e-9);
        assert_string_equal(e[1].callee, "mongodb-geo");
        assert_int_equal(e[1].errors, 1);
        assert_string_equal(e[2].caller, "queue");
        assert_string_equal(e[2].callee, "worker");
    }
    const char *const *c = col_graph_components(g, &n);
    static const char *const want[] = {"front", "geo", "lost", "mongodb-geo", "queue", "worker"};
    assert_int_equal(n, AC_ARRAY_LEN(want));
    for (size_t i = 0; i < n; i++)
        assert_string_equal(c[i], want[i]);
    col_graph_destroy(g);
}

static void a_graph_of_nothing_is_empty(void **state)
{
    (void)state;
    struct col_graph *g = col_graph_create();
    size_t n = 1;
    (void)col_graph_edges(g, &n);
    assert_int_equal(n, 0);
    (void)col_graph_components(g, &n);
    assert_int_equal(n, 0);
    col_graph_destroy(g);
}

static void a_large_graph_finds_all_parents(void **state)
{
    (void)state;
    struct col_graph *g = col_graph_create();
    size_t n = 0;
    for (uint64_t i = 1; i <= 5000; i++) {
        const struct col_event a = span(i, i, 0, "a", 3, "", 1, 0),
                               b = span(i, i + 9, i, "b", 2, "", 1, 0);
        col_graph_add(g, &b);
        col_graph_add(g, &a);
    }
    const struct col_edge *e = col_graph_edges(g, &n);
    assert_int_equal(n, 1);
    assert_int_equal(e[0].calls, 5000);
    col_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_follows_from_the_resource),
        cmocka_unit_test(labels_are_sorted_and_carry_the_pod),
        cmocka_unit_test(what_cannot_be_kept_is_refused),
        cmocka_unit_test(labels_survive_their_text),
        cmocka_unit_test(subjects_take_any_namespace),
        cmocka_unit_test(texts_are_cut_between_characters),
        cmocka_unit_test(chunks_decode_to_what_was_encoded),
        cmocka_unit_test(a_regular_series_is_small),
        cmocka_unit_test(records_survive_deflation),
        cmocka_unit_test(gzip_is_bounded),
        cmocka_unit_test(quantiles_lie_within_their_bucket),
        cmocka_unit_test(intervals_are_differences),
        cmocka_unit_test(the_window_is_sorted_and_has_one_value_a_time),
        cmocka_unit_test(batches_go_round),
        cmocka_unit_test(selectors_take_globs_and_labels),
        cmocka_unit_test(sorting_keeps_the_last_of_a_time),
        cmocka_unit_test(a_view_outlives_what_it_shows),
        cmocka_unit_test(events_go_through_their_states),
        cmocka_unit_test(hex_is_hex),
        cmocka_unit_test(the_graph_joins_callers_and_callees),
        cmocka_unit_test(a_graph_of_nothing_is_empty),
        cmocka_unit_test(a_large_graph_finds_all_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

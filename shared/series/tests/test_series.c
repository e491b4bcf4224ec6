#include <math.h>
#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include <aceso/base.h>
#include <aceso/series.h>
#include <aceso/series_csv.h>
#include <aceso/str.h>
#include <aceso/testkit.h>

#define S AC_NS_PER_S

static struct ac_series *parse(const char *text)
{
    struct ac_series *s = NULL;
    struct ac_err e = AC_ERR_INIT;
    if (ac_series_parse("dir/name.csv.gz", text, strlen(text), &s, &e))
        fail_msg("%s", e.msg);
    return s;
}

static void value_and_label_rows_behind_a_comment(void **state)
{
    (void)state;
    struct ac_series *s = parse("# series=cpu interval_s=60 t0=1491041280 n_train=2 n_test=2\r\n"
                                "value,label\r\n35.03,0\r\n,1\r\nnan,0\r\n-1e3,1\r\n");
    assert_string_equal(s->name, "cpu");
    assert_int_equal(s->n, 4);
    assert_int_equal(s->n_train, 2);
    assert_int_equal(s->step_ns, 60 * S);
    assert_int_equal(ac_series_time(s, 3), (1491041280 + 180) * S);
    assert_true(s->values[0] == 35.03 && isnan(s->values[1]) && s->values[3] == -1000);
    assert_int_equal(ac_series_gaps(s), 2);
    assert_memory_equal(s->labels, "\0\1\0\1", 4);
    ac_series_destroy(s);
    ac_series_destroy(NULL);
}

static void timestamps_of_many_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t t, step;
    } t[] = {
        {"timestamp,value\n1700000000,1\n1700000060,2\n", 1700000000 * S, 60 * S},
        {"timestamp,value\n1700000000.5,1\n1700000001,2\n", 1700000000 * S + S / 2, S / 2},
        {"time,value\n1700000000250,1\n1700000000500,2\n", 1700000000 * S + S / 4, S / 4},
        {"timestamp,value\n1700000000000000001,1\n1700000000000000002,2\n", 1700000000 * S + 1, 1},
        {"value,timestamp\n1,2023-11-14 22:13:20\n2,2023-11-14 22:13:21\n", 1700000000 * S, S},
        {"value,timestamp\n1,2023-11-14T23:13:20+01:00\n2,2023-11-14T22:13:21Z\n", 1700000000 * S,
         S},
        {"timestamp,horizontal\n0,1.9\n300,-1\n", 0, 300 * S},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++) {
        struct ac_series *s = parse(t[i].text);
        assert_string_equal(s->name, "name");
        assert_int_equal(s->n, 2);
        assert_int_equal(s->t0_ns, t[i].t);
        assert_int_equal(s->step_ns, t[i].step);
        assert_null(s->labels);
        ac_series_destroy(s);
    }
    struct ac_series *s = parse("timestamp,value,label\n10,1,0\n20,2,true\n40,4,1.0\n");
    assert_int_equal(s->step_ns, 0);
    assert_int_equal(ac_series_time(s, 2), 40 * S);
    assert_memory_equal(s->labels, "\0\1\1", 3);
    ac_series_destroy(s);
}

static void malformed_files_are_refused_with_row_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } t[] = {
        {"", "f:1:1: no header line"},
        {"value\n", "f:2:1: no rows"},
        {"a,b\n1,2\n", "f:1:1: the header names no column 'value'"},
        {"1,2\n", "f:1:1: the header names no column 'value'"},
        {"value,value\n1,2\n", "f:1:2: a second column 'value'"},
        {"value,label\n1,0\nx,0\n", "f:3:1: expected a number, not 'x'"},
        {"value,label\n1,0\n1,2\n", "f:3:2: expected a label 0 or 1, not '2'"},
        {"value,label\n1\n", "f:2:2: 1 fields, the header has 2"},
        {"value,label\n1,0,7\n", "f:2:3: 3 fields, the header has 2"},
        {"timestamp,value\nyesterday,1\n", "f:2:1: expected a time, not 'yesterday'"},
        {"timestamp,value\n1e300,1\n", "f:2:1: expected a time, not '1e300'"},
        {"# n_train=x\nvalue\n1\n", "f:1:1: n_train is no count: 'x'"},
        {"# interval_s=0\nvalue\n1\n", "f:1:1: interval_s is no duration: '0'"},
        {"# n_train=5\nvalue\n1\n", "f:1:1: n_train is 5, the file has 1 rows"},
        {"# interval_s=900000000\nvalue\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n",
         "f:1:1: the times run past the year 2262"},
        {"value\n0x10\n", "f:2:1: expected a number, not '0x10'"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++) {
        struct ac_series *s = NULL;
        struct ac_err e = AC_ERR_INIT;
        assert_int_equal(ac_series_parse("f", t[i].text, strlen(t[i].text), &s, &e), AC_EINVAL);
        assert_string_equal(e.msg, t[i].msg);
        assert_null(s);
    }
    struct ac_series *s = NULL;
    struct ac_err e = AC_ERR_INIT;
    assert_int_equal(ac_series_parse("f", "value\n1\0002\n", 10, &s, &e), AC_EINVAL);
    assert_string_equal(e.msg, "f:2:1: a NUL byte");
    assert_int_equal(ac_series_read("/nonexistent.csv", &s, &e), AC_ENOTFOUND);
    assert_int_equal(ac_series_parse("f", "x", 1, &s, NULL), AC_EINVAL);
}

static int parse_as(const char *text, struct ac_series_want w, struct ac_series **ret,
                    struct ac_err *e)
{
    return ac_series_parse_as("f", text, strlen(text), &w, ret, e);
}

static void a_training_part_ends_the_reading(void **state)
{
    (void)state;
    struct ac_series *s = NULL;
    struct ac_err e = AC_ERR_INIT;
    struct ac_series_want train = {.train_only = true};
    static const char text[] = "# n_train=2\nvalue,label\n1,0\n2,1\nbroken\n";
    assert_int_equal(parse_as(text, train, &s, &e), 0);
    assert_int_equal(s->n, 2);
    assert_int_equal(s->n_train, 2);
    assert_memory_equal(s->labels, "\0\1", 2);
    ac_series_destroy(s);
    assert_int_equal(parse_as(text, (struct ac_series_want){0}, &s, &e), AC_EINVAL);
    assert_string_equal(e.msg, "f:5:2: 1 fields, the header has 2");
    /* without a stated part all is for training; below the header none can be stated */
    assert_int_equal(parse_as("value\n1\n# n_train=1\n2\n", train, &s, &e), 0);
    assert_int_equal(s->n, 2);
    assert_int_equal(s->n_train, 0);
    ac_series_destroy(s);
    assert_int_equal(parse_as("# n_train=3\nvalue\n1\n", train, &s, &e), AC_EINVAL);
}

static void times_rise_where_that_is_wanted(void **state)
{
    (void)state;
    struct ac_series *s = NULL;
    struct ac_err e = AC_ERR_INIT;
    struct ac_series_want rising = {.rising = true};
    assert_int_equal(parse_as("value,time\n1,5\n2,4\n", rising, &s, &e), AC_EINVAL);
    assert_string_equal(e.msg, "f:3:2: the times go back");
    assert_int_equal(parse_as("value,time\n1,5\n2,5\n", rising, &s, &e), AC_EINVAL);
    assert_string_equal(e.msg, "f:3:2: the same time twice");
    assert_int_equal(parse_as("value,time\n1,5\n2,4\n", (struct ac_series_want){0}, &s, &e), 0);
    ac_series_destroy(s);
}

static void further_columns_come_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"load", "value", "load"};
    struct ac_series *s = NULL;
    struct ac_err e = AC_ERR_INIT;
    struct ac_series_want w = {.columns = names, .n_columns = 2};
    assert_int_equal(parse_as("load,value,x,load\n1,2,a,9\n,4,b,9\n", w, &s, &e), 0);
    assert_int_equal(s->n_columns, 2);
    assert_float_equal(s->columns[0][0], 1, 0);
    assert_true(isnan(s->columns[0][1]));
    assert_float_equal(s->columns[1][1], 4, 0);
    assert_float_equal(s->values[1], 4, 0);
    ac_series_destroy(s);
    w.n_columns = 3; /* the name again is the next field of that name */
    assert_int_equal(parse_as("load,value,load\n1,2,9\n", w, &s, &e), 0);
    assert_float_equal(s->columns[2][0], 9, 0);
    ac_series_destroy(s);
    assert_int_equal(parse_as("load,value\n1,2\n", w, &s, &e), AC_EINVAL);
    assert_string_equal(e.msg, "f:1:1: the header names no column 'load'");
    w.n_columns = 1;
    assert_int_equal(parse_as("value,load\n1,2\n2,x\n", w, &s, &e), AC_EINVAL);
    assert_string_equal(e.msg, "f:3:2: expected a number, not 'x'");
}

static void cells_are_trimmed_and_unquoted(void **state)
{
    (void)state;
    static const char text[] = "# a, b\n a , \"b, \"\"c\"\"\" ,\"\",\n\n  \r\n\"open, end";
    struct ac_csv r;
    struct ac_err e = AC_ERR_INIT;
    ac_csv_init(&r, "f", text, strlen(text), 4, &e);
    assert_int_equal(ac_csv_next(&r), 1);
    assert_int_equal(r.n, 1);
    assert_string_equal(r.fields[0], "# a, b");
    assert_int_equal(ac_csv_next(&r), 1);
    assert_int_equal(r.n, 4);
    assert_string_equal(r.fields[0], "a");
    assert_string_equal(r.fields[1], "b, \"c\"");
    assert_string_equal(r.fields[2], "");
    assert_string_equal(r.fields[3], "");
    assert_int_equal(ac_csv_next(&r), 1);
    assert_int_equal(r.row, 5);
    assert_int_equal(r.n, 1);
    assert_string_equal(r.fields[0], "open, end"); /* an open quote takes the rest of its row */
    assert_int_equal(ac_csv_next(&r), 0);
    ac_csv_fini(&r);
    ac_csv_init(&r, "f", "1,2,3", 5, 2, &e);
    assert_int_equal(ac_csv_next(&r), AC_EINVAL);
    assert_string_equal(e.msg, "f:1:3: more than 2 fields");
    ac_csv_fini(&r);
}

/* gzip of data by zlib itself. */
static size_t deflate_text(const char *data, size_t len, unsigned char *out, size_t cap)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = cap - z.avail_out;
    deflateEnd(&z);
    return n;
}

static void gzip_is_inflated_with_a_cap(void **state)
{
    (void)state;
    static char text[200000];
    static unsigned char gz[100000];
    memset(text, 'a', sizeof(text));
    size_t n = deflate_text(text, sizeof(text), gz, sizeof(gz)), len;
    struct ac_err e = AC_ERR_INIT;
    char *out = NULL;
    assert_int_equal(ac_gz_inflate("z", gz, n, sizeof(text), &out, &len, &e), 0);
    assert_int_equal(len, sizeof(text));
    assert_memory_equal(out, text, len);
    free(out);
    out = NULL;
    assert_int_equal(ac_gz_inflate("z", gz, n, sizeof(text) - 1, &out, &len, &e), AC_ERANGE);
    for (size_t cut = 2; cut < n; cut++) {
        assert_int_equal(ac_gz_inflate("z", gz, cut, sizeof(text), &out, &len, &e), AC_EINVAL);
        assert_non_null(strstr(e.msg, "damaged gzip data"));
    }
    gz[n / 2] ^= 0x55;
    assert_int_equal(ac_gz_inflate("z", gz, n, sizeof(text), &out, &len, &e), AC_EINVAL);
    gz[n / 2] ^= 0x55;
    assert_null(out);
    size_t n2 = deflate_text("tail", 4, gz + n, sizeof(gz) - n); /* a second member */
    assert_int_equal(ac_gz_inflate("z", gz, n + n2, 1 << 20, &out, &len, &e), 0);
    assert_int_equal(len, sizeof(text) + 4);
    assert_memory_equal(out + sizeof(text), "tail", 5);
    free(out);
    memset(gz + n + n2, 0, 100); /* padding as tar leaves it */
    assert_int_equal(ac_gz_inflate("z", gz, n + n2 + 100, 1 << 20, &out, &len, &e), 0);
    free(out);
    assert_int_equal(ac_gz_inflate("z", "plain", 5, 5, &out, &len, &e), 0);
    assert_string_equal(out, "plain");
    free(out);
    assert_int_equal(ac_gz_inflate("z", "plain", 5, 4, &out, &len, &e), AC_ERANGE);
}

struct gz {
    unsigned char bytes[1000];
    size_t n;
};

static int gz_run(void *arg)
{
    struct gz *g = arg;
    char *out = NULL;
    size_t len;
    int rc = ac_gz_inflate("z", g->bytes, g->n, 1 << 20, &out, &len, NULL);
    free(out);
    return rc;
}

static void inflating_survives_a_failing_heap(void **state)
{
    (void)state;
    static char text[50000];
    struct gz g;
    memset(text, 'b', sizeof(text));
    g.n = deflate_text(text, sizeof(text), g.bytes, sizeof(g.bytes));
    assert_true(ac_kit_alloc_sweep(gz_run, &g) >= 3);
}

static void files_are_read_as_they_are(void **state)
{
    (void)state;
    unsigned char gz[200];
    static const char text[] = "value,label\n1,0\n2,1\n";
    size_t n = deflate_text(text, strlen(text), gz, sizeof(gz));
    ac_cleanup(ac_free_p) char *path = ac_kit_file("pkts.csv.gz", NULL);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(gz, 1, n, f), n);
    fclose(f);
    struct ac_series *s;
    assert_int_equal(ac_series_read(path, &s, NULL), 0);
    assert_string_equal(s->name, "pkts");
    assert_int_equal(s->n, 2);
    assert_int_equal(s->step_ns, 0);
    assert_null(s->times_ns);
    ac_series_destroy(s);
}

static void grids_sort_join_and_leave_gaps(void **state)
{
    (void)state;
    struct ac_series *s = ac_series_create("x"), *r = NULL;
    struct ac_err e = AC_ERR_INIT;
    static const int64_t t[] = {100, 110, 121, 90, 110, 150, 160, 109};
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++)
        ac_series_append(s, t[i] * S, (double)i, i == 5);
    s->n_train = 6;
    assert_int_equal(ac_series_infer_step(s), 10 * S);
    assert_int_equal(ac_series_regular(s, 0, &r, &e), 0);
    assert_int_equal(r->n, 8);
    assert_int_equal(r->t0_ns, 90 * S);
    static const double want[] = {3, 0, 4, 2, NAN, NAN, 5, 6};
    for (size_t i = 0; i < 8; i++)
        assert_true(r->values[i] == want[i] || (isnan(r->values[i]) && isnan(want[i])));
    assert_int_equal(r->labels[6], 1);
    assert_int_equal(r->n_train, 7);
    ac_series_destroy(r);
    assert_int_equal(ac_series_regular(s, 1, &r, &e), AC_ERANGE);
    ac_series_destroy(s);
    s = parse("value\n1\n2\n");
    assert_int_equal(ac_series_regular(s, 0, &r, &e), AC_EINVAL);
    ac_series_destroy(s);
}

static void coarser_grids(void **state)
{
    (void)state;
    struct ac_series *s =
        parse("# interval_s=10 n_train=4\nvalue,label\n1,0\n3,1\nnan,0\nnan,0\n5,0\n");
    static const struct {
        enum ac_series_agg agg;
        double want[3];
    } t[] = {
        {AC_AGG_MEAN, {2, NAN, 5}}, {AC_AGG_SUM, {4, NAN, 5}},  {AC_AGG_MIN, {1, NAN, 5}},
        {AC_AGG_MAX, {3, NAN, 5}},  {AC_AGG_LAST, {3, NAN, 5}}, {AC_AGG_COUNT, {2, 0, 1}},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++) {
        struct ac_series *r = ac_series_coarser(s, 2, t[i].agg);
        assert_int_equal(r->n, 3);
        assert_int_equal(r->step_ns, 20 * S);
        assert_int_equal(r->n_train, 2);
        for (int k = 0; k < 3; k++)
            assert_true(r->values[k] == t[i].want[k] ||
                        (isnan(r->values[k]) && isnan(t[i].want[k])));
        assert_memory_equal(r->labels, "\1\0\0", 3);
        ac_series_destroy(r);
    }
    ac_series_destroy(s);
}

static void gaps_are_filled_up_to_a_length(void **state)
{
    (void)state;
    static const char text[] = "value\nnan\n1\nnan\nnan\n4\nnan\nnan\nnan\n8\nnan\n";
    struct ac_series *s = parse(text);
    assert_int_equal(ac_series_fill_gaps(s, AC_FILL_LINEAR, 2), 2);
    assert_true(s->values[2] == 2 && s->values[3] == 3 && isnan(s->values[5]));
    assert_true(isnan(s->values[0]) && isnan(s->values[9]));
    assert_int_equal(ac_series_fill_gaps(s, AC_FILL_PREVIOUS, 3), 4);
    assert_true(s->values[7] == 4 && s->values[9] == 8);
    ac_series_destroy(s);
}

static void slices_keep_times_and_labels(void **state)
{
    (void)state;
    struct ac_series *s = parse("timestamp,value,label\n10,1,0\n20,2,1\n40,4,0\n");
    struct ac_series *r = ac_series_slice(s, 1, 99);
    assert_int_equal(r->n, 2);
    assert_int_equal(ac_series_time(r, 0), 20 * S);
    assert_int_equal(ac_series_time(r, 1), 40 * S);
    assert_int_equal(r->labels[0], 1);
    ac_series_destroy(r);
    r = ac_series_slice(s, 3, 3);
    assert_int_equal(r->n, 0);
    ac_series_destroy(r);
    ac_series_destroy(s);
}

static void a_quoted_cell_may_hold_line_breaks(void **state)
{
    (void)state;
    static const char text[] = "a,\"one\ntwo, \"\"x\"\"\n\",c\nno \"quote\",2\n\"open\n,3\n";
    struct ac_csv r;
    struct ac_err e = AC_ERR_INIT;
    ac_csv_init(&r, "f", text, strlen(text), 4, &e);
    r.multiline = true;
    assert_int_equal(ac_csv_next(&r), 1);
    assert_int_equal(r.row, 1);
    assert_int_equal(r.n, 3);
    assert_string_equal(r.fields[1], "one\ntwo, \"x\"\n");
    assert_string_equal(r.fields[2], "c");
    assert_int_equal(ac_csv_next(&r), 1);
    assert_int_equal(r.row, 4);
    assert_string_equal(r.fields[0], "no \"quote\"");
    assert_string_equal(r.fields[1], "2");
    assert_int_equal(ac_csv_next(&r), AC_EINVAL);
    assert_non_null(strstr(e.msg, "f:5:1: a quote that stays open"));
    ac_csv_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_and_label_rows_behind_a_comment),
        cmocka_unit_test(timestamps_of_many_kinds),
        cmocka_unit_test(malformed_files_are_refused_with_row_and_column),
        cmocka_unit_test(a_training_part_ends_the_reading),
        cmocka_unit_test(times_rise_where_that_is_wanted),
        cmocka_unit_test(further_columns_come_by_name),
        cmocka_unit_test(cells_are_trimmed_and_unquoted),
        cmocka_unit_test(a_quoted_cell_may_hold_line_breaks),
        cmocka_unit_test(gzip_is_inflated_with_a_cap),
        cmocka_unit_test(inflating_survives_a_failing_heap),
        cmocka_unit_test(files_are_read_as_they_are),
        cmocka_unit_test(grids_sort_join_and_leave_gaps),
        cmocka_unit_test(coarser_grids),
        cmocka_unit_test(gaps_are_filled_up_to_a_length),
        cmocka_unit_test(slices_keep_times_and_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

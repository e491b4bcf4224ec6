#include "readers/rca_dataset.h"

#include <string.h>

#include <dirent.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/series.h>
#include <aceso/str.h>

#include "readers/rca_nezha.h"

#define FILE_MAX_BYTES ((size_t)512 << 20)

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names in a directory, hidden ones left out. */
static int list_dir(const char *path, char ***ret, size_t *ret_n, struct ac_err *err)
{
    DIR *d = opendir(path);
    if (!d)
        return ac_err_set(err, AC_EINVAL, "%s: cannot read the directory: %m", path);
    char **names = NULL;
    size_t n = 0, cap = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        ac_grow(&names, &cap, n + 1, sizeof(names[0]));
        names[n++] = ac_xstrdup(e->d_name);
    }
    closedir(d);
    if (n > 1)
        qsort(names, n, sizeof(names[0]), by_name);
    *ret = names;
    *ret_n = n;
    return 0;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

int ac_rca_text_read(const char *path, size_t max, char **ret, size_t *ret_len, struct ac_err *err)
{
    int rc = ac_gz_read(path, max, ret, ret_len, err);
    if (rc && err)
        err->code = AC_EINVAL;
    if (!rc && *ret_len >= 3 && memcmp(*ret, "\xef\xbb\xbf", 3) == 0) { /* of spreadsheets */
        *ret_len -= 3;
        memmove(*ret, *ret + 3, *ret_len + 1);
    }
    return rc ? AC_EINVAL : 0;
}

int ac_rca_table_load(const char *path, struct ac_rca_table *ret, struct ac_err *err)
{
    char *text;
    size_t len;
    int rc = ac_rca_text_read(path, FILE_MAX_BYTES, &text, &len, err);
    if (rc)
        return rc;
    rc = ac_rca_table_parse(path, text, len, ret, err);
    free(text);
    return rc;
}

static void add_case(struct ac_rca_dataset *d, const char *dir, const char *folder, const char *cut,
                     const char *rep)
{
    ac_grow(&d->cases, &d->cap, d->n + 1, sizeof(d->cases[0]));
    d->cases[d->n++] = (struct ac_rca_labelled){
        .name = ac_xasprintf("%s/%s", folder, rep),
        .path = ac_xasprintf("%s/%s/%s", dir, folder, rep),
        .truth = ac_xstrndup(folder, (size_t)(cut - folder)),
        .fault = ac_xstrdup(cut + 1),
    };
}

static bool is_joined(const char *dir)
{
    ac_cleanup(ac_free_p) char *file = ac_xasprintf("%s/anomalous.csv", dir);
    return ac_path_exists(file);
}

/* DIR/<service><separator><fault>/<repetition>/, sorted by name. */
static int list_cases(const char *dir, char separator, bool (*is_case)(const char *),
                      struct ac_rca_dataset *d, struct ac_err *err)
{
    char **folders = NULL;
    size_t n = 0;
    int rc = list_dir(dir, &folders, &n, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        const char *cut = strrchr(folders[i], separator);
        char **reps = NULL;
        size_t nreps = 0;
        char *path = ac_xasprintf("%s/%s", dir, folders[i]);
        if (cut && cut > folders[i] && cut[1] && list_dir(path, &reps, &nreps, NULL) == 0) {
            for (size_t j = 0; j < nreps; j++) {
                ac_cleanup(ac_free_p) char *one = ac_xasprintf("%s/%s", path, reps[j]);
                if (is_case(one))
                    add_case(d, dir, folders[i], cut, reps[j]);
            }
            free_names(reps, nreps);
        }
        free(path);
    }
    free_names(folders, n);
    return 0;
}

int ac_rca_sockshop_list(const char *dir, struct ac_rca_dataset *ret, struct ac_err *err)
{
    struct ac_rca_dataset d = {0};
    int rc = list_cases(dir, '-', is_joined, &d, err);
    if (!rc && d.n == 0)
        rc = ac_err_set(err, AC_EINVAL,
                        "%s: no case found (expected <service>-<fault>/<repetition>/"
                        "{normal,anomalous}.csv)",
                        dir);
    *ret = d;
    return rc;
}

static const char *const folder_metrics[] = {"simple_metrics.csv", "data.csv", "metrics.csv"};

static char *metrics_in(const char *dir)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(folder_metrics); i++) {
        char *path = ac_xasprintf("%s/%s", dir, folder_metrics[i]);
        if (ac_path_exists(path))
            return path;
        free(path);
    }
    return NULL;
}

bool ac_rca_folder_is(const char *dir)
{
    ac_cleanup(ac_free_p) char *path = metrics_in(dir);
    return path != NULL;
}

int ac_rca_rcaeval_list(const char *dir, struct ac_rca_dataset *ret, struct ac_err *err)
{
    struct ac_rca_dataset d = {0};
    int rc = list_cases(dir, '_', ac_rca_folder_is, &d, err);
    if (!rc && d.n == 0)
        rc = ac_err_set(err, AC_EINVAL,
                        "%s: no case found (expected <service>_<fault>/<repetition>/"
                        "{simple_metrics,data,metrics}.csv)",
                        dir);
    *ret = d;
    return rc;
}

/* One time in a file: what is there, in a form of ac_csv_time. */
static int read_time(const char *path, int64_t *ret_ns, struct ac_err *err)
{
    char *text;
    size_t len;
    *ret_ns = INT64_MIN;
    if (!ac_path_exists(path))
        return 0;
    int rc = ac_rca_text_read(path, FILE_MAX_BYTES, &text, &len, err);
    if (rc)
        return rc;
    while (len > 0 && (unsigned char)text[len - 1] <= ' ')
        text[--len] = '\0';
    int64_t t;
    if (!ac_csv_time(text, &t) || t <= 0 || t > AC_RCA_TIME_MAX_NS)
        rc = ac_err_set(err, AC_EINVAL, "%s:1:1: not a time: '%.40s'", path, text);
    else
        *ret_ns = t;
    free(text);
    return rc;
}

int ac_rca_folder_load(const char *dir, struct ac_rca_case **ret, int64_t *ret_t0_ns,
                       struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *metrics = metrics_in(dir);
    ac_cleanup(ac_free_p) char *time = ac_xasprintf("%s/inject_time.txt", dir);
    ac_cleanup(ac_free_p) char *calls = ac_xasprintf("%s/calls.csv", dir);
    struct ac_rca_case *c = ac_rca_case_create();
    int rc = metrics ? ac_rca_csv_load(metrics, c, err)
                     : ac_err_set(err, AC_EINVAL,
                                  "%s: no simple_metrics.csv, data.csv or "
                                  "metrics.csv",
                                  dir);
    if (!rc && ac_path_exists(calls))
        rc = ac_rca_edges_load(calls, c, err);
    if (!rc)
        rc = read_time(time, ret_t0_ns, err);
    if (rc) {
        ac_rca_case_destroy(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void ac_rca_dataset_fini(struct ac_rca_dataset *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->cases[i].name);
        free(d->cases[i].path);
        free(d->cases[i].truth);
        free(d->cases[i].fault);
    }
    free(d->cases);
    memset(d, 0, sizeof(*d));
}

int ac_rca_sockshop_load(const char *case_dir, struct ac_rca_case **ret, int64_t *ret_t0_ns,
                         struct ac_err *err)
{
    struct ac_rca_table normal = {0}, faulty = {0};
    char *a = ac_xasprintf("%s/normal.csv", case_dir);
    char *b = ac_xasprintf("%s/anomalous.csv", case_dir);
    struct ac_rca_case *c = ac_rca_case_create();
    int rc = ac_rca_table_load(a, &normal, err);
    if (!rc)
        rc = ac_rca_table_load(b, &faulty, err);
    if (!rc)
        rc = ac_rca_join_normal(case_dir, &normal, &faulty, c, ret_t0_ns, err);
    ac_rca_table_fini(&normal);
    ac_rca_table_fini(&faulty);
    free(a);
    free(b);
    if (rc) {
        ac_rca_case_destroy(c);
        return rc;
    }
    ac_rca_case_one_statistic(c);
    *ret = c;
    return 0;
}

int ac_rca_csv_load(const char *path, struct ac_rca_case *c, struct ac_err *err)
{
    struct ac_rca_table t = {0};
    int rc = ac_rca_table_load(path, &t, err);
    if (!rc)
        rc = ac_rca_table_add(path, &t, 0, c, err);
    ac_rca_table_fini(&t);
    if (!rc)
        ac_rca_case_one_statistic(c);
    return rc;
}

int ac_rca_edges_load(const char *path, struct ac_rca_case *c, struct ac_err *err)
{
    char *text;
    size_t len;
    int rc = ac_rca_text_read(path, FILE_MAX_BYTES, &text, &len, err);
    if (rc)
        return rc;
    /* An adjacency matrix begins with an empty cell. */
    rc = len > 0 && text[0] == ',' ? ac_rca_adjacency_parse(path, text, len, c, err)
                                   : ac_rca_edges_parse(path, text, len, c, err);
    free(text);
    return rc;
}

static int load_pods(const char *dir, int64_t shift_ns, struct ac_rca_case *c, struct ac_err *err)
{
    char **names;
    size_t n, files = 0;
    int rc = list_dir(dir, &names, &n, err);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n; i++) {
        if (!ac_str_ends(names[i], "_metric.csv") && !ac_streq(names[i], "front_service.csv"))
            continue;
        char *text;
        size_t len;
        ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, names[i]);
        rc = ac_rca_text_read(path, FILE_MAX_BYTES, &text, &len, err);
        if (!rc) {
            rc = ac_rca_nezha_parse(path, text, len, shift_ns, c, err);
            free(text);
        }
        files++;
    }
    free_names(names, n);
    if (!rc && files == 0)
        return ac_err_set(err, AC_EINVAL, "%s: no file <pod>_metric.csv", dir);
    return rc;
}

static int load_edge_table(const char *dir, const char *name, struct ac_rca_table *ret,
                           struct ac_err *err)
{
    char *text;
    size_t len;
    ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, name);
    int rc = ac_rca_text_read(path, FILE_MAX_BYTES, &text, &len, err);
    if (rc)
        return rc;
    rc = ac_rca_nezha_edges_parse(path, text, len, ret, err);
    free(text);
    return rc;
}

int ac_rca_nezha_load(const char *dir, const struct ac_rca_nezha_options *o,
                      struct ac_rca_case **ret, struct ac_err *err)
{
    struct ac_rca_case *c = ac_rca_case_create();
    ac_cleanup(ac_free_p) char *calls = ac_xasprintf("%s/dependency.csv", dir);
    ac_cleanup(ac_free_p) char *source = ac_xasprintf("%s/source_50.csv", dir);
    int64_t shift = -30 * AC_NS_PER_S; /* a sample is of the minute before it: its middle */
    int rc = load_pods(dir, shift, c, err);
    if (!rc && !o->no_graph && ac_path_exists(calls))
        rc = ac_rca_edges_load(calls, c, err);
    if (!rc && !o->no_gaps && ac_path_exists(source)) {
        struct ac_rca_table a = {0}, b = {0};
        rc = load_edge_table(dir, "source_50.csv", &a, err);
        if (!rc)
            rc = load_edge_table(dir, "destination_50.csv", &b, err);
        if (!rc)
            rc = ac_rca_nezha_gaps(&a, &b, shift, c, err);
        ac_rca_table_fini(&a);
        ac_rca_table_fini(&b);
    }
    if (rc) {
        ac_rca_case_destroy(c);
        return rc;
    }
    ac_rca_case_one_statistic(c);
    *ret = c;
    return 0;
}

/* Service of a component: its own database belongs to it. */
static size_t service_len(const char *name)
{
    size_t n = strlen(name);
    return ac_str_ends(name, "-db") ? n - 3 : n;
}

size_t ac_rca_rank_of(const struct ac_rca_case *c, const struct ac_rca_result *r, const char *truth)
{
    size_t place = 0;
    for (size_t i = 0; i < r->ncauses; i++) {
        const char *name = c->components[r->causes[i].component];
        size_t n = service_len(name);
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) {
            const char *o = c->components[r->causes[j].component];
            seen = service_len(o) == n && strncmp(o, name, n) == 0;
        }
        if (seen)
            continue;
        place++;
        if (n == service_len(truth) && strncmp(name, truth, n) == 0)
            return place;
    }
    return 0;
}

void ac_rca_score_add(struct ac_rca_score *s, size_t rank)
{
    s->cases++;
    for (size_t k = 1; k <= 5; k++)
        s->hits[k] += rank >= 1 && rank <= k;
}

double ac_rca_ac(const struct ac_rca_score *s, size_t k)
{
    return s->cases ? (double)s->hits[k] / (double)s->cases : 0.0;
}

double ac_rca_avg5(const struct ac_rca_score *s)
{
    double sum = 0;
    for (size_t k = 1; k <= 5; k++)
        sum += ac_rca_ac(s, k);
    return sum / 5.0;
}

/* aceso train: rules from series files. No service is needed. */
#include "train.h"

#include "bench.h"
#include "evalrule.h"
#include "guard.h"
#include "verbs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "readers/series_file.h"
#include "readers/train_source.h"
#include "rule/bench_nab.h"
#include "rule/out_name.h"

static int cmd_train(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_train = {
    "train", "learn rules from series; score the method on a data set", cmd_train,
    "usage: aceso train --series CSV... [--proposer synth] [--budget-s S] [--delay K]\n"
    "                   [--alarm-budget A] [--vote M] [--evolve N [--seed S]] --out DIR\n"
    "       aceso train bench --dataset kpi|csv DIR [--protocol honest|feedback|argos]\n"
    "                         [--delay K] [--alarm-budget A] [--vote M] [--evolve N [--seed S]] "
    "[--threads N]\n"
    "       aceso train bench --dataset nab DIR [--rule FILE]\n\n"
    "  --series CSV     value,label rows or a header with timestamp,value,label; .gz is read as it "
    "is\n"
    "  --out DIR        DIR/<series>.rule and DIR/<series>.flags (one 0/1 a row)\n"
    "  --delay K        an event counts as found in its first K + 1 points (default 7)\n"
    "  --budget-s S     stop starting on further series after S seconds (0: no limit)\n"
    "  --alarm-budget A no more than A alarms a day: limits are raised until the training part "
    "holds\n"
    "                   it, and a condition in the rule holds it on any data\n"
    "  --vote M         a vote of the M best atoms (2 to 9) instead of the best one, where it "
    "proves "
    "better\n"
    "  --evolve N       try N random changes of the rule, each taken with a proven gain only; "
    "--seed S\n"
    "                   chooses them; --budget-s may end it earlier, which is told\n"
    "  --protocol       honest: choices from the training part alone, score on the test part;\n"
    "                   feedback: the same, but the labels of each week are known at its end, and "
    "limits\n"
    "                   fitted anew for the next;\n"
    "                   argos: training part cut 70/30, threshold on the scored labels\n"
    "  --rule FILE      nab: a rule with a let named score instead of the built-in one\n"
    "  --threads N      default: all processors; the result does not depend on it\n"};

#define FILES_MAX 4096

/* Work on files by index: each thread takes the next one; results lie in the order of the files. */
struct pool {
    pthread_mutex_t lock;
    size_t next, n, done;
    void (*fn)(struct pool *p, size_t i);
    void *arg;
};

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    for (;;) {
        pthread_mutex_lock(&p->lock);
        size_t i = p->next < p->n ? p->next++ : SIZE_MAX;
        pthread_mutex_unlock(&p->lock);
        if (i == SIZE_MAX)
            return NULL;
        p->fn(p, i);
        pthread_mutex_lock(&p->lock);
        size_t done = ++p->done;
        pthread_mutex_unlock(&p->lock);
        cli_progress("%zu of %zu series", done, p->n);
    }
}

static void pool_run(struct pool *p, unsigned threads)
{
    pthread_t t[64];
    unsigned n = 0;
    (void)pthread_mutex_init(&p->lock, NULL);
    while (n + 1 < threads && n < AC_ARRAY_LEN(t) &&
           pthread_create(&t[n], NULL, pool_thread, p) == 0)
        n++;
    (void)pool_thread(p);
    for (unsigned i = 0; i < n; i++)
        (void)pthread_join(t[i], NULL);
    (void)pthread_mutex_destroy(&p->lock);
}

static bool parse_threads(const char *s, unsigned *ret)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t n = cpus > 0 ? (uint64_t)cpus : 1;
    if (s && (!ac_str_to_u64(s, &n) || n < 1 || n > 64))
        return false;
    *ret = (unsigned)AC_MIN(n, (uint64_t)64);
    return true;
}

static bool parse_delay(const char *s, size_t *ret)
{
    uint64_t k = TRAIN_DELAY_DEFAULT;
    if (s && (!ac_str_to_u64(s, &k) || k > 1000000))
        return false;
    *ret = (size_t)k;
    return true;
}

#define EVOLVE_USAGE "--evolve is a number of tries up to 100000, --seed a whole number"
#define EVOLVE_MAX   100000u

static bool parse_evolve(const char *tries, const char *seed, struct evolve_options *ret)
{
    uint64_t n = 0;
    ret->seed = 1;
    if ((tries && (!ac_str_to_u64(tries, &n) || n > EVOLVE_MAX)) ||
        (seed && !ac_str_to_u64(seed, &ret->seed)))
        return false;
    ret->tries = (size_t)n;
    return true;
}

#define VOTE_USAGE "--vote is a number of atoms from 2 to 9"

static bool parse_vote(const char *s, size_t *ret)
{
    uint64_t n = 0;
    if (s && (!ac_str_to_u64(s, &n) || n < TRAIN_VOTE_MIN || n > TRAIN_VOTE_MAX))
        return false;
    *ret = (size_t)n;
    return true;
}

static bool before_end(void *until_ns)
{
    return ac_now_ns() < *(const int64_t *)until_ns;
}

#define ALARMS_USAGE "--alarm-budget is a number of alarms a day from 0.01 to 10000"

static bool parse_alarms(const char *s, double *ret)
{
    return !s || (ac_str_to_f64(s, ret) && *ret >= BUDGET_MIN && *ret <= BUDGET_MAX);
}

/* ---- bench ---- */

struct bench {
    char **files;
    enum bench_protocol protocol;
    struct guard_options options;
    struct bench_result *results;
    struct ac_err *errs;
    int *rcs;
};

static void bench_one(struct pool *p, size_t i)
{
    struct bench *b = p->arg;
    b->rcs[i] = bench_series(b->files[i], b->protocol, &b->options, &b->results[i], &b->errs[i]);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_files(const char *dir, char ***ret, size_t *ret_n, struct ac_err *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return ac_err_set(err, AC_EINVAL, "%s: cannot read the directory: %s", dir,
                          strerrordesc_np(errno));
    char **v = NULL;
    size_t n = 0, cap = 0;
    for (struct dirent *e; (e = readdir(d)) && n < FILES_MAX;) {
        if (!ac_str_ends(e->d_name, ".csv") && !ac_str_ends(e->d_name, ".csv.gz"))
            continue;
        ac_grow(&v, &cap, n + 1, sizeof *v);
        v[n++] = ac_xasprintf("%s/%s", dir, e->d_name);
    }
    (void)closedir(d);
    if (!n) {
        free(v);
        return ac_err_set(err, AC_EINVAL, "%s: no .csv or .csv.gz file in it", dir);
    }
    qsort(v, n, sizeof *v, by_name);
    *ret = v;
    *ret_n = n;
    return 0;
}

static const char *protocol_name(enum bench_protocol p)
{
    return p == BENCH_ARGOS ? "argos" : p == BENCH_FEEDBACK ? "feedback" : "honest";
}

static bool parse_protocol(const char *s, enum bench_protocol *ret)
{
    for (enum bench_protocol p = BENCH_HONEST; p <= BENCH_ARGOS; p++) {
        if (ac_streq(s, protocol_name(p))) {
            *ret = p;
            return true;
        }
    }
    return false;
}

static void print_one(const struct bench_result *r, enum bench_protocol protocol)
{
    const struct score_events *e =
        protocol == BENCH_ARGOS ? &r->scored.whole : &r->scored.with_delay;
    printf("%-40s %.4f  tp %4zu fp %4zu fn %4zu  %s | %s\n", r->name, e->f1, e->tp, e->fp, e->fn,
           r->rule.base, r->rule.step);
}

static void print_bench(const struct bench *b, size_t n, double seconds, const struct cli_ctx *ctx)
{
    double delay = 0, whole = 0, vus = 0, auc = 0, alarms = 0, days = 0;
    size_t counted = 0, worse = 0, worse_test = 0, over = 0, fp = 0, tp = 0;
    bool argos = b->protocol == BENCH_ARGOS;
    for (size_t i = 0; i < n; i++) {
        const struct bench_result *r = &b->results[i];
        const struct score_report *s = &r->scored;
        if (!ctx->json)
            print_one(r, b->protocol);
        over += b->options.alarms_per_day > 0 && s->days > 0 &&
                (double)s->alarms > b->options.alarms_per_day * s->days;
        worse += r->guard.value < r->guard.base_value - 1e-12;
        alarms += (double)s->alarms;
        days += s->days;
        fp += s->whole.fp;
        tp += argos ? s->whole.tp : s->with_delay.tp;
        if (!s->segments)
            continue;
        counted++;
        delay += s->with_delay.f1;
        whole += s->whole.f1;
        vus += s->vus_pr;
        auc += s->auc_pr;
        worse_test += s->with_delay.f1 < r->base.f1 - 1e-12;
    }
    double k = counted ? (double)counted : 1;
    if (!ctx->json) {
        printf("event F1 with delay %zu: %.4f   without: %.4f   VUS-PR %.4f   AUC-PR %.4f   (mean "
               "of the %zu series with events)\n",
               b->options.train.delay, delay / k, whole / k, vus / k, auc / k, counted);
        printf(
            "%zu series, hits %zu, false alarm points %zu, %.3f alarms a day and series, %.1f s\n",
            n, tp, fp, days > 0 ? alarms / days : 0, seconds);
        return;
    }
    printf("{\"event_f1_delay\": %.6f, \"event_f1\": %.6f, \"vus_pr\": %.6f, \"auc_pr\": %.6f, "
           "\"alarms_per_day\": %.6f, \"worse_than_base\": %zu, "
           "\"worse_than_base_on_test\": %zu, \"over_alarm_budget\": %zu, \"series\": %zu, "
           "\"series_with_events\": %zu, \"seconds\": %.3f, "
           "\"tp\": %zu, \"fp\": %zu, \"delay\": %zu, \"protocol\": \"%s\"}\n",
           delay / k, whole / k, vus / k, auc / k, days > 0 ? alarms / days : 0, worse, worse_test,
           over, n, counted, seconds, tp, fp, b->options.train.delay, protocol_name(b->protocol));
}

static int run_bench(const char *dir, struct bench *b, unsigned threads, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    size_t n = 0;
    if (list_files(dir, &b->files, &n, &err) < 0)
        return cli_fail("train bench", &err);
    b->results = ac_xcalloc(n, sizeof *b->results);
    b->errs = ac_xcalloc(n, sizeof *b->errs);
    b->rcs = ac_xcalloc(n, sizeof *b->rcs);
    struct pool p = {.n = n, .fn = bench_one, .arg = b};
    int64_t start = ac_now_ns();
    pool_run(&p, threads);
    double seconds = (double)(ac_now_ns() - start) / 1e9;
    int code = CLI_OK;
    for (size_t i = 0; i < n && code == CLI_OK; i++) {
        if (b->rcs[i] < 0)
            code = cli_fail("train bench", &b->errs[i]);
    }
    if (code == CLI_OK)
        print_bench(b, n, seconds, ctx);
    for (size_t i = 0; i < n; i++) {
        if (b->rcs[i] == 0)
            bench_result_fini(&b->results[i]);
        free(b->files[i]);
    }
    free(b->files);
    free(b->results);
    free(b->errs);
    free(b->rcs);
    return code;
}

static int cmd_bench(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *dataset = NULL, *protocol = NULL, *delay = NULL, *threads = NULL, *rule = NULL,
               *alarms = NULL, *evolve_n = NULL, *seed = NULL, *vote = NULL;
    struct cli_opt opts[] = {{.name = "--rule", .has_value = true, .value = &rule},
                             {.name = "--dataset", .has_value = true, .value = &dataset},
                             {.name = "--protocol", .has_value = true, .value = &protocol},
                             {.name = "--delay", .has_value = true, .value = &delay},
                             {.name = "--alarm-budget", .has_value = true, .value = &alarms},
                             {.name = "--vote", .has_value = true, .value = &vote},
                             {.name = "--evolve", .has_value = true, .value = &evolve_n},
                             {.name = "--seed", .has_value = true, .value = &seed},
                             {.name = "--threads", .has_value = true, .value = &threads}};
    int npos = 0;
    int rc = cli_parse(&cli_verb_train, argc, argv, opts, AC_ARRAY_LEN(opts), &npos);
    if (rc)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    bool nab = dataset && ac_streq(dataset, "nab");
    struct bench b = {.protocol = BENCH_HONEST};
    unsigned n_threads = 1;
    if (!dataset || (!nab && !ac_streq(dataset, "kpi") && !ac_streq(dataset, "csv")))
        return cli_usage("train bench", "--dataset is kpi, csv or nab");
    if (npos != 1)
        return cli_usage("train bench", "name one directory of series files");
    if (rule && !nab)
        return cli_usage("train bench", "--rule goes with --dataset nab");
    if (nab && (protocol || delay || alarms || vote || evolve_n || seed || threads))
        return cli_usage("train bench", "--dataset nab trains nothing: only --rule goes with it");
    if (protocol && !parse_protocol(protocol, &b.protocol))
        return cli_usage("train bench", "--protocol is honest, feedback or argos");
    if (!parse_evolve(evolve_n, seed, &b.options.evolve))
        return cli_usage("train bench", EVOLVE_USAGE);
    if (!parse_vote(vote, &b.options.train.vote))
        return cli_usage("train bench", VOTE_USAGE);
    if (!parse_alarms(alarms, &b.options.alarms_per_day))
        return cli_usage("train bench", ALARMS_USAGE);
    if (!parse_delay(delay, &b.options.train.delay))
        return cli_usage("train bench", "--delay is a number of points");
    if (!parse_threads(threads, &n_threads))
        return cli_usage("train bench", "--threads is a number from 1 to 64");
    if (nab)
        return bench_nab(argv[1], rule, ctx);
    return run_bench(argv[1], &b, n_threads, ctx);
}

/* ---- training of single files ---- */

struct job {
    const char **files;
    const char *out;
    struct guard_options options;
    int64_t until_ns; /* monotonic; 0: no limit */
    struct train_result *results;
    struct guard_report *reports;
    struct out_name *names;
    double *seconds;
    struct ac_err *errs;
    int *rcs;
};

static int write_outputs(const struct job *j, size_t i, struct ac_err *err)
{
    struct series_file f;
    int rc = series_file_read(j->files[i], &f, err);
    if (rc < 0)
        return rc;
    uint8_t *flags = ac_xcalloc(2 * f.n + 1, 1);
    rc = evalrule_flags(j->results[i].text, f.values, f.n, flags, NULL, err);
    for (size_t k = f.n; rc == 0 && k-- > 0;) { /* one 0 or 1 a line, in place from the end */
        flags[2 * k] = flags[k] ? '1' : '0';
        flags[2 * k + 1] = '\n';
    }
    char *path = ac_xasprintf("%s/%s.rule", j->out, j->names[i].text);
    if (rc == 0)
        rc = ac_file_write_atomic(path, j->results[i].text, strlen(j->results[i].text), 0644, err);
    free(path);
    path = ac_xasprintf("%s/%s.flags", j->out, j->names[i].text);
    if (rc == 0)
        rc = ac_file_write_atomic(path, flags, 2 * f.n, 0644, err);
    free(path);
    free(flags);
    series_file_fini(&f);
    return rc;
}

/* Before anything is trained or written: a malformed file must not leave half of the work, nor one
 * series the files of another. */
static int check_files(struct job *j, size_t n, struct ac_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct series_file f;
        rc = series_file_read(j->files[i], &f, err);
        if (rc < 0)
            break;
        rc = out_name_add(j->names, i, j->files, f.name, err);
        series_file_fini(&f);
    }
    return rc;
}

static void train_one(struct pool *p, size_t i)
{
    struct job *j = p->arg;
    int64_t start = ac_now_ns();
    struct train_source *s = NULL;
    if (j->until_ns && start > j->until_ns && i > 0) {
        j->rcs[i] =
            ac_err_set(&j->errs[i], AC_ETIMEOUT, "%s: the budget was used up before", j->files[i]);
        return;
    }
    j->rcs[i] = train_source_open(j->files[i], TRAIN_SHARE_STATED, &s, &j->errs[i]);
    if (j->rcs[i] < 0)
        return;
    const struct train_part *part = train_source_part(s);
    j->rcs[i] = guard_train(part, &j->options, &j->results[i], &j->reports[i], &j->errs[i]);
    train_source_close(s);
    if (j->rcs[i] == 0)
        j->rcs[i] = write_outputs(j, i, &j->errs[i]);
    j->seconds[i] = (double)(ac_now_ns() - start) / 1e9;
}

/* What was tried on blocks that the rule was not made from, and what a budget did. */
static void put_proof(struct ac_buf *b, const struct guard_report *r)
{
    ac_buf_printf(b, ", \"base_value\": %.6f, \"value\": %.6f, \"parts\": [", r->base_value,
                  r->value);
    for (size_t i = 0; i < r->n_parts; i++)
        ac_buf_printf(b, "%s{\"name\": \"%s\", \"gain\": %.6f, \"kept\": %s}", i ? ", " : "",
                      r->parts[i].name, r->parts[i].gain, r->parts[i].kept ? "true" : "false");
    ac_buf_printf(b, "], \"evolve\": {\"tries\": %zu, \"kept\": %zu, \"gain\": %.6f, \"cut\": %s}",
                  r->evolve.tries, r->evolve.kept, r->evolve.gain,
                  r->evolve.cut ? "true" : "false");
    if (r->budget.most)
        ac_buf_printf(b, ", \"budget\": {\"before\": %zu, \"after\": %zu, \"factor\": %.6g}",
                      r->budget.before, r->budget.after, r->budget.factor);
    ac_buf_puts(b, "}");
}

static void print_jobs(const struct job *j, size_t n, const struct cli_ctx *ctx)
{
    struct ac_buf b;
    ac_buf_init(&b, 256u << 20);
    ac_buf_puts(&b, "{\"series\": [");
    for (size_t i = 0; i < n; i++) {
        const struct train_result *r = &j->results[i];
        if (!ctx->json)
            printf("%s: training F1 %.3f, %s%s%s, %.2f s\n", j->names[i].text, r->train_f, r->base,
                   r->step[0] ? " or " : "", r->step, j->seconds[i]);
        if (!ctx->json && j->reports[i].evolve.cut)
            printf("%s: the time was up after %zu tries of evolution\n", j->names[i].text,
                   j->reports[i].evolve.tries);
        ac_buf_puts(&b, i ? ", {\"name\": " : "{\"name\": ");
        ac_buf_put_json_str(&b, j->names[i].text);
        ac_buf_puts(&b, ", \"rule\": ");
        ac_buf_put_json_str(&b, r->text);
        ac_buf_printf(&b, ", \"train_f1\": %.6f, \"seconds\": %.3f", r->train_f, j->seconds[i]);
        put_proof(&b, &j->reports[i]);
    }
    ac_buf_puts(&b, "], \"tokens\": 0, \"cost_usd\": 0}");
    if (ctx->json)
        printf("%s\n", ac_buf_str(&b));
    ac_buf_fini(&b);
}

static int run_train(struct job *j, size_t n, unsigned threads, const struct cli_ctx *ctx)
{
    j->results = ac_xcalloc(n, sizeof *j->results);
    j->reports = ac_xcalloc(n, sizeof *j->reports);
    j->names = ac_xcalloc(n, sizeof *j->names);
    j->seconds = ac_xcalloc(n, sizeof *j->seconds);
    j->errs = ac_xcalloc(n, sizeof *j->errs);
    j->rcs = ac_xcalloc(n, sizeof *j->rcs);
    struct ac_err err = AC_ERR_INIT;
    int code = CLI_OK;
    if (check_files(j, n, &err) < 0 || ac_dir_create(j->out, 0755, &err) < 0) {
        code = cli_fail("train", &err);
    } else {
        struct pool p = {.n = n, .fn = train_one, .arg = j};
        pool_run(&p, threads);
    }
    for (size_t i = 0; i < n && code == CLI_OK; i++) {
        if (j->rcs[i] < 0)
            code = cli_fail("train", &j->errs[i]);
    }
    if (code == CLI_OK)
        print_jobs(j, n, ctx);
    for (size_t i = 0; i < n; i++)
        train_result_fini(&j->results[i]);
    free(j->results);
    free(j->reports);
    free(j->names);
    free(j->seconds);
    free(j->errs);
    free(j->rcs);
    return code;
}

static int cmd_train(int argc, char **argv, const struct cli_ctx *ctx)
{
    if (argc > 1 && ac_streq(argv[1], "bench"))
        return cmd_bench(argc - 1, argv + 1, ctx);
    const char *series[FILES_MAX], *proposer = "synth", *budget = NULL, *delay = NULL,
                                   *threads = NULL, *alarms = NULL, *vote = NULL, *evolve_n = NULL,
                                   *seed = NULL;
    struct job j = {.files = series};
    int n = 0, npos = 0;
    struct cli_opt opts[] = {{.name = "--series",
                              .has_value = true,
                              .value = series,
                              .repeat = true,
                              .max = FILES_MAX,
                              .count = &n},
                             {.name = "--proposer", .has_value = true, .value = &proposer},
                             {.name = "--budget-s", .has_value = true, .value = &budget},
                             {.name = "--delay", .has_value = true, .value = &delay},
                             {.name = "--alarm-budget", .has_value = true, .value = &alarms},
                             {.name = "--vote", .has_value = true, .value = &vote},
                             {.name = "--evolve", .has_value = true, .value = &evolve_n},
                             {.name = "--seed", .has_value = true, .value = &seed},
                             {.name = "--threads", .has_value = true, .value = &threads},
                             {.name = "--out", .has_value = true, .value = &j.out}};
    int rc = cli_parse(&cli_verb_train, argc, argv, opts, AC_ARRAY_LEN(opts), &npos);
    if (rc)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    double budget_s = 0;
    unsigned n_threads = 1;
    if (!n || npos)
        return cli_usage("train", "name series files with --series");
    if (!j.out)
        return cli_usage("train", "name a directory with --out");
    if (!ac_streq(proposer, "synth"))
        return cli_usage(
            "train", "--proposer is synth: rules from language models come with a running system");
    if (!parse_evolve(evolve_n, seed, &j.options.evolve))
        return cli_usage("train", EVOLVE_USAGE);
    if (!parse_vote(vote, &j.options.train.vote))
        return cli_usage("train", VOTE_USAGE);
    if (!parse_alarms(alarms, &j.options.alarms_per_day))
        return cli_usage("train", ALARMS_USAGE);
    if (budget && (!ac_str_to_f64(budget, &budget_s) || !(budget_s >= 0 && budget_s < 1e9)))
        return cli_usage("train", "--budget-s is a number of seconds");
    if (!parse_delay(delay, &j.options.train.delay) || !parse_threads(threads, &n_threads))
        return cli_usage("train", "--delay and --threads are whole numbers");
    if (budget_s > 0)
        j.until_ns = ac_now_ns() + (int64_t)(budget_s * 1e9);
    if (j.until_ns) {
        j.options.evolve.go_on = before_end;
        j.options.evolve.arg = &j.until_ns;
    }
    return run_train(&j, (size_t)n, n_threads, ctx);
}

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/conf.h>
#include <aceso/file.h>
#include <aceso/str.h>
#include <aceso/testkit.h>

struct cfg {
    char *listen, *password;
    bool tls;
    int64_t workers, timeout_ns;
    double ratio;
    uint64_t limit;
    char **peers;
};

#define OPT(f, k, t, d, lo, hi, fl, h)                                                             \
    {                                                                                              \
        k, t, offsetof(struct cfg, f), d, lo, hi, fl, h                                            \
    }
static const struct ac_conf_opt main_opts[] = {
    OPT(listen, "listen", AC_CONF_STR, "127.0.0.1:0", NULL, NULL, 0, "Address"),
    OPT(workers, "max-workers", AC_CONF_I64, "4", "1", "64", 0, "Threads"),
    OPT(tls, "tls", AC_CONF_BOOL, NULL, NULL, NULL, 0, "Encrypt"),
    OPT(timeout_ns, "timeout", AC_CONF_DURATION, "1.5s", "1ms", "1h", 0, "Patience"),
};
static const struct ac_conf_opt more_opts[] = {
    OPT(ratio, "ratio", AC_CONF_F64, "0.5", "0", "1", 0, "Share"),
    OPT(limit, "limit", AC_CONF_BYTES, "4MiB", NULL, "1G", 0, "Largest message"),
    OPT(peers, "peers", AC_CONF_LIST, "a,b", NULL, NULL, 0, "Others"),
    OPT(password, "password", AC_CONF_STR, NULL, NULL, NULL, AC_CONF_SECRET, "Word"),
};
static struct cfg cfg;
static const struct ac_conf_opt *const tables[] = {main_opts, more_opts, NULL};
static const size_t lens[] = {AC_ARRAY_LEN(main_opts), AC_ARRAY_LEN(more_opts)};
static void *const targets[] = {&cfg, &cfg};
static const struct ac_conf_spec spec = {
    .program = "aceso-test",
    .summary = "for tests",
    .env_prefix = "ACESO_TEST",
    .tables = tables,
    .table_lens = lens,
    .targets = targets,
};
static struct ac_err err;
static char *output;

static void reset(void)
{
    for (size_t t = 0; tables[t]; t++)
        ac_conf_fini(tables[t], lens[t], targets[t]);
    memset(&cfg, 0, sizeof(cfg));
    memset(&err, 0, sizeof(err));
    free(output);
    output = NULL;
}

static int setup(void **state)
{
    (void)state;
    static const char *const vars[] = {"ACESO_LISTEN", "ACESO_TEST_LISTEN",
                                       "ACESO_TEST_MAX_WORKERS", "ACESO_CONFIG"};
    for (size_t i = 0; i < AC_ARRAY_LEN(vars); i++)
        unsetenv(vars[i]);
    reset();
    return 0;
}

static int load(const char *a, const char *b, const char *c)
{
    reset();
    const char *in[] = {"aceso-test", a, b, c, NULL};
    char *argv[5] = {0};
    int argc = 0;
    for (; in[argc]; argc++)
        argv[argc] = ac_xstrdup(in[argc]);
    size_t len;
    FILE *out = open_memstream(&output, &len);
    int rc = ac_conf_load(&spec, argc, argv, out, &err);
    fclose(out);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return rc;
}

static void defaults_hold(void **state)
{
    (void)state;
    assert_int_equal(load(NULL, NULL, NULL), AC_CONF_RUN);
    assert_string_equal(cfg.listen, "127.0.0.1:0");
    assert_int_equal(cfg.workers, 4);
    assert_false(cfg.tls);
    assert_int_equal(cfg.timeout_ns, 1500000000);
    assert_true(cfg.ratio == 0.5);
    assert_int_equal(cfg.limit, 4 << 20);
    assert_string_equal(cfg.peers[0], "a");
    assert_string_equal(cfg.peers[1], "b");
    assert_null(cfg.peers[2]);
    assert_null(cfg.password);
}

static void flag_wins_over_environment_over_file_over_default(void **state)
{
    (void)state;
    ac_cleanup(ac_free_p) char *path =
        ac_kit_file("conf.yaml", "listen: from-file\nmax-workers: 5\nratio: 0.25\n"
                                 "peers: [x, 'y', z]\n");
    assert_int_equal(load("--config", path, NULL), 0);
    assert_string_equal(cfg.listen, "from-file");
    assert_int_equal(cfg.workers, 5);
    assert_string_equal(cfg.peers[2], "z");
    setenv("ACESO_LISTEN", "from-plain", 1);
    assert_int_equal(load("--config", path, NULL), 0);
    assert_string_equal(cfg.listen, "from-plain");
    setenv("ACESO_TEST_LISTEN", "from-prefix", 1);
    setenv("ACESO_TEST_MAX_WORKERS", "", 1); /* empty = unset */
    setenv("ACESO_CONFIG", path, 1);
    assert_int_equal(load(NULL, NULL, NULL), 0);
    assert_string_equal(cfg.listen, "from-prefix");
    assert_int_equal(cfg.workers, 5);
    assert_int_equal(load("--listen=from-flag", "--max-workers", "6"), 0);
    assert_string_equal(cfg.listen, "from-flag");
    assert_int_equal(cfg.workers, 6);
    assert_true(cfg.ratio == 0.25);
}

static void flags_take_all_forms(void **state)
{
    (void)state;
    assert_int_equal(load("--tls", "--peers", "p"), 0);
    assert_true(cfg.tls);
    assert_string_equal(cfg.peers[0], "p");
    assert_null(cfg.peers[1]);
    assert_int_equal(load("--tls=false", "--peers=p,q", "--peers=r"), 0);
    assert_false(cfg.tls);
    assert_string_equal(cfg.peers[2], "r");
    assert_int_equal(load("--peers=", NULL, NULL), 0);
    assert_null(cfg.peers[0]);
    assert_int_equal(load("--listen=", NULL, NULL), 0);
    assert_string_equal(cfg.listen, "");
}

static void wrong_use_gives_one_clear_line(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *msg;
    } t[] = {
        {"--max-worker", "3", "unknown option --max-worker; did you mean 'max-workers'?"},
        {"--zzzzzz", NULL, "unknown option --zzzzzz"},
        {"stray", NULL, "unexpected argument 'stray'; see --help"},
        {"--max-workers", NULL, "--max-workers needs a value: an integer"},
        {"--max-workers", "--tls", "--max-workers needs a value: an integer"},
        {"--max-workers", "many", "--max-workers: expected an integer, not 'many'"},
        {"--max-workers", "65", "--max-workers: must be from 1 to 64, not 65"},
        {"--timeout", "5", "--timeout: expected a duration such as 250ms, 5s or 2m, not '5'"},
        {"--timeout", "2h", "--timeout: must be from 1ms to 1h, not 2h"},
        {"--limit", "2G", "--limit: must be at most 1G, not 2G"},
        {"--ratio", "nan", "--ratio: expected a number, not 'nan'"},
        {"--tls=maybe", NULL, "--tls: expected true or false, not 'maybe'"},
        {"--config", NULL, "--config needs a file name"},
        {"--config", "/nonexistent/x", "/nonexistent/x: cannot open: No such file or directory"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++) {
        assert_true(load(t[i].a, t[i].b, NULL) < 0);
        assert_string_equal(err.msg, t[i].msg);
        assert_null(cfg.listen); /* nothing is left to free */
    }
    setenv("ACESO_TEST_MAX_WORKERS", "x", 1);
    assert_int_equal(load(NULL, NULL, NULL), AC_EINVAL);
    assert_string_equal(err.msg,
                        "environment variable ACESO_TEST_MAX_WORKERS: expected an integer, "
                        "not 'x'");
}

static void files_are_refused_with_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } t[] = {
        {"max-workers: 3\nlisten_: x\n", "f.yaml:2:10: unknown option 'listen_'; did you mean "
                                         "'listen'?"},
        {"max-workers: 0\n", "f.yaml:1:14: max-workers: must be from 1 to 64, not 0"},
        {"listen: [a]\n", "f.yaml:1:9: listen: expected text"},
        {"peers: [[a]]\n", "f.yaml:1:8: peers: expected a list of texts"},
        {"- a\n", "f.yaml:1:1: expected a mapping of options"},
        {"a: 1\n---\nb: 1\n", "f.yaml:3:1: more than one document"},
        {"listen: a\nlisten: b\n", "f.yaml:2:1: this key is given twice"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++) {
        reset();
        assert_int_equal(ac_conf_parse_text(&spec, "f.yaml", t[i].text, &err), AC_EINVAL);
        assert_string_equal(err.msg, t[i].msg);
    }
    reset();
    assert_int_equal(ac_conf_parse_text(&spec, "f.yaml", "# nothing\n", &err), 0);
    assert_int_equal(cfg.workers, 4);
}

static void help_version_and_check_exit(void **state)
{
    (void)state;
    assert_int_equal(load("--help", "--nonsense", NULL), AC_CONF_EXIT);
    assert_non_null(strstr(output, "--max-workers N"));
    assert_non_null(strstr(output, "Threads (default 4)"));
    assert_non_null(strstr(output, "ACESO_TEST_LISTEN"));
    assert_int_equal(load("--version", NULL, NULL), AC_CONF_EXIT);
    assert_true(ac_str_starts(output, "aceso-test "));
    assert_int_equal(load("--check-config", NULL, NULL), AC_CONF_EXIT);
    assert_null(cfg.listen);
    assert_int_equal(load("--check-config", "--max-workers=0", NULL), AC_EINVAL);
}

static void dump_reads_back_and_masks_secrets(void **state)
{
    (void)state;
    assert_int_equal(load("--dump-config", "--password=tiger", "--timeout=90s"), AC_CONF_EXIT);
    assert_null(strstr(output, "tiger"));
    assert_non_null(strstr(output, "password: \"********\"\n"));
    assert_non_null(strstr(output, "timeout: 90s\n"));
    assert_non_null(strstr(output, "limit: 4M\n"));
    char *dump = ac_xstrdup(output);
    reset();
    assert_int_equal(ac_conf_parse_text(&spec, "dump", dump, &err), 0);
    assert_int_equal(cfg.timeout_ns, 90000000000);
    assert_string_equal(cfg.peers[1], "b");
    free(dump);
}

static void secrets_stay_out_of_errors(void **state)
{
    (void)state;
    static const struct ac_conf_opt opts[] = {
        OPT(workers, "pin", AC_CONF_I64, NULL, "1000", "9999", AC_CONF_SECRET, "Number"),
    };
    static const struct ac_conf_opt *const t[] = {opts, NULL};
    static const size_t n[] = {1};
    const struct ac_conf_spec s = {
        .program = "p", .tables = t, .table_lens = n, .targets = targets};
    assert_int_equal(ac_conf_parse_text(&s, "f", "pin: 77\n", &err), AC_EINVAL);
    assert_null(strstr(err.msg, "77"));
    assert_int_equal(ac_conf_parse_text(&s, "f", "pin: tiger\n", &err), AC_EINVAL);
    assert_null(strstr(err.msg, "tiger"));
}

static int load_password(const char *value)
{
    char flag[] = "--password", program[] = "p";
    char *copy = ac_xstrdup(value);
    char *argv[] = {program, flag, copy, NULL};
    reset();
    int rc = ac_conf_load(&spec, 3, argv, stdout, &err);
    free(copy);
    return rc;
}

static void secrets_come_from_files(void **state)
{
    (void)state;
    char *path = ac_xasprintf("%s/secret", ac_kit_dir());
    char *value = ac_xasprintf("file:%s", path);
    assert_int_equal(ac_file_write_atomic(path, "open sesame\n", 12, 0600, &err), 0);
    assert_int_equal(load_password(value), 0);
    assert_string_equal(cfg.password, "open sesame");

    assert_int_equal(ac_file_write_atomic(path, "\n", 1, 0600, &err), 0);
    assert_int_equal(load_password(value), AC_EINVAL);
    assert_non_null(strstr(err.msg, "--password: "));
    assert_non_null(strstr(err.msg, "is empty"));

    assert_int_equal(ac_file_write_atomic(path, "a\0b", 3, 0600, &err), 0);
    assert_int_equal(load_password(value), AC_EINVAL);
    assert_null(cfg.password);

    assert_int_equal(remove(path), 0);
    assert_true(load_password(value) < 0);
    assert_non_null(strstr(err.msg, path));

    reset(); /* what is no secret is taken as it is */
    assert_int_equal(ac_conf_parse_text(&spec, "f", "listen: file:x\n", &err), 0);
    assert_string_equal(cfg.listen, "file:x");
    free(path);
    free(value);
}

static void required_options_are_asked_for(void **state)
{
    (void)state;
    static const struct ac_conf_opt opts[] = {
        OPT(listen, "pg-url", AC_CONF_STR, NULL, NULL, NULL, AC_CONF_REQUIRED, "Where"),
    };
    static const struct ac_conf_opt *const t[] = {opts, NULL};
    static const size_t n[] = {1};
    const struct ac_conf_spec s = {
        .program = "p", .env_prefix = "ACESO_P", .tables = t, .table_lens = n, .targets = targets};
    assert_int_equal(ac_conf_parse_text(&s, "f", "", &err), AC_EINVAL);
    assert_string_equal(err.msg, "--pg-url is required (or ACESO_P_PG_URL, or 'pg-url' in the "
                                 "--config file)");
    assert_int_equal(ac_conf_parse_text(&s, "f", "pg-url: x\n", &err), 0);
    ac_conf_fini(opts, 1, &cfg);
}

static void docs_are_a_table(void **state)
{
    (void)state;
    size_t len;
    FILE *f = open_memstream(&output, &len);
    ac_conf_write_docs(&spec, f);
    fclose(f);
    assert_non_null(strstr(output, "| `--max-workers` | integer | `4` | 1 to 64 | Threads |\n"));
    assert_non_null(strstr(output, "| `--password` | text |  |  | Word (secret) |\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_hold, setup),
        cmocka_unit_test_setup(flag_wins_over_environment_over_file_over_default, setup),
        cmocka_unit_test_setup(flags_take_all_forms, setup),
        cmocka_unit_test_setup(wrong_use_gives_one_clear_line, setup),
        cmocka_unit_test_setup(files_are_refused_with_line_and_column, setup),
        cmocka_unit_test_setup(help_version_and_check_exit, setup),
        cmocka_unit_test_setup(dump_reads_back_and_masks_secrets, setup),
        cmocka_unit_test_setup(secrets_stay_out_of_errors, setup),
        cmocka_unit_test_setup(secrets_come_from_files, setup),
        cmocka_unit_test_setup(required_options_are_asked_for, setup),
        cmocka_unit_test_setup(docs_are_a_table, setup),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    reset();
    return rc;
}

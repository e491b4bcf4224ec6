#include "conf_priv.h"

#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

bool ac_conf_next_(const struct ac_conf_spec *spec, struct conf_ref *r)
{
    size_t want = r->opt ? r->index + 1 : 0, skipped = 0;
    for (size_t t = 0; spec->tables[t]; t++) {
        if (want - skipped < spec->table_lens[t]) {
            *r = (struct conf_ref){&spec->tables[t][want - skipped], spec->targets[t], want};
            return true;
        }
        skipped += spec->table_lens[t];
    }
    return false;
}

bool ac_conf_find_(const struct ac_conf_spec *spec, const char *key, size_t key_len,
                   struct conf_ref *r)
{
    for (struct conf_ref it = {0}; ac_conf_next_(spec, &it);) {
        if (strlen(it.opt->key) == key_len && memcmp(it.opt->key, key, key_len) == 0) {
            *r = it;
            return true;
        }
    }
    return false;
}

static size_t count(const struct ac_conf_spec *spec)
{
    size_t n = 0;
    for (size_t t = 0; spec->tables[t]; t++)
        n += spec->table_lens[t];
    return n;
}

void ac_conf_hint_(const struct ac_conf_spec *spec, const char *key, char *dst, size_t dst_size)
{
    int best = 4; /* farther than three edits is no typing error */
    dst[0] = '\0';
    for (struct conf_ref r = {0}; ac_conf_next_(spec, &r);) {
        int d = ac_str_distance(key, r.opt->key);
        if (d < best && d < (int)strlen(key)) {
            best = d;
            snprintf(dst, dst_size, "; did you mean '%s'?", r.opt->key);
        }
    }
}

void ac_conf_env_name_(const char *prefix, const char *key, char *dst, size_t dst_size)
{
    snprintf(dst, dst_size, "%s_%s", prefix, key);
    for (char *p = dst; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

static void apply_defaults(const struct ac_conf_spec *spec)
{
    for (struct conf_ref r = {0}; ac_conf_next_(spec, &r);) {
        struct ac_err err = AC_ERR_INIT;
        if (r.opt->def && ac_conf_set_(&r, r.opt->def, false, &err)) {
            fprintf(stderr, "default of option %s: %s\n", r.opt->key, err.msg);
            AC_ASSERT(!"the option table's default is within its own bounds");
        }
    }
}

static int apply_list_node(const struct conf_ref *r, const struct ac_yaml *n, struct ac_err *err)
{
    int rc = ac_conf_set_(r, "", false, err);
    for (size_t i = 0; rc == 0 && i < n->len; i++) {
        if (n->items[i]->kind != AC_YAML_SCALAR)
            return ac_err_set(err, AC_EINVAL, "expected a list of texts");
        rc = ac_conf_set_(r, n->items[i]->scalar, true, err);
    }
    return rc;
}

static int apply_node(const struct ac_conf_spec *spec, const struct ac_yaml_doc *d, const char *key,
                      const struct ac_yaml *n, struct ac_err *err)
{
    struct conf_ref r;
    if (!ac_conf_find_(spec, key, strlen(key), &r)) {
        char hint[128];
        ac_conf_hint_(spec, key, hint, sizeof(hint));
        return ac_yaml_err(d, n, err, "unknown option '%.64s'%s", key, hint);
    }
    struct ac_err why = AC_ERR_INIT;
    int rc;
    if (n->kind == AC_YAML_SEQ && r.opt->type == AC_CONF_LIST)
        rc = apply_list_node(&r, n, &why);
    else if (n->kind == AC_YAML_SCALAR)
        rc = ac_conf_set_(&r, n->scalar, false, &why);
    else
        rc = ac_err_set(&why, AC_EINVAL, "expected %s", ac_conf_type_name_(r.opt->type));
    return rc ? ac_yaml_err(d, n, err, "%s: %s", key, why.msg) : 0;
}

static int apply_doc(const struct ac_conf_spec *spec, const struct ac_yaml_doc *d,
                     struct ac_err *err)
{
    if (ac_yaml_documents(d) > 1)
        return ac_yaml_err(d, ac_yaml_root(d, 1), err, "more than one document");
    const struct ac_yaml *root = ac_yaml_root(d, 0);
    if (!root)
        return 0;
    if (root->kind != AC_YAML_MAP)
        return ac_yaml_err(d, root, err, "expected a mapping of options");
    for (size_t i = 0; i < root->len; i++) {
        int rc = apply_node(spec, d, root->keys[i], root->items[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

static int apply_file(const struct ac_conf_spec *spec, const char *path, struct ac_err *err)
{
    struct ac_yaml_doc *d;
    int rc = ac_yaml_load_file(path, &d, err);
    if (rc)
        return rc;
    rc = apply_doc(spec, d, err);
    ac_yaml_destroy(d);
    return rc;
}

/* An empty variable counts as unset: deployment files often cannot leave one out. */
static const char *env_of(const struct ac_conf_spec *spec, const char *key, char *name, size_t size)
{
    const char *const prefixes[] = {spec->env_prefix, "ACESO"};
    for (size_t i = 0; i < AC_ARRAY_LEN(prefixes); i++) {
        if (!prefixes[i])
            continue;
        ac_conf_env_name_(prefixes[i], key, name, size);
        const char *v = getenv(name);
        if (v && *v)
            return v;
    }
    return NULL;
}

static int apply_env(const struct ac_conf_spec *spec, struct ac_err *err)
{
    char name[160];
    for (struct conf_ref r = {0}; ac_conf_next_(spec, &r);) {
        const char *v = env_of(spec, r.opt->key, name, sizeof(name));
        if (v && ac_conf_set_(&r, v, false, err))
            return ac_err_wrap(err, "environment variable %s", name);
    }
    return 0;
}

struct args {
    const char *config; /* --config FILE */
    bool check, dump, help, version;
};

/* The common flags. 1 when arg was one of them, 0 when not; *i moves past a value. */
static int common_flag(int argc, char **argv, int *i, struct args *a, struct ac_err *err)
{
    const char *arg = argv[*i];
    bool *flag = strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0 ? &a->help
                 : strcmp(arg, "--version") == 0                      ? &a->version
                 : strcmp(arg, "--check-config") == 0                 ? &a->check
                 : strcmp(arg, "--dump-config") == 0                  ? &a->dump
                                                                      : NULL;
    if (flag) {
        *flag = true;
        return 1;
    }
    if (ac_str_starts(arg, "--config=")) {
        a->config = arg + strlen("--config=");
        return 1;
    }
    if (strcmp(arg, "--config") != 0)
        return 0;
    if (*i + 1 >= argc)
        return ac_err_set(err, AC_EINVAL, "--config needs a file name");
    a->config = argv[++*i];
    return 1;
}

/* One --key [value]; seen says which lists this command line has begun already. */
static int apply_flag(const struct ac_conf_spec *spec, int argc, char **argv, int *i, bool *seen,
                      struct ac_err *err)
{
    const char *arg = argv[*i];
    if (!ac_str_starts(arg, "--"))
        return ac_err_set(err, AC_EINVAL, "unexpected argument '%.100s'; see --help", arg);
    const char *key = arg + 2, *eq = strchr(key, '='), *value = eq ? eq + 1 : NULL;
    size_t len = eq ? (size_t)(eq - key) : strlen(key);
    struct conf_ref r;
    if (!ac_conf_find_(spec, key, len, &r)) {
        ac_cleanup(ac_free_p) char *name = ac_xstrndup(key, AC_MIN(len, 100));
        char hint[128];
        ac_conf_hint_(spec, name, hint, sizeof(hint));
        return ac_err_set(err, AC_EINVAL, "unknown option --%s%s", name, hint);
    }
    if (!value && r.opt->type == AC_CONF_BOOL)
        value = "true";
    if (!value && *i + 1 < argc && !ac_str_starts(argv[*i + 1], "--"))
        value = argv[++*i];
    if (!value)
        return ac_err_set(err, AC_EINVAL, "--%s needs a value: %s", r.opt->key,
                          ac_conf_type_name_(r.opt->type));
    if (ac_conf_set_(&r, value, seen[r.index], err))
        return ac_err_wrap(err, "--%s", r.opt->key);
    seen[r.index] = true;
    return 0;
}

static int apply_flags(const struct ac_conf_spec *spec, int argc, char **argv, struct ac_err *err)
{
    ac_cleanup(ac_free_p) bool *seen = ac_xcalloc(count(spec), sizeof(bool));
    struct args ignored = {0};
    for (int i = 1; i < argc; i++) {
        int rc = common_flag(argc, argv, &i, &ignored, err);
        if (rc == 0)
            rc = apply_flag(spec, argc, argv, &i, seen, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool missing(const struct conf_ref *r)
{
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_conf_text_(r, &b);
    bool none = b.len == 0;
    ac_buf_fini(&b);
    return none;
}

static int check_required(const struct ac_conf_spec *spec, struct ac_err *err)
{
    char name[160];
    for (struct conf_ref r = {0}; ac_conf_next_(spec, &r);) {
        if (!(r.opt->flags & AC_CONF_REQUIRED) || !missing(&r))
            continue;
        ac_conf_env_name_(spec->env_prefix ? spec->env_prefix : "ACESO", r.opt->key, name,
                          sizeof(name));
        return ac_err_set(err, AC_EINVAL, "--%s is required (or %s, or '%s' in the --config file)",
                          r.opt->key, name, r.opt->key);
    }
    return 0;
}

static void fini_all(const struct ac_conf_spec *spec)
{
    for (size_t t = 0; spec->tables[t]; t++)
        ac_conf_fini(spec->tables[t], spec->table_lens[t], spec->targets[t]);
}

static int load(const struct ac_conf_spec *spec, const struct args *a, int argc, char **argv,
                struct ac_err *err)
{
    char name[160];
    const char *file = a->config ? a->config : env_of(spec, "config", name, sizeof(name));
    apply_defaults(spec);
    int rc = file ? apply_file(spec, file, err) : 0;
    if (rc == 0)
        rc = apply_env(spec, err);
    if (rc == 0)
        rc = apply_flags(spec, argc, argv, err);
    return rc ? rc : check_required(spec, err);
}

int ac_conf_load(const struct ac_conf_spec *spec, int argc, char **argv, FILE *out,
                 struct ac_err *err)
{
    struct args a = {0};
    for (int i = 1; i < argc; i++) {
        int rc = common_flag(argc, argv, &i, &a, err);
        if (rc < 0)
            return rc;
    }
    if (a.help || a.version) {
        if (a.help)
            ac_conf_write_help_(spec, out);
        else
            fprintf(out, "%s %s\n", spec->program, ACESO_VERSION);
        return AC_CONF_EXIT;
    }
    int rc = load(spec, &a, argc, argv, err);
    if (rc == 0 && (a.check || a.dump)) {
        if (a.dump)
            ac_conf_write_dump_(spec, out);
        else
            fprintf(out, "%s: the configuration is valid\n", spec->program);
        rc = AC_CONF_EXIT;
    }
    if (rc)
        fini_all(spec);
    return rc;
}

int ac_conf_parse_text(const struct ac_conf_spec *spec, const char *file_name, const char *text,
                       struct ac_err *err)
{
    struct ac_yaml_doc *d;
    int rc = ac_yaml_parse(file_name, text, strlen(text), &d, err);
    if (rc)
        return rc;
    apply_defaults(spec);
    rc = apply_doc(spec, d, err);
    if (rc == 0)
        rc = check_required(spec, err);
    ac_yaml_destroy(d);
    if (rc)
        fini_all(spec);
    return rc;
}

void ac_conf_fini(const struct ac_conf_opt *table, size_t n, void *target)
{
    for (size_t i = 0; i < n; i++)
        ac_conf_clear_(&(struct conf_ref){&table[i], target, i});
}

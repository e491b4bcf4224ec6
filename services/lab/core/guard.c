#include "guard.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static const char *const VERBS[] = {"get",    "describe", "logs",  "top",      "rollout",
                                    "scale",  "set",      "patch", "annotate", "label",
                                    "delete", "wait",     "events"};
/* Of these the ones that only look. */
static const char *const LOOKS[] = {"get", "describe", "logs", "top", "wait", "events"};

static const char *const FLAGS[] = {"-o",
                                    "--output",
                                    "-l",
                                    "--selector",
                                    "--field-selector",
                                    "--tail",
                                    "--since",
                                    "-p",
                                    "--previous",
                                    "-c",
                                    "--container",
                                    "--replicas",
                                    "--type",
                                    "--patch",
                                    "--timeout",
                                    "--wait",
                                    "--grace-period",
                                    "--force",
                                    "--to-revision",
                                    "--all",
                                    "--show-labels",
                                    "--no-headers",
                                    "--sort-by",
                                    "-n",
                                    "--namespace",
                                    "--for",
                                    "--overwrite",
                                    "--timestamps",
                                    "--containers",
                                    "--current-replicas",
                                    "--all-containers",
                                    "--now"};

/* Kinds that belong to no namespace, and their short names. */
static const char *const CLUSTER_WIDE[] = {
    "ns",          "namespace",        "namespaces",        "no",  "node", "nodes",
    "pv",          "persistentvolume", "persistentvolumes", "crd", "crds", "clusterrole",
    "clusterroles"};

static bool among(const char *const *list, size_t n, const char *word, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(list[i]) == len && strncmp(list[i], word, len) == 0)
            return true;
    }
    return false;
}

#define AMONG(list, word, len) among((list), AC_ARRAY_LEN(list), (word), (len))

/* One word from *p into *out, quotes and backslashes resolved. */
static int take_word(const char **p, char **out, struct ac_err *err)
{
    const char *s = *p;
    char quote = 0;
    for (; *s && (quote || !strchr(" \t\r", *s)); s++) {
        if (quote ? *s == quote : (*s == '\'' || *s == '"')) {
            quote = (char)(quote ? 0 : *s);
        } else if (*s == '\\' && quote != '\'' && s[1]) {
            *(*out)++ = *++s;
        } else if (!quote && strchr("|&;<>$`()\n", *s)) {
            return ac_err_set(err, AC_EINVAL,
                              "'%c' is not available: this is no shell, one kubectl command at a "
                              "time; quote it if it belongs to an argument",
                              *s == '\n' ? ' ' : *s);
        } else {
            *(*out)++ = *s;
        }
    }
    if (quote)
        return ac_err_set(err, AC_EINVAL, "a quote (%c) is not closed", quote);
    *(*out)++ = 0;
    *p = s;
    return 0;
}

static int split(const char *line, struct lab_command *c, struct ac_err *err)
{
    char *out = c->text;
    c->n = 0;
    if (strlen(line) >= LAB_LINE_MAX)
        return ac_err_set(err, AC_ERANGE, "a command takes at most %d bytes", LAB_LINE_MAX - 1);
    for (const char *p = line;;) {
        p += strspn(p, " \t\r\n");
        if (!*p)
            break;
        if (c->n == LAB_ARGS_MAX)
            return ac_err_set(err, AC_ERANGE, "a command takes at most %d words", LAB_ARGS_MAX);
        c->argv[c->n++] = out;
        int rc = take_word(&p, &out, err);
        if (rc != 0)
            return rc;
    }
    c->argv[c->n] = NULL;
    return 0;
}

static int check_flag(const struct lab_command *c, int i, const char *ns, struct ac_err *err)
{
    const char *arg = c->argv[i], *eq = strchr(arg, '=');
    size_t len = eq ? (size_t)(eq - arg) : strlen(arg);
    const char *value = eq ? eq + 1 : i + 1 < c->n ? c->argv[i + 1] : "";
    if (arg[1] != '-' && len > 2 && (arg[1] == 'o' || arg[1] == 'l')) { /* -ojson */
        value = arg + 2;
        len = 2;
    }
    if (!AMONG(FLAGS, arg, len))
        return ac_err_set(err, AC_EPERM, "the option %.60s is not allowed here", arg);
    bool output = among(FLAGS, 2, arg, len);
    if (output && strstr(value, "file"))
        return ac_err_set(err, AC_EPERM, "output by a template in a file is not allowed here");
    if ((AC_MIN(len, 2u) == len ? ac_str_starts(arg, "-n") : ac_str_starts(arg, "--namespace")) &&
        !ac_streq(value, ns))
        return ac_err_set(err, AC_EPERM, "only the namespace %s is yours", ns);
    return 0;
}

/* "pods,ns" and "ns/name" name kinds too. */
static bool names_cluster_wide(const char *arg)
{
    while (*arg) {
        size_t len = strcspn(arg, ",/.");
        if (AMONG(CLUSTER_WIDE, arg, len))
            return true;
        if (arg[len] != ',')
            return false;
        arg += len + 1;
    }
    return false;
}

int lab_guard(const char *line, const char *ns, struct lab_command *ret, struct ac_err *err)
{
    int rc = split(line, ret, err);
    if (rc != 0)
        return rc;
    if (ret->n < 2 || !ac_streq(ret->argv[0], "kubectl"))
        return ac_err_set(err, AC_EPERM, "only kubectl is here: kubectl get pods");
    const char *verb = ret->argv[1];
    if (!AMONG(VERBS, verb, strlen(verb)))
        return ac_err_set(err, AC_EPERM,
                          "kubectl %.40s is not allowed here; get, describe, logs, top, events, "
                          "wait, rollout, scale, set, patch, annotate, label and delete are",
                          verb);
    bool looks = AMONG(LOOKS, verb, strlen(verb));
    for (int i = 2; rc == 0 && i < ret->n; i++) {
        if (ret->argv[i][0] == '-')
            rc = check_flag(ret, i, ns, err);
        else if (!looks && names_cluster_wide(ret->argv[i]))
            rc =
                ac_err_set(err, AC_EPERM, "%.60s belongs to the cluster: it cannot be changed here",
                           ret->argv[i]);
    }
    return rc;
}

#include "persist.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/log.h>
#include <aceso/str.h>

#include "core/js.h"

#define FILE_MAX    (512u << 20)
#define JOURNAL_MAX (8u << 20)

struct persist {
    struct cl_store *store;
    char *snapshot, *journal;
    int fd;
    size_t written;
    int64_t retry_ns;
    bool failed; /* what is on the disk is behind; said once */
};

/* A line is {"op":"put","object":{...}} or {"op":"del","kind":..,"namespace":..,"name":..,"rv":..}.
 * A torn last line (the machine died) is left out: it has no end, or ends in zeros. */
static void apply_line(struct cl_store *s, const json_t *line)
{
    const char *op = js_str(line, "op", "");
    if (ac_streq(op, "rv")) {
        cl_store_set_rv(s, (uint64_t)js_int(line, "rv", 1));
        return;
    }
    const json_t *o = js_at(line, "object");
    const struct cl_kind *k = cl_kind_by_name(js_str(o != NULL ? o : line, "kind", ""));
    if (k == NULL)
        return;
    if (ac_streq(op, "put") && js_name(o)[0] != '\0') {
        cl_store_load(s, k->id, o);
    } else if (ac_streq(op, "del")) {
        cl_store_unload(s, k->id, js_str(line, "namespace", ""), js_str(line, "name", ""));
        cl_store_set_rv(s, (uint64_t)js_int(line, "rv", 1));
    }
}

static int load_file(struct cl_store *s, const char *path, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len = 0;
    if (!ac_path_exists(path))
        return 0;
    int r = ac_file_read(path, FILE_MAX, &text, &len, err);
    if (r != 0)
        return r;
    int number = 1;
    for (char *p = text, *nl; (nl = strchr(p, '\n')) != NULL; p = nl + 1, number++) {
        js_auto line = json_loadb(p, (size_t)(nl - p), JSON_ALLOW_NUL, NULL);
        if (line == NULL) /* to go on would write the rest away */
            return ac_err_set(err, AC_EIO,
                              "%s:%d: not a line of the cluster's state: repair it, or move the "
                              "file away to begin without what it holds",
                              path, number);
        apply_line(s, line);
    }
    return 0;
}

static void put_line(FILE *f, const json_t *line)
{
    (void)json_dumpf(line, f, JSON_COMPACT);
    (void)fputc('\n', f);
}

static int write_snapshot(struct persist *p, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *tmp = ac_xasprintf("%s.tmp", p->snapshot);
    FILE *f = fopen(tmp, "we");
    if (f == NULL)
        return ac_err_errno(err, errno, "%s", tmp);
    js_auto rv = json_pack("{s:s,s:I}", "op", "rv", "rv", (json_int_t)cl_store_rv(p->store));
    put_line(f, rv);
    for (size_t k = 0; k < CL_KINDS; k++) {
        json_t *o;
        for (size_t it = 0; (o = cl_store_next(p->store, (enum cl_kind_id)k, NULL, &it)) != NULL;) {
            js_auto line = json_pack("{s:s,s:O}", "op", "put", "object", o);
            put_line(f, line);
        }
    }
    bool ok = fflush(f) == 0;
    ok = fclose(f) == 0 && ok;
    if (!ok || rename(tmp, p->snapshot) != 0) {
        int e = errno;
        (void)unlink(tmp); /* or it would keep the room that is missing */
        return ac_err_errno(err, e, "%s: the disk may be full", p->snapshot);
    }
    if (p->fd >= 0)
        close(p->fd);
    p->fd = open(p->journal, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    p->written = 0;
    return p->fd >= 0 ? 0 : ac_err_errno(err, errno, "%s", p->journal);
}

static void on_change(const struct cl_event *ev, void *arg)
{
    struct persist *p = arg;
    struct ac_err err = AC_ERR_INIT;
    js_auto line = ev->change == CL_DELETED
                       ? json_pack("{s:s,s:s,s:s,s:s,s:I}", "op", "del", "kind",
                                   cl_kinds[ev->kind].kind, "namespace", js_ns(ev->object), "name",
                                   js_name(ev->object), "rv", (json_int_t)ev->rv)
                       : json_pack("{s:s,s:O}", "op", "put", "object", ev->object);
    ac_cleanup(ac_free_p) char *text = json_dumps(line, JSON_COMPACT);
    if (text == NULL)
        return;
    size_t n = strlen(text);
    text[n] = '\n'; /* over the NUL: written by length */
    /* After a change that was lost the whole is written anew, as soon as it can be. */
    ssize_t w = p->failed ? -1 : write(p->fd, text, n + 1);
    if (w == (ssize_t)(n + 1)) {
        p->written += n + 1;
    } else if (!p->failed) {
        p->failed = true;
        AC_LOGE("cluster", "state_not_written", AC_KS("file", p->journal),
                AC_KS("msg", w < 0 ? strerror(errno) : "short write; the disk may be full"));
        if (w > 0 && ftruncate(p->fd, (off_t)p->written) != 0) /* half a line */
            AC_LOGE("cluster", "journal_torn", AC_KS("msg", strerror(errno)));
    }
    int64_t now = ac_now_ns();
    if (p->failed ? now < p->retry_ns : p->written <= JOURNAL_MAX)
        return;
    p->retry_ns = now + AC_NS_PER_S;
    int r = write_snapshot(p, &err);
    if (r != 0 && !p->failed)
        AC_LOGE("cluster", "snapshot_not_written", AC_KERR(&err));
    else if (r == 0 && p->failed)
        AC_LOGI("cluster", "state_written_again");
    p->failed = r != 0;
}

int persist_open(struct cl_store *s, const char *dir, struct persist **ret, struct ac_err *err)
{
    struct persist *p = ac_xcalloc(1, sizeof(*p));
    p->store = s;
    p->fd = -1;
    p->snapshot = ac_xasprintf("%s/objects.jsonl", dir);
    p->journal = ac_xasprintf("%s/changes.jsonl", dir);
    int r = load_file(s, p->snapshot, err);
    if (r == 0)
        r = load_file(s, p->journal, err);
    if (r == 0)
        r = write_snapshot(p, err);
    if (r != 0) {
        persist_close(p);
        return r;
    }
    cl_store_observe(s, on_change, p);
    *ret = p;
    return 0;
}

void persist_close(struct persist *p)
{
    if (p == NULL)
        return;
    if (p->fd >= 0)
        close(p->fd);
    free(p->snapshot);
    free(p->journal);
    free(p);
}

/* Logs of containers: one file a run, "TIME STREAM F TEXT" a line. */
#include "rt_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>

#include <aceso/file.h>

#define READ_BYTES (64u * 1024)
#define HEAD_MAX   64

/* ---- files ---- */

struct runtime_follow {
    struct ac_list node;
    bool timestamps;
    void (*fn)(const char *text, size_t len, void *arg);
    void *arg;
};

void rt_log_init(struct rt_log *lg, const char *dir, uint64_t max_bytes)
{
    lg->dir = ac_xstrdup(dir);
    lg->fd = -1;
    lg->run = -1;
    lg->max_bytes = max_bytes;
    ac_list_init(&lg->follows);
}

static char *file_of(const struct rt_log *lg, int64_t run, const char *suffix)
{
    return ac_xasprintf("%s/%lld.log%s", lg->dir, (long long)run, suffix);
}

static void forget(const struct rt_log *lg, int64_t run)
{
    ac_cleanup(ac_free_p) char *a = file_of(lg, run, "");
    ac_cleanup(ac_free_p) char *b = file_of(lg, run, ".1");
    (void)unlink(a);
    (void)unlink(b);
}

void rt_log_open(struct rt_log *lg, int64_t run)
{
    struct ac_err err = AC_ERR_INIT;
    if (lg->fd >= 0)
        close(lg->fd);
    if (ac_dir_create(lg->dir, 0700, &err) != 0)
        AC_LOGE("runtime", "no_log", AC_KERR(&err));
    ac_cleanup(ac_free_p) char *path = file_of(lg, run, "");
    lg->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    lg->run = run;
    lg->bytes = 0;
    if (run >= 2)
        forget(lg, run - 2);
}

static void rotate(struct rt_log *lg)
{
    ac_cleanup(ac_free_p) char *path = file_of(lg, lg->run, "");
    ac_cleanup(ac_free_p) char *old = file_of(lg, lg->run, ".1");
    if (rename(path, old) == 0)
        rt_log_open(lg, lg->run);
    lg->bytes = 0;
}

void rt_log_line(struct rt_log *lg, const char *stream, const char *text, size_t len)
{
    char head[HEAD_MAX], time[32];
    ac_time_format(ac_wall_ns(), time, sizeof(time));
    int n = snprintf(head, sizeof(head), "%s %s F ", time, stream);
    struct ac_buf b;
    ac_buf_init(&b, READ_BYTES * 2);
    ac_buf_append(&b, head, (size_t)n);
    ac_buf_append(&b, text, len);
    ac_buf_putc(&b, '\n');
    if (lg->fd >= 0 && !b.failed && write(lg->fd, b.data, b.len) > 0)
        lg->bytes += b.len;
    AC_LIST_FOREACH(node, &lg->follows)
    {
        struct runtime_follow *f = AC_LIST_ENTRY(node, struct runtime_follow, node);
        size_t skip = f->timestamps ? strlen(time) + 1 : (size_t)n;
        if (!f->timestamps) {
            f->fn(b.data + skip, b.len - skip, f->arg);
        } else {
            struct ac_buf t;
            ac_buf_init(&t, READ_BYTES * 2);
            ac_buf_printf(&t, "%s ", time);
            ac_buf_append(&t, text, len);
            ac_buf_putc(&t, '\n');
            f->fn(t.data, t.len, f->arg);
            ac_buf_fini(&t);
        }
    }
    ac_buf_fini(&b);
    if (lg->bytes > lg->max_bytes)
        rotate(lg);
}

void rt_log_ended(struct rt_log *lg)
{
    for (struct ac_list *n; (n = ac_list_pop_front(&lg->follows)) != NULL;) {
        struct runtime_follow *f = AC_LIST_ENTRY(n, struct runtime_follow, node);
        f->fn(NULL, 0, f->arg);
        /* The owner stops it when its stream closes. */
    }
}

void rt_log_fini(struct rt_log *lg)
{
    rt_log_ended(lg);
    if (lg->fd >= 0)
        close(lg->fd);
    free(lg->dir);
}

struct runtime_follow *runtime_follow_start(struct runtime *rt, const struct runtime_log *lg,
                                            void (*fn)(const char *text, size_t len, void *arg),
                                            void *arg)
{
    struct rt_container *c = rt_find(rt, lg->uid, lg->container);
    if (c == NULL || (c->pid == 0 && c->start_at_ns == 0 && !c->cleaning))
        return NULL;
    struct runtime_follow *f = ac_xcalloc(1, sizeof(*f));
    f->timestamps = lg->timestamps;
    f->fn = fn;
    f->arg = arg;
    ac_list_push_back(&c->log.follows, &f->node);
    return f;
}

void runtime_follow_stop(struct runtime_follow *f)
{
    ac_list_remove(&f->node);
    free(f);
}

/* ---- reading ---- */

struct line_filter {
    const struct runtime_log *lg;
    struct ac_buf *out;
};

/* One stored line to out, if it is recent enough. */
static void put_line(const struct line_filter *lf, const char *line, size_t n)
{
    char time[40];
    const char *text = memchr(line, ' ', n);
    size_t t = text != NULL ? (size_t)(text - line) : 0;
    if (t == 0 || t >= sizeof(time))
        return;
    memcpy(time, line, t);
    time[t] = '\0';
    if (lf->lg->since_ns > 0 && js_time_ns(time) < lf->lg->since_ns)
        return;
    const char *stream_end = memchr(text + 1, ' ', n - t - 1);
    size_t skip = stream_end != NULL ? (size_t)(stream_end - line) + 3 : n;
    if (skip > n)
        return;
    if (lf->lg->timestamps)
        ac_buf_printf(lf->out, "%s ", time);
    ac_buf_append(lf->out, line + skip, n - skip);
    ac_buf_putc(lf->out, '\n');
}

static void filter_text(const struct line_filter *lf, const char *text, size_t len)
{
    const char *from = text, *end = text + len;
    if (lf->lg->tail >= 0) {
        int64_t left = lf->lg->tail;
        from = end;
        while (from > text && left >= 0) {
            const char *p = from - 1;
            while (p > text && p[-1] != '\n')
                p--;
            if (left-- > 0)
                from = p;
        }
    }
    for (const char *nl; from < end && (nl = memchr(from, '\n', (size_t)(end - from))) != NULL;
         from = nl + 1)
        put_line(lf, from, (size_t)(nl - from));
}

int runtime_log_read(struct runtime *rt, const struct runtime_log *lg, struct ac_buf *out,
                     struct ac_err *err)
{
    struct rt_container *c = rt_find(rt, lg->uid, lg->container);
    if (c == NULL)
        return ac_err_set(err, AC_EPROTO, "container %.80s is not valid for this pod",
                          lg->container);
    int64_t run = lg->previous ? c->log.run - 1 : c->log.run;
    if (lg->previous && run < 0)
        return ac_err_set(err, AC_EPROTO,
                          "previous terminated container \"%.80s\" in pod not found",
                          lg->container);
    if (run < 0)
        return ac_err_set(err, AC_EPROTO,
                          "container \"%.80s\" in pod \"%.100s\" is waiting to start: %.60s",
                          lg->container, js_name(c->pod->obj), c->st.reason);
    struct ac_buf all;
    static const char *const suffixes[] = {".1", ""};
    ac_buf_init(&all, 64u << 20);
    for (size_t i = 0; i < AC_ARRAY_LEN(suffixes); i++) {
        ac_cleanup(ac_free_p) char *path = file_of(&c->log, run, suffixes[i]);
        ac_cleanup(ac_free_p) char *text = NULL;
        struct ac_err ignored = AC_ERR_INIT;
        size_t n = 0;
        if (ac_path_exists(path) && ac_file_read(path, 32u << 20, &text, &n, &ignored) == 0)
            ac_buf_append(&all, text, n);
    }
    const struct line_filter lf = {lg, out};
    filter_text(&lf, ac_buf_str(&all), all.len);
    ac_buf_fini(&all);
    if (lg->limit_bytes >= 0 && out->len > (size_t)lg->limit_bytes)
        out->len = (size_t)lg->limit_bytes;
    return 0;
}

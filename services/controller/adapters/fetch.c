/* FetchModel: a model's file in pieces, read on the files' thread, sent as the peer takes them. */
#include "controller_service.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define PIECE_BYTES (1u << 20)
#define AHEAD       4 /* pieces queued on the call */

struct ctl_fetch {
    struct ctl_fetch *next, **link;
    struct ctl_service *s;
    struct ac_rpc_call *call; /* NULL: the peer has gone */
    char *path;
    uint64_t bytes, offset;
    int fd;
    bool reading;
    size_t got; /* of the piece just read */
    struct ac_err err;
    uint8_t piece[PIECE_BYTES];
};

static void fetch_free(struct ctl_fetch *f)
{
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f);
}

static void end(struct ctl_fetch *f, const struct ac_err *err)
{
    struct ac_rpc_call *c = f->call;
    if (c) {
        ac_rpc_on_cancel(c, NULL, NULL);
        ac_rpc_on_drained(c, NULL, NULL);
    }
    fetch_free(f);
    if (c && err)
        ac_rpc_fail(c, err);
    else if (c)
        ac_rpc_finish(c);
}

/* Files' thread. */
static void read_piece(void *arg)
{
    struct ctl_fetch *f = arg;
    struct stat st;
    if (f->fd < 0 && (f->fd = open(f->path, O_RDONLY | O_CLOEXEC)) < 0) {
        ac_err_errno(&f->err, errno, "%s", f->path);
        return;
    }
    if (fstat(f->fd, &st) != 0 || (uint64_t)st.st_size != f->bytes) {
        (void)ac_err_set(&f->err, AC_ESTATE, "%s has changed: the repository needs a new scan",
                         f->path);
        return;
    }
    ssize_t n = pread(f->fd, f->piece, sizeof(f->piece), (off_t)f->offset);
    if (n <= 0 && f->offset < f->bytes)
        ac_err_errno(&f->err, n < 0 ? errno : EIO, "%s", f->path);
    f->got = n > 0 ? (size_t)n : 0;
}

static void more(struct ctl_fetch *f);

static void piece_read(void *arg)
{
    struct ctl_fetch *f = arg;
    f->reading = false;
    if (f->call && f->s->stopping && !f->err.code)
        (void)ac_err_set(&f->err, AC_ENET, "the controller stops");
    if (!f->call || f->err.code) {
        struct ac_err err = f->err;
        end(f, &err);
        return;
    }
    Aceso__V1__ModelPiece m = ACESO__V1__MODEL_PIECE__INIT;
    m.data = (ProtobufCBinaryData){.data = f->piece, .len = f->got};
    struct ac_err err = AC_ERR_INIT;
    int rc = ac_rpc_send(f->call, &m);
    if (rc) {
        (void)ac_err_set(&err, rc, "the model could not be sent");
        end(f, &err);
        return;
    }
    f->offset += f->got;
    if (f->offset >= f->bytes)
        end(f, NULL);
    else if (ac_rpc_queued(f->call) < AHEAD)
        more(f);
}

static void more(struct ctl_fetch *f)
{
    f->reading = true;
    int rc = ac_worker_submit(f->s->files, read_piece, piece_read, f);
    if (rc == 0)
        return;
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, rc, "too many models are being fetched");
    end(f, &err);
}

static void on_drained(struct ac_rpc_call *c, void *arg)
{
    (void)c;
    struct ctl_fetch *f = arg;
    if (!f->reading)
        more(f);
}

static void on_cancel(struct ac_rpc_call *c, void *arg)
{
    struct ctl_fetch *f = arg;
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, AC_ECANCELED, "the worker has gone");
    f->call = NULL;
    if (!f->reading)
        fetch_free(f);
    ac_rpc_fail(c, &err);
}

void ctl_fetch_model(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct ctl_service *s = self;
    const Aceso__V1__FetchModelRequest *req = msg;
    const struct ctl_model *m = ctl_catalog_by_number(s->catalog, req->model);
    if (!m || m->retired || !ac_streq(m->what.sha256, req->sha256)) {
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, AC_ENOTFOUND, "there is no model %u of that content", req->model);
        ac_rpc_fail(c, &err);
        return;
    }
    struct ctl_fetch *f = ac_xcalloc(1, sizeof(*f));
    f->s = s;
    f->call = c;
    f->path = ac_xstrdup(m->what.path);
    f->bytes = m->what.bytes;
    f->fd = -1;
    f->next = s->fetches;
    f->link = &s->fetches;
    if (f->next)
        f->next->link = &f->next;
    s->fetches = f;
    ac_rpc_on_cancel(c, on_cancel, f);
    ac_rpc_on_drained(c, on_drained, f);
    more(f);
}

void ctl_fetch_stop(struct ctl_service *s)
{
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, AC_ENET, "the controller stops");
    for (struct ctl_fetch *f = s->fetches, *next; f; f = next) {
        next = f->next;
        if (!f->reading)
            end(f, &err);
    }
}

/* Blocking calls for a session's thread over the service's own channels: the answer comes on the
 * loop thread, which wakes the caller. */
#include "world.h"

#include <pthread.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>

#define TIMEOUT_NS     (5 * AC_NS_PER_S)
#define REPLY_HEAP_MAX (256u << 20)

struct asked {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool done;
    int code;
    struct ac_err *err;
    void *raw;
    size_t len;
};

static void on_answer(const struct ac_rpc_result *res, void *arg)
{
    struct asked *a = arg;
    pthread_mutex_lock(&a->lock);
    a->code = res->code;
    if (res->code != 0) {
        ac_err_set(a->err, res->code, "%.200s", res->message);
    } else {
        a->raw = ac_xmalloc(res->raw_len + 1);
        memcpy(a->raw, res->raw, res->raw_len);
        a->len = res->raw_len;
    }
    a->done = true;
    pthread_cond_signal(&a->answered);
    pthread_mutex_unlock(&a->lock);
}

int lab_ask(struct ac_rpc_channel *ch, const char *method, const void *req,
            const ProtobufCMessageDescriptor *reply, ProtobufCMessage **ret, struct ac_err *err)
{
    struct asked a = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER, .err = err};
    const struct ac_rpc_call_opts o = {.timeout_ns = TIMEOUT_NS, .wait_for_ready = true};
    ac_rpc_unary(ch, method, req, reply, &o, on_answer, &a);
    pthread_mutex_lock(&a.lock);
    while (!a.done)
        pthread_cond_wait(&a.answered, &a.lock);
    pthread_mutex_unlock(&a.lock);
    int rc = a.code;
    if (rc == 0)
        rc = ac_pb_unpack_heap(reply, a.raw, a.len, REPLY_HEAP_MAX, ret, err);
    free(a.raw);
    return rc == 0 ? 0 : err ? ac_err_wrap(err, "%s", method) : rc;
}

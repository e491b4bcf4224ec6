/* The completion queue, its one poller thread, and the tags. */
#include "rpc_impl.h"

#include <grpc/support/log.h>

#include <aceso/log.h>

#if defined(__SANITIZE_THREAD__)
#define AC_RPC_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define AC_RPC_TSAN 1
#endif
#endif

#ifdef AC_RPC_TSAN
/* libgrpc is not instrumented: without these two the sanitizer does not see that a completion
 * happens after the start of its batch. */
extern void __tsan_release(void *addr);
extern void __tsan_acquire(void *addr);
#define HAND_OVER(tag) __tsan_release(tag)
#define TAKE_OVER(tag) __tsan_acquire(tag)
#else
#define HAND_OVER(tag) ((void)(tag))
#define TAKE_OVER(tag) ((void)(tag))
#endif

void ac_rpc_op_arm(struct ac_rpc_op *op, void (*done)(struct ac_rpc_op *op, bool ok))
{
    op->magic = AC_RPC_OP_MAGIC;
    op->done = done;
    HAND_OVER(op);
}

bool ac_rpc_start(grpc_call *g, const grpc_op *ops, size_t n, struct ac_rpc_op *op,
                  void (*done)(struct ac_rpc_op *op, bool ok))
{
    ac_rpc_op_arm(op, done);
    grpc_call_error e = grpc_call_start_batch(g, ops, n, op, NULL);
    if (e == GRPC_CALL_OK)
        return true;
    AC_LOGD("rpc", "batch_refused", AC_KS("reason", grpc_call_error_to_string(e)));
    return false;
}

/* What core prints by itself goes where our lines go. Its errors are mostly about peers. */
static void core_log(gpr_log_func_args *a)
{
    AC_LOGD("grpc", "core", AC_KS("msg", a->message), AC_KS("file", a->file),
            AC_KI("line", a->line));
}

static void init_log(void)
{
    gpr_set_log_function(core_log);
}

void ac_rpc_core_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_log);
    grpc_init();
}

static void *poll_main(void *arg)
{
    struct ac_rpc *r = arg;
    for (;;) {
        grpc_event ev =
            grpc_completion_queue_next(r->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (ev.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (ev.type != GRPC_OP_COMPLETE)
            continue;
        struct ac_rpc_op *op = ev.tag;
        TAKE_OVER(op);
        AC_CHECK_OBJ(op, AC_RPC_OP_MAGIC);
        op->done(op, ev.success != 0);
    }
}

void ac_rpc_rt_ref(struct ac_rpc *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
}

void ac_rpc_rt_unref(struct ac_rpc *r)
{
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    grpc_shutdown();
    free(r);
}

struct ac_rpc *ac_rpc_create(struct ac_loop *loop, struct ac_metrics *metrics)
{
    struct ac_rpc *r = ac_xcalloc(1, sizeof(*r));
    r->loop = loop;
    r->metrics = metrics;
    atomic_init(&r->refs, 1);
    atomic_init(&r->users, 0);
    ac_rpc_core_init();
    r->cq = grpc_completion_queue_create_for_next(NULL);
    int e = pthread_create(&r->poller, NULL, poll_main, r);
    AC_ASSERT(e == 0);
    (void)pthread_setname_np(r->poller, "rpc-poller");
    return r;
}

/* Completions that are still to come reach the poller before the queue reports its end; their
 * posts to the loop hold references, so they may run later, in ac_loop_destroy. */
void ac_rpc_destroy(struct ac_rpc *r)
{
    if (!r)
        return;
    AC_ASSERT_ON_LOOP(r->loop);
    AC_ASSERT(atomic_load(&r->users) == 0);
    grpc_completion_queue_shutdown(r->cq);
    (void)pthread_join(r->poller, NULL);
    grpc_completion_queue_destroy(r->cq);
    r->cq = NULL;
    ac_rpc_rt_unref(r);
}

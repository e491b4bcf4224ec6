/* The asynchronous client: one thread runs all transfers of a client with curl's multi interface;
 * results go to the loop in one post for many. */
#include "client.h"

#include <pthread.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/list.h>

#define MAX_RUNNING 64
#define MAX_PENDING 4096

/* In one list at a time: pending, running or done. */
struct call {
    struct ac_list node;
    struct ac_http_call call; /* with copies of everything; freed by free_call */
    CURL *easy;
    struct http_transfer t;
    struct ac_http_response res;
    int code;
    struct ac_err err;
    void (*done)(int code, const struct ac_err *err, const struct ac_http_response *res, void *arg);
    void *arg;
};

/* References: the owner's, and a post's on its way. */
struct ac_http_client {
    struct ac_loop *loop;
    CURLM *multi; /* the thread's, but for wakeup */
    pthread_t thread;
    pthread_mutex_t lock; /* for what follows */
    struct ac_list pending, done;
    unsigned n_pending, refs;
    bool closing, posted;

    struct ac_list running; /* the thread's */
    unsigned n_running;
};

static void free_call(struct call *c)
{
    struct ac_http_call *k = &c->call;

    free((void *)(uintptr_t)k->method);
    free((void *)(uintptr_t)k->url);
    for (size_t i = 0; k->headers && k->headers[i]; i++)
        free((void *)(uintptr_t)k->headers[i]);
    free((void *)(uintptr_t)k->headers);
    free((void *)(uintptr_t)k->body);
    free((void *)(uintptr_t)k->ca);
    free((void *)(uintptr_t)k->client_cert);
    free((void *)(uintptr_t)k->client_key);
    free((void *)(uintptr_t)k->bearer);
    ac_http_response_fini(&c->res);
    free(c);
}

static struct call *copy_call(const struct ac_http_call *o)
{
    struct call *c = ac_xcalloc(1, sizeof *c);
    struct ac_http_call *k = &c->call;
    size_t n = 0;

    *k = *o;
    k->method = ac_xstrdup(o->method);
    k->url = ac_xstrdup(o->url);
    k->headers = NULL;
    if (o->headers) {
        char **h;
        while (o->headers[n])
            n++;
        h = ac_xcalloc(n + 1, sizeof *h);
        for (size_t i = 0; i < n; i++)
            h[i] = ac_xstrdup(o->headers[i]);
        k->headers = (const char *const *)h;
    }
    if (o->body) {
        void *b = ac_xmalloc(o->body_len + 1);
        memcpy(b, o->body, o->body_len);
        k->body = b;
    }
    k->ca = ac_xstrdup(o->ca);
    k->client_cert = ac_xstrdup(o->client_cert);
    k->client_key = ac_xstrdup(o->client_key);
    k->bearer = ac_xstrdup(o->bearer);
    ac_list_init(&c->node);
    return c;
}

static void unref(struct ac_http_client *c)
{
    bool last;

    (void)pthread_mutex_lock(&c->lock);
    last = --c->refs == 0;
    (void)pthread_mutex_unlock(&c->lock);
    if (!last)
        return;
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

static void run_done(struct ac_http_client *c)
{
    struct ac_list mine, *n;

    ac_list_init(&mine);
    (void)pthread_mutex_lock(&c->lock);
    ac_list_splice(&mine, &c->done);
    (void)pthread_mutex_unlock(&c->lock);
    while ((n = ac_list_pop_front(&mine))) {
        struct call *k = AC_LIST_ENTRY(n, struct call, node);
        if (k->done)
            k->done(k->code, &k->err, k->code ? NULL : &k->res, k->arg);
        free_call(k);
    }
}

static void on_loop(void *arg)
{
    struct ac_http_client *c = arg;

    (void)pthread_mutex_lock(&c->lock);
    c->posted = false;
    (void)pthread_mutex_unlock(&c->lock);
    run_done(c);
    unref(c);
}

/* ---- the thread ---- */

static void finish(struct ac_http_client *c, struct call *k)
{
    bool post;

    (void)pthread_mutex_lock(&c->lock);
    ac_list_push_back(&c->done, &k->node);
    post = !c->posted && !c->closing;
    if (post) {
        c->posted = true;
        c->refs++;
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (post)
        ac_loop_post(c->loop, on_loop, c);
}

static void start_pending(struct ac_http_client *c)
{
    while (c->n_running < MAX_RUNNING) {
        struct ac_list *n;
        struct call *k;
        (void)pthread_mutex_lock(&c->lock);
        n = ac_list_pop_front(&c->pending);
        c->n_pending -= n != NULL;
        (void)pthread_mutex_unlock(&c->lock);
        if (!n)
            break;
        k = AC_LIST_ENTRY(n, struct call, node);
        k->easy = http_easy_create();
        http_transfer_init(&k->t, &k->call, k->easy);
        (void)curl_easy_setopt(k->easy, CURLOPT_PRIVATE, (void *)k);
        AC_ASSERT(!curl_multi_add_handle(c->multi, k->easy));
        ac_list_push_back(&c->running, &k->node);
        c->n_running++;
    }
}

static void end_call(struct ac_http_client *c, struct call *k)
{
    (void)curl_multi_remove_handle(c->multi, k->easy);
    http_transfer_fini(&k->t);
    curl_easy_cleanup(k->easy);
    ac_list_remove(&k->node);
    c->n_running--;
    finish(c, k);
}

static void take_finished(struct ac_http_client *c)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(c->multi, &left))) {
        struct call *k = NULL;
        CURLcode rc = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&k);
        k->code = http_transfer_error(&k->t, rc, &k->err);
        if (!k->code)
            http_transfer_response(&k->t, &k->res);
        end_call(c, k);
    }
}

static bool is_closing(struct ac_http_client *c)
{
    bool closing;

    (void)pthread_mutex_lock(&c->lock);
    closing = c->closing;
    (void)pthread_mutex_unlock(&c->lock);
    return closing;
}

static void *thread_main(void *arg)
{
    struct ac_http_client *c = arg;

    while (!is_closing(c)) {
        int running;
        start_pending(c);
        (void)curl_multi_perform(c->multi, &running);
        take_finished(c);
        if (c->n_running < MAX_RUNNING)
            start_pending(c);
        (void)curl_multi_poll(c->multi, NULL, 0, 1000, NULL);
    }
    AC_LIST_FOREACH(n, &c->running)
    {
        struct call *k = AC_LIST_ENTRY(n, struct call, node);
        k->code = ac_err_set(&k->err, AC_ECANCELED, "%s: cancelled", k->t.where);
        end_call(c, k);
    }
    return NULL;
}

/* ---- the owner: loop thread ---- */

struct ac_http_client *ac_http_client_create(struct ac_loop *l, unsigned threads)
{
    struct ac_http_client *c = ac_xcalloc(1, sizeof *c);

    (void)threads; /* one is enough: curl multiplexes */
    curl_easy_cleanup(http_easy_create());
    c->loop = l;
    c->refs = 1;
    c->multi = curl_multi_init();
    AC_ASSERT(c->multi);
    ac_list_init(&c->pending);
    ac_list_init(&c->done);
    ac_list_init(&c->running);
    (void)pthread_mutex_init(&c->lock, NULL);
    AC_ASSERT(!pthread_create(&c->thread, NULL, thread_main, c));
    return c;
}

void ac_http_client_destroy(struct ac_http_client *c)
{
    if (!c)
        return;
    AC_ASSERT_ON_LOOP(c->loop);
    (void)pthread_mutex_lock(&c->lock);
    c->closing = true;
    (void)pthread_mutex_unlock(&c->lock);
    (void)curl_multi_wakeup(c->multi);
    (void)pthread_join(c->thread, NULL);
    AC_LIST_FOREACH(n, &c->pending)
    {
        struct call *k = AC_LIST_ENTRY(n, struct call, node);
        ac_list_remove(&k->node);
        k->code = ac_err_set(&k->err, AC_ECANCELED, "cancelled");
        ac_list_push_back(&c->done, &k->node);
    }
    run_done(c);
    (void)curl_multi_cleanup(c->multi);
    unref(c);
}

int ac_http_client_call(struct ac_http_client *c, const struct ac_http_call *call,
                        void (*done)(int code, const struct ac_err *err,
                                     const struct ac_http_response *res, void *arg),
                        void *arg)
{
    struct call *k = copy_call(call);
    bool full;

    k->done = done;
    k->arg = arg;
    (void)pthread_mutex_lock(&c->lock);
    full = c->closing || c->n_pending >= MAX_PENDING;
    if (!full) {
        ac_list_push_back(&c->pending, &k->node);
        c->n_pending++;
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (full) {
        free_call(k);
        return AC_EAGAIN;
    }
    (void)curl_multi_wakeup(c->multi);
    return AC_OK;
}

/* What a handler sees of a request, and its answers. */
#include "internal.h"

#include <string.h>
#include <strings.h>

#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

struct out_header {
    struct ac_list node;
    const char *name, *value;
};

void http_req_unref(struct ac_http_req *r)
{
    struct ac_http_server *s = r->s;
    bool last;

    (void)pthread_mutex_lock(&s->lock);
    last = --r->refs == 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    if (r->response)
        MHD_destroy_response(r->response);
    ac_buf_fini(&r->body);
    ac_arena_destroy(r->arena);
    r->magic = 0;
    free(r);
    http_server_unref(s);
}

const char *ac_http_method(const struct ac_http_req *r)
{
    return r->method;
}

const char *ac_http_path(const struct ac_http_req *r)
{
    return r->path;
}

const char *ac_http_query_n(const struct ac_http_req *r, const char *key, unsigned i)
{
    for (unsigned k = 0; k < r->query.n; k++) {
        if (ac_streq(r->query.at[k].name, key) && i-- == 0)
            return r->query.at[k].value;
    }
    return NULL;
}

const char *ac_http_query(const struct ac_http_req *r, const char *key)
{
    return ac_http_query_n(r, key, 0);
}

const char *ac_http_header(const struct ac_http_req *r, const char *name)
{
    for (unsigned k = 0; k < r->headers.n; k++) {
        if (!strcasecmp(r->headers.at[k].name, name))
            return r->headers.at[k].value;
    }
    return NULL;
}

const char *ac_http_body(const struct ac_http_req *r, size_t *ret_len)
{
    if (ret_len)
        *ret_len = r->body.len;
    return ac_buf_str(&r->body);
}

const char *ac_http_peer(const struct ac_http_req *r)
{
    return r->peer;
}

const char *ac_http_client_name(const struct ac_http_req *r)
{
    return r->client_name;
}

void ac_http_set_header(struct ac_http_req *r, const char *name, const char *value)
{
    struct out_header *h = ac_arena_calloc(r->arena, 1, sizeof *h);

    AC_CHECK_OBJ(r, HTTP_REQ_MAGIC);
    if (!h)
        return;
    h->name = ac_arena_strdup(r->arena, name);
    h->value = ac_arena_strdup(r->arena, value);
    if (h->name && h->value)
        ac_list_push_back(&r->out_headers, &h->node);
}

void http_req_apply_headers(struct ac_http_req *r, struct MHD_Response *resp)
{
    AC_LIST_FOREACH(n, &r->out_headers)
    {
        struct out_header *h = AC_LIST_ENTRY(n, struct out_header, node);
        (void)MHD_add_response_header(resp, h->name, h->value);
    }
}

bool http_req_answer(struct ac_http_req *r, int status, struct MHD_Response *resp)
{
    struct ac_http_server *s = r->s;
    bool taken;

    AC_CHECK_OBJ(r, HTTP_REQ_MAGIC);
    AC_ASSERT_ON_LOOP(s->loop);
    (void)pthread_mutex_lock(&s->lock);
    taken = r->state == HTTP_WAITING;
    if (taken) {
        http_req_apply_headers(r, resp);
        r->response = resp;
        r->status = status;
        r->state = HTTP_ANSWERED;
        ac_list_remove(&r->node);
        MHD_resume_connection(r->conn);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (!taken)
        MHD_destroy_response(resp);
    http_req_unref(r);
    return taken;
}

bool http_req_take(struct ac_http_req *r, int status)
{
    struct ac_http_server *s = r->s;
    bool taken;

    AC_ASSERT_ON_LOOP(s->loop);
    (void)pthread_mutex_lock(&s->lock);
    taken = r->state == HTTP_WAITING;
    if (taken) {
        r->state = HTTP_TAKEN;
        r->status = status;
        ac_list_remove(&r->node);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (!taken)
        http_req_unref(r);
    return taken;
}

void http_req_hang_up(struct ac_http_req *r)
{
    struct ac_http_server *s = r->s;

    AC_ASSERT_ON_LOOP(s->loop);
    (void)pthread_mutex_lock(&s->lock);
    AC_ASSERT(r->state == HTTP_TAKEN);
    r->state = HTTP_HANG_UP;
    MHD_resume_connection(r->conn);
    (void)pthread_mutex_unlock(&s->lock);
    http_req_unref(r);
}

void ac_http_reply(struct ac_http_req *r, int status, const char *content_type, const void *body,
                   size_t len)
{
    struct MHD_Response *resp = MHD_create_response_from_buffer(
        len, (void *)(uintptr_t)(body ? body : ""), MHD_RESPMEM_MUST_COPY);

    AC_ASSERT(resp);
    if (content_type)
        (void)MHD_add_response_header(resp, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    (void)http_req_answer(r, status, resp);
}

void ac_http_reply_text(struct ac_http_req *r, int status, const char *text)
{
    ac_http_reply(r, status, "text/plain; charset=utf-8", text, strlen(text));
}

static int status_of(int code)
{
    switch (code) {
    case AC_OK:
        return 200;
    case AC_EINVAL:
    case AC_ERANGE:
        return 400;
    case AC_EUNAUTH:
        return 401;
    case AC_EPERM:
        return 403;
    case AC_ENOTFOUND:
        return 404;
    case AC_EEXISTS:
    case AC_EABORTED:
    case AC_ESTATE:
        return 409;
    case AC_EAGAIN:
        return 429;
    case AC_ECANCELED:
        return 499;
    case AC_ENOTSUP:
        return 501;
    case AC_ENET:
    case AC_ENOMEM:
        return 503;
    case AC_ETIMEOUT:
        return 504;
    default:
        return 500;
    }
}

void ac_http_reply_err(struct ac_http_req *r, const struct ac_err *err)
{
    int status = status_of(err->code);
    struct ac_buf b;

    /* What is inside stays inside: the detail goes to the log. */
    if (status == 500)
        AC_LOGE("http", "request_failed", AC_KS("path", r->path), AC_KERR(err));
    ac_buf_init(&b, 16384);
    (void)ac_buf_puts(&b, "{\"error\":");
    (void)ac_buf_put_json_str(&b, status == 500 ? "internal error" : err->msg);
    (void)ac_buf_puts(&b, "}\n");
    ac_http_reply(r, status, "application/json", b.data, b.len);
    ac_buf_fini(&b);
}

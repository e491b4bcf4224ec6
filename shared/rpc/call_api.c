/* What a handler may ask of its call and do with it. */
#include "rpc_impl.h"

#include <stdio.h>
#include <string.h>

#include <grpc/support/alloc.h>

#include <aceso/log.h>
#include <aceso/str.h>

struct ac_arena *ac_rpc_arena(struct ac_rpc_call *c)
{
    return c->arena;
}

static void reply_bytes(struct ac_rpc_call *c, grpc_byte_buffer *bb)
{
    size_t len = grpc_byte_buffer_length(bb);
    if (len > AC_RPC_CLIENT_MESSAGE_BYTES) {
        char text[96];
        (void)snprintf(text, sizeof(text), "reply of %zu bytes; the limit is %u", len,
                       AC_RPC_CLIENT_MESSAGE_BYTES);
        grpc_byte_buffer_destroy(bb);
        ac_rpc_call_end(c, GRPC_STATUS_RESOURCE_EXHAUSTED, text, NULL);
        return;
    }
    ac_rpc_call_end(c, GRPC_STATUS_OK, NULL, bb);
}

void ac_rpc_reply(struct ac_rpc_call *c, const void *msg)
{
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    reply_bytes(c, ac_rpc_pack(msg));
}

void ac_rpc_reply_raw(struct ac_rpc_call *c, const void *data, size_t len)
{
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    reply_bytes(c, ac_rpc_bytes(data, len));
}

void ac_rpc_finish(struct ac_rpc_call *c)
{
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    ac_rpc_call_end(c, GRPC_STATUS_OK, NULL, NULL);
}

void ac_rpc_fail(struct ac_rpc_call *c, const struct ac_err *err)
{
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    const char *text;
    grpc_status_code code = ac_rpc_public_status(err, &text);
    if (code == GRPC_STATUS_INTERNAL)
        AC_LOGW("rpc", "call_failed", AC_KS("method", c->path), AC_KERR(err));
    ac_rpc_call_end(c, code, text, NULL);
}

int ac_rpc_send(struct ac_rpc_call *c, const void *msg)
{
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    int code = AC_OK;
    pthread_mutex_lock(&c->mu);
    if (c->cancelled)
        code = AC_ECANCELED;
    else if (c->state != CALL_HANDLING)
        code = AC_ESTATE;
    else if (c->out.count + (c->sending ? 1 : 0) >= AC_RPC_SEND_MESSAGES ||
             c->out.bytes >= AC_RPC_SEND_BYTES)
        code = AC_EAGAIN;
    if (code == AC_OK) {
        ac_rpc_queue_push(&c->out, ac_rpc_pack(msg));
        ac_rpc_call_pump(c);
    }
    pthread_mutex_unlock(&c->mu);
    return code;
}

void ac_rpc_on_drained(struct ac_rpc_call *c, void (*fn)(struct ac_rpc_call *c, void *arg),
                       void *arg)
{
    pthread_mutex_lock(&c->mu);
    c->on_drained = fn;
    c->on_drained_arg = arg;
    pthread_mutex_unlock(&c->mu);
}

static pthread_mutex_t *lock_of(const struct ac_rpc_call *c)
{
    union {
        const struct ac_rpc_call *in;
        struct ac_rpc_call *out;
    } u = {.in = c}; /* the lock is no part of what const promises */
    return &u.out->mu;
}

size_t ac_rpc_queued(const struct ac_rpc_call *c)
{
    pthread_mutex_lock(lock_of(c));
    size_t n = c->out.count + (c->sending ? 1 : 0);
    pthread_mutex_unlock(lock_of(c));
    return n;
}

bool ac_rpc_cancelled(const struct ac_rpc_call *c)
{
    pthread_mutex_lock(lock_of(c));
    bool v = c->cancelled;
    pthread_mutex_unlock(lock_of(c));
    return v;
}

void ac_rpc_on_message(struct ac_rpc_call *c,
                       void (*fn)(struct ac_rpc_call *c, const void *msg, void *arg), void *arg)
{
    c->on_message = fn;
    c->on_message_arg = arg;
}

int64_t ac_rpc_deadline_ns(const struct ac_rpc_call *c)
{
    return c->deadline_ns;
}

/* Keys and values are not NUL-terminated and belong to the call: hence the copy. */
const char *ac_rpc_metadata(const struct ac_rpc_call *c, const char *lower_case_key)
{
    size_t n = strlen(lower_case_key);
    for (size_t i = 0; i < c->md.count; i++) {
        grpc_slice k = c->md.metadata[i].key, v = c->md.metadata[i].value;
        if (GRPC_SLICE_LENGTH(k) == n && memcmp(GRPC_SLICE_START_PTR(k), lower_case_key, n) == 0)
            return ac_arena_strndup(c->arena, (const char *)GRPC_SLICE_START_PTR(v),
                                    GRPC_SLICE_LENGTH(v));
    }
    return NULL;
}

const char *ac_rpc_peer(const struct ac_rpc_call *c)
{
    char *p = grpc_call_get_peer(c->g);
    const char *copy = ac_arena_strdup(c->arena, p ? p : "");
    gpr_free(p);
    return copy ? copy : "";
}

const char *ac_rpc_method_path(const struct ac_rpc_call *c)
{
    return c->path;
}

const void *ac_rpc_raw_request(const struct ac_rpc_call *c, size_t *ret_len)
{
    *ret_len = c->has_request ? GRPC_SLICE_LENGTH(c->request) : 0;
    return c->has_request ? GRPC_SLICE_START_PTR(c->request) : NULL;
}

/* Takes as long for a token that is wrong in its first byte as for one wrong in its last. */
static bool same_token(const char *given, size_t n, const char *token)
{
    size_t m = strlen(token);
    unsigned diff = n != m;
    for (size_t i = 0; i < n; i++)
        diff |= (unsigned char)given[i] ^ (unsigned char)token[m ? i % m : 0];
    return diff == 0;
}

int ac_rpc_check_token(char *const *tokens, const char *authorization, struct ac_err *err)
{
    const char *a = authorization;
    if (!tokens)
        return AC_OK;
    if (!a || !ac_str_starts(a, "Bearer "))
        return ac_err_set(err, AC_EUNAUTH, "this server asks for \"authorization: Bearer TOKEN\"");
    bool ok = false;
    for (char *const *t = tokens; *t; t++)
        ok |= same_token(a + 7, strlen(a + 7), *t);
    return ok ? AC_OK : ac_err_set(err, AC_EUNAUTH, "the token is not known to this server");
}

int ac_rpc_call_authorize(struct ac_rpc_call *c, struct ac_err *err)
{
    return ac_rpc_check_token(c->s->tokens, ac_rpc_metadata(c, "authorization"), err);
}

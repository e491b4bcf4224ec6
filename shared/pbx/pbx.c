#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>

static void *arena_alloc(void *a, size_t n)
{
    return ac_arena_alloc(a, n);
}

static void arena_free(void *a, void *p)
{
    (void)a; /* the reset frees it */
    (void)p;
}

int ac_pb_unpack(const ProtobufCMessageDescriptor *desc, const void *data, size_t len,
                 struct ac_arena *a, ProtobufCMessage **ret, struct ac_err *err)
{
    ProtobufCAllocator alloc = {.alloc = arena_alloc, .free = arena_free, .allocator_data = a};
    ProtobufCMessage *m = protobuf_c_message_unpack(desc, &alloc, len, data);
    if (m) {
        *ret = m;
        return 0;
    }
    if (ac_arena_failed(a))
        return ac_err_set(err, AC_EAGAIN, "%s: larger than the limit once unpacked", desc->name);
    return ac_err_set(err, AC_EPROTO, "%s: malformed message of %zu bytes", desc->name, len);
}

struct budget {
    size_t left;
    bool passed;
};

static void *budget_alloc(void *data, size_t n)
{
    struct budget *b = data;
    void *p = n <= b->left ? ac_try_malloc(n) : NULL;
    if (!p) {
        b->passed = true;
        return NULL;
    }
    b->left -= n;
    return p;
}

static void budget_free(void *data, void *p)
{
    (void)data; /* the cap is on all that was ever asked for: simple, and never too generous */
    free(p);
}

int ac_pb_unpack_heap(const ProtobufCMessageDescriptor *desc, const void *data, size_t len,
                      size_t cap_bytes, ProtobufCMessage **ret, struct ac_err *err)
{
    struct budget b = {.left = cap_bytes};
    ProtobufCAllocator alloc = {budget_alloc, budget_free, &b};
    ProtobufCMessage *m = protobuf_c_message_unpack(desc, &alloc, len, data);
    if (m) {
        *ret = m;
        return 0;
    }
    if (b.passed)
        return ac_err_set(err, AC_EAGAIN, "%s: larger than the limit once unpacked", desc->name);
    return ac_err_set(err, AC_EPROTO, "%s: malformed message of %zu bytes", desc->name, len);
}

int ac_pb_pack(const ProtobufCMessage *msg, struct ac_buf *out, struct ac_err *err)
{
    char *p = ac_buf_extend(out, protobuf_c_message_get_packed_size(msg));
    if (!p)
        return ac_err_set(err, AC_EAGAIN, "%s: larger than the limit", msg->descriptor->name);
    (void)protobuf_c_message_pack(msg, (uint8_t *)p);
    return 0;
}

ProtobufCMessage *ac_pb_copy(const ProtobufCMessage *msg, struct ac_arena *a)
{
    size_t len = protobuf_c_message_get_packed_size(msg);
    ac_cleanup(ac_free_p) uint8_t *bytes = ac_try_malloc(len);
    if (!bytes)
        return NULL;
    protobuf_c_message_pack(msg, bytes);
    ProtobufCMessage *copy = NULL;
    int rc = ac_pb_unpack(msg->descriptor, bytes, len, a, &copy, NULL);
    return rc ? NULL : copy;
}

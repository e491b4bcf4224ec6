/* Messages as byte buffers, and the bounded queues of a call. */
#include "rpc_impl.h"

#include <string.h>

#include <grpc/byte_buffer_reader.h>

void ac_rpc_queue_init(struct ac_rpc_queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
    q->count = q->bytes = 0;
}

void ac_rpc_queue_push(struct ac_rpc_queue *q, grpc_byte_buffer *bb)
{
    struct ac_rpc_item *it = ac_xmalloc(sizeof(*it));
    it->next = NULL;
    it->bb = bb;
    it->len = grpc_byte_buffer_length(bb);
    *q->tail = it;
    q->tail = &it->next;
    q->count++;
    q->bytes += it->len;
}

grpc_byte_buffer *ac_rpc_queue_pop(struct ac_rpc_queue *q)
{
    struct ac_rpc_item *it = q->head;
    if (!it)
        return NULL;
    q->head = it->next;
    if (!q->head)
        q->tail = &q->head;
    q->count--;
    q->bytes -= it->len;
    grpc_byte_buffer *bb = it->bb;
    free(it);
    return bb;
}

void ac_rpc_queue_clear(struct ac_rpc_queue *q)
{
    grpc_byte_buffer *bb;
    while ((bb = ac_rpc_queue_pop(q)))
        grpc_byte_buffer_destroy(bb);
}

grpc_byte_buffer *ac_rpc_pack(const ProtobufCMessage *msg)
{
    size_t n = protobuf_c_message_get_packed_size(msg);
    grpc_slice s = grpc_slice_malloc(n);
    (void)protobuf_c_message_pack(msg, GRPC_SLICE_START_PTR(s));
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&s, 1);
    grpc_slice_unref(s);
    return bb;
}

grpc_byte_buffer *ac_rpc_bytes(const void *data, size_t len)
{
    grpc_slice s = grpc_slice_from_copied_buffer(data ? data : "", len);
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&s, 1);
    grpc_slice_unref(s);
    return bb;
}

bool ac_rpc_flatten(grpc_byte_buffer *bb, grpc_slice *ret)
{
    grpc_byte_buffer_reader rd;
    if (!grpc_byte_buffer_reader_init(&rd, bb))
        return false; /* compressed data that does not inflate */
    grpc_slice first, more;
    if (!grpc_byte_buffer_reader_next(&rd, &first)) {
        *ret = grpc_empty_slice();
    } else if (!grpc_byte_buffer_reader_next(&rd, &more)) {
        *ret = first;
    } else {
        grpc_slice_unref(first);
        grpc_slice_unref(more);
        grpc_byte_buffer_reader_destroy(&rd);
        if (!grpc_byte_buffer_reader_init(&rd, bb))
            return false;
        *ret = grpc_byte_buffer_reader_readall(&rd);
    }
    grpc_byte_buffer_reader_destroy(&rd);
    return true;
}

void ac_rpc_slice_str(grpc_slice s, char *dst, size_t size)
{
    size_t n = AC_MIN(GRPC_SLICE_LENGTH(s), size - 1);
    memcpy(dst, GRPC_SLICE_START_PTR(s), n);
    dst[n] = '\0';
}

/* protobuf-c with an arena and limits. Unpacked messages live in the arena: no free. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <aceso/arena.h>
#include <aceso/buf.h>

/** AC_EPROTO on malformed bytes, AC_EAGAIN when the arena's cap is passed. */
int ac_pb_unpack(const ProtobufCMessageDescriptor *desc, const void *data, size_t len,
                 struct ac_arena *a, ProtobufCMessage **ret, struct ac_err *err) AC_MUST_USE;
/** As above from the heap with a cap on the bytes it may take; free with
 * protobuf_c_message_free_unpacked(msg, NULL). */
int ac_pb_unpack_heap(const ProtobufCMessageDescriptor *desc, const void *data, size_t len,
                      size_t cap_bytes, ProtobufCMessage **ret, struct ac_err *err) AC_MUST_USE;
/** Appends; AC_EAGAIN when the buffer's cap is passed. */
int ac_pb_pack(const ProtobufCMessage *msg, struct ac_buf *out, struct ac_err *err) AC_MUST_USE;
/** Deep copy into the arena (by pack and unpack). NULL when the cap is passed. */
ProtobufCMessage *ac_pb_copy(const ProtobufCMessage *msg, struct ac_arena *a);
/** Any message as JSON text by its descriptor (proto3 JSON names as in the .proto; 64-bit integers
 * as numbers; bytes as base64). For --json output and the console. */
void ac_pb_to_json(const ProtobufCMessage *msg, struct ac_buf *out);

#define AC_PB_UNPACK(type_prefix, data, len, arena, ret, err)                                      \
    ac_pb_unpack(&type_prefix##__descriptor, (data), (len), (arena), (ProtobufCMessage **)(ret),   \
                 (err))

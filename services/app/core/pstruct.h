/* google.protobuf.Struct on the wire, straight from and into values: a message that needs no
 * generated code and no copy in between. */
#pragma once

#include "value.h"

/** v must be a map; everything else is packed as {"value": v}. */
int app_struct_pack(const struct app_value *v, struct ac_buf *out, struct ac_err *err) AC_MUST_USE;
/** AC_EPROTO on malformed bytes, AC_EAGAIN when the arena is full. */
int app_struct_unpack(struct ac_arena *a, const void *data, size_t len,
                      const struct app_value **ret, struct ac_err *err) AC_MUST_USE;

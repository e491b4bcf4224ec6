/* Messages of the wire to the core's plain structs. Views into the message and the arena. */
#pragma once

#include "infer.h"

#include <inference/grpc_service.pb-c.h>

#include <aceso/arena.h>

/** Tensors of a request, in raw or typed contents, and the names of the outputs it asks for.
 * AC_EINVAL when contents and declarations do not go together. */
int ctl_args_from_pb(const Inference__ModelInferRequest *req, struct ac_arena *a,
                     struct ctl_infer_args *ret_args, struct ac_err *err) AC_MUST_USE;
/** The parameter "timeout", microseconds; 0 when there is none. */
int ctl_timeout_from_pb(const Inference__ModelInferRequest *req, int64_t *ret_us,
                        struct ac_err *err) AC_MUST_USE;
Inference__DataType ctl_dtype_to_pb(int dtype);

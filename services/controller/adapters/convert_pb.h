/* Messages of the wire to the core's plain structs. Views into the message and the arena. */
#pragma once

#include "infer.h"
#include "tenants.h"

#include <inference/grpc_service.pb-c.h>

#include <aceso/arena.h>

/** Tensors of a request, in raw or typed contents, and the names of the outputs it asks for.
 * AC_EINVAL when contents and declarations do not go together. */
int ctl_args_from_pb(const Inference__ModelInferRequest *req, struct ac_arena *a,
                     struct ctl_infer_args *ret_args, struct ac_err *err) AC_MUST_USE;
/* What a request says of itself, with what holds where it does not. */
struct ctl_params {
    int64_t timeout_us; /* 0: none */
    const char *tenant; /* of the message, or "" */
    uint8_t priority;   /* as policy_request's: higher is shed later */
};
/** The parameters timeout, tenant and priority. */
int ctl_params_from_pb(const Inference__ModelInferRequest *req, struct ctl_params *ret_p,
                       struct ac_err *err) AC_MUST_USE;
Inference__DataType ctl_dtype_to_pb(int dtype);

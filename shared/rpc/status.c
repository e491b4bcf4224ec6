/* Status codes, deadlines, and what of an error a peer may read. */
#include "rpc_impl.h"

#include <aceso/clock.h>

static const char *const status_names[17] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

const char *ac_rpc_status_name(int code)
{
    return code >= 0 && code < (int)AC_ARRAY_LEN(status_names) ? status_names[code] : "UNKNOWN";
}

grpc_status_code ac_rpc_public_status(const struct ac_err *err, const char **ret_text)
{
    grpc_status_code code = (grpc_status_code)ac_err_grpc_status(err->code);
    if (code == GRPC_STATUS_OK) /* a failure without a code is our own mistake */
        code = GRPC_STATUS_INTERNAL;
    if (err->code == AC_EINTERNAL || err->code == AC_EIO || code == GRPC_STATUS_INTERNAL)
        *ret_text = "internal error";
    else
        *ret_text = err->msg[0] ? err->msg : ac_err_text(err->code);
    return code;
}

/* Deadlines are points in time, never spans: a span taken for a point is in 1970. */
gpr_timespec ac_rpc_deadline_in(int64_t timeout_ns)
{
    if (timeout_ns == INT64_MAX)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_nanos(timeout_ns, GPR_TIMESPAN));
}

int64_t ac_rpc_deadline_from(gpr_timespec t)
{
    if (gpr_time_cmp(t, gpr_inf_future(t.clock_type)) == 0)
        return INT64_MAX;
    gpr_timespec m = gpr_convert_clock_type(t, GPR_CLOCK_MONOTONIC);
    gpr_timespec left = gpr_time_sub(m, gpr_now(GPR_CLOCK_MONOTONIC));
    if (left.tv_sec > INT64_MAX / AC_NS_PER_S / 2)
        return INT64_MAX;
    return ac_now_ns() + left.tv_sec * AC_NS_PER_S + left.tv_nsec;
}

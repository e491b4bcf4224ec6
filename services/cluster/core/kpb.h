/* Objects in Kubernetes' protobuf form, which newer kubectl sends for what it makes itself (create
 * namespace, configmap, deployment, ..., token, auth can-i), into JSON. Pure. */
#pragma once

#include <stddef.h>

#include <jansson.h>

#include <aceso/err.h>

#define CL_KPB_MAX_DEPTH 32

/** data begins with "k8s\0". AC_EPROTO when malformed, AC_EDATALOSS for a kind that has no schema
 * here. */
int cl_kpb_decode(const void *data, size_t len, json_t **ret, struct ac_err *err) AC_MUST_USE;

/* Lists as kubectl prints them (meta.k8s.io/v1 Table), and discovery documents. Pure. */
#pragma once

#include "store.h"

#include <jansson.h>

/** New Table of an array of objects (borrowed). rv is the list's version; now for ages. with_header
 * false leaves the column definitions out (later events of a watch). */
json_t *cl_table(enum cl_kind_id k, const json_t *objects, uint64_t rv, int64_t now_ns,
                 bool with_header);
/** What kubectl shows in the STATUS column of a pod. */
const char *cl_pod_status_text(const json_t *pod, char *dst, size_t dst_size);

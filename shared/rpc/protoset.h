/* Index of the serialised descriptor set that the build links in: files, symbols, dependencies. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ac_rpc_protoset;

struct ac_rpc_protofile {
    const uint8_t *data; /* a FileDescriptorProto */
    size_t len;
    char *name;
    char **deps;
    size_t n_deps, cap_deps;
};

struct ac_rpc_protoset *ac_rpc_protoset_create(void);
/** From other bytes, which must outlive it; malformed parts are left out. */
struct ac_rpc_protoset *ac_rpc_protoset_parse(const uint8_t *data, size_t len);
void ac_rpc_protoset_destroy(struct ac_rpc_protoset *p); /* NULL is fine */
const struct ac_rpc_protofile *ac_rpc_protoset_file(struct ac_rpc_protoset *p, const char *name);
const struct ac_rpc_protofile *ac_rpc_protoset_symbol(struct ac_rpc_protoset *p,
                                                      const char *full_name);
/** f first, then all that it needs; the caller frees *ret. */
size_t ac_rpc_protoset_closure(struct ac_rpc_protoset *p, const struct ac_rpc_protofile *f,
                               const struct ac_rpc_protofile ***ret);

/* Metadata that a client sends. Core reads it until the batch is complete. */
#include "rpc_impl.h"

#include <stdio.h>

#include <aceso/str.h>

void ac_rpc_md_init(struct ac_rpc_md *m, const char *token, const char *const *pairs)
{
    size_t n = 0;
    while (pairs && pairs[2 * n] && pairs[2 * n + 1])
        n++;
    m->v = ac_xcalloc(n + 1, sizeof(*m->v));
    m->n = 0;
    for (size_t i = 0; i < n; i++) {
        grpc_slice k = grpc_slice_from_copied_string(pairs[2 * i]);
        grpc_slice v = grpc_slice_from_copied_string(pairs[2 * i + 1]);
        bool ok = grpc_header_key_is_legal(k) &&
                  (grpc_is_binary_header(k) || grpc_header_nonbin_value_is_legal(v)) &&
                  !(token && ac_streq(pairs[2 * i], "authorization"));
        if (!ok) { /* core would refuse the whole batch */
            grpc_slice_unref(k);
            grpc_slice_unref(v);
            continue;
        }
        m->v[m->n].key = k;
        m->v[m->n++].value = v;
    }
    if (token) {
        char *text = ac_xasprintf("Bearer %s", token);
        m->v[m->n].key = grpc_slice_from_static_string("authorization");
        m->v[m->n++].value = grpc_slice_from_copied_string(text);
        free(text);
    }
}

void ac_rpc_md_fini(struct ac_rpc_md *m)
{
    for (size_t i = 0; i < m->n; i++) {
        grpc_slice_unref(m->v[i].key);
        grpc_slice_unref(m->v[i].value);
    }
    free(m->v);
    m->v = NULL;
    m->n = 0;
}

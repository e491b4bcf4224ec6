/* Bytes as an ONNX file: read, made a graph, compiled. */
#include "executor.h"
#include "graph.h"

#include <stddef.h>
#include <stdint.h>

#include <aceso/base.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_arena *arena = ac_arena_create(8u << 20);
    struct wk_onnx m;
    struct wk_graph g;
    struct wk_model_info info;
    struct wk_onnx_tensor t;
    if (wk_onnx_parse(data, size, arena, &m, NULL) == 0 &&
        wk_graph_build(&m, 1, arena, &g, NULL) == 0) {
        (void)!wk_model_describe(&g, &info, NULL);
        (void)!wk_graph_build(&m, 2, arena, &g, NULL);
    }
    ac_arena_reset(arena);
    (void)!wk_onnx_parse_tensor(data, size, arena, &t, NULL);
    ac_arena_destroy(arena);
    return 0;
}

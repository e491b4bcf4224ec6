/* Convolutions, pooling and inner products of a library, as the cpu executor asks for them: made
 * while a model is prepared, run with nothing but fixed places. The executor has its own loops for
 * where there are none. make and pack may allocate; bind and run are told when. */
#pragma once

#include "graph.h"

/* An image is n x c x h x w ("plain"), or n x h x w x c: channels last. */
struct wk_kernel_spec {
    enum wk_op op;          /* WK_CONV, WK_POOL_MAX, WK_POOL_MEAN, WK_DENSE */
    size_t m, k, n, groups; /* images or rows, channels in, channels out */
    struct wk_geometry geometry;
    struct wk_window window;
    struct wk_activation act; /* WK_KEEP, WK_RELU, WK_LEAKY_RELU or WK_CLIP */
    bool in_last, out_last;
};

/* Addresses that hold until the kernel is freed; nothing is read before run. */
struct wk_kernel_places {
    void *in, *out, *weights, *bias, *scratch;
};

struct wk_kernel;

struct wk_kernels {
    void *self;
    /** like: the same node for another batch, whose packed weights this one must take; or NULL.
     * AC_ENOTSUP: the library cannot. */
    int (*make)(void *self, const struct wk_kernel_spec *spec, const struct wk_kernel *like,
                struct wk_kernel **ret_k, struct ac_err *err);
    /** Bytes of packed weights and of scratch. */
    void (*sizes)(const struct wk_kernel *k, size_t *ret_weights, size_t *ret_scratch);
    /** From rows of output channels (CONV) or k x n (DENSE) to out, the packed size long. */
    int (*pack)(struct wk_kernel *k, const float *weights, void *out, struct ac_err *err);
    int (*bind)(struct wk_kernel *k, const struct wk_kernel_places *at, struct ac_err *err);
    /** False when the library failed. One thread at a time for all kernels of an executor. */
    bool (*run)(struct wk_kernel *k);
    void (*free)(struct wk_kernel *k);
};

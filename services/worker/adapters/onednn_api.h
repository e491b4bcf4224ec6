/* What oneDNN 2 and 3 call differently: descriptors of memory are values in one and handles in the
 * other, and operations have descriptors of their own in 2 alone. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#include <dnnl.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t dn_md;
typedef const_dnnl_memory_desc_t dn_const_md;
#else
typedef dnnl_memory_desc_t *dn_md;
typedef const dnnl_memory_desc_t *dn_const_md;
#endif

/* A window over images; all arrays are of two. */
struct dn_window {
    dnnl_dims_t stride, kernel, dilation, before, behind;
};

/** strides NULL: the library chooses the layout. */
static inline dnnl_status_t dn_md_create(dn_md *ret, int n, const dnnl_dims_t dims,
                                         const dnnl_dims_t strides)
{
#if DNNL_VERSION_MAJOR >= 3
    return strides ? dnnl_memory_desc_create_with_strides(ret, n, dims, dnnl_f32, strides)
                   : dnnl_memory_desc_create_with_tag(ret, n, dims, dnnl_f32, dnnl_format_tag_any);
#else
    dn_md md = calloc(1, sizeof(*md));
    if (!md)
        return dnnl_out_of_memory;
    dnnl_status_t st =
        strides ? dnnl_memory_desc_init_by_strides(md, n, dims, dnnl_f32, strides)
                : dnnl_memory_desc_init_by_tag(md, n, dims, dnnl_f32, dnnl_format_tag_any);
    if (st != dnnl_success)
        free(md);
    else
        *ret = md;
    return st;
#endif
}

static inline void dn_md_free(dn_md md)
{
#if DNNL_VERSION_MAJOR >= 3
    if (md)
        (void)dnnl_memory_desc_destroy(md);
#else
    free(md);
#endif
}

static inline dnnl_status_t dn_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float a,
                                              float b)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_eltwise(ops, alg, a, b);
#else
    return dnnl_post_ops_append_eltwise(ops, 1, alg, a, b);
#endif
}

static inline dnnl_status_t dn_conv(dnnl_primitive_desc_t *ret, dnnl_engine_t engine,
                                    const dn_const_md md[4], const struct dn_window *w,
                                    const_dnnl_primitive_attr_t attr)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_forward_primitive_desc_create(
        ret, engine, dnnl_forward_inference, dnnl_convolution_direct, md[0], md[1], md[2], md[3],
        w->stride, w->dilation, w->before, w->behind, attr);
#else
    dnnl_convolution_desc_t d;
    dnnl_status_t st = dnnl_dilated_convolution_forward_desc_init(
        &d, dnnl_forward_inference, dnnl_convolution_direct, md[0], md[1], md[2], md[3], w->stride,
        w->dilation, w->before, w->behind);
    return st != dnnl_success ? st : dnnl_primitive_desc_create(ret, &d, attr, engine, NULL);
#endif
}

static inline dnnl_status_t dn_inner(dnnl_primitive_desc_t *ret, dnnl_engine_t engine,
                                     const dn_const_md md[4], const_dnnl_primitive_attr_t attr)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_inner_product_forward_primitive_desc_create(ret, engine, dnnl_forward_inference,
                                                            md[0], md[1], md[2], md[3], attr);
#else
    dnnl_inner_product_desc_t d;
    dnnl_status_t st = dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, md[0],
                                                            md[1], md[2], md[3]);
    return st != dnnl_success ? st : dnnl_primitive_desc_create(ret, &d, attr, engine, NULL);
#endif
}

static inline dnnl_status_t dn_pool(dnnl_primitive_desc_t *ret, dnnl_engine_t engine,
                                    dnnl_alg_kind_t alg, const dn_const_md md[4],
                                    const struct dn_window *w, const_dnnl_primitive_attr_t attr)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_pooling_forward_primitive_desc_create(ret, engine, dnnl_forward_inference, alg,
                                                      md[0], md[3], w->stride, w->kernel,
                                                      w->dilation, w->before, w->behind, attr);
#else
    dnnl_pooling_v2_desc_t d;
    dnnl_status_t st =
        dnnl_pooling_v2_forward_desc_init(&d, dnnl_forward_inference, alg, md[0], md[3], w->stride,
                                          w->kernel, w->dilation, w->before, w->behind);
    return st != dnnl_success ? st : dnnl_primitive_desc_create(ret, &d, attr, engine, NULL);
#endif
}

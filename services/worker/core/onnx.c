#include "onnx.h"

#include "wire.h"

#include <string.h>

#include <aceso/base.h>

static const struct {
    int dtype;
    size_t size;
    const char *name;
} types[] = {
    {WK_F32, 4, "FP32"},   {WK_U8, 1, "UINT8"},  {WK_I8, 1, "INT8"},   {WK_U16, 2, "UINT16"},
    {WK_I16, 2, "INT16"},  {WK_I32, 4, "INT32"}, {WK_I64, 8, "INT64"}, {WK_STRING, 0, "BYTES"},
    {WK_BOOL, 1, "BOOL"},  {WK_F16, 2, "FP16"},  {WK_F64, 8, "FP64"},  {WK_U32, 4, "UINT32"},
    {WK_U64, 8, "UINT64"}, {WK_BF16, 2, "BF16"},
};

size_t wk_dtype_size(int dtype)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(types); i++)
        if (types[i].dtype == dtype)
            return types[i].size;
    return 0;
}

const char *wk_dtype_name(int dtype)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(types); i++)
        if (types[i].dtype == dtype)
            return types[i].name;
    return "?";
}

int wk_dtype_find(const char *kserve_name)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(types); i++)
        if (strcmp(types[i].name, kserve_name) == 0)
            return types[i].dtype;
    return WK_UNDEFINED;
}

struct reader {
    struct ac_arena *arena;
    struct ac_err *err;
};

static int bad(const struct reader *r, const struct wk_wire *w, const char *what)
{
    return ac_err_set(r->err, AC_EINVAL, "ONNX: %s near byte %zu", what, wk_wire_place(w));
}

static int no_memory(const struct reader *r)
{
    return ac_err_set(r->err, AC_ENOMEM,
                      "ONNX: the model needs more memory than is allowed for its description");
}

/* Text from a field: no NUL inside, bounded. */
static int text(const struct reader *r, const struct wk_wire *w, const struct wk_field *f,
                const char **ret_s)
{
    if (f->wire != WK_BYTES || f->len > WK_ONNX_MAX_NAME || memchr(f->bytes, 0, f->len))
        return bad(r, w, "a name is too long or malformed");
    *ret_s = ac_arena_strndup(r->arena, (const char *)f->bytes, f->len);
    return *ret_s ? 0 : no_memory(r);
}

/* Counts the fields of a number, so that arrays are allocated once. */
static uint32_t count(struct wk_wire w, uint32_t number)
{
    struct wk_field f;
    uint32_t n = 0;
    while (wk_wire_next(&w, &f))
        n += f.number == number;
    return n;
}

static int array(const struct reader *r, const struct wk_wire *w, uint32_t number, uint32_t max,
                 size_t elem, const char *what, void *ret_ptr)
{
    uint32_t n = count(*w, number);
    void *p = NULL;
    if (n > max)
        return ac_err_set(r->err, AC_ERANGE, "ONNX: %u %s, at most %u are allowed", n, what, max);
    if (n && !(p = ac_arena_calloc(r->arena, n, elem)))
        return no_memory(r);
    memcpy(ret_ptr, &p, sizeof(p));
    return 0;
}

/* ---- tensors ---- */

/* Number of elements that a repeated numeric field holds, packed or not. */
static bool repeated_count(const struct wk_field *f, size_t *n)
{
    if (f->wire != WK_BYTES) {
        ++*n;
        return true;
    }
    struct wk_wire w = wk_wire_of(f->bytes, f->len);
    uint64_t v;
    while (w.at != w.end) {
        if (!wk_wire_varint(&w, &v))
            return false;
        ++*n;
    }
    return true;
}

static void put_int(int dtype, uint8_t *at, uint64_t v)
{
    memcpy(at, &v, wk_dtype_size(dtype)); /* little-endian: the low bytes are the value */
}

/* Values given as varints (int32_data, int64_data, uint64_data) become native elements. */
static int from_varints(const struct reader *r, const struct wk_wire *whole, uint32_t number,
                        struct wk_onnx_tensor *t)
{
    struct wk_wire w = *whole;
    struct wk_field f;
    size_t n = 0, size = wk_dtype_size(t->dtype), at = 0;
    while (wk_wire_next(&w, &f))
        if (f.number == number && !repeated_count(&f, &n))
            return bad(r, &w, "malformed tensor values");
    if (n != t->elems)
        return bad(r, whole, "a tensor's values do not match its shape");
    uint8_t *out = ac_arena_alloc(r->arena, ac_mul_size(n, size));
    if (!out)
        return no_memory(r);
    for (w = *whole; wk_wire_next(&w, &f);) {
        if (f.number != number)
            continue;
        if (f.wire != WK_BYTES) {
            put_int(t->dtype, out + at++ * size, f.v);
            continue;
        }
        struct wk_wire in = wk_wire_of(f.bytes, f.len);
        uint64_t v;
        while (at < n && in.at != in.end && wk_wire_varint(&in, &v))
            put_int(t->dtype, out + at++ * size, v);
    }
    t->data = out;
    return 0;
}

/* float_data and double_data: packed is the native layout; the unpacked form is gathered. */
static int from_fixed(const struct reader *r, const struct wk_wire *whole, uint32_t number,
                      struct wk_onnx_tensor *t)
{
    struct wk_wire w = *whole;
    struct wk_field f;
    size_t size = wk_dtype_size(t->dtype), bytes = 0, pieces = 0;
    const uint8_t *only = NULL;
    while (wk_wire_next(&w, &f)) {
        if (f.number != number)
            continue;
        pieces++;
        if (f.wire == WK_BYTES) {
            bytes += f.len;
            only = f.bytes;
        } else {
            bytes += size;
        }
    }
    if (bytes != ac_mul_size(t->elems, size))
        return bad(r, whole, "a tensor's values do not match its shape");
    if (pieces == 1 && only) {
        t->data = only;
        return 0;
    }
    uint8_t *out = ac_arena_alloc(r->arena, bytes), *at = out;
    if (!out)
        return no_memory(r);
    for (w = *whole; wk_wire_next(&w, &f);) {
        if (f.number != number)
            continue;
        size_t n = f.wire == WK_BYTES ? f.len : size;
        memcpy(at, f.wire == WK_BYTES ? (const void *)f.bytes : (const void *)&f.v, n);
        at += n;
    }
    t->data = out;
    return 0;
}

static int tensor_dim(const struct reader *r, const struct wk_wire *w, uint64_t v,
                      struct wk_onnx_tensor *t)
{
    int64_t d = (int64_t)v;
    if (t->rank == WK_ONNX_MAX_RANK || d < 0 || d > INT32_MAX)
        return bad(r, w, "a tensor's rank or size is out of range");
    t->dims[t->rank++] = d;
    return 0;
}

static int tensor_field(const struct reader *r, const struct wk_wire *w, const struct wk_field *f,
                        struct wk_onnx_tensor *t, const struct wk_field **raw,
                        struct wk_field *raw_store)
{
    int rc = 0;
    switch (f->number) {
    case 1:
        if (f->wire == WK_BYTES) {
            struct wk_wire in = wk_wire_nested(w, f);
            uint64_t v;
            while (rc == 0 && in.at != in.end) {
                if (!wk_wire_varint(&in, &v))
                    return bad(r, w, "malformed tensor shape");
                rc = tensor_dim(r, w, v, t);
            }
            return rc;
        }
        return tensor_dim(r, w, f->v, t);
    case 2:
        t->dtype = f->v <= 64 ? (int)f->v : WK_UNDEFINED;
        return 0;
    case 8:
        return text(r, w, f, &t->name);
    case 9:
        if (f->wire != WK_BYTES)
            return bad(r, w, "malformed tensor values");
        *raw_store = *f;
        *raw = raw_store;
        return 0;
    case 13:
    case 14:
        if (f->number == 13 || f->v != 0)
            return ac_err_set(r->err, AC_ENOTSUP, "ONNX: tensors in other files are not supported");
        return 0;
    default:
        return 0;
    }
}

static int read_tensor(const struct reader *r, struct wk_wire w, struct wk_onnx_tensor *t)
{
    struct wk_wire whole = w;
    struct wk_field f, raw_store;
    const struct wk_field *raw = NULL;
    *t = (struct wk_onnx_tensor){.name = ""};
    while (wk_wire_next(&w, &f)) {
        int rc = tensor_field(r, &w, &f, t, &raw, &raw_store);
        if (rc)
            return rc;
    }
    if (w.bad)
        return bad(r, &w, "malformed tensor");
    t->elems = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        t->elems = ac_mul_size(t->elems, (size_t)t->dims[i]);
    size_t size = wk_dtype_size(t->dtype);
    if (size == 0)
        return ac_err_set(r->err, AC_ENOTSUP,
                          "ONNX: tensor %.80s has element type %d, which is not supported", t->name,
                          t->dtype);
    if (t->elems == 0)
        return 0;
    if (raw) {
        if (raw->len != ac_mul_size(t->elems, size))
            return bad(r, &whole, "a tensor's values do not match its shape");
        t->data = raw->bytes;
        return 0;
    }
    switch (t->dtype) {
    case WK_F32:
        return from_fixed(r, &whole, 4, t);
    case WK_F64:
        return from_fixed(r, &whole, 10, t);
    case WK_I64:
        return from_varints(r, &whole, 7, t);
    case WK_U32:
    case WK_U64:
        return from_varints(r, &whole, 11, t);
    default:
        return from_varints(r, &whole, 5, t);
    }
}

int wk_onnx_parse_tensor(const void *bytes, size_t len, struct ac_arena *arena,
                         struct wk_onnx_tensor *ret_t, struct ac_err *err)
{
    struct reader r = {.arena = arena, .err = err};
    struct wk_onnx_tensor t;
    int rc = read_tensor(&r, wk_wire_of(bytes, len), &t);
    if (rc == 0)
        *ret_t = t;
    return rc;
}

/* ---- nodes ---- */

static int attr_lists(const struct reader *r, struct wk_wire w, struct wk_onnx_attr *a)
{
    struct wk_wire whole = w;
    struct wk_field f;
    size_t n_ints = 0, n_floats = 0;
    while (wk_wire_next(&w, &f)) {
        if (f.number == 8 && !repeated_count(&f, &n_ints))
            return bad(r, &w, "malformed attribute");
        if (f.number == 7)
            n_floats += f.wire == WK_BYTES ? f.len / 4 : 1;
    }
    int64_t *ints = n_ints ? ac_arena_calloc(r->arena, n_ints, sizeof(*ints)) : NULL;
    float *floats = n_floats ? ac_arena_calloc(r->arena, n_floats, sizeof(*floats)) : NULL;
    if ((n_ints && !ints) || (n_floats && !floats))
        return no_memory(r);
    for (w = whole; wk_wire_next(&w, &f);) {
        if (f.number == 8 && f.wire != WK_BYTES) {
            AC_ASSERT(a->n_ints < n_ints);
            ints[a->n_ints++] = (int64_t)f.v;
        } else if (f.number == 8) {
            struct wk_wire in = wk_wire_nested(&w, &f);
            uint64_t v;
            while (in.at != in.end && wk_wire_varint(&in, &v)) {
                AC_ASSERT(a->n_ints < n_ints);
                ints[a->n_ints++] = (int64_t)v;
            }
        } else if (f.number == 7 && f.wire == WK_BYTES) {
            if (f.len >= 4) { /* without any there may be no array at all */
                AC_ASSERT(floats && a->n_floats + f.len / 4 <= n_floats);
                memcpy(floats + a->n_floats, f.bytes, f.len / 4 * 4);
            }
            a->n_floats += f.len / 4;
        } else if (f.number == 7) {
            AC_ASSERT(a->n_floats < n_floats);
            memcpy(&floats[a->n_floats++], &f.v, 4);
        }
    }
    a->ints = ints;
    a->floats = floats;
    return 0;
}

static int read_attr(const struct reader *r, struct wk_wire w, struct wk_onnx_attr *a)
{
    struct wk_wire whole = w;
    struct wk_field f;
    int rc = 0;
    *a = (struct wk_onnx_attr){.name = "", .s = ""};
    while (rc == 0 && wk_wire_next(&w, &f)) {
        if (f.number == 1) {
            rc = text(r, &w, &f, &a->name);
        } else if (f.number == 2 && f.wire == WK_FIXED32) {
            memcpy(&a->f, &f.v, 4);
        } else if (f.number == 3 && f.wire == WK_VARINT) {
            a->i = (int64_t)f.v;
        } else if (f.number == 4) {
            rc = text(r, &w, &f, &a->s);
        } else if (f.number == 5 && f.wire == WK_BYTES) {
            struct wk_onnx_tensor *t = ac_arena_calloc(r->arena, 1, sizeof(*t));
            rc = t ? read_tensor(r, wk_wire_nested(&w, &f), t) : no_memory(r);
            a->t = t;
        } else if (f.number == 6 || f.number == 11) {
            a->has_graph = true;
        }
    }
    if (rc == 0 && w.bad)
        rc = bad(r, &w, "malformed attribute");
    return rc ? rc : attr_lists(r, whole, a);
}

static int read_node(const struct reader *r, struct wk_wire w, struct wk_onnx_node *n)
{
    *n = (struct wk_onnx_node){.name = "", .op = "", .domain = ""};
    int rc = array(r, &w, 1, WK_ONNX_MAX_IO, sizeof(char *), "inputs of one node", &n->inputs);
    if (rc == 0)
        rc = array(r, &w, 2, WK_ONNX_MAX_IO, sizeof(char *), "outputs of one node", &n->outputs);
    if (rc == 0)
        rc =
            array(r, &w, 5, WK_ONNX_MAX_IO, sizeof(*n->attrs), "attributes of one node", &n->attrs);
    struct wk_field f;
    while (rc == 0 && wk_wire_next(&w, &f)) {
        if (f.number == 1)
            rc = text(r, &w, &f, &n->inputs[n->n_inputs++]);
        else if (f.number == 2)
            rc = text(r, &w, &f, &n->outputs[n->n_outputs++]);
        else if (f.number == 3)
            rc = text(r, &w, &f, &n->name);
        else if (f.number == 4)
            rc = text(r, &w, &f, &n->op);
        else if (f.number == 7)
            rc = text(r, &w, &f, &n->domain);
        else if (f.number == 5 && f.wire == WK_BYTES)
            rc = read_attr(r, wk_wire_nested(&w, &f), &n->attrs[n->n_attrs++]);
        else if (f.number == 5)
            rc = bad(r, &w, "malformed attribute");
    }
    if (rc == 0 && w.bad)
        rc = bad(r, &w, "malformed node");
    return rc;
}

/* ---- values ---- */

static int read_shape(const struct reader *r, struct wk_wire w, struct wk_onnx_value *v)
{
    struct wk_field f, d;
    v->has_shape = true;
    while (wk_wire_next(&w, &f)) {
        if (f.number != 1 || f.wire != WK_BYTES)
            continue;
        if (v->rank == WK_ONNX_MAX_RANK)
            return bad(r, &w, "a shape has too many dimensions");
        int64_t dim = -1;
        struct wk_wire in = wk_wire_nested(&w, &f);
        while (wk_wire_next(&in, &d))
            if (d.number == 1 && d.wire == WK_VARINT)
                dim = (int64_t)d.v;
        if (in.bad || dim > INT32_MAX)
            return bad(r, &w, "malformed shape");
        v->dims[v->rank++] = dim > 0 ? dim : -1;
    }
    return w.bad ? bad(r, &w, "malformed shape") : 0;
}

static int read_value(const struct reader *r, struct wk_wire w, struct wk_onnx_value *v)
{
    struct wk_field f, g, h;
    int rc = 0;
    *v = (struct wk_onnx_value){.name = ""};
    while (rc == 0 && wk_wire_next(&w, &f)) {
        if (f.number == 1)
            rc = text(r, &w, &f, &v->name);
        if (f.number != 2 || f.wire != WK_BYTES)
            continue;
        struct wk_wire type = wk_wire_nested(&w, &f);
        while (rc == 0 && wk_wire_next(&type, &g)) {
            if (g.number != 1 || g.wire != WK_BYTES)
                continue;
            struct wk_wire tensor = wk_wire_nested(&type, &g);
            while (rc == 0 && wk_wire_next(&tensor, &h)) {
                if (h.number == 1 && h.wire == WK_VARINT && h.v <= 64)
                    v->dtype = (int)h.v;
                else if (h.number == 2 && h.wire == WK_BYTES)
                    rc = read_shape(r, wk_wire_nested(&tensor, &h), v);
            }
            if (tensor.bad)
                type.bad = true;
        }
        if (rc == 0 && type.bad)
            rc = bad(r, &w, "malformed type");
    }
    if (rc == 0 && w.bad)
        rc = bad(r, &w, "malformed value");
    return rc;
}

/* ---- graph and model ---- */

static int graph_field(const struct reader *r, const struct wk_wire *w, const struct wk_field *f,
                       struct wk_onnx *m)
{
    bool message = f->number == 1 || f->number == 5 || f->number == 11 || f->number == 12;
    if (!message)
        return f->number == 15
                   ? ac_err_set(r->err, AC_ENOTSUP, "ONNX: sparse tensors are not supported")
                   : 0;
    if (f->wire != WK_BYTES)
        return bad(r, w, "malformed graph");
    struct wk_wire in = wk_wire_nested(w, f);
    switch (f->number) {
    case 1:
        return read_node(r, in, &m->nodes[m->n_nodes++]);
    case 5:
        return read_tensor(r, in, &m->tensors[m->n_tensors++]);
    case 11:
        return read_value(r, in, &m->inputs[m->n_inputs++]);
    default:
        return read_value(r, in, &m->outputs[m->n_outputs++]);
    }
}

static int read_graph(const struct reader *r, struct wk_wire w, struct wk_onnx *m)
{
    int rc = array(r, &w, 1, WK_ONNX_MAX_NODES, sizeof(*m->nodes), "nodes", &m->nodes);
    if (rc == 0)
        rc = array(r, &w, 5, WK_ONNX_MAX_TENSORS, sizeof(*m->tensors), "initializers", &m->tensors);
    if (rc == 0)
        rc = array(r, &w, 11, WK_ONNX_MAX_TENSORS, sizeof(*m->inputs), "inputs", &m->inputs);
    if (rc == 0)
        rc = array(r, &w, 12, WK_ONNX_MAX_IO, sizeof(*m->outputs), "outputs", &m->outputs);
    struct wk_field f;
    while (rc == 0 && wk_wire_next(&w, &f))
        rc = graph_field(r, &w, &f, m);
    if (rc == 0 && w.bad)
        rc = bad(r, &w, "malformed graph");
    return rc;
}

static void read_opset(const struct wk_wire *w, const struct wk_field *f, struct wk_onnx *m)
{
    struct wk_wire in = wk_wire_nested(w, f);
    struct wk_field g;
    bool other = false;
    int64_t version = 0;
    while (wk_wire_next(&in, &g)) {
        if (g.number == 1 && g.wire == WK_BYTES)
            other = g.len != 0 && !(g.len == 7 && memcmp(g.bytes, "ai.onnx", 7) == 0);
        if (g.number == 2 && g.wire == WK_VARINT)
            version = (int64_t)g.v;
    }
    if (!other)
        m->opset = version;
}

int wk_onnx_parse(const void *bytes, size_t len, struct ac_arena *arena, struct wk_onnx *ret_m,
                  struct ac_err *err)
{
    struct reader r = {.arena = arena, .err = err};
    struct wk_onnx m = {.producer = ""};
    struct wk_wire w = wk_wire_of(bytes, len);
    struct wk_field f;
    bool graph = false;
    int rc = 0;
    while (rc == 0 && wk_wire_next(&w, &f)) {
        if (f.number == 1 && f.wire == WK_VARINT) {
            m.ir_version = (int64_t)f.v;
        } else if (f.number == 2) {
            rc = text(&r, &w, &f, &m.producer);
        } else if (f.number == 8 && f.wire == WK_BYTES) {
            read_opset(&w, &f, &m);
        } else if (f.number == 7 && f.wire == WK_BYTES) {
            rc = graph ? bad(&r, &w, "a second graph") : read_graph(&r, wk_wire_nested(&w, &f), &m);
            graph = true;
        }
    }
    if (rc == 0 && w.bad)
        rc = bad(&r, &w, "malformed protobuf");
    if (rc == 0 && !graph)
        rc = ac_err_set(err, AC_EINVAL, "ONNX: no graph in the file");
    if (rc == 0 && m.opset < 1)
        rc = ac_err_set(err, AC_EINVAL, "ONNX: the file states no operator set");
    if (rc == 0)
        *ret_m = m;
    return rc;
}

const struct wk_onnx_attr *wk_onnx_attr(const struct wk_onnx_node *n, const char *name)
{
    for (uint32_t i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0)
            return &n->attrs[i];
    return NULL;
}

int64_t wk_onnx_attr_int(const struct wk_onnx_node *n, const char *name, int64_t fallback)
{
    const struct wk_onnx_attr *a = wk_onnx_attr(n, name);
    return a ? a->i : fallback;
}

float wk_onnx_attr_float(const struct wk_onnx_node *n, const char *name, float fallback)
{
    const struct wk_onnx_attr *a = wk_onnx_attr(n, name);
    return a ? a->f : fallback;
}

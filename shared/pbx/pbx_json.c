/* Any message as JSON, from its protobuf-c descriptor. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

static void put_message(struct ac_buf *b, const ProtobufCMessage *m);

static void put_f64(struct ac_buf *b, double v)
{
    char num[32];
    ac_str_from_f64(num, sizeof(num), v);
    if (isnan(v))
        ac_buf_puts(b, "\"NaN\""); /* as proto3's JSON mapping has it */
    else if (isinf(v))
        ac_buf_puts(b, v < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    else
        ac_buf_puts(b, num);
}

/* The double that prints as the float would: 0.1f is 0.1, not 0.10000000149011612. */
static double shortest_double(float f)
{
    char text[32];
    double v = (double)f;
    for (int digits = 6; digits <= 9 && isfinite(f); digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)f);
        if (ac_str_to_f64(text, &v) && (float)v == f)
            return v;
    }
    return (double)f;
}

static void put_base64(struct ac_buf *b, const uint8_t *p, size_t n)
{
    ac_cleanup(ac_free_p) char *text = ac_base64(p, n);
    ac_buf_putc(b, '"');
    ac_buf_puts(b, text);
    ac_buf_putc(b, '"');
}

static void put_enum(struct ac_buf *b, const ProtobufCEnumDescriptor *d, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);
    if (v)
        ac_buf_put_json_str(b, v->name);
    else
        ac_buf_printf(b, "%d", value); /* from a newer peer */
}

/* p points at the element: one value in a struct or in a repeated field's array. */
static void put_value(struct ac_buf *b, const ProtobufCFieldDescriptor *f, const void *p)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        ac_buf_printf(b, "%" PRId32, *(const int32_t *)p);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        ac_buf_printf(b, "%" PRIu32, *(const uint32_t *)p);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        ac_buf_printf(b, "%" PRId64, *(const int64_t *)p);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        ac_buf_printf(b, "%" PRIu64, *(const uint64_t *)p);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        put_f64(b, shortest_double(*(const float *)p));
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_f64(b, *(const double *)p);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        ac_buf_puts(b, *(const protobuf_c_boolean *)p ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(b, f->descriptor, *(const int *)p);
        break;
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(char *const *)p;
        ac_buf_put_json_str(b, s ? s : "");
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *d = p;
        put_base64(b, d->data, d->len);
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *m = *(ProtobufCMessage *const *)p;
        if (m)
            put_message(b, m);
        else
            ac_buf_puts(b, "null");
        break;
    }
    }
}

static size_t elem_size(ProtobufCType t)
{
    switch (t) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

/* The quantifier of an optional field (or a oneof's case) says whether it is there; plain proto3
 * scalars are always shown, so that a reader need not know the defaults. */
static bool present(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *base = (const char *)m;
    const void *p = base + f->offset, *q = base + f->quantifier_offset;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)q == f->id;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(ProtobufCMessage *const *)p != NULL;
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return *(char *const *)p != NULL;
    if (f->label == PROTOBUF_C_LABEL_OPTIONAL)
        return *(const protobuf_c_boolean *)q;
    return true;
}

static void put_repeated(struct ac_buf *b, const ProtobufCMessage *m,
                         const ProtobufCFieldDescriptor *f)
{
    const char *base = (const char *)m;
    size_t n = *(const size_t *)(const void *)(base + f->quantifier_offset);
    const char *p = *(char *const *)(const void *)(base + f->offset);
    ac_buf_putc(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            ac_buf_putc(b, ',');
        put_value(b, f, p + i * elem_size(f->type));
    }
    ac_buf_putc(b, ']');
}

static void put_message(struct ac_buf *b, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    char sep = '{';
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
        if (!repeated && !present(m, f))
            continue;
        ac_buf_putc(b, sep);
        sep = ',';
        ac_buf_put_json_str(b, f->name);
        ac_buf_putc(b, ':');
        if (repeated)
            put_repeated(b, m, f);
        else
            put_value(b, f, (const char *)m + f->offset);
    }
    ac_buf_puts(b, sep == '{' ? "{}" : "}");
}

void ac_pb_to_json(const ProtobufCMessage *msg, struct ac_buf *out)
{
    put_message(out, msg);
}

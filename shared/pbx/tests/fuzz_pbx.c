/* Bytes as an incident, the deepest of the messages that come from peers: unpacked within a cap,
 * it packs to what unpacks to the same, and its JSON is JSON. */
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/v1/incidents.pb-c.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAP (4u << 20)

static void check_json(const ProtobufCMessage *m)
{
    struct ac_buf b;
    ac_buf_init(&b, CAP);
    ac_pb_to_json(m, &b);
    if (!b.failed) { /* as reals: an unsigned number may pass jansson's integers */
        json_t *j = json_loadb(ac_buf_str(&b), b.len, JSON_DECODE_INT_AS_REAL, NULL);
        AC_ASSERT(j);
        json_decref(j);
    }
    ac_buf_fini(&b);
}

/* protobuf-c takes the illegal field number 0 in its long form, but not the short form that it
 * packs it in: what nobody knows is left out. */
static void forget_unknown(ProtobufCMessage *m)
{
    m->n_unknown_fields = 0;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        void *p = (char *)m + f->offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            ProtobufCMessage *one = *(ProtobufCMessage **)p;
            if (one)
                forget_unknown(one);
            continue;
        }
        size_t n = *(size_t *)(void *)((char *)m + f->quantifier_offset);
        for (size_t k = 0; k < n; k++)
            forget_unknown((*(ProtobufCMessage ***)p)[k]);
    }
}

static void check_round_trip(const ProtobufCMessage *m)
{
    struct ac_arena *a = ac_arena_create(CAP);
    ProtobufCMessage *again;
    struct ac_buf one, two;
    ac_buf_init(&one, CAP);
    ac_buf_init(&two, CAP);
    AC_ASSERT(ac_pb_pack(m, &one, NULL) == AC_OK);
    if (ac_pb_unpack(m->descriptor, one.data, one.len, a, &again, NULL) == AC_OK) {
        AC_ASSERT(ac_pb_pack(again, &two, NULL) == AC_OK);
        AC_ASSERT(one.len == two.len && (one.len == 0 || memcmp(one.data, two.data, one.len) == 0));
    } else {
        AC_ASSERT(ac_arena_failed(a)); /* nothing else can be wrong with what we packed */
    }
    ac_buf_fini(&one);
    ac_buf_fini(&two);
    ac_arena_destroy(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_arena *a = ac_arena_create(CAP);
    Aceso__V1__Incident *m;
    if (size <= 1 << 16 && AC_PB_UNPACK(aceso__v1__incident, data, size, a, &m, NULL) == AC_OK) {
        check_json(&m->base);
        forget_unknown(&m->base);
        check_round_trip(&m->base);
    }
    ac_arena_destroy(a);
    return 0;
}

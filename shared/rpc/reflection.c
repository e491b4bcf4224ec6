/* grpc.reflection: what the server offers, from the descriptor set that is linked in. */
#include "protoset.h"
#include "rpc_impl.h"

#include <grpc/reflection/v1/reflection.pb-c.h>

#include <aceso/map.h>

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;
#define ASKS(x)    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##x
#define ANSWERS(x) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##x

static void send_or_end(struct ac_rpc_call *c, const response *r)
{
    if (ac_rpc_send(c, r) == AC_EAGAIN) { /* asks without reading the answers */
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, AC_EAGAIN, "answers are not read");
        ac_rpc_fail(c, &err);
    }
}

static void not_found(struct ac_rpc_call *c, response *r, const char *what)
{
    Grpc__Reflection__V1__ErrorResponse e = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    union {
        const char *in;
        char *out;
    } text = {.in = what};
    e.error_code = GRPC_STATUS_NOT_FOUND;
    e.error_message = text.out;
    r->message_response_case = ANSWERS(ERROR_RESPONSE);
    r->error_response = &e;
    send_or_end(c, r);
}

static void list_services(struct ac_rpc_call *c, struct ac_rpc_server *s, response *r)
{
    Grpc__Reflection__V1__ListServiceResponse l = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    size_t n = ac_map_len(s->services), i = 0;
    Grpc__Reflection__V1__ServiceResponse *each = ac_xcalloc(n, sizeof(*each));
    Grpc__Reflection__V1__ServiceResponse **list = ac_xcalloc(n, sizeof(struct ac_map *));
    union {
        const char *in;
        char *out;
    } name;
    void *unused;
    for (size_t it = 0; ac_map_next(s->services, &it, &name.in, &unused); i++) {
        grpc__reflection__v1__service_response__init(&each[i]);
        each[i].name = name.out;
        list[i] = &each[i];
    }
    l.n_service = i;
    l.service = list;
    r->message_response_case = ANSWERS(LIST_SERVICES_RESPONSE);
    r->list_services_response = &l;
    send_or_end(c, r);
    free(list);
    free(each);
}

static void send_files(struct ac_rpc_call *c, response *r, const struct ac_rpc_protofile *f,
                       struct ac_rpc_protoset *set)
{
    const struct ac_rpc_protofile **files;
    size_t n = ac_rpc_protoset_closure(set, f, &files);
    Grpc__Reflection__V1__FileDescriptorResponse d =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    ProtobufCBinaryData *bytes = ac_xcalloc(n, sizeof(*bytes));
    for (size_t i = 0; i < n; i++) {
        union {
            const uint8_t *in;
            uint8_t *out;
        } p = {.in = files[i]->data};
        bytes[i] = (ProtobufCBinaryData){.data = p.out, .len = files[i]->len};
    }
    d.n_file_descriptor_proto = n;
    d.file_descriptor_proto = bytes;
    r->message_response_case = ANSWERS(FILE_DESCRIPTOR_RESPONSE);
    r->file_descriptor_response = &d;
    send_or_end(c, r);
    free(bytes);
    free(files);
}

static void on_request(struct ac_rpc_call *c, const void *msg, void *arg)
{
    struct ac_rpc_server *s = arg;
    if (!msg) {
        ac_rpc_finish(c);
        return;
    }
    union {
        const void *in;
        request *out;
    } q = {.in = msg};
    response r = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    r.valid_host = q.out->host;
    r.original_request = q.out;
    const struct ac_rpc_protofile *f;
    switch ((int)q.out->message_request_case) {
    case ASKS(LIST_SERVICES):
        list_services(c, s, &r);
        break;
    case ASKS(FILE_BY_FILENAME):
        f = ac_rpc_protoset_file(s->protoset, q.out->file_by_filename);
        if (f)
            send_files(c, &r, f, s->protoset);
        else
            not_found(c, &r, "no such file");
        break;
    case ASKS(FILE_CONTAINING_SYMBOL):
        f = ac_rpc_protoset_symbol(s->protoset, q.out->file_containing_symbol);
        if (f)
            send_files(c, &r, f, s->protoset);
        else
            not_found(c, &r, "no such symbol");
        break;
    default: /* proto3 files have no extensions */
        not_found(c, &r, "no extensions here");
        break;
    }
}

static void gone(struct ac_rpc_call *c, void *arg)
{
    (void)arg;
    ac_rpc_finish(c);
}

static void info(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)req;
    ac_rpc_on_message(c, on_request, self);
    ac_rpc_on_cancel(c, gone, NULL);
}

/* Both versions have the same messages on the wire, so one code serves them. */
void ac_rpc_reflection_add(struct ac_rpc_server *s)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "ServerReflectionInfo", .kind = AC_RPC_BIDI, .handler = info},
    };
    s->protoset = ac_rpc_protoset_create();
    ac_rpc_server_add_as(s, &grpc__reflection__v1__server_reflection__descriptor,
                         "grpc.reflection.v1.ServerReflection", methods, 1, s, false);
    ac_rpc_server_add_as(s, &grpc__reflection__v1__server_reflection__descriptor,
                         "grpc.reflection.v1alpha.ServerReflection", methods, 1, s, false);
}

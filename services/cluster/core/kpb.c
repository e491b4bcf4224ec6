/* Driven by a table: each message is a text of "number name type" with ; between them. Types: s
 * string, i integer, b boolean, y bytes (base64), t Time, q Quantity, n IntOrString, *T repeated,
 * %T map from string, .Name a message. Fields that are not listed are left out. */
#include "kpb.h"

#include "defaults.h"
#include "js.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

struct schema {
    const char *name, *fields;
};

static const struct schema schemas[] = {
    {"ObjectMeta", "1 name s;2 generateName s;3 namespace s;5 uid s;6 resourceVersion s;11 labels "
                   "%s;12 annotations %s;13 ownerReferences *.OwnerReference;14 finalizers *s"},
    {"OwnerReference",
     "1 kind s;3 name s;4 uid s;5 apiVersion s;6 controller b;7 blockOwnerDeletion b"},
    {"Namespace", "1 metadata .ObjectMeta"},
    {"ConfigMap", "1 metadata .ObjectMeta;2 data %s;3 binaryData %y;4 immutable b"},
    {"Secret", "1 metadata .ObjectMeta;2 data %y;3 type s;4 stringData %s;5 immutable b"},
    {"ServiceAccount", "1 metadata .ObjectMeta"},
    {"Deployment", "1 metadata .ObjectMeta;2 spec .DeploymentSpec"},
    {"DeploymentSpec",
     "1 replicas i;2 selector .LabelSelector;3 template .PodTemplate;4 strategy .Strategy;5 "
     "minReadySeconds i;6 revisionHistoryLimit i;7 paused b;9 progressDeadlineSeconds i"},
    {"Strategy", "1 type s;2 rollingUpdate .RollingUpdate"},
    {"RollingUpdate", "1 maxUnavailable n;2 maxSurge n"},
    {"LabelSelector", "1 matchLabels %s;2 matchExpressions *.Requirement"},
    {"Requirement", "1 key s;2 operator s;3 values *s"},
    {"PodTemplate", "1 metadata .ObjectMeta;2 spec .PodSpec"},
    {"Pod", "1 metadata .ObjectMeta;2 spec .PodSpec"},
    {"PodSpec", "1 volumes *.Volume;2 containers *.Container;3 restartPolicy s;4 "
                "terminationGracePeriodSeconds i;6 dnsPolicy s;7 nodeSelector %s;8 "
                "serviceAccountName s;10 nodeName s;20 initContainers *.Container"},
    {"Volume", "1 name s;2 source .VolumeSource"},
    {"Container", "1 name s;2 image s;3 command *s;4 args *s;5 workingDir s;6 ports *.Port;7 env "
                  "*.EnvVar;8 resources .Resources;9 volumeMounts *.Mount;14 imagePullPolicy s"},
    {"Port", "1 name s;2 hostPort i;3 containerPort i;4 protocol s"},
    {"EnvVar", "1 name s;2 value s;3 valueFrom .EnvSource"},
    {"EnvSource", "1 fieldRef .FieldRef;3 configMapKeyRef .KeyRef;4 secretKeyRef .KeyRef"},
    {"FieldRef", "1 apiVersion s;2 fieldPath s"},
    {"KeyRef", "1 ref .LocalRef;2 key s;3 optional b"},
    {"LocalRef", "1 name s"},
    {"Resources", "1 limits %q;2 requests %q"},
    {"Mount", "1 name s;2 readOnly b;3 mountPath s;4 subPath s"},
    {"Service", "1 metadata .ObjectMeta;2 spec .ServiceSpec"},
    {"ServiceSpec", "1 ports *.ServicePort;2 selector %s;3 clusterIP s;4 type s;7 sessionAffinity "
                    "s;10 externalName s"},
    {"ServicePort", "1 name s;2 protocol s;3 port i;4 targetPort n;5 nodePort i"},
    {"Job", "1 metadata .ObjectMeta;2 spec .JobSpec"},
    {"JobSpec", "1 parallelism i;2 completions i;3 activeDeadlineSeconds i;6 template "
                ".PodTemplate;7 backoffLimit i"},
    {"TokenRequest", "1 metadata .ObjectMeta;2 spec .TokenSpec"},
    {"TokenSpec", "1 audiences *s;4 expirationSeconds i"},
    {"SelfSubjectAccessReview", "1 metadata .ObjectMeta;2 spec .ReviewSpec"},
    {"ReviewSpec", "1 resourceAttributes .Attributes"},
    {"Attributes",
     "1 namespace s;2 verb s;3 group s;4 version s;5 resource s;6 subresource s;7 name s"},
    {"DeleteOptions", "1 gracePeriodSeconds i;2 preconditions .Preconditions;3 orphanDependents "
                      "b;4 propagationPolicy s"},
    {"Preconditions", "1 uid s"},
    {"Eviction", "1 metadata .ObjectMeta"},
};

struct wire {
    const uint8_t *p, *end;
};

static bool varint(struct wire *w, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && w->p < w->end; shift += 7) {
        uint8_t b = *w->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *ret = v;
            return true;
        }
    }
    return false;
}

struct field {
    unsigned number, type; /* wire type: 0 varint, 1 fixed64, 2 bytes, 5 fixed32 */
    uint64_t v;
    struct wire bytes;
};

static bool next_field(struct wire *w, struct field *f)
{
    uint64_t tag, n;
    if (!varint(w, &tag) || tag >> 3 == 0 || tag >> 3 > 1u << 28)
        return false;
    f->number = (unsigned)(tag >> 3);
    f->type = (unsigned)(tag & 7);
    if (f->type == 0)
        return varint(w, &f->v);
    if (f->type == 2) {
        if (!varint(w, &n) || n > (uint64_t)(w->end - w->p))
            return false;
    } else if (f->type == 1 || f->type == 5) {
        n = f->type == 1 ? 8 : 4;
        if (n > (uint64_t)(w->end - w->p))
            return false;
    } else {
        return false;
    }
    f->bytes = (struct wire){w->p, w->p + n};
    w->p += n;
    return true;
}

static const struct schema *schema_of(const char *name)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(schemas); i++)
        if (ac_streq(schemas[i].name, name))
            return &schemas[i];
    return NULL;
}

/* Name and type of a field; false when it is not listed. */
static bool field_of(const struct schema *s, unsigned number, char name[48], char type[48])
{
    for (const char *p = s->fields; p != NULL; p = strchr(p, ';')) {
        unsigned n;
        p += *p == ';';
        /* NOLINTNEXTLINE(cert-err34-c): the text is our own table */
        if (sscanf(p, "%u %47s %47[^;]", &n, name, type) == 3 && n == number)
            return true;
    }
    return false;
}

static json_t *message(const char *name, struct wire w, int depth);

static json_t *text(struct wire w)
{
    return json_stringn((const char *)w.p, (size_t)(w.end - w.p));
}

static json_t *int_or_string(struct wire w)
{
    struct field f;
    uint64_t kind = 0, v = 0;
    struct wire s = {NULL, NULL};
    while (w.p < w.end) {
        if (!next_field(&w, &f))
            return NULL;
        if (f.number == 1)
            kind = f.v;
        else if (f.number == 2)
            v = f.v;
        else if (f.number == 3 && f.type == 2)
            s = f.bytes;
    }
    return kind == 0 ? json_integer((int32_t)v) : text(s);
}

static json_t *value(const char *type, const struct field *f, int depth)
{
    struct field q;
    if (type[0] == 'i')
        return f->type == 0 ? json_integer((json_int_t)f->v) : NULL;
    if (type[0] == 'b')
        return f->type == 0 ? json_boolean(f->v != 0) : NULL;
    if (f->type != 2)
        return NULL;
    struct wire w = f->bytes;
    switch (type[0]) {
    case 's':
        return text(w);
    case 'y': {
        ac_cleanup(ac_free_p) char *b64 = ac_base64(w.p, (size_t)(w.end - w.p));
        return json_string(b64);
    }
    case 'n':
        return int_or_string(w);
    case 'q':
        return next_field(&w, &q) && q.type == 2 ? text(q.bytes) : NULL;
    default:
        return message(type + 1, w, depth + 1);
    }
}

/* Map entry {1 key, 2 value}. */
static bool put_entry(json_t *map, const char *type, struct wire w, int depth)
{
    struct field f, v = {.type = 2};
    struct wire key = {NULL, NULL};
    while (w.p < w.end) {
        if (!next_field(&w, &f))
            return false;
        if (f.number == 1 && f.type == 2)
            key = f.bytes;
        else if (f.number == 2)
            v = f;
    }
    js_auto k = text(key);
    json_t *j = value(type, &v, depth);
    if (k == NULL || j == NULL) {
        json_decref(j);
        return false;
    }
    return json_object_set_new(map, json_string_value(k), j) == 0;
}

/* Embedded in the parent in JSON. */
static bool is_inline(const char *name)
{
    return ac_streq(name, "ref") || ac_streq(name, "source");
}

static bool put_field(json_t *o, const struct schema *s, const struct field *f, int depth)
{
    char name[48], type[48];
    if (!field_of(s, f->number, name, type))
        return true;
    if (type[0] == '%')
        return f->type == 2 && put_entry(js_obj(o, name), type + 1, f->bytes, depth);
    json_t *v = value(type[0] == '*' ? type + 1 : type, f, depth);
    if (v == NULL)
        return false;
    if (type[0] == '*') {
        json_array_append_new(js_arr(o, name), v);
    } else if (is_inline(name)) {
        json_object_update(o, v);
        json_decref(v);
    } else if (json_is_string(v) && json_string_length(v) == 0) {
        json_decref(v); /* as absent: gogo writes empty strings */
    } else {
        json_object_set_new(o, name, v);
    }
    return true;
}

static json_t *message(const char *name, struct wire w, int depth)
{
    const struct schema *s = schema_of(name);
    if (depth > CL_KPB_MAX_DEPTH)
        return NULL;
    json_t *o = json_object();
    while (w.p < w.end) {
        struct field f;
        if (!next_field(&w, &f) || (s != NULL && !put_field(o, s, &f, depth))) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

int cl_kpb_decode(const void *data, size_t len, json_t **ret, struct ac_err *err)
{
    static const uint8_t magic[4] = {'k', '8', 's', 0};
    struct wire w = {(const uint8_t *)data + 4, (const uint8_t *)data + len};
    struct wire raw = {NULL, NULL};
    js_auto api = NULL;
    js_auto kind = NULL;
    if (len < 4 || memcmp(data, magic, 4) != 0)
        return ac_err_set(err, AC_EPROTO, "body: no Kubernetes protobuf");
    while (w.p < w.end) {
        struct field f, t;
        if (!next_field(&w, &f))
            return ac_err_set(err, AC_EPROTO, "body: malformed protobuf");
        if (f.number == 2 && f.type == 2)
            raw = f.bytes;
        while (f.number == 1 && f.type == 2 && f.bytes.p < f.bytes.end) {
            if (!next_field(&f.bytes, &t))
                return ac_err_set(err, AC_EPROTO, "body: malformed protobuf");
            json_t **to = t.number == 1 ? &api : t.number == 2 ? &kind : NULL;
            if (to != NULL && t.type == 2) {
                json_decref(*to);
                *to = text(t.bytes);
            }
        }
    }
    const char *name = json_string_value(kind);
    if (name == NULL || api == NULL || schema_of(name) == NULL)
        return ac_err_set(err, AC_EDATALOSS, "the body must be JSON: no protobuf for %.60s",
                          name != NULL ? name : "this");
    json_t *o = message(name, raw, 0);
    if (o == NULL)
        return ac_err_set(err, AC_EPROTO, "body: malformed protobuf of a %.60s", name);
    json_object_set(o, "apiVersion", api);
    json_object_set(o, "kind", kind);
    *ret = o;
    return 0;
}

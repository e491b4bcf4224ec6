/* Field numbers are those of opentelemetry/proto/metrics/v1: ExportMetricsServiceRequest{1
 * ResourceMetrics{1 resource{1 attributes}, 2 ScopeMetrics{1 scope, 2 metrics{1 name, 3 unit, 5
 * gauge{1 points{3 time, 4 double}}}}}}. */
#include "otlp.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define MSG_MAX ((size_t)64 << 10)

static void varint(struct ac_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        ac_buf_putc(b, (char)((v & 0x7f) | 0x80));
    ac_buf_putc(b, (char)v);
}

static void bytes(struct ac_buf *b, unsigned field, const void *p, size_t n)
{
    varint(b, field << 3 | 2);
    varint(b, n);
    ac_buf_append(b, p, n);
}

static void fixed64(struct ac_buf *b, unsigned field, uint64_t v)
{
    uint8_t raw[8];
    for (unsigned i = 0; i < 8; i++)
        raw[i] = (uint8_t)(v >> (8 * i));
    varint(b, field << 3 | 1);
    ac_buf_append(b, raw, sizeof(raw));
}

static void attribute(struct ac_buf *b, const char *key, const char *value)
{
    struct ac_buf any, kv;
    ac_buf_init(&any, MSG_MAX);
    ac_buf_init(&kv, MSG_MAX);
    bytes(&any, 1, value, strlen(value));
    bytes(&kv, 1, key, strlen(key));
    bytes(&kv, 2, any.data, any.len);
    bytes(b, 1, kv.data, kv.len);
    ac_buf_fini(&any);
    ac_buf_fini(&kv);
}

static void gauge(struct ac_buf *b, const char *name, const char *unit, double v, int64_t wall_ns)
{
    struct ac_buf point, g, m;
    uint64_t raw;
    memcpy(&raw, &v, sizeof(raw));
    ac_buf_init(&point, MSG_MAX);
    ac_buf_init(&g, MSG_MAX);
    ac_buf_init(&m, MSG_MAX);
    fixed64(&point, 3, (uint64_t)wall_ns);
    fixed64(&point, 4, raw);
    bytes(&g, 1, point.data, point.len);
    bytes(&m, 1, name, strlen(name));
    bytes(&m, 3, unit, strlen(unit));
    bytes(&m, 5, g.data, g.len);
    bytes(b, 2, m.data, m.len);
    ac_buf_fini(&point);
    ac_buf_fini(&g);
    ac_buf_fini(&m);
}

static bool component_ready(const struct cl_otlp_row *rows, size_t n, const struct cl_otlp_row *r)
{
    if (r->service[0] == '\0')
        return r->ready;
    for (size_t i = 0; i < n; i++)
        if (ac_streq(rows[i].ns, r->ns) && ac_streq(rows[i].service, r->service) && !rows[i].ready)
            return false;
    return true;
}

void cl_otlp_encode(const struct cl_otlp_row *rows, size_t n, int64_t wall_ns, struct ac_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct cl_otlp_row *r = &rows[i];
        struct ac_buf resource, scope, rm, name;
        ac_buf_init(&resource, MSG_MAX);
        ac_buf_init(&scope, MSG_MAX);
        ac_buf_init(&rm, MSG_MAX);
        ac_buf_init(&name, MSG_MAX);
        attribute(&resource, "k8s.namespace.name", r->ns);
        attribute(&resource, "service.name", r->service[0] != '\0' ? r->service : r->pod);
        attribute(&resource, "k8s.pod.name", r->pod);
        bytes(&name, 1, "aceso-cluster", 13);
        bytes(&scope, 1, name.data, name.len);
        gauge(&scope, "container.cpu.utilization", "{cpu}", r->cpu, wall_ns);
        gauge(&scope, "container.memory.working_set", "By", r->memory, wall_ns);
        gauge(&scope, "k8s.container.restarts", "{restart}", (double)r->restarts, wall_ns);
        gauge(&scope, "k8s.pod.ready", "1", component_ready(rows, n, r) ? 1 : 0, wall_ns);
        bytes(&rm, 1, resource.data, resource.len);
        bytes(&rm, 2, scope.data, scope.len);
        bytes(out, 1, rm.data, rm.len);
        ac_buf_fini(&resource);
        ac_buf_fini(&scope);
        ac_buf_fini(&rm);
        ac_buf_fini(&name);
    }
}

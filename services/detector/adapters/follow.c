/* Telemetry in the order of the stream, from the position that the state belongs to. */
#include "detector_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>

#include "adapters/convert_pb.h"

#define BATCH_MAX_BYTES (128u << 20) /* of memory, unpacked */
#define CLOCK_STEP_NS   (5 * AC_NS_PER_S)
#define IDLE_FACTOR     10 /* a stream without any message for so many silences is at its end */
#define READ_AHEAD      256
#define OUTBOX_MAX      20000u /* alerts that wait for the bus: then the points wait too */

struct det_held {
    struct det_held *next;
    uint64_t seq;
    int64_t time_ns;
    size_t len;
    char bytes[];
};

static void take_series(struct det_service *s, const Aceso__V1__MetricBatch *b, int64_t at_ns)
{
    struct ac_label labels[ENGINE_LABELS_MAX];
    struct engine_series k;
    for (size_t i = 0; i < b->n_series; i++) {
        const Aceso__V1__SeriesPoints *p = b->series[i];
        if (det_series_from_pb(b, p, labels, &k))
            (void)engine_points(s->engine, &k, at_ns, p->time_ns, p->value, p->n_value);
        else
            ac_metric_add(s->m_bad, 1);
    }
}

static void take(struct det_service *s, uint64_t seq, int64_t time_ns, const void *data, size_t len)
{
    struct ac_arena *a = ac_arena_create(BATCH_MAX_BYTES);
    Aceso__V1__MetricBatch *b = NULL;
    struct ac_err err = AC_ERR_INIT;
    s->position = seq;
    /* While the bus or the collector is away nobody can speak: such a time counts as little. */
    s->clock_ns += AC_MAX((int64_t)0, AC_MIN(time_ns - s->stream_ns, CLOCK_STEP_NS));
    s->stream_ns = time_ns;
    s->stream_at = ac_now_ns();
    if (det_batch_from_pb(data, len, a, &b, &err) == 0) {
        take_series(s, b, s->clock_ns);
    } else {
        ac_metric_add(s->m_bad, 1);
        AC_LOGD("detector", "batch_refused", AC_KI("seq", seq), AC_KERR(&err));
    }
    ac_arena_destroy(a);
    ac_metric_set(s->m_lag, (double)(ac_wall_ns() - time_ns) / 1e9);
    outbox_pump(s->outbox);
}

static bool must_wait(const struct det_service *s)
{
    return s->paused || outbox_len(s->outbox) > OUTBOX_MAX;
}

static void on_metrics(const struct ac_bus_msg *m, void *arg)
{
    struct det_service *s = arg;
    if (s->stopping)
        return;
    if (!s->held && !must_wait(s)) {
        take(s, m->stream_seq, m->time_ns, m->data, m->len);
        return;
    }
    struct det_held *h = ac_xmalloc(sizeof *h + m->len);
    *h = (struct det_held){.seq = m->stream_seq, .time_ns = m->time_ns, .len = m->len};
    memcpy(h->bytes, m->data, m->len);
    if (!s->held)
        ac_bus_read_hold(s->reader); /* what was read ahead still comes */
    *s->held_tail = h;
    s->held_tail = &h->next;
}

static bool drop_first(struct det_service *s)
{
    struct det_held *h = s->held;
    s->held = h->next;
    free(h);
    if (!s->held)
        s->held_tail = &s->held;
    return s->held;
}

void det_pause(struct det_service *s)
{
    s->paused = true;
}

void det_resume(struct det_service *s)
{
    s->paused = false;
    while (s->held && !must_wait(s)) {
        take(s, s->held->seq, s->held->time_ns, s->held->bytes, s->held->len);
        if (!drop_first(s))
            ac_bus_read_resume(s->reader);
    }
}

int64_t det_clock_now(struct det_service *s)
{
    if (!ac_bus_connected(s->svc->bus))
        s->stream_at = ac_now_ns();
    int64_t idle = ac_now_ns() - s->stream_at;
    return s->clock_ns + (idle > IDLE_FACTOR * s->conf->silence_ns ? idle : 0);
}

int det_follow_start(struct det_service *s, struct ac_err *err)
{
    if (s->first_start) { /* what was before is nothing to alarm about now */
        int rc = ac_bus_stream_last(s->svc->bus, AC_STREAM_TELEMETRY, &s->position, err);
        if (!rc)
            rc = det_store_pin(s, err);
        if (rc)
            return rc;
        s->captured_position = s->position;
    }
    const struct ac_bus_read r = {
        .stream = AC_STREAM_TELEMETRY,
        .filter = AC_SUBJECT_METRICS ".>",
        .from_seq = s->position + 1,
        .max_queued = READ_AHEAD,
    };
    s->held_tail = &s->held;
    /* A point that no rule saw is not looked at again: the trainer's first answer comes before. */
    s->paused = !s->rules.bytes;
    s->stream_at = ac_now_ns();
    if (!s->stream_ns)
        s->stream_ns = s->clock_ns = ac_wall_ns();
    AC_LOGI("detector", "follow", AC_KI("from_seq", r.from_seq),
            AC_KI("series", engine_counts(s->engine).series),
            AC_KI("rules", engine_counts(s->engine).rules));
    return ac_bus_read(s->svc->bus, &r, on_metrics, s, &s->reader, err);
}

void det_follow_stop(struct det_service *s)
{
    ac_bus_read_close(s->reader);
    s->reader = NULL;
    while (s->held && drop_first(s))
        ;
}

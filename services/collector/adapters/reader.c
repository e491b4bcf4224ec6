/* From the stream into memory: each message once, in order. What makes no sense is counted and
 * passed over, for it would not make sense the next time either. Loop thread. */
#include "collector.h"

#include <stdio.h>

#include <aceso/base.h>
#include <aceso/id.h>
#include <aceso/log.h>
#include <aceso/str.h>

static void poison(struct collector *c, const struct ac_bus_msg *m, size_t n, const char *why)
{
    if (n == 0)
        return;
    ac_metric_add(c->m.poison, (double)n);
    AC_LOGW("collector", "message_makes_no_sense", AC_KS("subject", m->subject),
            AC_KI("seq", m->stream_seq), AC_KS("msg", why));
}

static void mark_done(int code, void *arg)
{
    struct collector *c = arg;
    if (code && code != AC_ECANCELED && !c->stopping)
        col_reader_mark(c);
}

void col_reader_mark(struct collector *c)
{
    struct ac_err err = AC_ERR_INIT;
    if (!c->mark[0])
        (void)snprintf(c->mark, sizeof(c->mark), "%s.%s", COL_SUBJECT_MARK, ac_id_new().s);
    if (ac_bus_js_publish(c->svc->bus, c->mark, c->mark, "", 0, mark_done, c, &err)) {
        AC_LOGW("collector", "no_mark", AC_KERR(&err),
                AC_KS("hint", "queries are answered although the stream is not read to its end"));
        col_query_caught_up(c);
    }
}

void col_reader_message(const struct ac_bus_msg *m, void *arg)
{
    struct collector *c = arg;
    if (c->read_seq > 0 && m->stream_seq > c->read_seq + 1) {
        ac_metric_add(c->m.lost, (double)(m->stream_seq - c->read_seq - 1));
        AC_LOGW("collector", "stream_dropped_messages", AC_KI("n", m->stream_seq - c->read_seq - 1),
                AC_KS("hint", "they were too old or too many before they could be stored"));
    }
    struct ac_err why = AC_ERR_INIT;
    if (ac_str_starts(m->subject, AC_SUBJECT_METRICS "."))
        poison(c, m, col_read_batch(c, COL_METRICS, m->data, m->len, &why), why.msg);
    else if (ac_str_starts(m->subject, AC_SUBJECT_SPANS "."))
        poison(c, m, col_read_batch(c, COL_TRACES, m->data, m->len, &why), why.msg);
    else if (ac_str_starts(m->subject, AC_SUBJECT_LOGS "."))
        poison(c, m, col_read_batch(c, COL_LOGS, m->data, m->len, &why), why.msg);
    else if (!ac_str_starts(m->subject, COL_SUBJECT_MARK "."))
        poison(c, m, 1, "a subject that is not known");
    else if (ac_streq(m->subject, c->mark))
        col_query_caught_up(c);
    c->read_seq = m->stream_seq;
    if (!c->waits_since_ns)
        c->waits_since_ns = ac_now_ns();
    col_flush_check(c);
}

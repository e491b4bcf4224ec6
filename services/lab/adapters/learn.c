/* Learning: a job of the trainer on the healthy telemetry, then the detector's word that it has the
 * rules. */
#include "world.h"

#include <stdio.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>
#include <aceso/v1/detector.pb-c.h>
#include <aceso/v1/rules.pb-c.h>

#define POLL_NS  (100 * AC_NS_PER_MS)
#define LIMIT_NS (60 * AC_NS_PER_S)

/* The same request id gives the same job: asking again after a restart of either side is fine. */
static int start_job(struct lab_run *r, int64_t from_ns, int64_t to_ns, ProtobufCMessage **ret,
                     struct ac_err *err)
{
    Aceso__V1__StartJobRequest q = ACESO__V1__START_JOB_REQUEST__INIT;
    Aceso__V1__TimeRange healthy = ACESO__V1__TIME_RANGE__INIT;
    healthy.from_ns = from_ns;
    healthy.to_ns = to_ns;
    q.namespace_ = r->s.ns;
    q.healthy = &healthy;
    q.replace = true;
    q.seed = r->s.seed;
    q.request_id = r->s.id;
    return lab_ask(r->lab->trainer, "/aceso.v1.Trainer/StartJob", &q, &aceso__v1__job__descriptor,
                   ret, err);
}

/* *ret_done: the job is over and its rules are stored. */
static int ask_job(struct lab_run *r, int64_t from_ns, int64_t to_ns, bool *ret_done,
                   struct ac_err *err)
{
    ac_cleanup(lab_message_p) ProtobufCMessage *reply = NULL;
    int rc = start_job(r, from_ns, to_ns, &reply, err);
    if (rc != 0)
        return rc;
    const Aceso__V1__Job *j = (const void *)reply;
    if (ac_streq(j->state, "failed"))
        return ac_err_set(err, AC_ESTATE, "training failed: %.200s", j->error);
    if (!ac_streq(j->state, "done"))
        return 0;
    if (j->n_rules == 0)
        return ac_err_set(err, AC_ESTATE, "training on %u series made no rule", j->series_total);
    lab_note(r, "note", "%zu rules learnt from %u series in %.1f s", j->n_rules, j->series_total,
             j->seconds);
    *ret_done = true;
    return 0;
}

/* The revision of the rules that the detector must reach. */
static int ask_revision(struct lab_run *r, uint64_t *ret, struct ac_err *err)
{
    Aceso__V1__ListRulesRequest q = ACESO__V1__LIST_RULES_REQUEST__INIT;
    ac_cleanup(lab_message_p) ProtobufCMessage *reply = NULL;
    q.namespace_ = r->s.ns;
    int rc = lab_ask(r->lab->trainer, "/aceso.v1.Rules/List", &q,
                     &aceso__v1__list_rules_response__descriptor, &reply, err);
    if (rc == 0)
        *ret = ((const Aceso__V1__ListRulesResponse *)(const void *)reply)->revision;
    return rc;
}

static int ask_detector(struct lab_run *r, uint64_t revision, bool *ret_has, struct ac_err *err)
{
    Aceso__V1__DetectorStatusRequest q = ACESO__V1__DETECTOR_STATUS_REQUEST__INIT;
    ac_cleanup(lab_message_p) ProtobufCMessage *reply = NULL;
    int rc = lab_ask(r->lab->detector, "/aceso.v1.Detector/Status", &q,
                     &aceso__v1__detector_status__descriptor, &reply, err);
    if (rc == 0)
        *ret_has =
            ((const Aceso__V1__DetectorStatus *)(const void *)reply)->rules_revision >= revision;
    return rc;
}

int lab_learn(struct lab_run *r, int64_t from_ns, int64_t to_ns, struct ac_err *err)
{
    int64_t deadline = ac_now_ns() + LIMIT_NS;
    bool trained = false, has = false;
    uint64_t revision = 0;
    while (!has) {
        bool was_trained = trained;
        uint64_t was_revision = revision;
        int rc = !trained        ? ask_job(r, from_ns, to_ns, &trained, err)
                 : revision == 0 ? ask_revision(r, &revision, err)
                                 : ask_detector(r, revision, &has, err);
        if (rc != 0 && !ac_err_retryable(rc))
            return rc;
        if (trained != was_trained || revision != was_revision || has)
            continue;
        if (ac_now_ns() > deadline)
            return rc != 0 ? rc
                           : ac_err_set(err, AC_ETIMEOUT, "%s within %d s",
                                        trained ? "the detector does not have the rules"
                                                : "training did not end",
                                        (int)(LIMIT_NS / AC_NS_PER_S));
        if (lab_pause(r, POLL_NS, err) != 0)
            return err->code;
    }
    return 0;
}

int lab_forget(struct lab_run *r, struct ac_err *err)
{
    Aceso__V1__DeleteRulesRequest q = ACESO__V1__DELETE_RULES_REQUEST__INIT;
    ac_cleanup(lab_message_p) ProtobufCMessage *reply = NULL;
    q.namespace_ = r->s.ns;
    return lab_ask(r->lab->trainer, "/aceso.v1.Rules/Delete", &q,
                   &aceso__v1__delete_rules_response__descriptor, &reply, err);
}

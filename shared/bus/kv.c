/* Key-value buckets: blocking calls of the library on a worker thread of the bus. */
#include "bus_impl.h"

#include <string.h>

#include <aceso/clock.h>

struct kv_job {
    struct ac_bus *b;
    enum {
        KV_GET,
        KV_PUT,
        KV_UPDATE,
        KV_DELETE
    } op;
    char *bucket, *key;
    char *value;
    size_t len;
    uint64_t revision;
    int code;
    ac_bus_kv_done done;
    void *arg;
};

static void bucket_free(void *p)
{
    kvStore_Destroy(p);
}

int ac_bus_kv_ensure(struct ac_bus *b, const char *bucket, int64_t ttl_ns, struct ac_err *err)
{
    kvConfig cfg;
    kvStore *kv = NULL;
    (void)kvConfig_Init(&cfg);
    cfg.Bucket = bucket;
    cfg.TTL = ttl_ns;
    cfg.History = 1;
    natsStatus s = js_KeyValue(&kv, b->js, bucket);
    if (s != NATS_OK)
        s = js_CreateKeyValue(&kv, b->js, &cfg);
    if (s != NATS_OK) /* another process was faster */
        s = js_KeyValue(&kv, b->js, bucket);
    kvStore_Destroy(kv);
    return s == NATS_OK ? AC_OK : ac_bus_fail_(b, s, err, bucket);
}

static kvStore *store_of(struct ac_bus *b, const char *bucket)
{
    kvStore *kv = ac_map_get(b->buckets, bucket);
    if (!kv && js_KeyValue(&kv, b->js, bucket) == NATS_OK)
        ac_map_set(b->buckets, bucket, kv);
    return kv;
}

static natsStatus get(struct kv_job *j, kvStore *kv)
{
    kvEntry *e = NULL;
    natsStatus s = kvStore_Get(&e, kv, j->key);
    if (s != NATS_OK)
        return s;
    j->len = (size_t)kvEntry_ValueLen(e);
    j->value = ac_xmalloc(j->len + 1);
    if (j->len)
        memcpy(j->value, kvEntry_Value(e), j->len);
    j->value[j->len] = '\0';
    j->revision = kvEntry_Revision(e);
    kvEntry_Destroy(e);
    return NATS_OK;
}

static void work(void *arg)
{
    struct kv_job *j = arg;
    struct ac_err err = AC_ERR_INIT;
    kvStore *kv = store_of(j->b, j->bucket);
    natsStatus s = NATS_NOT_FOUND;
    uint64_t rev = 0;
    bool conditional = false;
    if (kv && j->op == KV_GET) {
        s = get(j, kv);
    } else if (kv && j->op == KV_PUT) {
        s = kvStore_Put(&rev, kv, j->key, j->value, (int)j->len);
    } else if (kv && j->op == KV_UPDATE) {
        conditional = true;
        s = j->revision ? kvStore_Update(&rev, kv, j->key, j->value, (int)j->len, j->revision)
                        : kvStore_Create(&rev, kv, j->key, j->value, (int)j->len);
    } else if (kv) {
        s = kvStore_Delete(kv, j->key);
    }
    if (s == NATS_OK)
        j->code = AC_OK;
    else
        j->code = ac_bus_fail_(j->b, s, &err, j->key);
    /* the library tells a lost race and other refusals of the server by one code */
    if (conditional && s == NATS_ERR)
        j->code = AC_EABORTED;
    if (s == NATS_OK && j->op != KV_GET)
        j->revision = rev;
}

static void done_cb(void *arg)
{
    struct kv_job *j = arg;
    bool got = j->code == AC_OK && j->op == KV_GET;
    if (j->done)
        j->done(j->code, got ? j->value : NULL, got ? j->len : 0,
                j->code == AC_OK ? j->revision : 0, j->arg);
    ac_bus_unref_(j->b);
    free(j->bucket);
    free(j->key);
    free(j->value);
    free(j);
}

static void submit(struct kv_job job)
{
    struct ac_bus *b = job.b;
    AC_ASSERT_ON_LOOP(b->loop);
    struct kv_job *j = ac_xmalloc(sizeof(*j));
    *j = job;
    j->code = AC_ECANCELED; /* when the worker goes first */
    j->bucket = ac_xstrdup(job.bucket);
    j->key = ac_xstrdup(job.key);
    if (job.value) {
        j->value = ac_xmalloc(job.len + 1);
        memcpy(j->value, job.value, job.len);
    }
    ac_bus_ref_(b);
    if (!b->kv) {
        b->kv = ac_worker_create(b->loop, "bus-kv", 1, 4096);
        b->buckets = ac_map_create(bucket_free);
    }
    if (ac_worker_submit(b->kv, work, done_cb, j) < 0) {
        j->code = AC_EAGAIN;
        ac_loop_post(b->loop, done_cb, j);
    }
}

void ac_bus_kv_close_(struct ac_bus *b)
{
    if (!b->kv)
        return;
    ac_worker_destroy(b->kv);
    b->kv = NULL;
    ac_map_destroy(b->buckets);
    b->buckets = NULL;
}

static char *loose(const void *p)
{
    union {
        const void *in;
        char *out;
    } u = {.in = p}; /* copied in submit, never written to */
    return u.out;
}

void ac_bus_kv_get(struct ac_bus *b, const char *bucket, const char *key, ac_bus_kv_done done,
                   void *arg)
{
    submit((struct kv_job){.b = b,
                           .op = KV_GET,
                           .bucket = loose(bucket),
                           .key = loose(key),
                           .done = done,
                           .arg = arg});
}

void ac_bus_kv_put(struct ac_bus *b, const char *bucket, const char *key, const void *v, size_t len,
                   ac_bus_kv_done done, void *arg)
{
    submit((struct kv_job){.b = b,
                           .op = KV_PUT,
                           .bucket = loose(bucket),
                           .key = loose(key),
                           .value = loose(v ? v : ""),
                           .len = len,
                           .done = done,
                           .arg = arg});
}

void ac_bus_kv_update(struct ac_bus *b, const char *bucket, const char *key, const void *v,
                      size_t len, uint64_t revision, ac_bus_kv_done done, void *arg)
{
    submit((struct kv_job){.b = b,
                           .op = KV_UPDATE,
                           .bucket = loose(bucket),
                           .key = loose(key),
                           .value = loose(v ? v : ""),
                           .len = len,
                           .revision = revision,
                           .done = done,
                           .arg = arg});
}

void ac_bus_kv_delete(struct ac_bus *b, const char *bucket, const char *key, ac_bus_kv_done done,
                      void *arg)
{
    submit((struct kv_job){.b = b,
                           .op = KV_DELETE,
                           .bucket = loose(bucket),
                           .key = loose(key),
                           .done = done,
                           .arg = arg});
}

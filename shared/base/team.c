#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <sched.h>

#include <aceso/base.h>
#include <aceso/team.h>

struct member {
    struct ac_team *team;
    size_t number;
    pthread_t thread;
};

struct ac_team {
    pthread_mutex_t mu;
    pthread_cond_t go, done;
    struct member *members; /* the caller's has no thread */
    size_t size;
    size_t working; /* of the others, in this round; under mu */
    uint64_t round; /* under mu */
    bool stop;      /* under mu */
    /* The round's, set before it begins: */
    ac_team_item *item;
    void *ctx;
    size_t n;
    atomic_size_t next;
};

static void work(struct ac_team *t, size_t member)
{
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (i >= t->n)
            return;
        t->item(t->ctx, i, member);
    }
}

static void *run_member(void *arg)
{
    struct member *m = arg;
    struct ac_team *t = m->team;
    uint64_t seen = 0;
    for (;;) {
        (void)pthread_mutex_lock(&t->mu);
        while (t->round == seen && !t->stop)
            (void)pthread_cond_wait(&t->go, &t->mu);
        bool stop = t->stop;
        seen = t->round;
        (void)pthread_mutex_unlock(&t->mu);
        if (stop)
            return NULL;
        work(t, m->number);
        (void)pthread_mutex_lock(&t->mu);
        if (--t->working == 0)
            (void)pthread_cond_signal(&t->done);
        (void)pthread_mutex_unlock(&t->mu);
    }
}

struct ac_team *ac_team_create(size_t threads)
{
    if (threads < 2)
        return NULL;
    threads = AC_MIN(threads, (size_t)AC_TEAM_MAX);
    struct ac_team *t = ac_xcalloc(1, sizeof(*t));
    t->members = ac_xcalloc(threads, sizeof(t->members[0]));
    AC_ASSERT(pthread_mutex_init(&t->mu, NULL) == 0);
    AC_ASSERT(pthread_cond_init(&t->go, NULL) == 0 && pthread_cond_init(&t->done, NULL) == 0);
    for (t->size = 1; t->size < threads; t->size++) {
        struct member *m = &t->members[t->size];
        *m = (struct member){.team = t, .number = t->size};
        if (pthread_create(&m->thread, NULL, run_member, m) != 0)
            break;
        (void)pthread_setname_np(m->thread, "team");
    }
    return t;
}

void ac_team_destroy(struct ac_team *t)
{
    if (!t)
        return;
    (void)pthread_mutex_lock(&t->mu);
    t->stop = true;
    (void)pthread_cond_broadcast(&t->go);
    (void)pthread_mutex_unlock(&t->mu);
    for (size_t i = 1; i < t->size; i++)
        (void)pthread_join(t->members[i].thread, NULL);
    (void)pthread_cond_destroy(&t->go);
    (void)pthread_cond_destroy(&t->done);
    (void)pthread_mutex_destroy(&t->mu);
    free(t->members);
    free(t);
}

size_t ac_team_size(const struct ac_team *t)
{
    return t ? t->size : 1;
}

void ac_team_run(struct ac_team *t, size_t n, ac_team_item *item, void *ctx)
{
    if (!t || t->size == 1 || n < 2) {
        for (size_t i = 0; i < n; i++)
            item(ctx, i, 0);
        return;
    }
    (void)pthread_mutex_lock(&t->mu);
    t->item = item;
    t->ctx = ctx;
    t->n = n;
    atomic_store_explicit(&t->next, 0, memory_order_relaxed);
    t->working = t->size - 1;
    t->round++;
    (void)pthread_cond_broadcast(&t->go);
    (void)pthread_mutex_unlock(&t->mu);
    work(t, 0);
    (void)pthread_mutex_lock(&t->mu);
    while (t->working > 0)
        (void)pthread_cond_wait(&t->done, &t->mu);
    (void)pthread_mutex_unlock(&t->mu);
}

size_t ac_team_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return (size_t)AC_MAX(1, AC_MIN(CPU_COUNT(&set), AC_TEAM_MAX));
}

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>
#include <aceso/testkit.h>

static _Atomic uint64_t asked, fail_at;

static bool gate(size_t n)
{
    (void)n;
    uint64_t i = atomic_fetch_add(&asked, 1) + 1;
    return i != atomic_load(&fail_at);
}

void ac_kit_fail_alloc(uint64_t n)
{
    atomic_store(&asked, 0);
    atomic_store(&fail_at, n);
    ac_try_gate = gate;
}

uint64_t ac_kit_allocs(void)
{
    return atomic_load(&asked);
}

uint64_t ac_kit_alloc_sweep(int (*fn)(void *arg), void *arg)
{
    for (uint64_t n = 1;; n++) {
        ac_kit_fail_alloc(n);
        int rc = fn(arg);
        bool failed = ac_kit_allocs() >= n;
        ac_kit_fail_alloc(0);
        if (failed && rc >= 0)
            fail_msg("allocation %" PRIu64 " failed, and the result was %d", n, rc);
        if (!failed) {
            if (rc != 0)
                fail_msg("no allocation failed, and the result was %d", rc);
            return n - 1;
        }
    }
}

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void choose_seed(void)
{
    const char *text = getenv("ACESO_TEST_SEED");
    if (!text || !ac_str_to_u64(text, &seed))
        seed = ac_random_seed() >> 32; /* short enough to type */
    fprintf(stderr, "to repeat: ACESO_TEST_SEED=%" PRIu64 "\n", seed);
}

uint64_t ac_kit_seed(void)
{
    pthread_once(&seed_once, choose_seed);
    return seed;
}

struct ac_rng ac_kit_rng(uint64_t stream)
{
    struct ac_rng root;
    ac_rng_seed(&root, ac_kit_seed());
    return ac_rng_split(&root, stream);
}

static char *tmp_dir;
static pid_t tmp_owner;
static pthread_once_t tmp_once = PTHREAD_ONCE_INIT;

static void remove_tmp(void)
{
    if (getpid() != tmp_owner) /* a forked child's exit */
        return;
    struct ac_err err;
    if (ac_dir_remove(tmp_dir, &err))
        fprintf(stderr, "%s\n", err.msg);
    free(tmp_dir);
    tmp_dir = NULL;
}

static void make_tmp(void)
{
    const char *base = getenv("TMPDIR");
    tmp_dir = ac_xasprintf("%s/aceso-test-XXXXXX", base && *base ? base : "/tmp");
    AC_ASSERT(mkdtemp(tmp_dir));
    tmp_owner = getpid();
    atexit(remove_tmp);
}

const char *ac_kit_dir(void)
{
    pthread_once(&tmp_once, make_tmp);
    return tmp_dir;
}

char *ac_kit_file(const char *name, const char *text)
{
    char *path = ac_xasprintf("%s/%s", ac_kit_dir(), name);
    if (text) {
        struct ac_err err;
        if (ac_file_write_atomic(path, text, strlen(text), 0644, &err))
            fail_msg("%s", err.msg);
    }
    return path;
}

int ac_kit_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AC_ASSERT(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0);
    AC_ASSERT(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    close(fd);
    return ntohs(a.sin_port);
}

bool ac_kit_wait(bool (*cond)(void *arg), void *arg, int64_t timeout_ns)
{
    int64_t end = ac_now_ns() + timeout_ns;
    while (!cond(arg)) {
        if (ac_now_ns() > end)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return true;
}

void ac_kit_well_formed(const char *xml)
{
    char stack[16][16];
    size_t depth = 0;
    for (const char *s = xml; (s = strchr(s, '<')); s++) {
        size_t n = strcspn(s + 1, " />");
        if (s[1] == '/') {
            n = strcspn(s + 2, ">");
            assert_true(depth > 0 && strlen(stack[depth - 1]) == n);
            assert_memory_equal(stack[--depth], s + 2, n);
            continue;
        }
        const char *end = strchr(s, '>');
        assert_non_null(end);
        assert_null(memchr(s + 1, '<', (size_t)(end - s - 1)));
        for (const char *p = s; p < end; p++)
            assert_true(strncmp(p, "nan", 3) != 0 && strncmp(p, "inf", 3) != 0);
        if (end[-1] == '/')
            continue;
        assert_true(depth < 16 && n < 16);
        memcpy(stack[depth], s + 1, n);
        stack[depth++][n] = 0;
    }
    assert_int_equal(depth, 0);
}

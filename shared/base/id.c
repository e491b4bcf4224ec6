#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <aceso/clock.h>
#include <aceso/id.h>
#include <aceso/rng.h>

/* 48 bits of milliseconds and 80 of chance. Within a millisecond, and when the wall clock steps
 * back, the last id plus one: ids of one process are strictly increasing. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_ms, rand_hi, rand_lo; /* rand_hi holds 16 bits */
static pid_t owner;                        /* a forked child must not go on counting */

struct ac_id ac_id_new(void)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    pthread_mutex_lock(&lock);
    uint64_t ms = (uint64_t)(ac_wall_ns() / AC_NS_PER_MS);
    pid_t me = getpid();
    if (owner != me || ms > last_ms) {
        unsigned char r[10];
        ac_random_bytes(r, sizeof(r));
        memcpy(&rand_lo, r, sizeof(rand_lo));
        rand_hi = (uint64_t)(r[8] & 0x7f) << 8 | r[9]; /* top bit clear: room to count up */
        last_ms = ms;
        owner = me;
    } else if (++rand_lo == 0) {
        rand_hi++;
    }
    unsigned __int128 v = (unsigned __int128)(last_ms & 0xffffffffffffu) << 80 |
                          (unsigned __int128)(rand_hi & 0xffff) << 64 | rand_lo;
    pthread_mutex_unlock(&lock);

    struct ac_id id;
    for (int i = AC_ID_LEN - 1; i >= 0; i--) {
        id.s[i] = digits[(unsigned)(v & 31)];
        v >>= 5;
    }
    id.s[AC_ID_LEN] = '\0';
    return id;
}

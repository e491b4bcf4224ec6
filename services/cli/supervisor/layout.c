#include "layout.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/rng.h>
#include <aceso/str.h>

#define FIRST_PORT 10000
#define PORT_TRIES 200

static const char *default_dir(char *buf, size_t size)
{
    const char *env = getenv("ACESO_STATE");
    if (!ac_str_empty(env))
        return env;
    if (geteuid() == 0)
        return "/var/lib/aceso";
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (!ac_str_empty(xdg))
        snprintf(buf, size, "%s/aceso", xdg);
    else
        snprintf(buf, size, "%s/.local/state/aceso", ac_str_empty(home) ? "/tmp" : home);
    return buf;
}

int cli_layout_find(const char *state_option, struct cli_layout *l, struct ac_err *err)
{
    char buf[PATH_MAX], cwd[PATH_MAX];
    const char *dir = ac_str_empty(state_option) ? default_dir(buf, sizeof(buf)) : state_option;
    *l = (struct cli_layout){.pg_uid = geteuid(), .pg_gid = getegid()};
    int n;
    if (dir[0] == '/')
        n = snprintf(l->dir, sizeof(l->dir), "%s", dir);
    else if (getcwd(cwd, sizeof(cwd)))
        n = snprintf(l->dir, sizeof(l->dir), "%s/%s", cwd, dir);
    else
        return ac_err_errno(err, errno, "current directory");
    if (n >= (int)sizeof(l->dir))
        return ac_err_set(err, AC_EINVAL, "state directory: the path is longer than %zu bytes",
                          sizeof(l->dir) - 1);
    while (n > 1 && l->dir[n - 1] == '/')
        l->dir[--n] = 0;
    /* ".s.PGSQL.5432" and a slash must fit into sun_path behind the directory. */
    if ((size_t)n + strlen("/run/.s.PGSQL.5432") < sizeof(((struct sockaddr_un *)0)->sun_path))
        snprintf(l->socket_dir, sizeof(l->socket_dir), "%.128s/run", l->dir);
    else
        snprintf(l->socket_dir, sizeof(l->socket_dir), "/tmp/aceso-%016llx",
                 (unsigned long long)ac_hash_str(l->dir));
    if (geteuid() == 0) {
        const struct passwd *pw = getpwnam("postgres"); /* main thread, before any other */
        if (!pw)
            pw = getpwnam("nobody");
        if (!pw)
            return ac_err_set(err, AC_ESTATE,
                              "no user 'postgres' or 'nobody' to run PostgreSQL as");
        l->pg_uid = pw->pw_uid;
        l->pg_gid = pw->pw_gid;
    }
    return 0;
}

/* PostgreSQL runs as another user when we are root: each directory above must let it through. */
static int check_reachable(const struct cli_layout *l, struct ac_err *err)
{
    if (l->pg_uid == geteuid())
        return 0;
    char path[sizeof(l->dir)];
    ac_str_copy(path, sizeof(path), l->dir);
    for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
        *slash = 0;
        struct stat st;
        if (stat(path, &st) != 0)
            return ac_err_errno(err, errno, "%s", path);
        if (!(st.st_mode & S_IXOTH) && st.st_uid != l->pg_uid)
            return ac_err_set(err, AC_EPERM,
                              "state directory %s: the user that runs PostgreSQL cannot enter %s; "
                              "chmod o+x it, or choose --state below /var/lib",
                              l->dir, path);
    }
    return 0;
}

#define MIB          (1ull << 20)
#define ROOM_NEW     (96 * MIB) /* initdb writes 40 MiB, the rest is for the first minutes */
#define ROOM_RESTART (24 * MIB)

int cli_layout_check_room(const struct cli_layout *l, struct ac_err *err)
{
    struct statvfs fs;
    if (statvfs(l->dir, &fs) != 0)
        return ac_err_errno(err, errno, "%s", l->dir);
    unsigned long long have = (unsigned long long)fs.f_bavail * fs.f_frsize;
    unsigned long long need =
        ac_path_exists(cli_layout_path(l, "pg/PG_VERSION")) ? ROOM_RESTART : ROOM_NEW;
    if (have >= need)
        return 0;
    return ac_err_set(err, AC_EIO,
                      "the disk of %s is full: %llu MiB are free and %llu needed; make room or "
                      "choose another --state",
                      l->dir, have / MIB, need / MIB);
}

int cli_layout_create(struct cli_layout *l, struct ac_err *err)
{
    int rc = ac_dir_create(l->dir, 0711, err);
    if (rc == 0)
        rc = check_reachable(l, err);
    static const char *const subs[] = {"log", "ready", "secrets", "data"};
    for (size_t i = 0; rc == 0 && i < AC_ARRAY_LEN(subs); i++)
        rc = ac_dir_create(cli_layout_path(l, "%s", subs[i]), 0700, err);
    if (rc == 0)
        rc = ac_dir_create(l->socket_dir, 0700, err);
    if (rc != 0)
        return rc;
    if (l->pg_uid != geteuid()) {
        if (chmod(l->dir, 0711) != 0 || chown(l->socket_dir, l->pg_uid, l->pg_gid) != 0)
            return ac_err_errno(err, errno, "%s", l->dir);
    }
    return 0;
}

const char *cli_layout_path(const struct cli_layout *l, const char *fmt, ...)
{
    static char ring[8][PATH_MAX];
    static unsigned next;
    char *p = ring[next++ % 8];
    int n = snprintf(p, PATH_MAX, "%s/", l->dir);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p + n, (size_t)(PATH_MAX - n), fmt, ap);
    va_end(ap);
    return p;
}

static pid_t read_pid(int fd)
{
    char text[32] = "";
    int64_t pid = 0;
    if (pread(fd, text, sizeof(text) - 1, 0) <= 0 || !ac_str_to_i64(ac_str_trim(text), &pid))
        return 0;
    return (pid_t)pid;
}

int cli_layout_lock(const struct cli_layout *l, int *ret_fd, pid_t *ret_pid, struct ac_err *err)
{
    const char *path = cli_layout_path(l, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return ac_err_errno(err, errno, "%s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        *ret_pid = read_pid(fd);
        close(fd);
        return ac_err_set(err, AC_EEXISTS, "%s is in use by the supervisor with pid %d", l->dir,
                          (int)*ret_pid);
    }
    char text[32];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        int e = errno;
        close(fd);
        return ac_err_errno(err, e, "%s", path);
    }
    *ret_fd = fd;
    return 0;
}

pid_t cli_layout_supervisor(const struct cli_layout *l)
{
    int fd = open(cli_layout_path(l, "lock"), O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return 0;
    pid_t pid = 0;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        pid = read_pid(fd);
    close(fd);
    return pid;
}

/* Binds port (0 = any) on loopback and returns it, or -1 when it is taken. */
static int try_port(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(sa);
    int got = -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 1) == 0 &&
        getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
        got = ntohs(sa.sin_port);
    close(fd);
    return got;
}

static bool is_given(json_t *ports, int port)
{
    const char *name;
    json_t *p;
    json_object_foreach(ports, name, p)
    {
        if (json_integer_value(p) == port)
            return true;
    }
    return false;
}

/* Below the ports that the kernel gives to outgoing connections: one of those can be in use at any
 * moment when the service that it was given to is restarted. */
static int free_port(json_t *ports)
{
    ac_cleanup(ac_free_p) char *range = NULL;
    size_t len = 0;
    int64_t end = 0;
    uint64_t seed = 0;
    struct ac_rng rng;
    if (ac_file_read("/proc/sys/net/ipv4/ip_local_port_range", 64, &range, &len, NULL) == 0) {
        range[strcspn(range, " \t")] = '\0';
        if (!ac_str_to_i64(range, &end))
            end = 0;
    }
    end = AC_MIN(end, 65536);
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = (uint64_t)getpid();
    ac_rng_seed(&rng, seed);
    for (int i = 0; i < PORT_TRIES && end > FIRST_PORT; i++) {
        int port = FIRST_PORT + (int)ac_rng_below(&rng, (uint64_t)(end - FIRST_PORT));
        if (!is_given(ports, port) && try_port(port) == port)
            return port;
    }
    return try_port(0);
}

int cli_layout_port(const struct cli_layout *l, const char *name, int *ret_port, struct ac_err *err)
{
    const char *path = cli_layout_path(l, "ports.json");
    ac_cleanup_json ports = NULL;
    if (!ac_path_exists(path) || ac_json_load_file(path, &ports, NULL) != 0 ||
        !json_is_object(ports)) {
        json_decref(ports);
        ports = json_object();
    }
    int port = (int)json_integer_value(json_object_get(ports, name));
    if (port > 0 && port < 65536)
        port = try_port(port);
    if (port <= 0)
        port = free_port(ports);
    if (port <= 0)
        return ac_err_set(err, AC_EAGAIN, "no free port on 127.0.0.1 for %s", name);
    json_object_set_new(ports, name, json_integer(port));
    ac_cleanup(ac_free_p) char *text = ac_json_text(ports);
    int rc = ac_file_write_atomic(path, text, strlen(text), 0600, err);
    if (rc == 0)
        *ret_port = port;
    return rc;
}

int cli_layout_secret(const struct cli_layout *l, const char *name, char ret[33],
                      struct ac_err *err)
{
    const char *path = cli_layout_path(l, "secrets/%s", name);
    ac_cleanup(ac_free_p) char *old = NULL;
    size_t len = 0;
    if (ac_path_exists(path)) {
        int rc = ac_file_read(path, 4096, &old, &len, err);
        if (rc != 0)
            return rc;
        if (len == 32) {
            memcpy(ret, old, 33);
            return 0;
        }
    }
    unsigned char raw[16];
    ac_random_bytes(raw, sizeof(raw));
    for (size_t i = 0; i < sizeof(raw); i++)
        snprintf(ret + 2 * i, 3, "%02x", raw[i]);
    return ac_file_write_atomic(path, ret, 32, 0600, err);
}

/* Real servers for tests. They run as children that die with us; their files are in one temporary
 * directory each. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/kit_servers.h>

#define START_NS (60 * AC_NS_PER_S)

struct server {
    char *dir, *program, *url;
    pid_t pid;
    uid_t uid;
    gid_t gid;
    int port;
};

struct ac_kit_pg {
    struct server s;
};

struct ac_kit_nats {
    struct server s;
};

_Noreturn static void die(const struct server *s, const char *what)
{
    char *log = ac_xasprintf("%s/log", s->dir), *text;
    size_t n;

    (void)fprintf(stderr, "test kit: %s (%s): %s\n", what, s->program, strerror(errno));
    if (!ac_file_read(log, 1 << 20, &text, &n, NULL))
        (void)fprintf(stderr, "%s\n", text);
    abort();
}

static void nap(void)
{
    const struct timespec t = {0, 5000000};
    (void)nanosleep(&t, NULL);
}

static void find(struct server *s, const char *name)
{
    static const char *const dirs[] = {"/usr/lib/postgresql/17/bin",
                                       "/usr/lib/postgresql/16/bin",
                                       "/usr/lib/postgresql/15/bin",
                                       "/usr/lib/postgresql/14/bin",
                                       "/usr/sbin",
                                       NULL};

    free(s->program);
    s->program = ac_find_program(name, dirs);
    if (!s->program) {
        (void)fprintf(stderr, "test kit: %s is not installed\n", name);
        abort();
    }
}

static void make_dir(struct server *s, const char *what)
{
    const char *tmp = getenv("TMPDIR");
    struct passwd *pw;

    /* A Unix socket's path must fit in 107 bytes. */
    s->dir = ac_xasprintf("%s/ac-%s-XXXXXX", tmp && strlen(tmp) < 60 ? tmp : "/tmp", what);
    s->uid = getuid();
    s->gid = getgid();
    if (!mkdtemp(s->dir))
        die(s, "no temporary directory");
    if (s->uid != 0)
        return;
    pw = getpwnam("postgres");
    if (!pw)
        pw = getpwnam("nobody");
    if (!pw)
        die(s, "no unprivileged user");
    s->uid = pw->pw_uid;
    s->gid = pw->pw_gid;
    if (chown(s->dir, s->uid, s->gid))
        die(s, "chown");
}

static pid_t spawn(struct server *s, int death_signal, const char *const *args)
{
    const char *argv[24];
    char *log = ac_xasprintf("%s/log", s->dir);
    pid_t parent = getpid(), pid;
    int n = 0, fd;

    argv[n++] = s->program;
    for (; args[n - 1] && n < 23; n++)
        argv[n] = args[n - 1];
    argv[n] = NULL;
    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        die(s, "fork");
    if (pid == 0) {
        if (getuid() == 0 && (setgroups(0, NULL) || setgid(s->gid) || setuid(s->uid)))
            _exit(126);
        if (chdir(s->dir))
            _exit(126);
        (void)prctl(PR_SET_PDEATHSIG, death_signal);
        if (getppid() != parent)
            _exit(126);
        (void)setsid(); /* a group of its own: Ctrl-C of the test goes to the test */
        fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)dup2(fd, 1);
        (void)dup2(fd, 2);
        (void)execv(s->program, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    free(log);
    return pid;
}

static bool exited(struct server *s, bool wait)
{
    int status;

    if (s->pid <= 0)
        return true;
    if (waitpid(s->pid, &status, wait ? 0 : WNOHANG) == 0)
        return false;
    s->pid = 0;
    return true;
}

static void kill_wait(struct server *s, int sig)
{
    if (s->pid > 0) {
        (void)kill(s->pid, sig);
        (void)exited(s, true);
    }
}

static void free_server(struct server *s)
{
    (void)!ac_dir_remove(s->dir, NULL);
    free(s->dir);
    free(s->program);
    free(s->url);
}

/* ---- PostgreSQL ---- */

static void pg_spawn(struct ac_kit_pg *p)
{
    int64_t end = ac_now_ns() + START_NS;
    char *data = ac_xasprintf("%s/data", p->s.dir), *sock = ac_xstrdup(p->s.dir);
    const char *args[] = {"-D", data,
                          "-k", sock,
                          "-h", "",
                          "-c", "fsync=off",
                          "-c", "shared_buffers=16MB",
                          "-c", "max_connections=60",
                          NULL};

    for (;;) {
        PGPing ping;
        if (p->s.pid == 0)
            p->s.pid = spawn(&p->s, SIGQUIT, args);
        ping = PQping(p->s.url);
        if (ping == PQPING_OK)
            break;
        if (ac_now_ns() > end)
            die(&p->s, "postgres does not start");
        /* After a kill, children of the old one may hold its shared memory for a moment. */
        (void)exited(&p->s, false);
        nap();
    }
    free(data);
    free(sock);
}

struct ac_kit_pg *ac_kit_pg_start(void)
{
    struct ac_kit_pg *p = ac_xcalloc(1, sizeof *p);
    const char *args[] = {"-D", "data", "-U",         "aceso",     "-A", "trust",
                          "-E", "UTF8", "--locale=C", "--no-sync", NULL};

    find(&p->s, "initdb");
    make_dir(&p->s, "pg");
    p->s.url = ac_xasprintf("host=%s user=aceso dbname=postgres", p->s.dir);
    p->s.pid = spawn(&p->s, SIGKILL, args);
    (void)exited(&p->s, true);
    find(&p->s, "postgres");
    pg_spawn(p);
    return p;
}

const char *ac_kit_pg_url(const struct ac_kit_pg *p)
{
    return p->s.url;
}

/* Its backends are in sessions of their own, so go by parent. */
static void signal_all(struct ac_kit_pg *p, int sig)
{
    char *path = ac_xasprintf("/proc/%d/task/%d/children", (int)p->s.pid, (int)p->s.pid);
    pid_t child[128];
    int n = 0;
    FILE *f = fopen(path, "r");

    while (f && n < 128 && fscanf(f, "%d", &child[n]) == 1) /* NOLINT(cert-err34-c): the kernel's */
        n++;
    if (f)
        (void)fclose(f);
    free(path);
    (void)kill(p->s.pid, sig);
    for (int i = 0; i < n; i++)
        (void)kill(child[i], sig);
}

/* A backend may answer one more query before it notices that its server has gone. */
void ac_kit_pg_kill(struct ac_kit_pg *p)
{
    if (p->s.pid > 0)
        signal_all(p, SIGKILL);
    kill_wait(&p->s, SIGKILL);
}

void ac_kit_pg_restart(struct ac_kit_pg *p)
{
    ac_kit_pg_kill(p);
    pg_spawn(p);
}

void ac_kit_pg_pause(struct ac_kit_pg *p, int on)
{
    signal_all(p, on ? SIGSTOP : SIGCONT);
}

void ac_kit_pg_stop(struct ac_kit_pg *p)
{
    if (!p)
        return;
    kill_wait(&p->s, SIGQUIT);
    free_server(&p->s);
    free(p);
}

/* ---- NATS ---- */

static bool port_open(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof a);

    (void)close(fd);
    return ok;
}

static void nats_spawn(struct ac_kit_nats *n)
{
    int64_t end = ac_now_ns() + START_NS;
    const char *args[] = {"-c", "nats.conf", NULL};

    n->s.pid = spawn(&n->s, SIGKILL, args);
    while (!port_open(n->s.port)) {
        if (exited(&n->s, false) || ac_now_ns() > end)
            die(&n->s, "nats-server does not start");
        nap();
    }
}

struct ac_kit_nats *ac_kit_nats_start(const char *extra)
{
    struct ac_kit_nats *n = ac_xcalloc(1, sizeof *n);
    char *conf, *path;

    find(&n->s, "nats-server");
    make_dir(&n->s, "nats");
    n->s.port = ac_kit_free_port();
    n->s.url = ac_xasprintf("nats://127.0.0.1:%d", n->s.port);
    conf = ac_xasprintf("listen: \"127.0.0.1:%d\"\n"
                        "jetstream { store_dir: \"%s\", max_mem: 256M, max_file: 2G }\n%s\n",
                        n->s.port, n->s.dir, extra ? extra : "");
    path = ac_xasprintf("%s/nats.conf", n->s.dir);
    if (ac_file_write_atomic(path, conf, strlen(conf), 0644, NULL))
        die(&n->s, "nats.conf");
    free(conf);
    free(path);
    nats_spawn(n);
    return n;
}

const char *ac_kit_nats_url(const struct ac_kit_nats *n)
{
    return n->s.url;
}

const char *ac_kit_nats_dir(const struct ac_kit_nats *n)
{
    return n->s.dir;
}

void ac_kit_nats_kill(struct ac_kit_nats *n)
{
    kill_wait(&n->s, SIGKILL);
}

void ac_kit_nats_restart(struct ac_kit_nats *n)
{
    ac_kit_nats_kill(n);
    nats_spawn(n);
}

void ac_kit_nats_stop(struct ac_kit_nats *n)
{
    if (!n)
        return;
    kill_wait(&n->s, SIGKILL);
    free_server(&n->s);
    free(n);
}

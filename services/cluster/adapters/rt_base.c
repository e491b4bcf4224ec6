/* Where the files of pods are. Processes of other users must be able to pass to them: when they
 * cannot pass to the state directory, the files live in a directory of this instance's own in
 * /var/tmp while it runs, and in the state directory while it does not. */
#include "runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <dirent.h>
#include <spawn.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define ELSEWHERE "/var/tmp"
#define PREFIX    "aceso-cluster-"

extern char **environ;

static bool passable(const char *path)
{
    ac_cleanup(ac_free_p) char *p = ac_xstrdup(path);
    struct stat st;
    for (;;) {
        if (stat(p, &st) != 0 || (st.st_mode & S_IXOTH) == 0)
            return false;
        char *slash = strrchr(p, '/');
        if (slash == NULL || slash == p)
            return true;
        *slash = '\0';
    }
}

/* A directory that says whose it is. Only root's count: others may write to /var/tmp, too. */
static bool owner_of(const char *base, char *state_dir, size_t n)
{
    struct stat st;
    ac_cleanup(ac_free_p) char *link = ac_xasprintf("%s/state", base);
    if (lstat(base, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != 0)
        return false;
    ssize_t len = readlink(link, state_dir, n - 1);
    if (len <= 0)
        return false;
    state_dir[len] = '\0';
    return true;
}

/* Instances that were killed, and whose state directory was removed since. */
static void sweep(void)
{
    DIR *d = opendir(ELSEWHERE);
    if (d == NULL)
        return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        char state_dir[4096];
        struct ac_err err = AC_ERR_INIT;
        ac_cleanup(ac_free_p) char *base = ac_xasprintf(ELSEWHERE "/%s", e->d_name);
        if (!ac_str_starts(e->d_name, PREFIX) || !owner_of(base, state_dir, sizeof(state_dir)) ||
            access(state_dir, F_OK) == 0 || errno != ENOENT)
            continue;
        if (ac_dir_remove(base, &err) == 0)
            AC_LOGI("runtime", "orphan_removed", AC_KS("dir", base), AC_KS("state", state_dir));
        else
            AC_LOGW("runtime", "orphan", AC_KERR(&err));
    }
    closedir(d);
}

/* With owners and modes. */
static int copy(const char *from, const char *to, struct ac_err *err)
{
    char cp[] = "cp", how[] = "-a", flag[] = "-T";
    ac_cleanup(ac_free_p) char *a = ac_xstrdup(from);
    ac_cleanup(ac_free_p) char *b = ac_xstrdup(to);
    char *argv[] = {cp, how, flag, a, b, NULL};
    pid_t pid;
    int status = 0, r = posix_spawnp(&pid, cp, NULL, NULL, argv, environ);
    if (r != 0)
        return ac_err_errno(err, r, "cp");
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return ac_err_errno(err, errno, "cp");
    return status == 0 ? 0 : ac_err_set(err, AC_EIO, "%s could not be copied to %s", from, to);
}

/* To another file system, too. to is there whole or not at all. */
static int move(const char *from, const char *to, struct ac_err *err)
{
    if (rename(from, to) == 0)
        return 0;
    if (errno != EXDEV)
        return ac_err_errno(err, errno, "%s to %s", from, to);
    ac_cleanup(ac_free_p) char *part = ac_xasprintf("%s.part", to);
    int r = ac_dir_remove(part, err);
    if (r == 0)
        r = copy(from, part, err);
    if (r == 0 && rename(part, to) != 0)
        r = ac_err_errno(err, errno, "%s", to);
    return r == 0 ? ac_dir_remove(from, err) : r;
}

static int take_back(const char *state_dir, const char *base, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *kept = ac_xasprintf("%s/pods", state_dir);
    ac_cleanup(ac_free_p) char *pods = ac_xasprintf("%s/pods", base);
    ac_cleanup(ac_free_p) char *link = ac_xasprintf("%s/state", base);
    if (symlink(state_dir, link) != 0 && errno != EEXIST)
        return ac_err_errno(err, errno, "%s", link);
    if (!ac_path_exists(kept))
        return 0;
    /* Whole where it was kept, so what is here is the rest of a move that did not end. */
    int r = ac_dir_remove(pods, err);
    return r == 0 ? move(kept, pods, err) : r;
}

char *runtime_base_open(const char *state_dir, struct ac_err *err)
{
    (void)chmod(state_dir, 0711);
    if (geteuid() != 0 || passable(state_dir))
        return ac_xstrdup(state_dir);
    sweep();
    char *base =
        ac_xasprintf(ELSEWHERE "/" PREFIX "%016llx", (unsigned long long)ac_hash_str(state_dir));
    AC_LOGI("runtime", "pods_elsewhere", AC_KS("dir", base),
            AC_KS("why", "unprivileged users cannot pass the state directory"));
    int r = ac_dir_create(base, 0711, err);
    struct stat st;
    if (r == 0 && (lstat(base, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != 0))
        r = ac_err_set(err, AC_EPERM, "%s belongs to another user: remove it", base);
    if (r == 0 && chmod(base, 0711) != 0)
        r = ac_err_errno(err, errno, "%s", base);
    if (r == 0)
        r = take_back(state_dir, base, err);
    if (r == 0)
        return base;
    free(base);
    return NULL;
}

void runtime_base_close(const char *base, const char *state_dir)
{
    struct ac_err err = AC_ERR_INIT;
    if (base == NULL || ac_streq(base, state_dir))
        return;
    ac_cleanup(ac_free_p) char *kept = ac_xasprintf("%s/pods", state_dir);
    ac_cleanup(ac_free_p) char *pods = ac_xasprintf("%s/pods", base);
    int r = rmdir(pods); /* empty: nothing to keep */
    if (r != 0 && errno != ENOENT)
        r = move(pods, kept, &err);
    else
        r = 0;
    if (r == 0)
        r = ac_dir_remove(base, &err);
    if (r != 0)
        AC_LOGW("runtime", "not_kept", AC_KS("dir", base), AC_KERR(&err));
}

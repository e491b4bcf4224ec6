#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>
#include <ftw.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>

static int read_fd(int fd, size_t size_hint, size_t max_bytes, char **ret_data, size_t *ret_len,
                   const char *path, struct ac_err *err)
{
    size_t cap = AC_MIN(size_hint, max_bytes) + 2, len = 0;
    char *data = ac_try_malloc(cap);
    if (!data)
        return ac_err_set(err, AC_ENOMEM, "%s: out of memory", path);
    for (;;) {
        if (len + 1 == cap) {
            char *p = cap > SIZE_MAX / 2 ? NULL : ac_try_realloc(data, cap * 2);
            if (!p) {
                free(data);
                return ac_err_set(err, AC_ENOMEM, "%s: out of memory", path);
            }
            data = p;
            cap *= 2;
        }
        ssize_t k = read(fd, data + len, cap - 1 - len);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            int e = errno;
            free(data);
            return ac_err_errno(err, e, "%s: cannot read", path);
        }
        if (k == 0)
            break;
        len += (size_t)k;
        if (len > max_bytes) {
            free(data);
            return ac_err_set(err, AC_ERANGE, "%s: larger than %zu bytes", path, max_bytes);
        }
    }
    data[len] = '\0';
    *ret_data = data;
    *ret_len = len;
    return 0;
}

int ac_file_read(const char *path, size_t max_bytes, char **ret_data, size_t *ret_len,
                 struct ac_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ac_err_errno(err, errno, "%s: cannot open", path);
    struct stat st;
    int rc;
    if (fstat(fd, &st) < 0)
        rc = ac_err_errno(err, errno, "%s: cannot stat", path);
    else if (S_ISDIR(st.st_mode))
        rc = ac_err_set(err, AC_EINVAL, "%s: is a directory", path);
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max_bytes)
        rc = ac_err_set(err, AC_ERANGE, "%s: larger than %zu bytes", path, max_bytes);
    else
        rc = read_fd(fd, S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 4096,
                     max_bytes, ret_data, ret_len, path, err);
    close(fd);
    return rc;
}

static bool write_fd(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* The rename itself is only durable once its directory is. Some file systems refuse; that is fine.
 */
static void sync_parent(const char *path)
{
    ac_cleanup(ac_free_p) char *dir = ac_xstrdup(path);
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = '\0';
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* A device or a pipe is written to: a file in its place would take it away from others. */
static int write_special(const char *path, const void *data, size_t len, struct ac_err *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), e = fd < 0 || !write_fd(fd, data, len) ? errno : 0;
    if (fd >= 0 && close(fd) < 0 && !e)
        e = errno;
    return e ? ac_err_errno(err, e, "%s: cannot write", path) : 0;
}

int ac_file_write_atomic(const char *path, const void *data, size_t len, mode_t mode,
                         struct ac_err *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return write_special(path, data, len, err);
    ac_cleanup(ac_free_p) char *tmp = ac_xasprintf("%s.XXXXXX", path);
    int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return ac_err_errno(err, errno, "%s: cannot create a file beside it", path);
    int e = 0;
    if (!write_fd(fd, data, len) || fchmod(fd, mode) < 0 || fsync(fd) < 0)
        e = errno;
    if (close(fd) < 0 && !e)
        e = errno;
    if (!e && rename(tmp, path) < 0)
        e = errno;
    if (e) {
        unlink(tmp);
        return ac_err_errno(err, e, "%s: cannot write", path);
    }
    sync_parent(path);
    return 0;
}

int ac_dir_create(const char *path, mode_t mode, struct ac_err *err)
{
    if (!*path)
        return ac_err_set(err, AC_EINVAL, "empty directory name");
    ac_cleanup(ac_free_p) char *p = ac_xstrdup(path);
    for (char *s = p + 1;; s++) {
        if (*s && *s != '/')
            continue;
        char keep = *s;
        *s = '\0';
        if (mkdir(p, mode) < 0 && errno != EEXIST) {
            /* A parent that exists but may not be written, such as a mount, is no reason to stop.
             */
            struct stat st;
            int e = errno;
            if (stat(p, &st) < 0 || !S_ISDIR(st.st_mode))
                return ac_err_errno(err, e, "%s: cannot create directory", p);
        }
        *s = keep;
        if (!keep)
            break;
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return ac_err_errno(err, errno, "%s: cannot stat", path);
    if (!S_ISDIR(st.st_mode))
        return ac_err_set(err, AC_EEXISTS, "%s: exists and is not a directory", path);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type == FTW_NS)
        return 0;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int ac_dir_remove(const char *path, struct ac_err *err)
{
    if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return ac_err_errno(err, errno, "%s: cannot remove", path);
    return 0;
}

bool ac_path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static char exe_dir[PATH_MAX];
static pthread_once_t exe_once = PTHREAD_ONCE_INIT;

static void find_exe(void)
{
    ssize_t n = readlink("/proc/self/exe", exe_dir, sizeof(exe_dir) - 1);
    if (n < 0)
        n = 0;
    exe_dir[n] = '\0';
    char *slash = strrchr(exe_dir, '/');
    if (slash)
        slash[slash == exe_dir] = '\0';
}

const char *ac_exe_dir(void)
{
    pthread_once(&exe_once, find_exe);
    return exe_dir;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static char *program_in(const char *dir, const char *name)
{
    char *path = ac_xasprintf("%s/%s", *dir ? dir : ".", name);
    if (is_program(path))
        return path;
    free(path);
    return NULL;
}

char *ac_find_program(const char *name, const char *const *extra_dirs)
{
    if (!*name)
        return NULL;
    if (strchr(name, '/'))
        return is_program(name) ? ac_xstrdup(name) : NULL;
    const char *env = getenv("PATH");
    ac_cleanup(ac_free_p) char *dirs = ac_xstrdup(env ? env : "");
    char *rest = *dirs ? dirs : NULL, *dir;
    while ((dir = ac_str_next(&rest, ':'))) {
        char *found = program_in(dir, name);
        if (found)
            return found;
    }
    for (; extra_dirs && *extra_dirs; extra_dirs++) {
        char *found = program_in(*extra_dirs, name);
        if (found)
            return found;
    }
    return NULL;
}

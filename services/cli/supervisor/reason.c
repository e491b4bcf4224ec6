#include "reason.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fcntl.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define TAIL_BYTES 4096
#define FULL_BYTES (1u << 20)

static size_t read_tail(const char *path, off_t from, char *dst, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t n = pread(fd, dst, size, AC_MAX(end - (off_t)size, from));
    close(fd);
    return n > 0 ? (size_t)n : 0;
}

/* Servers say on the line before last what failed, and last what they do about it. */
static bool says_why(const char *line)
{
    static const char *const words[] = {"rror", "FATAL", "PANIC", "atal", "cannot", "could not"};
    for (size_t i = 0; i < AC_ARRAY_LEN(words); i++) {
        if (strstr(line, words[i]))
            return true;
    }
    return false;
}

bool cli_disk_full(const char *path)
{
    struct statvfs fs;
    return statvfs(path, &fs) == 0 && fs.f_bavail * fs.f_frsize < FULL_BYTES;
}

off_t cli_log_end(const char *log_path)
{
    struct stat st;
    return stat(log_path, &st) == 0 ? st.st_size : 0;
}

void cli_reason(const char *log_path, off_t from, char *dst, size_t size)
{
    char tail[TAIL_BYTES + 1], *rest = tail, *last = NULL, *why = NULL;
    tail[read_tail(log_path, from, tail, TAIL_BYTES)] = '\0';
    for (char *line; (line = ac_str_next(&rest, '\n'));) {
        line = ac_str_trim(line);
        if (!*line || *line == '{')
            continue;
        last = line;
        if (says_why(line))
            why = line;
    }
    snprintf(dst, size, "%s%s", cli_disk_full(log_path) ? "the disk is full; " : "",
             why    ? why
             : last ? last
                    : "");
}

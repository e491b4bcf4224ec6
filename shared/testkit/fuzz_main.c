/* Replays a corpus: gives each file named on the command line, and each in a directory named there,
 * to the fuzz target. clang's libFuzzer brings a main of its own: then ACESO_LIBFUZZER is defined.
 */
#ifndef ACESO_LIBFUZZER

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <dirent.h>

#include <aceso/base.h>
#include <aceso/file.h>

#define INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long runs;

static int run_file(const char *path)
{
    struct ac_err err;
    char *data;
    size_t len;
    if (ac_file_read(path, INPUT_MAX, &data, &len, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    /* A copy of the exact size, so that a sanitizer sees a read past the end. */
    uint8_t *exact = malloc(len ? len : 1);
    AC_ASSERT(exact);
    memcpy(exact, data, len);
    free(data);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    runs++;
    return 0;
}

static int run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        fprintf(stderr, "%s: cannot stat\n", path);
        return 1;
    }
    if (!S_ISDIR(st.st_mode))
        return run_file(path);
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort), failed = n < 0;
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            char *child = ac_xasprintf("%s/%s", path, names[i]->d_name);
            failed |= run_path(child);
            free(child);
        }
        free(names[i]);
    }
    free(names);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') /* libFuzzer's options mean nothing here */
            failed |= run_path(argv[i]);
    }
    fprintf(stderr, "%s: %lu inputs\n", argv[0], runs);
    return failed;
}

#else
typedef int fuzz_main_is_libfuzzers;
#endif

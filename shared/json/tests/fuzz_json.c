/* Bytes → value → text → value: equal. The first line is a path to look up in it. */
#include <string.h>

#include <aceso/json.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *eol = size ? memchr(data, '\n', size) : NULL;
    size_t path_len = eol ? (size_t)(eol - data) : 0, skip = eol ? path_len + 1 : 0;
    ac_cleanup(ac_free_p) char *path = ac_xstrndup(eol ? (const char *)data : "", path_len);
    json_t *in = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (ac_json_parse("fuzz", (const char *)data + skip, size - skip, &in, &err)) {
        AC_ASSERT(in == NULL && *err.msg);
        return 0;
    }
    ac_cleanup_json j = in;
    (void)ac_json_at(j, path);
    ac_cleanup(ac_free_p) char *text = ac_json_text(j);
    ac_cleanup_json back = NULL;
    int rc = ac_json_parse("again", text, strlen(text), &back, &err);
    AC_ASSERT(rc == 0 && json_equal(j, back));
    ac_cleanup_json same = ac_json_merge_patch(j, j);
    AC_ASSERT(same != NULL);
    return 0;
}

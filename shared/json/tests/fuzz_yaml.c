/* Bytes → tree → JSON → YAML text → tree → JSON: the two JSON values are equal. */
#include <string.h>

#include <aceso/json.h>
#include <aceso/yaml.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *read_back(json_t *j)
{
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup(ac_free_p) char *text = ac_yaml_from_json(j);
    struct ac_yaml_doc *d;
    int rc = ac_yaml_parse("again", text, strlen(text), &d, &err);
    AC_ASSERT(rc == 0);
    json_t *back = ac_yaml_to_json(ac_yaml_root(d, 0));
    ac_yaml_destroy(d);
    return back;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_yaml_doc *d = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (ac_yaml_parse("fuzz", (const char *)data, size, &d, &err)) {
        AC_ASSERT(d == NULL && err.code < 0 && *err.msg);
        return 0;
    }
    for (size_t i = 0; i < ac_yaml_documents(d); i++) {
        ac_cleanup_json j = ac_yaml_to_json(ac_yaml_root(d, i));
        ac_cleanup_json back = read_back(j);
        AC_ASSERT(json_equal(j, back));
    }
    ac_yaml_destroy(d);
    return 0;
}

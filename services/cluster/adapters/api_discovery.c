/* Discovery documents and OpenAPI. */
#include "api_int.h"

#include <stdio.h>
#include <string.h>

#include <aceso/str.h>

#include "core/discovery.h"

/* An empty OpenAPI v2 document, as the protobuf that old clients ask for: field 1, "2.0". They then
 * leave the checking of fields to the server. */
static const char openapi_v2[] = {0x0a, 0x03, '2', '.', '0'};

static void reply_or_404(struct areq *q, json_t *j)
{
    struct ac_err err = AC_ERR_INIT;
    if (j != NULL) {
        api_reply_new(q, 200, j);
        return;
    }
    ac_err_set(&err, AC_ENOTFOUND, "the server could not find the requested resource");
    api_fail(q, &err);
}

static bool reply_openapi(struct areq *q, const char *path)
{
    char copy[256];
    if (ac_streq(path, "/openapi/v2")) {
        ac_http_reply(q->r, 200, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
                      openapi_v2, sizeof(openapi_v2));
        return true;
    }
    if (ac_streq(path, "/openapi/v3")) {
        api_reply_new(q, 200, cl_openapi_index());
        return true;
    }
    if (!ac_str_starts(path, "/openapi/v3/") || !ac_str_copy(copy, sizeof(copy), path + 12))
        return false;
    char *rest = copy;
    const char *root = ac_str_next(&rest, '/');
    const char *group = ac_streq(root, "api") ? "" : ac_str_next(&rest, '/');
    const char *version = ac_str_next(&rest, '/');
    reply_or_404(q, group != NULL && version != NULL ? cl_openapi_v3(group, version) : NULL);
    return true;
}

bool api_discovery(struct areq *q)
{
    char copy[256];
    const char *path = ac_http_path(q->r);
    if (!ac_str_copy(copy, sizeof(copy), path))
        return false;
    size_t n = strlen(copy);
    while (n > 1 && copy[n - 1] == '/')
        copy[--n] = '\0';
    if (ac_streq(copy, "/version")) {
        api_reply_new(q, 200, cl_discovery_version());
        return true;
    }
    if (ac_streq(copy, "/api")) {
        api_reply_new(q, 200,
                      cl_discovery_api_versions(
                          ac_http_header(q->r, "Host") ? ac_http_header(q->r, "Host") : ""));
        return true;
    }
    if (ac_streq(copy, "/apis")) {
        api_reply_new(q, 200, cl_discovery_groups());
        return true;
    }
    if (ac_str_starts(copy, "/openapi/"))
        return reply_openapi(q, copy);
    if (!ac_str_starts(copy, "/api"))
        return false;
    char *rest = copy + 1;
    const char *root = ac_str_next(&rest, '/');
    const char *group = ac_streq(root, "api") ? "" : ac_str_next(&rest, '/');
    const char *version = ac_str_next(&rest, '/');
    if (group == NULL || rest != NULL)
        return false;
    reply_or_404(q, version == NULL ? cl_discovery_group(group)
                                    : cl_discovery_resources(group, version));
    return true;
}

#include "status.h"

#include "js.h"

#include <aceso/base.h>

static const struct {
    int code, http;
    const char *reason;
} reasons[] = {{AC_EINVAL, 422, "Invalid"},           {AC_EPROTO, 400, "BadRequest"},
               {AC_ENOTFOUND, 404, "NotFound"},       {AC_EEXISTS, 409, "AlreadyExists"},
               {AC_EABORTED, 409, "Conflict"},        {AC_EPERM, 403, "Forbidden"},
               {AC_EUNAUTH, 401, "Unauthorized"},     {AC_ERANGE, 410, "Expired"},
               {AC_ENOTSUP, 405, "MethodNotAllowed"}, {AC_EDATALOSS, 415, "UnsupportedMediaType"},
               {AC_EAGAIN, 429, "TooManyRequests"},   {AC_ENET, 503, "ServiceUnavailable"}};

static size_t row_of(int code)
{
    size_t i = 0;
    while (i < AC_ARRAY_LEN(reasons) && reasons[i].code != code)
        i++;
    return i;
}

int cl_status_http(int code)
{
    size_t i = row_of(code);
    return i < AC_ARRAY_LEN(reasons) ? reasons[i].http : 500;
}

static json_t *status(const char *what)
{
    return json_pack("{s:s,s:s,s:{},s:s}", "kind", "Status", "apiVersion", "v1", "metadata",
                     "status", what);
}

json_t *cl_status_failure(const struct ac_err *err, const struct cl_kind *kind, const char *name)
{
    size_t i = row_of(err->code);
    json_t *s = status("Failure");
    js_set_str(s, "message", err->msg);
    js_set_str(s, "reason", i < AC_ARRAY_LEN(reasons) ? reasons[i].reason : "InternalError");
    if (kind != NULL) {
        js_set_str(s, "details.kind", kind->plural);
        if (kind->group[0] != '\0')
            js_set_str(s, "details.group", kind->group);
        if (name != NULL)
            js_set_str(s, "details.name", name);
    }
    js_set_int(s, "code", cl_status_http(err->code));
    return s;
}

json_t *cl_status_success(const struct cl_kind *kind, const json_t *object)
{
    json_t *s = status("Success");
    js_set_str(s, "details.kind", kind->plural);
    if (kind->group[0] != '\0')
        js_set_str(s, "details.group", kind->group);
    js_set_str(s, "details.name", js_name(object));
    js_set_str(s, "details.uid", js_uid(object));
    return s;
}

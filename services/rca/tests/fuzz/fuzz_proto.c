/* Bytes as a protobuf file. */
#include <string.h>

#include <aceso/base.h>

#include "readers/rca_api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int see(const char *service, int line, const char *comment, void *arg)
{
    char plain[64];
    AC_ASSERT(*service && strlen(service) <= AC_RCA_PROTO_MAX_NAME && line >= 1);
    AC_ASSERT(strlen(comment) <= AC_RCA_PROTO_MAX_COMMENT && !strchr(comment, '\n'));
    ac_rca_plain_name(service, plain, sizeof(plain));
    return ++*(int *)arg > 1000 ? AC_ERANGE : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_err err = AC_ERR_INIT;
    int seen = 0;
    int rc = ac_rca_proto_services("input", (const char *)data, size, see, &seen, &err);
    AC_ASSERT(rc != AC_EINVAL || *err.msg);
    return 0;
}

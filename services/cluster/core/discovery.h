/* The documents by which kubectl learns what the API serves. Pure; new references. */
#pragma once

#include <jansson.h>

#define CL_KUBE_VERSION "v1.32.0"

json_t *cl_discovery_version(void);
json_t *cl_discovery_api_versions(const char *server_address); /* GET /api */
json_t *cl_discovery_groups(void);                             /* GET /apis */
json_t *cl_discovery_group(const char *group);                 /* NULL when unknown */
/** GET /api/v1 or /apis/GROUP/VERSION; NULL when unknown. */
json_t *cl_discovery_resources(const char *group, const char *version);
json_t *cl_openapi_index(void);
/** Minimal OpenAPI v3 of one group version: enough for kubectl to see that the server checks fields
 * itself. NULL when unknown. */
json_t *cl_openapi_v3(const char *group, const char *version);

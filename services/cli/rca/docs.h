/* Inside of reading documents: what docs.c and docs_api.c share. */
#pragma once

#include "graph/rca_graph.h"

#define RCA_DOCS_BY_TEXT   0.40 /* a sentence */
#define RCA_DOCS_MAX_BYTES ((size_t)4 << 20)

struct rca_docs {
    struct ac_rca_graph *g;
    size_t root_len; /* of the path, cut from names of files */
    char **files;
    size_t n, cap;
    struct ac_err *err;
};

void rca_docs_call(struct rca_docs *r, int from, int to, double confidence, const char *file,
                   int line, const char *what);
/** Does the line say that its subject calls something? */
bool rca_docs_says_call(const char *line);
bool rca_docs_speaks_of(const char *line, const char *component);
bool rca_docs_is_address(const char *text, const char *component);

/** Protobuf (.proto) and OpenAPI (.yaml, .yml, .json with a key openapi or swagger): the services
 * they describe become components where the manifests have none of that name; calls only where a
 * comment or description says so. Other files are passed over; one that is malformed is told.
 * names: only who is there; to be done for all files first. */
void rca_docs_interface(struct rca_docs *r, const char *file, bool names);

/* What a log record says, where it is wrapped in JSON: as container runtimes and structured loggers
 * write it. */
#pragma once

#include <jansson.h>

struct rca_words {
    const char *text; /* of the record, or of the JSON in it */
    int severity;     /* 0: not said */
    json_t *keep;     /* holds the text */
    json_t *keep_inner;
};

/** text must outlive the words; rca_words_fini in any case. */
void rca_words_of(const char *text, struct rca_words *ret);
void rca_words_fini(struct rca_words *w);
/** The text and the severity of a JSON object of a log; what it does not say stays. */
void rca_words_object(const json_t *j, struct rca_words *w);

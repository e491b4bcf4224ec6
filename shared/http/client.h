/* Inside of shared/http's client: one transfer, as used by the blocking calls and by the
 * asynchronous client. */
#pragma once

#include <curl/curl.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/http.h>

/* Owned by whoever runs it; one thread. */
struct http_transfer {
    CURL *easy;
    struct curl_slist *headers;
    char *where; /* "GET https://host/path": for errors, without user, password and query */
    char curl_error[CURL_ERROR_SIZE];
    struct ac_buf body;
    /* Streams only: */
    bool (*on_data)(const void *data, size_t len, void *arg);
    void *arg;
    int *status;
    int64_t silence_ns, last_ns;
    bool stopped, silent;
};

void http_transfer_init(struct http_transfer *t, const struct ac_http_call *c, CURL *easy);
void http_transfer_fini(struct http_transfer *t); /* not the easy handle */
int http_transfer_error(const struct http_transfer *t, CURLcode rc, struct ac_err *err);
/** Moves the answer out. */
void http_transfer_response(struct http_transfer *t, struct ac_http_response *ret);
CURL *http_easy_create(void);

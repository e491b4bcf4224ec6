/* HTTP client: one transfer by libcurl, blocking. */
#include "client.h"

#include <pthread.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/str.h>

#define CONNECT_TIMEOUT_MS 10000

static void global_init(void)
{
    AC_ASSERT(!curl_global_init(CURL_GLOBAL_DEFAULT));
}

CURL *http_easy_create(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CURL *e;

    (void)pthread_once(&once, global_init);
    e = curl_easy_init();
    AC_ASSERT(e);
    return e;
}

static char *describe(const char *method, const char *url)
{
    const char *host = strstr(url, "://");
    size_t scheme = host ? (size_t)(host - url) + 3 : 0, end = scheme + strcspn(url + scheme, "?#");
    size_t slash = strcspn(url + scheme, "/?#");
    const char *at = NULL;

    for (size_t i = scheme; i < scheme + slash; i++) {
        if (url[i] == '@')
            at = url + i;
    }
    return ac_xasprintf("%s %.*s%.*s", method, (int)scheme, url,
                        (int)AC_MIN(at ? (size_t)(url + end - at) - 1 : end - scheme, (size_t)120),
                        at ? at + 1 : url + scheme);
}

static size_t on_write(char *data, size_t size, size_t n, void *arg)
{
    struct http_transfer *t = arg;

    n *= size;
    if (!t->on_data)
        return ac_buf_append(&t->body, data, n) ? n : 0;
    t->last_ns = ac_now_ns();
    if (t->status && !*t->status) {
        long code = 0;
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &code);
        *t->status = (int)code;
    }
    if (!t->on_data(data, n, t->arg)) {
        t->stopped = true;
        return 0;
    }
    return n;
}

static int on_progress(void *arg, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    struct http_transfer *t = arg;

    (void)dt;
    (void)dn;
    (void)ut;
    (void)un;
    t->silent = t->silence_ns < INT64_MAX && ac_now_ns() - t->last_ns > t->silence_ns;
    return t->silent;
}

static void add_header(struct http_transfer *t, const char *line)
{
    struct curl_slist *l = curl_slist_append(t->headers, line);

    AC_ASSERT(l);
    t->headers = l;
}

static void set_blob(CURL *e, CURLoption opt, const char *pem)
{
    struct curl_blob b = {
        .data = (void *)(uintptr_t)pem, .len = pem ? strlen(pem) : 0, .flags = CURL_BLOB_COPY};

    if (pem)
        (void)curl_easy_setopt(e, opt, &b);
}

/* A proxy from the environment is for the outside, never for this machine. */
static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    const char *at;

    host = host ? host + 3 : url;
    at = memchr(host, '@', strcspn(host, "/?#"));
    host = at ? at + 1 : host;
    return ac_str_starts(host, "127.") || ac_str_starts(host, "localhost") ||
           ac_str_starts(host, "[::1]");
}

void http_transfer_init(struct http_transfer *t, const struct ac_http_call *c, CURL *easy)
{
    CURL *e = easy;
    const char *method = c->method ? c->method : c->body ? "POST" : "GET";
    long timeout = (long)((c->timeout_ns ? c->timeout_ns : 10 * AC_NS_PER_S) / AC_NS_PER_MS);

    memset(t, 0, sizeof *t);
    t->easy = e;
    t->where = describe(method, c->url);
    ac_buf_init(&t->body, c->max_response_bytes ? c->max_response_bytes : 16u << 20);
    curl_easy_reset(e);
    (void)curl_easy_setopt(e, CURLOPT_URL, c->url);
    (void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->curl_error);
    (void)curl_easy_setopt(e, CURLOPT_USERAGENT, "aceso");
    (void)curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
    (void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, AC_MAX(timeout, 1));
    (void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                           AC_MAX(AC_MIN(timeout, CONNECT_TIMEOUT_MS), 1));
    (void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    (void)curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    if (is_loopback(c->url))
        (void)curl_easy_setopt(e, CURLOPT_PROXY, "");
    if (c->body) {
        (void)curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
        (void)curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, (const char *)c->body);
        add_header(t, "Expect:"); /* no round trip for a promise */
    } else if (ac_streq(method, "HEAD")) {
        (void)curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    }
    (void)curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, method);
    for (size_t i = 0; c->headers && c->headers[i]; i++)
        add_header(t, c->headers[i]);
    if (c->bearer) {
        char *h = ac_xasprintf("Authorization: Bearer %s", c->bearer);
        add_header(t, h);
        free(h);
    }
    (void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
    set_blob(e, CURLOPT_CAINFO_BLOB, c->ca);
    set_blob(e, CURLOPT_SSLCERT_BLOB, c->client_cert);
    set_blob(e, CURLOPT_SSLKEY_BLOB, c->client_key);
    if (c->client_cert) {
        (void)curl_easy_setopt(e, CURLOPT_SSLCERTTYPE, "PEM");
        (void)curl_easy_setopt(e, CURLOPT_SSLKEYTYPE, "PEM");
    }
}

void http_transfer_fini(struct http_transfer *t)
{
    curl_slist_free_all(t->headers);
    ac_buf_fini(&t->body);
    free(t->where);
}

int http_transfer_error(const struct http_transfer *t, CURLcode rc, struct ac_err *err)
{
    const char *text = t->curl_error[0] ? t->curl_error : curl_easy_strerror(rc);

    switch (rc) {
    case CURLE_OK:
        return AC_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return ac_err_set(err, AC_ETIMEOUT, "%s: no answer in time", t->where);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CERTPROBLEM:
        return ac_err_set(err, AC_EINVAL, "%s: %s", t->where, text);
    case CURLE_WRITE_ERROR:
        if (t->stopped)
            return AC_OK;
        return ac_err_set(err, AC_ERANGE, "%s: answer larger than %zu bytes", t->where,
                          t->body.max);
    case CURLE_ABORTED_BY_CALLBACK:
        if (t->silent)
            return ac_err_set(err, AC_ETIMEOUT, "%s: the peer fell silent", t->where);
        return ac_err_set(err, AC_ECANCELED, "%s: cancelled", t->where);
    case CURLE_OUT_OF_MEMORY:
        return ac_err_set(err, AC_ENOMEM, "%s: out of memory", t->where);
    default:
        return ac_err_set(err, AC_ENET, "%s: %s", t->where, text);
    }
}

void http_transfer_response(struct http_transfer *t, struct ac_http_response *ret)
{
    const char *type = NULL;
    long code = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &code);
    (void)curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    ret->status = (int)code;
    ret->content_type = ac_xstrdup(type ? type : "");
    ret->len = t->body.len;
    ret->body = ac_buf_take(&t->body);
}

void ac_http_response_fini(struct ac_http_response *r)
{
    free(r->body);
    free(r->content_type);
    memset(r, 0, sizeof *r);
}

int ac_http_fetch(const struct ac_http_call *c, struct ac_http_response *ret, struct ac_err *err)
{
    CURL *e = http_easy_create();
    struct http_transfer t;
    int rc;

    http_transfer_init(&t, c, e);
    rc = http_transfer_error(&t, curl_easy_perform(e), err);
    if (!rc)
        http_transfer_response(&t, ret);
    http_transfer_fini(&t);
    curl_easy_cleanup(e);
    return rc;
}

int ac_http_fetch_stream(const struct ac_http_call *c, int *ret_status,
                         bool (*on_data)(const void *data, size_t len, void *arg), void *arg,
                         struct ac_err *err)
{
    CURL *e = http_easy_create();
    struct http_transfer t;
    int rc, status = 0;
    long code = 0;

    http_transfer_init(&t, c, e);
    t.on_data = on_data;
    t.arg = arg;
    t.status = ret_status ? ret_status : &status;
    *t.status = 0;
    t.silence_ns = c->timeout_ns ? c->timeout_ns : 10 * AC_NS_PER_S;
    t.last_ns = ac_now_ns();
    (void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, 0L);
    (void)curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(e, CURLOPT_XFERINFODATA, &t);
    rc = http_transfer_error(&t, curl_easy_perform(e), err);
    (void)curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &code);
    if (!*t.status)
        *t.status = (int)code; /* an answer without a body */
    http_transfer_fini(&t);
    curl_easy_cleanup(e);
    return rc;
}

/* Credentials of both sides, and connections. */
#include "rpc_impl.h"

#include <string.h>

#include <grpc/grpc_security.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

bool ac_rpc_tls_given(const struct ac_rpc_tls *tls)
{
    return tls && (tls->ca || tls->cert || tls->key);
}

static X509 *read_cert(const char *pem)
{
    BIO *b = BIO_new_mem_buf(pem, -1);
    X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
    BIO_free(b);
    return x;
}

/* Core answers a bad certificate with "port 0": look at the texts ourselves first. */
static int check_pair(const struct ac_rpc_tls *t, struct ac_err *err)
{
    int code = AC_OK;
    if (!t->cert || !t->key)
        return ac_err_set(err, AC_EINVAL, "TLS needs both a certificate and its key");
    X509 *x = read_cert(t->cert);
    BIO *b = BIO_new_mem_buf(t->key, -1);
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
    BIO_free(b);
    if (!x)
        code = ac_err_set(err, AC_EINVAL, "the TLS certificate is no PEM certificate");
    else if (!k)
        code = ac_err_set(err, AC_EINVAL, "the TLS key is no PEM private key (or is encrypted)");
    else if (X509_check_private_key(x, k) != 1)
        code = ac_err_set(err, AC_EINVAL, "the TLS key does not belong to the certificate");
    if (code == AC_OK && t->ca) {
        X509 *ca = read_cert(t->ca);
        if (!ca)
            code = ac_err_set(err, AC_EINVAL, "the TLS CA is no PEM certificate");
        X509_free(ca);
    }
    X509_free(x);
    EVP_PKEY_free(k);
    ERR_clear_error();
    return code;
}

grpc_server_credentials *ac_rpc_server_creds(const struct ac_rpc_tls *tls, struct ac_err *err)
{
    if (!ac_rpc_tls_given(tls))
        return grpc_insecure_server_credentials_create();
    if (check_pair(tls, err) < 0)
        return NULL;
    if (tls->require_client_cert && !tls->ca) {
        (void)ac_err_set(err, AC_EINVAL, "client certificates can only be checked with a CA");
        return NULL;
    }
    grpc_ssl_pem_key_cert_pair pair = {.private_key = tls->key, .cert_chain = tls->cert};
    grpc_ssl_client_certificate_request_type ask =
        tls->require_client_cert ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                 : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
    return grpc_ssl_server_credentials_create_ex(tls->ca, &pair, 1, ask, NULL);
}

grpc_channel *ac_rpc_connect(const char *target, const struct ac_rpc_tls *tls)
{
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH},
         .value.integer = (int)AC_RPC_CLIENT_MESSAGE_BYTES},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_MAX_SEND_MESSAGE_LENGTH},
         .value.integer = (int)AC_RPC_CLIENT_MESSAGE_BYTES},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_KEEPALIVE_TIME_MS},
         .value.integer = 30000},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_KEEPALIVE_TIMEOUT_MS},
         .value.integer = 10000},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA},
         .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS},
         .value.integer = 100},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_MIN_RECONNECT_BACKOFF_MS},
         .value.integer = 5000},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_MAX_RECONNECT_BACKOFF_MS},
         .value.integer = 3000},
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_ENABLE_RETRIES}, .value.integer = 0},
        /* our peers are named by address: a proxy of the environment is never meant */
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_ENABLE_HTTP_PROXY}, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL},
         .value.integer = 1},
        {.type = GRPC_ARG_STRING, .key = (char[]){GRPC_SSL_TARGET_NAME_OVERRIDE_ARG}},
    };
    grpc_channel_args ca = {.num_args = AC_ARRAY_LEN(args) - 1, .args = args};
    grpc_channel_credentials *creds;
    char *name = NULL;
    if (ac_rpc_tls_given(tls)) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = tls->key, .cert_chain = tls->cert};
        creds =
            grpc_ssl_credentials_create(tls->ca, tls->cert && tls->key ? &pair : NULL, NULL, NULL);
        if (tls->target_name) {
            name = ac_xstrdup(tls->target_name);
            args[AC_ARRAY_LEN(args) - 1].value.string = name;
            ca.num_args++;
        }
    } else {
        creds = grpc_insecure_credentials_create();
    }
    grpc_channel *g = creds ? grpc_channel_create(target, creds, &ca)
                            : grpc_lame_client_channel_create(target, GRPC_STATUS_UNAVAILABLE,
                                                              "bad TLS settings");
    if (creds)
        grpc_channel_credentials_release(creds);
    free(name);
    return g;
}

/* TLS and mutual TLS, with certificates that the test makes: a CA, a server, a client, a stranger.
 */
#include "rpc_rig.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct pair {
    EVP_PKEY *key;
    X509 *cert;
    char *key_pem, *cert_pem;
};

static char *pem(void (*write)(BIO *b, void *obj), void *obj)
{
    BIO *b = BIO_new(BIO_s_mem());
    write(b, obj);
    char *data;
    long n = BIO_get_mem_data(b, &data);
    char *text = ac_xstrndup(data, (size_t)n);
    BIO_free(b);
    return text;
}

static void write_key(BIO *b, void *k)
{
    assert_int_equal(PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL), 1);
}

static void write_cert(BIO *b, void *x)
{
    assert_int_equal(PEM_write_bio_X509(b, x), 1);
}

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* ca NULL: signs itself. */
static struct pair make_pair(const char *name, const struct pair *ca)
{
    static long serial = 1;
    struct pair p = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
    X509_set_version(p.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(p.cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(p.cert), 3600);
    X509_set_pubkey(p.cert, p.key);
    X509_NAME *n = X509_get_subject_name(p.cert);
    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509 *issuer = ca ? ca->cert : p.cert;
    X509_set_issuer_name(p.cert, X509_get_subject_name(issuer));
    if (ca)
        add_ext(p.cert, issuer, NID_subject_alt_name, "DNS:echo.test,IP:127.0.0.1");
    else
        add_ext(p.cert, issuer, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(p.cert, ca ? ca->key : p.key, EVP_sha256()) > 0);
    p.key_pem = pem(write_key, p.key);
    p.cert_pem = pem(write_cert, p.cert);
    return p;
}

static void free_pair(struct pair *p)
{
    EVP_PKEY_free(p->key);
    X509_free(p->cert);
    free(p->key_pem);
    free(p->cert_pem);
}

static struct {
    struct pair ca, server, client, other_ca, stranger;
} pki;

static int setup(void **state)
{
    (void)state;
    pki.ca = make_pair("test CA", NULL);
    pki.server = make_pair("echo.test", &pki.ca);
    pki.client = make_pair("client", &pki.ca);
    pki.other_ca = make_pair("other CA", NULL);
    pki.stranger = make_pair("stranger", &pki.other_ca);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free_pair(&pki.ca);
    free_pair(&pki.server);
    free_pair(&pki.client);
    free_pair(&pki.other_ca);
    free_pair(&pki.stranger);
    return 0;
}

static int call(struct rig *g, const struct ac_rpc_tls *tls)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int code =
        ac_rpc_call_sync(g->target, tls, NULL, ECHO "Unary", &q, REPLY, 3 * SECONDS, &m, &err);
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return code;
}

static void tls_body(struct rig *g)
{
    struct ac_rpc_tls good = {.ca = pki.ca.cert_pem};
    struct ac_rpc_tls named = {.ca = pki.ca.cert_pem, .target_name = "echo.test"};
    struct ac_rpc_tls misnamed = {.ca = pki.ca.cert_pem, .target_name = "other.test"};
    struct ac_rpc_tls wrong_ca = {.ca = pki.other_ca.cert_pem};
    CHECK(g, call(g, &good) == AC_OK);
    CHECK(g, call(g, &named) == AC_OK);
    CHECK(g, call(g, &misnamed) == AC_ENET);
    CHECK(g, call(g, &wrong_ca) == AC_ENET);
    CHECK(g, call(g, NULL) == AC_ENET); /* plaintext to a TLS port */
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    struct waiter w = {.g = g, .over = EVENT_INIT, .method = ECHO "Unary", .q = &q, .unary = true};
    CHECK(g, waiter_run(&w)); /* the asynchronous client */
    CHECK(g, w.code == AC_OK);
}

static void test_tls(void **state)
{
    (void)state;
    struct ac_rpc_tls server = {.cert = pki.server.cert_pem, .key = pki.server.key_pem};
    struct ac_rpc_tls client = {.ca = pki.ca.cert_pem};
    struct ac_rpc_server_opts o = {.listen = "127.0.0.1:0", .tls = &server};
    rig_run(rig_create(&o, &client), tls_body);
}

static void mtls_body(struct rig *g)
{
    struct ac_rpc_tls good = {
        .ca = pki.ca.cert_pem, .cert = pki.client.cert_pem, .key = pki.client.key_pem};
    struct ac_rpc_tls none = {.ca = pki.ca.cert_pem};
    struct ac_rpc_tls stranger = {
        .ca = pki.ca.cert_pem, .cert = pki.stranger.cert_pem, .key = pki.stranger.key_pem};
    CHECK(g, call(g, &good) == AC_OK);
    CHECK(g, call(g, &none) < 0);
    CHECK(g, call(g, &stranger) < 0);
    CHECK(g, atomic_load(&g->handled) == 1);
}

static void test_mutual_tls(void **state)
{
    (void)state;
    struct ac_rpc_tls server = {.ca = pki.ca.cert_pem,
                                .cert = pki.server.cert_pem,
                                .key = pki.server.key_pem,
                                .require_client_cert = true};
    struct ac_rpc_server_opts o = {.listen = "127.0.0.1:0", .tls = &server};
    rig_run(rig_create(&o, NULL), mtls_body);
}

/* Bad settings are told apart, and a server that did not start can be destroyed. */
static void expect_refused(const struct ac_rpc_tls *tls, const char *text)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_loop *loop = ac_loop_create();
    struct ac_rpc *rpc = ac_rpc_create(loop, NULL);
    struct ac_rpc_server_opts o = {.listen = "127.0.0.1:0", .tls = tls};
    struct ac_rpc_server *s = ac_rpc_server_create(rpc, &o);
    assert_int_equal(ac_rpc_server_start(s, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, text));
    ac_rpc_server_destroy(s);
    ac_rpc_destroy(rpc);
    ac_loop_destroy(loop);
}

static void test_bad_settings(void **state)
{
    (void)state;
    struct ac_rpc_tls no_key = {.cert = pki.server.cert_pem};
    struct ac_rpc_tls foreign = {.cert = pki.server.cert_pem, .key = pki.client.key_pem};
    struct ac_rpc_tls text = {.cert = "hello", .key = pki.client.key_pem};
    struct ac_rpc_tls no_pem_key = {.cert = pki.server.cert_pem, .key = "hello"};
    struct ac_rpc_tls bad_ca = {
        .ca = "hello", .cert = pki.server.cert_pem, .key = pki.server.key_pem};
    struct ac_rpc_tls no_ca = {
        .cert = pki.server.cert_pem, .key = pki.server.key_pem, .require_client_cert = true};
    expect_refused(&no_key, "both a certificate and its key");
    expect_refused(&foreign, "does not belong");
    expect_refused(&text, "no PEM certificate");
    expect_refused(&no_pem_key, "no PEM private key");
    expect_refused(&bad_ca, "CA is no PEM");
    expect_refused(&no_ca, "with a CA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_mutual_tls),
        cmocka_unit_test(test_bad_settings),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

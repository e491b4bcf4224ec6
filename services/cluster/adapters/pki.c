#include "pki.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/rng.h>
#include <aceso/str.h>

#include "core/defaults.h"

#define PEM_MAX   65536
#define TEN_YEARS (10LL * 365 * 86400)

struct maker {
    gnutls_x509_privkey_t ca_key, key;
    gnutls_x509_crt_t ca, crt;
};

static int tls_err(struct ac_err *err, int code, const char *what)
{
    return ac_err_set(err, AC_EIO, "certificates: %s: %s", what, gnutls_strerror(code));
}

static int new_key(gnutls_x509_privkey_t *k)
{
    int r = gnutls_x509_privkey_init(k);
    if (r == 0)
        r = gnutls_x509_privkey_generate(*k, GNUTLS_PK_ECDSA,
                                         GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    return r;
}

static int new_cert(gnutls_x509_crt_t *c, gnutls_x509_privkey_t key, const char *cn)
{
    uint8_t serial[16];
    time_t now = time(NULL);
    ac_random_bytes(serial, sizeof(serial));
    serial[0] &= 0x7f;
    int r = gnutls_x509_crt_init(c);
    if (r == 0)
        r = gnutls_x509_crt_set_version(*c, 3);
    if (r == 0)
        r = gnutls_x509_crt_set_serial(*c, serial, sizeof(serial));
    if (r == 0)
        r = gnutls_x509_crt_set_activation_time(*c, now - 86400);
    if (r == 0)
        r = gnutls_x509_crt_set_expiration_time(*c, now + TEN_YEARS);
    if (r == 0)
        r = gnutls_x509_crt_set_dn_by_oid(*c, GNUTLS_OID_X520_COMMON_NAME, 0, cn,
                                          (unsigned)strlen(cn));
    if (r == 0)
        r = gnutls_x509_crt_set_key(*c, key);
    return r;
}

static int make_ca(struct maker *m)
{
    int r = new_key(&m->ca_key);
    if (r == 0)
        r = new_cert(&m->ca, m->ca_key, "aceso-cluster");
    if (r == 0)
        r = gnutls_x509_crt_set_basic_constraints(m->ca, 1, 0);
    if (r == 0)
        r = gnutls_x509_crt_set_key_usage(m->ca, GNUTLS_KEY_KEY_CERT_SIGN);
    if (r == 0)
        r = gnutls_x509_crt_sign2(m->ca, m->ca, m->ca_key, GNUTLS_DIG_SHA256, 0);
    return r;
}

static int make_server(struct maker *m)
{
    static const char *const names[] = {"localhost", "kubernetes", "kubernetes.default",
                                        "kubernetes.default.svc"};
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    int r = new_key(&m->key);
    if (r == 0)
        r = new_cert(&m->crt, m->key, "aceso-cluster-api");
    for (size_t i = 0; r == 0 && i < AC_ARRAY_LEN(names); i++)
        r = gnutls_x509_crt_set_subject_alt_name(m->crt, GNUTLS_SAN_DNSNAME, names[i],
                                                 (unsigned)strlen(names[i]), GNUTLS_FSAN_APPEND);
    if (r == 0)
        r = gnutls_x509_crt_set_subject_alt_name(m->crt, GNUTLS_SAN_IPADDRESS, loopback, 4,
                                                 GNUTLS_FSAN_APPEND);
    if (r == 0)
        r = gnutls_x509_crt_set_key_usage(m->crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (r == 0)
        r = gnutls_x509_crt_set_key_purpose_oid(m->crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (r == 0)
        r = gnutls_x509_crt_sign2(m->crt, m->ca, m->ca_key, GNUTLS_DIG_SHA256, 0);
    return r;
}

static char *take_text(gnutls_datum_t *d)
{
    char *s = ac_xstrndup((const char *)d->data, d->size);
    gnutls_free(d->data);
    return s;
}

static int export_all(struct maker *m, struct pki *p)
{
    gnutls_datum_t d;
    int r = gnutls_x509_crt_export2(m->ca, GNUTLS_X509_FMT_PEM, &d);
    if (r == 0) {
        p->ca = take_text(&d);
        r = gnutls_x509_crt_export2(m->crt, GNUTLS_X509_FMT_PEM, &d);
    }
    if (r == 0) {
        p->cert = take_text(&d);
        r = gnutls_x509_privkey_export2(m->key, GNUTLS_X509_FMT_PEM, &d);
    }
    if (r == 0)
        p->key = take_text(&d);
    return r;
}

static int make_certs(struct pki *p, struct ac_err *err)
{
    struct maker m = {0};
    int r = make_ca(&m);
    if (r == 0)
        r = make_server(&m);
    if (r == 0)
        r = export_all(&m, p);
    gnutls_x509_crt_deinit(m.ca);
    gnutls_x509_crt_deinit(m.crt);
    gnutls_x509_privkey_deinit(m.ca_key);
    gnutls_x509_privkey_deinit(m.key);
    return r == 0 ? 0 : tls_err(err, r, "generation");
}

static int load(const char *dir, const char *name, char **ret, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, name);
    size_t n;
    return ac_file_read(path, PEM_MAX, ret, &n, err);
}

static int save(const char *dir, const char *name, const char *text, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, name);
    return ac_file_write_atomic(path, text, strlen(text), 0600, err);
}

static void hex(const uint8_t *b, size_t n, char *dst)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        dst[2 * i] = digits[b[i] >> 4];
        dst[2 * i + 1] = digits[b[i] & 15];
    }
    dst[2 * n] = '\0';
}

static int make_all(const char *dir, struct pki *p, struct ac_err *err)
{
    uint8_t secret[32];
    char text[80];
    int r = make_certs(p, err);
    if (r == 0)
        r = save(dir, "ca.crt", p->ca, err);
    if (r == 0)
        r = save(dir, "server.crt", p->cert, err);
    ac_random_bytes(secret, sizeof(secret));
    hex(secret, sizeof(secret), text);
    p->admin_token = ac_xstrdup(text);
    if (r == 0)
        r = save(dir, "admin.token", text, err);
    ac_random_bytes(p->account_key, sizeof(p->account_key));
    hex(p->account_key, sizeof(p->account_key), text);
    if (r == 0)
        r = save(dir, "account.key", text, err);
    /* Last: its presence says that all is there. */
    if (r == 0)
        r = save(dir, "server.key", p->key, err);
    return r;
}

static bool unhex(const char *text, uint8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned v;
        if (strlen(text) < 2 || sscanf(text, "%2x", &v) != 1)
            return false;
        dst[i] = (uint8_t)v;
        text += 2;
    }
    return true;
}

int pki_open(const char *dir, struct pki *p, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *last = ac_xasprintf("%s/server.key", dir);
    ac_cleanup(ac_free_p) char *key = NULL;
    memset(p, 0, sizeof(*p));
    int r = ac_dir_create(dir, 0700, err);
    if (r != 0)
        return r;
    if (!ac_path_exists(last))
        return make_all(dir, p, err);
    r = load(dir, "ca.crt", &p->ca, err);
    if (r == 0)
        r = load(dir, "server.crt", &p->cert, err);
    if (r == 0)
        r = load(dir, "server.key", &p->key, err);
    if (r == 0)
        r = load(dir, "admin.token", &p->admin_token, err);
    if (r == 0)
        r = load(dir, "account.key", &key, err);
    if (r == 0 && !unhex(key, p->account_key, sizeof(p->account_key)))
        r = ac_err_set(err, AC_EINVAL, "%s/account.key: damaged", dir);
    return r;
}

void pki_fini(struct pki *p)
{
    free(p->ca);
    free(p->cert);
    free(p->key);
    free(p->admin_token);
    memset(p, 0, sizeof(*p));
}

int pki_write_kubeconfig(const struct pki *p, const char *server, const char *path,
                         struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *ca = ac_base64(p->ca, strlen(p->ca));
    ac_cleanup(ac_free_p) char *text = ac_xasprintf("apiVersion: v1\n"
                                                    "kind: Config\n"
                                                    "clusters:\n"
                                                    "- name: aceso\n"
                                                    "  cluster:\n"
                                                    "    server: %s\n"
                                                    "    certificate-authority-data: %s\n"
                                                    "users:\n"
                                                    "- name: admin\n"
                                                    "  user:\n"
                                                    "    token: %s\n"
                                                    "contexts:\n"
                                                    "- name: aceso\n"
                                                    "  context:\n"
                                                    "    cluster: aceso\n"
                                                    "    user: admin\n"
                                                    "current-context: aceso\n",
                                                    server, ca, p->admin_token);
    return ac_file_write_atomic(path, text, strlen(text), 0600, err);
}

static void sign(const struct pki *p, const char *text, char dst[65])
{
    uint8_t mac[32];
    int r = gnutls_hmac_fast(GNUTLS_MAC_SHA256, p->account_key, sizeof(p->account_key), text,
                             strlen(text), mac);
    AC_ASSERT(r == 0);
    hex(mac, sizeof(mac), dst);
}

/* sa.<until>.<ns>.<account>.<mac>: an account's name may hold dots, a namespace's may not. */
char *pki_account_token(const struct pki *p, const char *ns, const char *account, int64_t until_s)
{
    char mac[65];
    ac_cleanup(ac_free_p) char *body =
        ac_xasprintf("sa.%lld.%s.%s", (long long)until_s, ns, account);
    sign(p, body, mac);
    return ac_xasprintf("%s.%s", body, mac);
}

static bool same_secret(const char *a, const char *b)
{
    size_t n = strlen(a);
    return n == strlen(b) && gnutls_memcmp(a, b, n) == 0;
}

static int identify_account(const struct pki *p, const char *token, int64_t now_s,
                            struct pki_identity *ret, struct ac_err *err)
{
    char mac[65];
    int64_t until;
    ac_cleanup(ac_free_p) char *copy = ac_xstrdup(token);
    char *last = strrchr(copy, '.');
    if (last == NULL)
        return ac_err_set(err, AC_EUNAUTH, "Unauthorized");
    *last = '\0';
    sign(p, copy, mac);
    if (!same_secret(mac, last + 1))
        return ac_err_set(err, AC_EUNAUTH, "Unauthorized");
    char *rest = copy;
    (void)ac_str_next(&rest, '.');
    const char *time_text = ac_str_next(&rest, '.'), *ns = ac_str_next(&rest, '.');
    if (time_text == NULL || ns == NULL || rest == NULL || !ac_str_to_i64(time_text, &until) ||
        until < now_s)
        return ac_err_set(err, AC_EUNAUTH, "Unauthorized: the token is over");
    ret->admin = false;
    ac_str_copy(ret->ns, sizeof(ret->ns), ns);
    ac_str_copy(ret->account, sizeof(ret->account), rest);
    return 0;
}

int pki_identify(const struct pki *p, const char *authorization, int64_t now_s,
                 struct pki_identity *ret, struct ac_err *err)
{
    memset(ret, 0, sizeof(*ret));
    if (authorization == NULL || strncmp(authorization, "Bearer ", 7) != 0)
        return ac_err_set(err, AC_EUNAUTH, "Unauthorized");
    const char *token = authorization + 7;
    if (same_secret(token, p->admin_token)) {
        ret->admin = true;
        return 0;
    }
    if (ac_str_starts(token, "sa."))
        return identify_account(p, token, now_s, ret, err);
    return ac_err_set(err, AC_EUNAUTH, "Unauthorized");
}

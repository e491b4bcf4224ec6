/* The options of every service, and the files that they name. */
#include "svc_impl.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>

#define PEM_MAX_BYTES   (1u << 20)
#define TOKEN_MAX_BYTES (1u << 20)

#define OPT(field, key, type, def, lo, hi, flags, help)                                            \
    {key, AC_CONF_##type, offsetof(struct ac_svc_conf, field), def, lo, hi, flags, help},
const struct ac_conf_opt ac_svc_opts_[] = {
#include "svc.def"
};
#undef OPT
const size_t ac_svc_n_opts_ = AC_ARRAY_LEN(ac_svc_opts_);

static int read_pem(const char *option, const char *path, char **ret, struct ac_err *err)
{
    size_t len;
    if (ac_str_empty(path))
        return AC_OK;
    if (ac_file_read(path, PEM_MAX_BYTES, ret, &len, err) < 0)
        return ac_err_wrap(err, "--%s", option);
    if (strlen(*ret) != len || !strstr(*ret, "-----BEGIN "))
        return ac_err_set(err, AC_EINVAL, "--%s: %s is no PEM file", option, path);
    return AC_OK;
}

static int read_tokens(const char *path, char ***ret, struct ac_err *err)
{
    char *text = NULL;
    size_t len, n = 0, cap = 0;
    if (ac_str_empty(path))
        return AC_OK;
    if (ac_file_read(path, TOKEN_MAX_BYTES, &text, &len, err) < 0)
        return ac_err_wrap(err, "--token-file");
    char *rest = text, *line;
    while ((line = ac_str_next(&rest, '\n'))) {
        line = ac_str_trim(line);
        if (line[0] == '\0' || line[0] == '#')
            continue;
        ac_grow(ret, &cap, n + 2, sizeof(**ret));
        (*ret)[n++] = ac_xstrdup(line);
        (*ret)[n] = NULL;
    }
    explicit_bzero(text, len);
    free(text);
    if (n == 0)
        return ac_err_set(err, AC_EINVAL, "--token-file: %s holds no token: put one on a line",
                          path);
    return AC_OK;
}

int ac_svc_load_secrets_(struct ac_svc *s, struct ac_err *err)
{
    struct ac_svc_priv *p = s->priv;
    const struct ac_svc_conf *c = &s->conf;
    if (ac_str_empty(c->tls_cert) != ac_str_empty(c->tls_key))
        return ac_err_set(err, AC_EINVAL, "--tls-cert and --tls-key go together");
    if (c->http_tls && ac_str_empty(c->tls_cert))
        return ac_err_set(err, AC_EINVAL, "--http-tls needs --tls-cert and --tls-key");
    int code = read_pem("tls-cert", c->tls_cert, &p->cert, err);
    if (code == AC_OK)
        code = read_pem("tls-key", c->tls_key, &p->key, err);
    if (code == AC_OK)
        code = read_pem("tls-ca", c->tls_ca, &p->ca, err);
    if (code == AC_OK)
        code = read_tokens(c->token_file, &p->tokens, err);
    return code;
}

void ac_svc_free_secrets_(struct ac_svc *s)
{
    struct ac_svc_priv *p = s->priv;
    if (p->key)
        explicit_bzero(p->key, strlen(p->key));
    free(p->cert);
    free(p->key);
    free(p->ca);
    for (char **t = p->tokens; t && *t; t++) {
        explicit_bzero(*t, strlen(*t));
        free(*t);
    }
    free(p->tokens);
}

bool ac_svc_tls(const struct ac_svc *s, struct ac_rpc_tls *ret)
{
    const struct ac_svc_priv *p = s->priv;
    *ret = (struct ac_rpc_tls){.ca = p->ca, .cert = p->cert, .key = p->key};
    return p->ca || p->cert;
}

struct ac_rpc_channel *ac_svc_channel(struct ac_svc *s, const char *address)
{
    const struct ac_svc_priv *p = s->priv;
    struct ac_rpc_tls tls;
    bool secure = ac_svc_tls(s, &tls);
    struct ac_rpc_channel *ch = ac_rpc_channel_create(s->rpc, address, secure ? &tls : NULL);
    if (p->tokens)
        ac_rpc_channel_set_token(ch, p->tokens[0]);
    return ch;
}

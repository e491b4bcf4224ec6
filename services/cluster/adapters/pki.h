/* Who may talk to the API: the instance's own CA and server certificate, the administrator's token,
 * tokens of service accounts, and the kubeconfig that carries them. Files in the state directory,
 * made once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

struct pki {
    char *ca, *cert, *key; /* PEM */
    char *admin_token;
    uint8_t account_key[32];
};

struct pki_identity {
    bool admin;
    char ns[128], account[128]; /* a service account */
};

int pki_open(const char *dir, struct pki *p, struct ac_err *err) AC_MUST_USE;
void pki_fini(struct pki *p);
/** Writes a kubeconfig with the administrator's token. */
int pki_write_kubeconfig(const struct pki *p, const char *server, const char *path,
                         struct ac_err *err) AC_MUST_USE;
/** Token of a service account that is valid until a wall time (s). Caller frees. */
char *pki_account_token(const struct pki *p, const char *ns, const char *account, int64_t until_s);
/** token as sent ("Bearer x" or NULL). AC_EUNAUTH. */
int pki_identify(const struct pki *p, const char *authorization, int64_t now_s,
                 struct pki_identity *ret, struct ac_err *err) AC_MUST_USE;

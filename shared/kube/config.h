/* What a kubeconfig's current context says (all texts owned), and what the module's files share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/kube.h>

struct kube_config {
    char *server;                                /* https://host:port */
    char *ca, *token, *client_cert, *client_key; /* PEM texts and a bearer token; NULL = absent */
};

int kube_config_load(const char *path, struct kube_config *c, struct ac_err *err) AC_MUST_USE;
void kube_config_fini(struct kube_config *c);

/* kube.c: the code for an HTTP status, and a GET whose answer comes in pieces (see
 * ac_http_fetch_stream). */
int kube_status_code(int http, const json_t *answer);
int kube_stream(struct ac_kube *k, const char *path, int64_t silence_ns, int *ret_status,
                bool (*on_data)(const void *data, size_t len, void *arg), void *arg,
                struct ac_err *err) AC_MUST_USE;

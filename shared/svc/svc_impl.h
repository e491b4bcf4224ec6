/* Internals of the services' frame. Everything here is the loop thread's. */
#pragma once

#include <aceso/svc.h>

struct ac_svc_priv {
    int exit_code;
    bool stopping, stopped, listening;
    struct ac_timer *linger, *guard;
    char *cert, *key, *ca; /* PEM texts */
    char **tokens;         /* NULL-ended, or NULL */
    char grpc_address[300], http_address[300];
};

extern const struct ac_conf_opt ac_svc_opts_[];
extern const size_t ac_svc_n_opts_;

/** Reads the files that the options name. */
int ac_svc_load_secrets_(struct ac_svc *s, struct ac_err *err);
void ac_svc_free_secrets_(struct ac_svc *s);
int ac_svc_http_start_(struct ac_svc *s, struct ac_err *err);
void ac_svc_process_metrics_(struct ac_svc *s);
/** Prints the ready line, writes ready_file. */
int ac_svc_announce_(struct ac_svc *s, struct ac_err *err);
/** "host:port" as a peer dials it: listen with the port that was got. */
void ac_svc_address_(const char *listen, int port, char *dst, size_t size);

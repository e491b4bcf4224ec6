/* A client's TCP connection on the loop: resolves, connects, reads, writes. Loop thread. */
#pragma once

#include <stddef.h>

#include <aceso/loop.h>

struct app_tcp;

struct app_tcp_fns {
    void (*connected)(void *arg);
    void (*data)(void *arg, const char *data, size_t len);
    /** Refused, reset or closed by the peer: the connection is gone, app_tcp_close must not be
     * called any more. code 0 = the peer ended it properly. */
    void (*closed)(void *arg, int code, const char *why);
};

/** Never fails at once; errors come by closed. host: a name or an address. */
struct app_tcp *app_tcp_connect(struct ac_loop *l, const char *host, int port,
                                const struct app_tcp_fns *fns, void *arg);
/** Copies. Before connected: kept until then. */
void app_tcp_write(struct app_tcp *t, const void *data, size_t len);
size_t app_tcp_unsent(const struct app_tcp *t);
/** No function is called afterwards. NULL is fine. */
void app_tcp_close(struct app_tcp *t);

/** Where a service of the application is: NAME_SERVICE_HOST and NAME_SERVICE_PORT as Kubernetes
 * sets them for name, else the name itself and port. host of 256 bytes. */
void app_resolve(const char *name, int port, char *host, int *ret_port);

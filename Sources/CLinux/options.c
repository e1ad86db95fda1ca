// SPDX-License-Identifier: Apache-2.0
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CLinux.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define RESULT(call) ({ __typeof__(call) result_ = (call); result_ < 0 ? -errno : result_; })

static const struct {
    int level, name;
} options[] = {
    [CL_REUSEADDR] = {SOL_SOCKET, SO_REUSEADDR},
    [CL_REUSEPORT] = {SOL_SOCKET, SO_REUSEPORT},
    [CL_OOBINLINE] = {SOL_SOCKET, SO_OOBINLINE},
    [CL_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE},
    [CL_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
    [CL_V6ONLY] = {IPPROTO_IPV6, IPV6_V6ONLY},
    [CL_BUSY_POLL] = {SOL_SOCKET, SO_BUSY_POLL},
    [CL_SEND_BUFFER] = {SOL_SOCKET, SO_SNDBUF},
    [CL_RECEIVE_BUFFER] = {SOL_SOCKET, SO_RCVBUF},
    [CL_ERROR] = {SOL_SOCKET, SO_ERROR},
    [CL_BIND_ADDRESS_NO_PORT] = {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    [CL_QUICK_ACK] = {IPPROTO_TCP, TCP_QUICKACK},
    [CL_KEEP_IDLE] = {IPPROTO_TCP, TCP_KEEPIDLE},
    [CL_KEEP_INTERVAL] = {IPPROTO_TCP, TCP_KEEPINTVL},
    [CL_KEEP_COUNT] = {IPPROTO_TCP, TCP_KEEPCNT},
    [CL_USER_TIMEOUT] = {IPPROTO_TCP, TCP_USER_TIMEOUT},
    [CL_NOT_SENT_LOW_WATERMARK] = {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    [CL_FAST_OPEN] = {IPPROTO_TCP, TCP_FASTOPEN},
    [CL_FAST_OPEN_CONNECT] = {IPPROTO_TCP, TCP_FASTOPEN_CONNECT},
    [CL_DEFER_ACCEPT] = {IPPROTO_TCP, TCP_DEFER_ACCEPT},
    [CL_MARK] = {SOL_SOCKET, SO_MARK},
    [CL_INCOMING_CPU] = {SOL_SOCKET, SO_INCOMING_CPU},
};

int cl_set_option(int fd, int option, int value) {
    return RESULT(setsockopt(fd, options[option].level, options[option].name, &value, sizeof value));
}

int cl_get_option(int fd, int option, int *value) {
    socklen_t length = sizeof *value;
    return RESULT(getsockopt(fd, options[option].level, options[option].name, value, &length));
}

static int domain(int fd) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &length) < 0 ? -errno : value;
}

int cl_set_traffic_class(int fd, int value) {
    int family = domain(fd);
    if (family < 0) return family;
    if (family != AF_INET && family != AF_INET6) return -EOPNOTSUPP;
    int result = RESULT(setsockopt(fd, IPPROTO_IP, IP_TOS, &value, sizeof value));
    if (family == AF_INET) return result;
    // An IPv6 socket has the first for those of its peers that are IPv4's.
    return RESULT(setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof value));
}

int cl_get_traffic_class(int fd) {
    int family = domain(fd), value = 0;
    socklen_t length = sizeof value;
    if (family < 0) return family;
    if (family != AF_INET && family != AF_INET6) return -EOPNOTSUPP;
    int result = family == AF_INET ? getsockopt(fd, IPPROTO_IP, IP_TOS, &value, &length)
                                   : getsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &value, &length);
    return result < 0 ? -errno : value;
}

// SPDX-License-Identifier: Apache-2.0
//
// What the C and C++ peers share: a listening socket on 127.0.0.1, and how they say that something failed.

#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int fail(const char *what, int error) {
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    return 71;  // EX_OSERR
}

static inline void set_no_delay(int descriptor) {
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline uint16_t port_of(int argc, char **argv) {
    int port = argc == 2 ? atoi(argv[1]) : 0;
    if (port <= 0 || port > UINT16_MAX) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        exit(64);  // EX_USAGE
    }
    return (uint16_t)port;
}

static inline void say_listening(int argc, char **argv) {
    // A peer that is gone is an error of its connection, and no end of the server.
    signal(SIGPIPE, SIG_IGN);
    printf("listening on 127.0.0.1:%d\n", port_of(argc, argv));
    fflush(stdout);
}

// A listening socket at the port that the command line names; ends the program when there can be none.
static inline int listen_on(int argc, char **argv) {
    struct sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_of(argc, argv));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        exit(fail("listen", errno));
    say_listening(argc, argv);
    return listener;
}

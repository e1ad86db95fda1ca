// SPDX-License-Identifier: Apache-2.0
//
// small_send_buffer: a preload for check_floor.py that gives every accepted socket the smallest
// send buffer. Loopback sockets take megabytes before they refuse a byte; with this one, partial
// sends happen after a few KiB, also in the corners where a test could not arrange them otherwise.
//
// Usage: LD_PRELOAD=build/small_send_buffer.so epoll_echo ...

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/socket.h>

int accept4(int listener, struct sockaddr *restrict address, socklen_t *restrict length, int flags) {
    static int (*real_accept4)(int, struct sockaddr *restrict, socklen_t *restrict, int);
    if (real_accept4 == NULL) *(void **)&real_accept4 = dlsym(RTLD_NEXT, "accept4");
    int descriptor = real_accept4(listener, address, length, flags);
    int smallest = 1;
    if (descriptor >= 0) setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest);
    return descriptor;
}

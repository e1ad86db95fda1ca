// SPDX-License-Identifier: Apache-2.0
//
// The system's resolver: getaddrinfo(3).
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CLinux.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

int cl_resolve(const char *host, uint16_t port, cl_address *addresses, int count) {
    // One entry per address, and not one for each type of socket.
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int result = getaddrinfo(host, NULL, &hints, &found);
    if (result != 0) return result;
    int stored = 0;
    for (struct addrinfo *entry = found; entry != NULL && stored < count; entry = entry->ai_next) {
        if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
        cl_decode_address(entry->ai_addr, entry->ai_addrlen, &addresses[stored]);
        addresses[stored++].port = port;
    }
    freeaddrinfo(found);
    return stored > 0 ? stored : EAI_NODATA;
}

const char *cl_resolve_message(int code) { return code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code); }
int cl_resolve_is_temporary(int code) { return code == EAI_AGAIN || code == EAI_MEMORY || code == EAI_SYSTEM; }

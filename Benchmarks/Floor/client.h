// SPDX-License-Identifier: Apache-2.0
//
// What the C clients share: failing with a place, the clock, pinning, the descriptor limit, and
// opening more connections to one port than one source address has ports for.

#ifndef FLOOR_CLIENT_H
#define FLOOR_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

// An ephemeral range of 28,000 ports is shared with what earlier runs left in TIME_WAIT, so no
// source address is used for more connections than this.
enum { CONNECTIONS_PER_SOURCE = 4000, CONNECT_TIMEOUT_SECONDS = 10 };

// The exit code when the server broke its promise: wrong, lost or surplus bytes.
enum { EXIT_NOT_AN_ECHO = 1 };

static const char *program_name = "client";

static inline _Noreturn void fail(int exit_code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline _Noreturn void fail(int exit_code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(exit_code);
}

static inline uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// Also CPU time, of this process or (clock_getcpuclockid) of another.
static inline uint64_t cpu_clock_ns(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0)
        fail(EX_UNAVAILABLE, "CPU clock: %s (has the server ended?)", strerror(errno));
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline void sleep_ns(uint64_t duration_ns) {
    struct timespec time = {(time_t)(duration_ns / 1000000000u), (long)(duration_ns % 1000000000u)};
    nanosleep(&time, NULL);
}

// Pins the calling thread. A negative CPU means: leave it where it may run.
static inline void pin_to_cpu(int cpu) {
    if (cpu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        fail(EX_OSERR, "cannot pin to CPU %d: %s", cpu, strerror(errno));
}

static inline void raise_descriptor_limit(int needed) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail(EX_OSERR, "getrlimit: %s", strerror(errno));
    if (limit.rlim_max < (rlim_t)needed)
        fail(EX_USAGE, "%d descriptors are needed, the hard limit is %lu (ulimit -Hn)", needed,
             (unsigned long)limit.rlim_max);
    if (limit.rlim_cur < (rlim_t)needed) limit.rlim_cur = (rlim_t)needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail(EX_OSERR, "setrlimit: %s", strerror(errno));
}

static inline long parse_integer(const char *name, const char *text, long lowest, long highest) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < lowest || value > highest)
        fail(EX_USAGE, "%s %s: expected a number from %ld to %ld", name, text, lowest, highest);
    return value;
}

static inline double parse_seconds(const char *name, const char *text, double highest) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= highest))
        fail(EX_USAGE, "%s %s: expected seconds from 0 to %g", name, text, highest);
    return value;
}

// "127.0.0.1:7000" or "localhost:7000".
static inline struct sockaddr_in parse_endpoint(const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        fail(EX_USAGE, "--connect %s: expected HOST:PORT", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    struct sockaddr_in endpoint = {.sin_family = AF_INET};
    endpoint.sin_port = htons((uint16_t)parse_integer("--connect port", colon + 1, 1, 65535));
    const char *address = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (inet_pton(AF_INET, address, &endpoint.sin_addr) != 1)
        fail(EX_USAGE, "--connect %s: expected a numeric IPv4 address", text);
    return endpoint;
}

// Opens a blocking connection; its sends and receives time out as connecting does.
//
// `ordinal` counts the connections of this process: above CONNECTIONS_PER_SOURCE they come from
// other addresses of 127.0.0.0/8 (all of which are local). The first one depends on the process,
// because the ports of the run before are still in TIME_WAIT.
static inline int connect_stream(struct sockaddr_in endpoint, int ordinal, bool many_sources) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) fail(EX_OSERR, "socket: %s", strerror(errno));
    int on = 1;
    struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_SECONDS};
    if (setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0)
        fail(EX_OSERR, "setsockopt: %s", strerror(errno));
    bool is_loopback = (ntohl(endpoint.sin_addr.s_addr) >> 24) == 127;
    if (many_sources && is_loopback) {
        struct sockaddr_in source = {.sin_family = AF_INET};
        uint32_t host = 2 + (uint32_t)(getpid() + ordinal / CONNECTIONS_PER_SOURCE) % 250;
        source.sin_addr.s_addr = htonl(0x7f000000u + host);
        // The port is chosen by connect, which knows the destination, and not by bind.
        if (setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
            bind(descriptor, (struct sockaddr *)&source, sizeof source) != 0)
            fail(EX_OSERR, "cannot bind a source address: %s", strerror(errno));
    }
    if (connect(descriptor, (struct sockaddr *)&endpoint, sizeof endpoint) != 0) {
        // Linux says EINPROGRESS when SO_SNDTIMEO ends a connect.
        fail(EX_UNAVAILABLE, "connection %d to %s:%d: %s", ordinal, inet_ntoa(endpoint.sin_addr),
             ntohs(endpoint.sin_port),
             errno == EINPROGRESS ? "timed out (accept queue full?)" : strerror(errno));
    }
    return descriptor;
}

#endif

// SPDX-License-Identifier: Apache-2.0
//
// udp_echo: the raw C floor of a UDP echo server on Linux, in the three ways there are.
//
//   --mode single   recvfrom, sendto: two calls for each datagram
//   --mode batch    recvmmsg, sendmmsg: two calls for as many as wait, 64 at most
//   --mode groups   the same with UDP_GRO and UDP_SEGMENT: datagrams of one size that follow each
//                   other from one peer come and go as one message
//
//   --wait block    the receive itself waits: the fewest calls
//   --wait epoll    a wait in front, as a server of many sockets has it
//
// Usage: udp_echo [--port 0] [--mode single|batch|groups] [--wait block|epoll]
//
// Prints `listening on 127.0.0.1:PORT`; on SIGTERM or SIGINT one line of JSON, and exits 0.

#define _GNU_SOURCE
#include "client.h"

#include <getopt.h>
#include <netinet/udp.h>
#include <signal.h>
#include <sys/epoll.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

enum {
    BATCH = 64,
    GROUPS = 16,
    DATAGRAM_BYTES = 2048,
    GROUP_BYTES = 65536,
    RECEIVE_BUFFER_BYTES = 8 << 20,
    CONTROL_BYTES = CMSG_SPACE(sizeof(int)),
};

enum mode { SINGLE, BATCHED, GROUPED };

static volatile sig_atomic_t is_stopping;
static struct {
    uint64_t datagrams, receives, sends, waits, dropped;
} counters;

static unsigned char memory[GROUPS * GROUP_BYTES];

static void on_signal(int number) {
    (void)number;
    is_stopping = 1;
}

// False when nothing waits, or a signal came.
static bool receive_failed_for_good(void) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED) return false;
    fail(EX_OSERR, "receiving: %s", strerror(errno));
}

static void serve_singles(int socket, bool waits) {
    struct sockaddr_in peer;
    while (!is_stopping) {
        socklen_t length = sizeof peer;
        counters.receives++;
        ssize_t count = recvfrom(socket, memory, DATAGRAM_BYTES, 0, (struct sockaddr *)&peer, &length);
        if (count < 0) {
            receive_failed_for_good();
            if (!waits) return;
            continue;
        }
        counters.datagrams++;
        counters.sends++;
        if (sendto(socket, memory, (size_t)count, 0, (struct sockaddr *)&peer, length) < 0) counters.dropped++;
    }
}

static struct mmsghdr messages[BATCH];
static struct iovec pieces[BATCH];
static struct sockaddr_in peers[BATCH];
static _Alignas(struct cmsghdr) char controls[BATCH][CONTROL_BYTES];

static int segment_of(struct msghdr *message) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header))
        if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) return *(int *)CMSG_DATA(header);
    return 0;
}

// Makes an answer of what was received.
static void answer(struct mmsghdr *entry, bool groups) {
    struct msghdr *message = &entry->msg_hdr;
    int segment = groups ? segment_of(message) : 0;
    message->msg_iov->iov_len = entry->msg_len;
    counters.datagrams += segment > 0 ? (entry->msg_len + (unsigned)segment - 1) / (unsigned)segment : 1;
    if (segment == 0) {
        message->msg_control = NULL;
        message->msg_controllen = 0;
        return;
    }
    message->msg_controllen = CMSG_SPACE(sizeof(uint16_t));
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    *(uint16_t *)CMSG_DATA(header) = (uint16_t)segment;
}

static void serve_batches(int socket, bool waits, bool groups) {
    int most = groups ? GROUPS : BATCH;
    size_t room = groups ? GROUP_BYTES : DATAGRAM_BYTES;
    while (!is_stopping) {
        for (int i = 0; i < most; i++) {
            pieces[i] = (struct iovec){memory + (size_t)i * room, room};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &pieces[i], .msg_iovlen = 1,
                .msg_control = groups ? controls[i] : NULL, .msg_controllen = groups ? CONTROL_BYTES : 0,
            };
        }
        counters.receives++;
        int count = recvmmsg(socket, messages, (unsigned)most, waits ? MSG_WAITFORONE : 0, NULL);
        if (count < 0) {
            receive_failed_for_good();
            if (!waits) return;
            continue;
        }
        for (int i = 0; i < count; i++) answer(&messages[i], groups);
        for (int sent = 0; sent < count;) {
            counters.sends++;
            int taken = sendmmsg(socket, messages + sent, (unsigned)(count - sent), 0);
            if (taken < 0) counters.dropped++;
            sent += taken > 0 ? taken : 1;
        }
        // Fewer than there was room for: the socket is empty.
        if (!waits && count < most) return;
    }
}

int main(int argument_count, char **arguments) {
    program_name = "udp_echo";
    static const struct option flags[] = {
        {"port", required_argument, NULL, 'p'}, {"mode", required_argument, NULL, 'm'},
        {"wait", required_argument, NULL, 'w'}, {NULL, 0, NULL, 0},
    };
    enum mode mode = SINGLE;
    bool waits = true;
    int port = 0, flag;
    while ((flag = getopt_long(argument_count, arguments, "", flags, NULL)) != -1) {
        switch (flag) {
        case 'p': port = (int)parse_integer("--port", optarg, 0, 65535); break;
        case 'm':
            if (strcmp(optarg, "single") == 0) mode = SINGLE;
            else if (strcmp(optarg, "batch") == 0) mode = BATCHED;
            else if (strcmp(optarg, "groups") == 0) mode = GROUPED;
            else fail(EX_USAGE, "--mode %s: single, batch or groups", optarg);
            break;
        case 'w':
            if (strcmp(optarg, "block") == 0) waits = true;
            else if (strcmp(optarg, "epoll") == 0) waits = false;
            else fail(EX_USAGE, "--wait %s: block or epoll", optarg);
            break;
        default: exit(EX_USAGE);
        }
    }
    struct sigaction action = {.sa_handler = on_signal};  // Without SA_RESTART: it ends the wait.
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    int socket_descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int on = 1, buffer = RECEIVE_BUFFER_BYTES;
    if (socket_descriptor < 0 || bind(socket_descriptor, (struct sockaddr *)&address, length) != 0 ||
        getsockname(socket_descriptor, (struct sockaddr *)&address, &length) != 0)
        fail(EX_OSERR, "port %d: %s", port, strerror(errno));
    setsockopt(socket_descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    // A signal right before the wait is seen after this at the latest.
    struct timeval limit = {.tv_usec = 200000};
    if (waits) setsockopt(socket_descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (mode == GROUPED && setsockopt(socket_descriptor, IPPROTO_UDP, UDP_GRO, &on, sizeof on) != 0)
        fail(EX_OSERR, "UDP_GRO: %s", strerror(errno));
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    int epoll = -1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    if (!waits) {
        epoll = epoll_create1(EPOLL_CLOEXEC);
        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, socket_descriptor, &event) != 0)
            fail(EX_OSERR, "epoll: %s", strerror(errno));
    }
    while (!is_stopping) {
        if (!waits) {
            counters.waits++;
            if (epoll_wait(epoll, &event, 1, -1) < 1) continue;
        }
        if (mode == SINGLE) serve_singles(socket_descriptor, waits);
        else serve_batches(socket_descriptor, waits, mode == GROUPED);
    }
    printf("{\"messages\": %lu, \"recv\": %lu, \"send\": %lu, \"epoll_wait\": %lu, \"dropped\": %lu}\n",
           counters.datagrams, counters.receives, counters.sends, counters.waits, counters.dropped);
    return 0;
}

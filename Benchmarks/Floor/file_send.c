// SPDX-License-Identifier: Apache-2.0
//
// file_send: the raw C floor of a server of one file: each byte of a request is answered with the whole file.
//
//   --mode sendfile   sendfile(2): its bytes go from the page cache to the socket
//   --mode read       preadv2(2) from the page cache, then send(2)
//   --mode copy       send(2) of the bytes, which were read once, at the start
//   --mode zerocopy   the same with MSG_ZEROCOPY, and the completions taken from the error queue
//
// One epoll loop, edge-triggered, one thread. A connection sends until its socket is full, and goes on with the edge
// that tells of room.
//
// Usage: file_send --file PATH [--port 0] [--mode sendfile|read|copy|zerocopy]
//
// Prints `listening on 127.0.0.1:PORT`; on SIGTERM or SIGINT one line of JSON, and exits 0.

#define _GNU_SOURCE
#include "client.h"

#include <fcntl.h>
#include <getopt.h>
#include <linux/errqueue.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { EVENTS = 64, REQUEST_BYTES = 4096 };
enum mode { SENDFILE, READ, COPY, ZEROCOPY };

struct connection {
    int descriptor;
    uint64_t wanted;  // Files that were asked for and not sent whole.
    size_t offset;    // Sent of the first of them.
};

static volatile sig_atomic_t is_stopping;
static enum mode mode = SENDFILE;
static int file = -1;
static size_t file_bytes;
static unsigned char *memory, buffer[64 << 10];
static struct {
    uint64_t files, receives, sends, waits, completions, copied;
} counters;

static void on_signal(int number) {
    (void)number;
    is_stopping = 1;
}

static ssize_t send_some(struct connection *connection) {
    counters.sends++;
    size_t left = file_bytes - connection->offset;
    if (mode == SENDFILE) {
        off_t offset = (off_t)connection->offset;
        return sendfile(connection->descriptor, file, &offset, left);
    }
    if (mode == READ) {
        struct iovec piece = {buffer, left < sizeof buffer ? left : sizeof buffer};
        ssize_t count = preadv2(file, &piece, 1, (off_t)connection->offset, RWF_NOWAIT);
        if (count < 0 && errno == EOPNOTSUPP) count = preadv2(file, &piece, 1, (off_t)connection->offset, 0);
        return count < 1 ? count : send(connection->descriptor, buffer, (size_t)count, MSG_NOSIGNAL);
    }
    int flags = MSG_NOSIGNAL | (mode == ZEROCOPY ? MSG_ZEROCOPY : 0);
    return send(connection->descriptor, memory + connection->offset, left, flags);
}

// False when the connection is over.
static bool send_all(struct connection *connection) {
    while (connection->wanted > 0) {
        ssize_t sent = send_some(connection);
        if (sent < 0) return errno == EAGAIN || errno == ENOBUFS;
        if (sent == 0) fail(EX_IOERR, "the file became shorter");
        connection->offset += (size_t)sent;
        if (connection->offset < file_bytes) {
            // Full, mostly; or a buffer's worth, or the memory of completions has run out: no edge tells of those.
            if (mode == ZEROCOPY || mode == READ) continue;
            return true;
        }
        connection->offset = 0;
        connection->wanted--;
        counters.files++;
    }
    return true;
}

static void take_completions(struct connection *connection) {
    _Alignas(struct cmsghdr) char control[256];
    for (;;) {
        struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(connection->descriptor, &message, MSG_ERRQUEUE) < 0) return;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header == NULL) return;
        struct sock_extended_err *error = (struct sock_extended_err *)CMSG_DATA(header);
        if (error->ee_origin != SO_EE_ORIGIN_ZEROCOPY) return;
        counters.completions += error->ee_data - error->ee_info + 1;
        if (error->ee_code & SO_EE_CODE_ZEROCOPY_COPIED) counters.copied += error->ee_data - error->ee_info + 1;
    }
}

// False when the connection is over.
static bool receive_requests(struct connection *connection) {
    char requests[REQUEST_BYTES];
    for (;;) {
        counters.receives++;
        ssize_t count = recv(connection->descriptor, requests, sizeof requests, 0);
        if (count < 0) return errno == EAGAIN;
        if (count == 0) return false;
        connection->wanted += (uint64_t)count;
        if ((size_t)count < sizeof requests) return true;
    }
}

static void accept_all(int listener, int epoll) {
    for (;;) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (descriptor < 0) return;
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) fail(EX_OSERR, "no memory");
        connection->descriptor = descriptor;
        if (mode == ZEROCOPY && setsockopt(descriptor, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) != 0)
            fail(EX_OSERR, "SO_ZEROCOPY: %s", strerror(errno));
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) fail(EX_OSERR, "epoll_ctl: %s", strerror(errno));
    }
}

static void serve(struct connection *connection, uint32_t events) {
    if (events & EPOLLERR && mode == ZEROCOPY) take_completions(connection);
    bool goes_on = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) goes_on = receive_requests(connection);
    if (goes_on && send_all(connection)) return;
    close(connection->descriptor);
    free(connection);
}

static void open_file(const char *path) {
    struct stat status;
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0) fail(EX_NOINPUT, "%s: %s", path, strerror(errno));
    if (status.st_size <= 0) fail(EX_DATAERR, "%s is empty", path);
    file_bytes = (size_t)status.st_size;
    memory = malloc(file_bytes);
    if (memory == NULL || pread(file, memory, file_bytes, 0) != (ssize_t)file_bytes)
        fail(EX_IOERR, "%s can't be read whole", path);
}

int main(int argument_count, char **arguments) {
    program_name = "file_send";
    static const struct option flags[] = {
        {"file", required_argument, NULL, 'f'}, {"port", required_argument, NULL, 'p'},
        {"mode", required_argument, NULL, 'm'}, {NULL, 0, NULL, 0},
    };
    int flag, port = 0;
    while ((flag = getopt_long(argument_count, arguments, "", flags, NULL)) != -1) {
        switch (flag) {
        case 'f': open_file(optarg); break;
        case 'p': port = (int)parse_integer("--port", optarg, 0, 65535); break;
        case 'm':
            if (strcmp(optarg, "sendfile") == 0) mode = SENDFILE;
            else if (strcmp(optarg, "read") == 0) mode = READ;
            else if (strcmp(optarg, "copy") == 0) mode = COPY;
            else if (strcmp(optarg, "zerocopy") == 0) mode = ZEROCOPY;
            else fail(EX_USAGE, "--mode %s: sendfile, read, copy or zerocopy", optarg);
            break;
        default: exit(EX_USAGE);
        }
    }
    if (file < 0) fail(EX_USAGE, "--file PATH is missing");
    struct sigaction action = {.sa_handler = on_signal};  // Without SA_RESTART: it ends the wait.
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);  // sendfile(2) has no MSG_NOSIGNAL.

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    // Accepted sockets inherit it.
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        fail(EX_OSERR, "port %d: %s", port, strerror(errno));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN | EPOLLET, .data.ptr = NULL}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, events) != 0) fail(EX_OSERR, "epoll: %s", strerror(errno));
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (!is_stopping) {
        counters.waits++;
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) accept_all(listener, epoll);
            else serve(events[i].data.ptr, events[i].events);
        }
    }
    printf("{\"messages\": %lu, \"recv\": %lu, \"send\": %lu, \"epoll_wait\": %lu, \"completions\": %lu, "
           "\"copied\": %lu}\n",
           counters.files, counters.receives, counters.sends, counters.waits, counters.completions, counters.copied);
    return 0;
}

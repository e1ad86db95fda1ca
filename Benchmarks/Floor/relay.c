// SPDX-License-Identifier: Apache-2.0
//
// relay: the raw C floor of a TCP forwarder: what comes in on one side goes out on the other, both ways.
//
//   --mode copy     recv(2) of up to --piece bytes into one buffer, send(2) from there; what a full socket does not
//                   take is kept aside, and nothing is read from the other side meanwhile
//   --mode splice   splice(2) into a pipe of each direction and out of it: the bytes stay in the kernel
//
// One epoll loop, edge-triggered, one thread.
//
// Usage: relay --to HOST:PORT [--port 0] [--mode copy|splice] [--piece 65536]
//
// Prints `listening on 127.0.0.1:PORT`; on SIGTERM or SIGINT one line of JSON, and exits 0.

#define _GNU_SOURCE
#include "client.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>

enum { EVENTS = 64, PIECE_MAX = 1 << 20 };
// Pieces of one side that are passed on at an event, before others have their turn.
enum { PIECES_PER_EVENT = 4 };

struct side {
    int descriptor;
    struct side *other;
    // On their way from this side to the other one: in the pipe, or in memory.
    int pipe[2];
    unsigned char *kept;
    size_t kept_offset, kept_bytes;
    bool may_have_input, has_ended;
    bool is_queued, is_closed;
    struct side *next;
};

static volatile sig_atomic_t is_stopping;
static struct sockaddr_in target;
static bool splices;
static size_t piece_bytes = 65536;
static unsigned char buffer[PIECE_MAX];
static int epoll;
static struct side *queue;  // Sides that have had their turn, and have more.
static struct side *closed; // Freed when the batch of events is done.
static struct {
    uint64_t receives, sends, waits, bytes;
} counters;

static void on_signal(int number) {
    (void)number;
    is_stopping = 1;
}

// Passes on what waits between the sides. False when some of it has to wait longer; `is_closed` when the side broke.
static bool send_kept(struct side *side) {
    while (side->kept_bytes > 0) {
        counters.sends++;
        ssize_t count = splices
            ? splice(side->pipe[0], NULL, side->other->descriptor, NULL, side->kept_bytes, SPLICE_F_NONBLOCK | SPLICE_F_MOVE)
            : send(side->other->descriptor, side->kept + side->kept_offset, side->kept_bytes, MSG_NOSIGNAL);
        if (count <= 0) {
            if (errno != EAGAIN) side->is_closed = true;
            return false;
        }
        counters.bytes += (uint64_t)count;
        side->kept_offset += (size_t)count;
        side->kept_bytes -= (size_t)count;
    }
    return true;
}

// Takes a piece in and passes on what the other side takes: the bytes that came, 0 at the end, -1 for none now.
static ssize_t pass_piece(struct side *side) {
    counters.receives++;
    if (splices) {
        ssize_t count = splice(side->descriptor, NULL, side->pipe[1], NULL, piece_bytes, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (count > 0) side->kept_bytes = (size_t)count;
        return count;
    }
    ssize_t count = recv(side->descriptor, buffer, piece_bytes, 0);
    if (count <= 0) return count;
    counters.sends++;
    ssize_t sent = send(side->other->descriptor, buffer, (size_t)count, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        side->is_closed = true;
        return count;
    }
    if (sent < 0) sent = 0;
    counters.bytes += (uint64_t)sent;
    side->kept_offset = 0;
    side->kept_bytes = (size_t)(count - sent);
    if (side->kept_bytes == 0) return count;
    if (side->kept == NULL && (side->kept = malloc(piece_bytes)) == NULL) fail(EX_OSERR, "no memory");
    memcpy(side->kept, buffer + sent, side->kept_bytes);
    return count;
}

// Passes on what this side has, as far as the other one takes it.
static void pass(struct side *side) {
    for (int pieces = 0; !side->is_closed && !side->has_ended && pieces < PIECES_PER_EVENT; pieces++) {
        if (!send_kept(side) || !side->may_have_input) return;
        ssize_t count = pass_piece(side);
        if (count < 0) {
            side->may_have_input = false;
            if (errno != EAGAIN) side->is_closed = true;
            return;
        }
        if (count == 0) {
            side->has_ended = true;
            shutdown(side->other->descriptor, SHUT_WR);
            return;
        }
    }
    if (side->is_closed || side->has_ended || side->is_queued) return;
    side->is_queued = true;
    side->next = queue;
    queue = side;
}

static void finish(struct side *side) {
    if (side->descriptor < 0) return;
    struct side *both[] = {side, side->other};
    for (int i = 0; i < 2; i++) {
        close(both[i]->descriptor);
        if (splices) close(both[i]->pipe[0]), close(both[i]->pipe[1]);
        both[i]->descriptor = -1;
        both[i]->is_closed = true;
        // On the list of those with more, it is freed from there.
        if (both[i]->is_queued) continue;
        both[i]->next = closed;
        closed = both[i];
    }
}

static void pass_both(struct side *side) {
    if (side->descriptor < 0) return;
    pass(side);
    if (!side->is_closed) pass(side->other);
    bool is_over = side->is_closed || side->other->is_closed || (side->has_ended && side->other->has_ended);
    if (is_over) finish(side);
}

static struct side *make_side(int descriptor) {
    struct side *side = calloc(1, sizeof *side);
    int on = 1;
    if (side == NULL) fail(EX_OSERR, "no memory");
    side->descriptor = descriptor;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (splices) {
        if (pipe2(side->pipe, O_NONBLOCK | O_CLOEXEC) != 0) fail(EX_OSERR, "pipe2: %s", strerror(errno));
        if (fcntl(side->pipe[0], F_SETPIPE_SZ, (int)piece_bytes) < 0) fail(EX_OSERR, "F_SETPIPE_SZ: %s", strerror(errno));
    }
    return side;
}

static void accept_all(int listener) {
    for (;;) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) return;
        int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (far < 0 || connect(far, (struct sockaddr *)&target, sizeof target) != 0 || fcntl(far, F_SETFL, O_NONBLOCK) < 0)
            fail(EX_UNAVAILABLE, "--to: %s", strerror(errno));
        struct side *sides[] = {make_side(descriptor), make_side(far)};
        for (int i = 0; i < 2; i++) {
            sides[i]->other = sides[1 - i];
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = sides[i]};
            if (epoll_ctl(epoll, EPOLL_CTL_ADD, sides[i]->descriptor, &event) != 0)
                fail(EX_OSERR, "epoll_ctl: %s", strerror(errno));
        }
    }
}

static void serve(int listener) {
    struct epoll_event events[EVENTS];
    counters.waits++;
    int count = epoll_wait(epoll, events, EVENTS, queue != NULL ? 0 : -1);
    for (int i = 0; i < count; i++) {
        struct side *side = events[i].data.ptr;
        if (side == NULL) {
            accept_all(listener);
            continue;
        }
        if (events[i].events & ~(uint32_t)EPOLLOUT) side->may_have_input = true;
        pass_both(side);
    }
    struct side *left = queue;
    queue = NULL;
    while (left != NULL) {
        struct side *side = left;
        left = side->next;
        side->is_queued = false;
        if (side->descriptor >= 0) {
            pass_both(side);
        } else {
            side->next = closed;
            closed = side;
        }
    }
    while (closed != NULL) {
        struct side *side = closed;
        closed = side->next;
        free(side->kept);
        free(side);
    }
}

int main(int argument_count, char **arguments) {
    program_name = "relay";
    static const struct option flags[] = {
        {"to", required_argument, NULL, 't'},   {"port", required_argument, NULL, 'p'},
        {"mode", required_argument, NULL, 'm'}, {"piece", required_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    int flag, port = 0;
    while ((flag = getopt_long(argument_count, arguments, "", flags, NULL)) != -1) {
        switch (flag) {
        case 't': target = parse_endpoint(optarg); break;
        case 'p': port = (int)parse_integer("--port", optarg, 0, 65535); break;
        case 'b': piece_bytes = (size_t)parse_integer("--piece", optarg, 4096, PIECE_MAX); break;
        case 'm':
            if (strcmp(optarg, "copy") == 0) splices = false;
            else if (strcmp(optarg, "splice") == 0) splices = true;
            else fail(EX_USAGE, "--mode %s: copy or splice", optarg);
            break;
        default: exit(EX_USAGE);
        }
    }
    if (target.sin_port == 0) fail(EX_USAGE, "--to HOST:PORT is missing");
    struct sigaction action = {.sa_handler = on_signal};  // Without SA_RESTART: it ends the wait.
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);  // splice(2) has no MSG_NOSIGNAL.

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        fail(EX_OSERR, "port %d: %s", port, strerror(errno));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) fail(EX_OSERR, "epoll: %s", strerror(errno));
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (!is_stopping) serve(listener);
    printf("{\"messages\": null, \"recv\": %lu, \"send\": %lu, \"epoll_wait\": %lu, \"bytes\": %lu}\n",
           counters.receives, counters.sends, counters.waits, counters.bytes);
    return 0;
}

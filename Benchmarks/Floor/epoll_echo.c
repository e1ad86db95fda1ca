// SPDX-License-Identifier: Apache-2.0
//
// epoll_echo: the raw C floor of a TCP echo server on Linux.
//
// What it is the floor of: one epoll loop per thread, no framework, no abstraction, no timers.
// Whatever an engine adds (safety, budgets, buffers, callbacks) shows as its distance from here.
//
// Why it is as fast as it can be:
// - A message costs one recv and one send; the wait is shared by all events of a batch.
// - No allocation per message: bytes are received into one buffer per thread and sent from there.
//   Only what a socket refuses to take is copied aside, and freed once it is sent.
// - One thread means a process with one thread: the kernel then skips the reference count on
//   every descriptor look-up. So worker 0 is the main thread, and signals arrive through an
//   eventfd in the same epoll instead of through a waiting thread.
// - TCP_NODELAY and SO_OOBINLINE are set on the listener and inherited: accepting costs
//   accept4 + epoll_ctl and no setsockopt.
// - With --trigger edge a connection is registered once, for reading and writing together.
//   Level triggering makes epoll_wait look at every served socket a second time, but can do
//   without the bookkeeping. Which is faster depends on the workload, so it is a flag, like
//   everything else that does: `compare.py floor-modes` picks the best for each workload.
//
// It is a correct echo: partial sends are kept in order, reading a connection pauses while it
// has unsent bytes, a half-closed peer gets its answer, urgent data comes back in line, and
// running out of descriptors sheds connections instead of spinning. What it is not: fair. A
// peer that never stops sending holds --read until-eagain for as long as it likes.
//
// Threads share nothing: each has its own SO_REUSEPORT listener, epoll and buffer.
//
// Usage: epoll_echo [--port 0] [--threads 1] [--cpus 0,1] [--trigger level|edge]
//                   [--read until-short|until-eagain|once] [--send inline|batch]
//                   [--events 64..1024]
//
// Prints `listening on 127.0.0.1:PORT` first; on SIGTERM or SIGINT one line of JSON with what it
// counted, and exits 0. Message boundaries are the client's business, so "messages" is null.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    // The most that one recv takes. A recv that returns less has emptied the socket.
    READ_BYTES = 64 * 1024,
    // Room for the received bytes of one batch with --send batch; when fewer than READ_BYTES are
    // left the batch so far is sent early. 256 KiB still fits the second-level cache.
    ARENA_BYTES = 4 * READ_BYTES,
    EVENTS_MIN = 64,
    EVENTS_MAX = 1024,
    // The rest of the accept queue waits for the next turn (the listener is level-triggered).
    ACCEPTS_PER_TURN = 256,
    THREADS_MAX = 256,
    // Connections are looked up by descriptor. A hard limit above this is not used.
    DESCRIPTORS_MAX = 1 << 20,
};

enum trigger { TRIGGER_LEVEL, TRIGGER_EDGE };
enum read_mode { READ_UNTIL_SHORT, READ_UNTIL_EAGAIN, READ_ONCE };
enum send_mode { SEND_INLINE, SEND_BATCH };

static struct {
    enum trigger trigger;
    enum read_mode read;
    enum send_mode send;
    int events_per_wait;
    int thread_count;
    int port;
    int cpus[THREADS_MAX];
    int cpu_count;
} options = {
    .trigger = TRIGGER_EDGE,
    .read = READ_UNTIL_SHORT,
    .send = SEND_INLINE,
    .events_per_wait = 256,
    .thread_count = 1,
};

// 24 bytes, only read on the fast path. A connection without unsent bytes owns no memory.
struct connection {
    unsigned char *unsent;
    uint32_t unsent_offset;
    uint32_t unsent_end;
    bool is_open;
};

struct counters {
    uint64_t recv, recv_eagain, recv_bytes;
    uint64_t send, send_partial, send_bytes;
    uint64_t epoll_wait, epoll_ctl, events;
    uint64_t accept4, accepts, closes, shed;
};

// Bytes in the arena that wait for the end of the batch.
struct pending_send {
    int descriptor;
    unsigned char *bytes;
    size_t byte_count;
};

struct worker {
    _Alignas(128) int epoll;
    int listener;
    int spare_descriptor;  // Given up to accept and close a connection that has no descriptor.
    bool is_stopping;
    unsigned char *arena;
    size_t arena_used;
    struct pending_send pending[EVENTS_MAX];
    int pending_count;
    int index;
    pthread_t thread;
    struct counters counters;
};

static struct connection *connections;  // Indexed by descriptor.
static size_t connection_capacity;
static int stop_event = -1;

static _Noreturn void fail(int exit_code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static _Noreturn void fail(int exit_code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("epoll_echo: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(exit_code);
}

// Interest

static void watch(struct worker *worker, int operation, int descriptor, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = descriptor};
    worker->counters.epoll_ctl++;
    if (epoll_ctl(worker->epoll, operation, descriptor, &event) != 0)
        fail(EX_OSERR, "epoll_ctl(%d, %d): %s", operation, descriptor, strerror(errno));
}

// Closing

// Inline, at the moment the end is seen. That is the floor for closes too, and what makes a
// storm of closes visible to every other connection.
static void close_connection(struct worker *worker, int descriptor) {
    struct connection *connection = &connections[descriptor];
    free(connection->unsent);
    *connection = (struct connection){0};
    worker->counters.closes++;
    close(descriptor);
}

// Sending

static void keep_unsent(struct worker *worker, int descriptor, const unsigned char *bytes,
                        size_t byte_count) {
    struct connection *connection = &connections[descriptor];
    unsigned char *copy = malloc(byte_count);
    if (copy == NULL) {
        close_connection(worker, descriptor);
        return;
    }
    memcpy(copy, bytes, byte_count);
    connection->unsent = copy;
    connection->unsent_offset = 0;
    connection->unsent_end = (uint32_t)byte_count;
    worker->counters.send_partial++;
    // Edge-triggered sockets are registered for writing already.
    if (options.trigger == TRIGGER_LEVEL) watch(worker, EPOLL_CTL_MOD, descriptor, EPOLLOUT);
}

// Afterwards the connection is idle, or has unsent bytes, or is closed.
static void send_or_keep(struct worker *worker, int descriptor, const unsigned char *bytes,
                         size_t byte_count) {
    worker->counters.send++;
    ssize_t sent = send(descriptor, bytes, byte_count, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN) {  // ECONNRESET, EPIPE, ETIMEDOUT: nobody is left to answer.
            close_connection(worker, descriptor);
            return;
        }
        sent = 0;
    }
    worker->counters.send_bytes += (uint64_t)sent;
    if ((size_t)sent < byte_count)
        keep_unsent(worker, descriptor, bytes + sent, byte_count - (size_t)sent);
}

static void send_pending(struct worker *worker) {
    for (int i = 0; i < worker->pending_count; i++) {
        struct pending_send *pending = &worker->pending[i];
        send_or_keep(worker, pending->descriptor, pending->bytes, pending->byte_count);
    }
    worker->pending_count = 0;
    worker->arena_used = 0;
}

static void queue_send(struct worker *worker, int descriptor, unsigned char *bytes,
                       size_t byte_count) {
    worker->arena_used += byte_count;
    if (worker->pending_count > 0) {
        struct pending_send *last = &worker->pending[worker->pending_count - 1];
        if (last->descriptor == descriptor) {
            last->byte_count += byte_count;  // The arena is filled in order: they are adjacent.
            return;
        }
    }
    worker->pending[worker->pending_count++] = (struct pending_send){descriptor, bytes, byte_count};
}

// Reading

static void on_end_of_stream(struct worker *worker, int descriptor) {
    struct connection *connection = &connections[descriptor];
    if (worker->pending_count > 0) send_pending(worker);  // Its answer may be among them.
    // With unsent bytes it stays open: once they are gone it is read again, and ends again.
    if (connection->is_open && connection->unsent == NULL) close_connection(worker, descriptor);
}

// `to_end`: a short read does not stop it. Needed after RDHUP or HUP under edge triggering,
// where the end of the stream will not be announced again.
static void on_readable(struct worker *worker, int descriptor, bool to_end) {
    struct connection *connection = &connections[descriptor];
    for (;;) {
        if (worker->arena_used > ARENA_BYTES - READ_BYTES) {
            send_pending(worker);
            if (!connection->is_open || connection->unsent != NULL) return;
        }
        unsigned char *bytes = worker->arena + worker->arena_used;
        worker->counters.recv++;
        ssize_t count = recv(descriptor, bytes, READ_BYTES, 0);
        if (count <= 0) {
            if (count == 0) {
                on_end_of_stream(worker, descriptor);
            } else if (errno == EAGAIN) {
                worker->counters.recv_eagain++;
            } else {
                // ECONNRESET and the like. Send the batch first: it may name this descriptor.
                if (worker->pending_count > 0) send_pending(worker);
                if (connection->is_open) close_connection(worker, descriptor);
            }
            return;
        }
        worker->counters.recv_bytes += (uint64_t)count;
        if (options.send == SEND_BATCH) {
            queue_send(worker, descriptor, bytes, (size_t)count);
        } else {
            send_or_keep(worker, descriptor, bytes, (size_t)count);
            // Unsent bytes pause reading: what waits in the socket is read once they are gone.
            if (!connection->is_open || connection->unsent != NULL) return;
        }
        if (options.read == READ_ONCE) return;
        if (options.read == READ_UNTIL_SHORT && count < READ_BYTES && !to_end) return;
    }
}

static void on_writable(struct worker *worker, int descriptor) {
    struct connection *connection = &connections[descriptor];
    worker->counters.send++;
    ssize_t sent = send(descriptor, connection->unsent + connection->unsent_offset,
                        connection->unsent_end - connection->unsent_offset, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN) close_connection(worker, descriptor);
        return;
    }
    worker->counters.send_bytes += (uint64_t)sent;
    connection->unsent_offset += (uint32_t)sent;
    if (connection->unsent_offset < connection->unsent_end) return;

    free(connection->unsent);
    connection->unsent = NULL;
    if (options.trigger == TRIGGER_LEVEL) {
        watch(worker, EPOLL_CTL_MOD, descriptor, EPOLLIN);
    } else {
        on_readable(worker, descriptor, true);  // The edges of the pause are gone.
    }
}

// Accepting

static void shed_connection(struct worker *worker) {
    close(worker->spare_descriptor);
    int descriptor = accept4(worker->listener, NULL, NULL, SOCK_CLOEXEC);
    if (descriptor >= 0) close(descriptor);
    worker->spare_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    worker->counters.shed++;
}

static void on_acceptable(struct worker *worker) {
    uint32_t interest = EPOLLIN;
    if (options.trigger == TRIGGER_EDGE) interest = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        worker->counters.accept4++;
        int descriptor = accept4(worker->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) {
            if (errno == EMFILE || errno == ENFILE) {
                shed_connection(worker);
                continue;
            }
            if (errno == ECONNABORTED || errno == EPERM || errno == EINTR) continue;
            return;  // EAGAIN: the queue is empty. ENOBUFS, ENOMEM: again next turn.
        }
        if ((size_t)descriptor >= connection_capacity) {
            close(descriptor);
            worker->counters.shed++;
            continue;
        }
        worker->counters.accepts++;
        connections[descriptor] = (struct connection){.is_open = true};
        watch(worker, EPOLL_CTL_ADD, descriptor, interest);
    }
}

// The loop

static void on_event(struct worker *worker, struct epoll_event event) {
    int descriptor = event.data.fd;
    if (descriptor == worker->listener) {
        on_acceptable(worker);
        return;
    }
    if (descriptor == stop_event) {
        worker->is_stopping = true;
        return;
    }
    // No stale events: a descriptor is in a batch once and is closed only by its own event or
    // at the end of the batch, and a number that accept4 reuses was closed in an earlier event.
    if (connections[descriptor].unsent != NULL) {
        if (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) on_writable(worker, descriptor);
    } else if (event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        on_readable(worker, descriptor, event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    }
}

static void *run(void *argument) {
    struct worker *worker = argument;
    if (options.cpu_count > 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(options.cpus[worker->index % options.cpu_count], &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0)
            fail(EX_OSERR, "cannot pin to CPU %d: %s",
                 options.cpus[worker->index % options.cpu_count], strerror(errno));
    }
    // After pinning, so that the first touch is on this CPU's node.
    worker->arena = aligned_alloc(4096, ARENA_BYTES);
    if (worker->arena == NULL) fail(EX_OSERR, "no memory for the receive buffer");
    memset(worker->arena, 0, ARENA_BYTES);

    struct epoll_event events[EVENTS_MAX];
    while (!worker->is_stopping) {
        int count = epoll_wait(worker->epoll, events, options.events_per_wait, -1);
        worker->counters.epoll_wait++;
        if (count < 0) {
            if (errno == EINTR) continue;
            fail(EX_OSERR, "epoll_wait: %s", strerror(errno));
        }
        worker->counters.events += (uint64_t)count;
        for (int i = 0; i < count; i++) on_event(worker, events[i]);
        if (worker->pending_count > 0) send_pending(worker);
    }
    return NULL;
}

// Starting and stopping

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    uint64_t one = 1;
    // Never read again: level-triggered, it wakes every worker until each has stopped.
    if (write(stop_event, &one, sizeof one) < 0) _exit(EX_OSERR);
    errno = saved;
}

static int open_listener(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) fail(EX_OSERR, "socket: %s", strerror(errno));
    int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(listener, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) != 0 ||
        setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail(EX_OSERR, "setsockopt: %s", strerror(errno));
    // Not with one thread: a port that another process has would be shared instead of refused.
    if (options.thread_count > 1 &&
        setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        fail(EX_OSERR, "SO_REUSEPORT: %s", strerror(errno));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0)
        fail(EX_UNAVAILABLE, "cannot bind 127.0.0.1:%d: %s", port, strerror(errno));
    if (listen(listener, SOMAXCONN) != 0) fail(EX_OSERR, "listen: %s", strerror(errno));
    return listener;
}

static int bound_port(int listener) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        fail(EX_OSERR, "getsockname: %s", strerror(errno));
    return ntohs(address.sin_port);
}

static void prepare_connections(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail(EX_OSERR, "getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur > DESCRIPTORS_MAX) limit.rlim_cur = DESCRIPTORS_MAX;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail(EX_OSERR, "setrlimit: %s", strerror(errno));
    connection_capacity = limit.rlim_cur;
    connections = calloc(connection_capacity, sizeof *connections);
    if (connections == NULL) fail(EX_OSERR, "no memory for %zu connections", connection_capacity);
}

static void prepare_worker(struct worker *worker, int index) {
    worker->index = index;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll < 0) fail(EX_OSERR, "epoll_create1: %s", strerror(errno));
    worker->spare_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    // Port 0 is chosen by the first listener and shared by the others.
    worker->listener = open_listener(options.port);
    options.port = bound_port(worker->listener);
    watch(worker, EPOLL_CTL_ADD, stop_event, EPOLLIN);
    watch(worker, EPOLL_CTL_ADD, worker->listener, EPOLLIN);
}

static void print_counters(const struct worker *workers) {
    struct counters sum = {0};
    const size_t field_count = sizeof sum / sizeof(uint64_t);
    for (int i = 0; i < options.thread_count; i++) {
        const uint64_t *fields = (const uint64_t *)&workers[i].counters;
        for (size_t f = 0; f < field_count; f++) ((uint64_t *)&sum)[f] += fields[f];
    }
    printf("{\"messages\": null, \"recv\": %lu, \"recv_eagain\": %lu, \"recv_bytes\": %lu, "
           "\"send\": %lu, \"send_partial\": %lu, \"send_bytes\": %lu, "
           "\"epoll_wait\": %lu, \"epoll_ctl\": %lu, \"events\": %lu, "
           "\"accept4\": %lu, \"accepts\": %lu, \"closes\": %lu, \"shed\": %lu}\n",
           sum.recv, sum.recv_eagain, sum.recv_bytes, sum.send, sum.send_partial, sum.send_bytes,
           sum.epoll_wait, sum.epoll_ctl, sum.events, sum.accept4, sum.accepts, sum.closes,
           sum.shed);
    fflush(stdout);
}

// Arguments

static int parse_integer(const char *name, const char *text, int lowest, int highest) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < lowest || value > highest)
        fail(EX_USAGE, "%s %s: expected a number from %d to %d", name, text, lowest, highest);
    return (int)value;
}

static int parse_choice(const char *name, const char *text, const char *const choices[]) {
    for (int i = 0; choices[i] != NULL; i++)
        if (strcmp(text, choices[i]) == 0) return i;
    fprintf(stderr, "epoll_echo: %s %s: expected one of", name, text);
    for (int i = 0; choices[i] != NULL; i++) fprintf(stderr, " %s", choices[i]);
    fputc('\n', stderr);
    exit(EX_USAGE);
}

static void parse_cpus(char *text) {
    for (char *item = strtok(text, ","); item != NULL; item = strtok(NULL, ",")) {
        if (options.cpu_count == THREADS_MAX) fail(EX_USAGE, "--cpus: at most %d", THREADS_MAX);
        options.cpus[options.cpu_count++] = parse_integer("--cpus", item, 0, CPU_SETSIZE - 1);
    }
}

static void parse_arguments(int argument_count, char **arguments) {
    static const char *const triggers[] = {"level", "edge", NULL};
    static const char *const reads[] = {"until-short", "until-eagain", "once", NULL};
    static const char *const sends[] = {"inline", "batch", NULL};
    static const struct option flags[] = {
        {"port", required_argument, NULL, 'p'},   {"threads", required_argument, NULL, 'n'},
        {"cpus", required_argument, NULL, 'c'},   {"trigger", required_argument, NULL, 't'},
        {"read", required_argument, NULL, 'r'},   {"send", required_argument, NULL, 's'},
        {"events", required_argument, NULL, 'e'}, {NULL, 0, NULL, 0},
    };
    int flag;
    while ((flag = getopt_long(argument_count, arguments, "", flags, NULL)) != -1) {
        switch (flag) {
        case 'p': options.port = parse_integer("--port", optarg, 0, 65535); break;
        case 'n': options.thread_count = parse_integer("--threads", optarg, 1, THREADS_MAX); break;
        case 'c': parse_cpus(optarg); break;
        case 't': options.trigger = parse_choice("--trigger", optarg, triggers); break;
        case 'r': options.read = parse_choice("--read", optarg, reads); break;
        case 's': options.send = parse_choice("--send", optarg, sends); break;
        case 'e':
            options.events_per_wait = parse_integer("--events", optarg, EVENTS_MIN, EVENTS_MAX);
            break;
        default: exit(EX_USAGE);
        }
    }
    if (optind < argument_count) fail(EX_USAGE, "unexpected argument %s", arguments[optind]);
    // An edge does not come twice: bytes beyond the first 64 KiB would wait for the next ones.
    if (options.trigger == TRIGGER_EDGE && options.read == READ_ONCE)
        fail(EX_USAGE, "--read once would lose bytes with --trigger edge");
}

int main(int argument_count, char **arguments) {
    parse_arguments(argument_count, arguments);
    prepare_connections();

    stop_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (stop_event < 0) fail(EX_OSERR, "eventfd: %s", strerror(errno));
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    size_t workers_size = sizeof(struct worker) * (size_t)options.thread_count;
    struct worker *workers = aligned_alloc(_Alignof(struct worker), workers_size);
    if (workers == NULL) fail(EX_OSERR, "no memory for the workers");
    memset(workers, 0, workers_size);
    for (int i = 0; i < options.thread_count; i++) prepare_worker(&workers[i], i);
    printf("listening on 127.0.0.1:%d\n", options.port);
    fflush(stdout);

    for (int i = 1; i < options.thread_count; i++) {
        int error = pthread_create(&workers[i].thread, NULL, run, &workers[i]);
        if (error != 0) fail(EX_OSERR, "pthread_create: %s", strerror(error));
    }
    run(&workers[0]);
    for (int i = 1; i < options.thread_count; i++) pthread_join(workers[i].thread, NULL);
    print_counters(workers);
    for (int i = 0; i < options.thread_count; i++) free(workers[i].arena);
    free(workers);
    free(connections);
    return 0;
}

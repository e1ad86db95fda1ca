// SPDX-License-Identifier: Apache-2.0
//
// udp_load: a closed-loop load generator for any UDP echo server, which verifies every byte and
// counts what was lost.
//
// Each peer is a socket of its own that keeps `--depth` datagrams of `--size` bytes in flight. With
// `--groups` a peer sends them as one message (UDP_SEGMENT), takes their answers as one (UDP_GRO),
// and sends the next ones when all have come back.
//
// A datagram names its peer, its place in the window and its number; the rest are bytes of one
// random table, from a place that these three decide. One that has not come back after half a
// second without any is lost: it is counted, and its place is used again.
//
// Measured as echo_load does, whose flags and JSON these are; `lost` comes in addition.
//
// Usage: udp_load --connect HOST:PORT [--connections 64] [--size 64] [--depth 1] [--groups]
//                 [--duration 2] [--warmup 0.5] [--cpu K] [--server-pid P] [--slices] [--json]
//
// Exit: 0; 1 wrong bytes; 64 usage; 71 the system refused.

#define _GNU_SOURCE
#include "client.h"

#include <fcntl.h>
#include <getopt.h>
#include <netinet/udp.h>
#include <sys/epoll.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

enum {
    PERIOD_BYTES = 16411,
    MESSAGE_BYTES_MAX = 65507,
    PEERS_MAX = 16000,
    DEPTH_MAX = 64,  // UDP_MAX_SEGMENTS of every kernel that has them.
    EVENTS = 256,
    BUFFER_BYTES = 8 << 20,
};

static const uint64_t loss_limit_ns = 500 * 1000000ull;
static const uint64_t settle_ns = 5 * 1000000u;

static struct {
    struct sockaddr_in endpoint;
    int peer_count;
    size_t message_bytes;
    uint32_t depth;
    bool groups;
    double duration_s, warmup_s;
    int cpu;
    pid_t server_pid;
    bool slices, json;
} options = {.peer_count = 64, .message_bytes = 64, .depth = 1, .duration_s = 2, .warmup_s = 0.5, .cpu = -1};

// What each datagram begins with.
struct header {
    uint32_t peer, place, number;
};

struct peer {
    int descriptor;
    uint32_t in_flight;
    uint32_t number;              // Of the next datagram.
    uint32_t expected[DEPTH_MAX]; // By place: the number on its way, 0 for none.
    uint64_t last_answer_ns;
};

static unsigned char table[PERIOD_BYTES + MESSAGE_BYTES_MAX];
static unsigned char out[DEPTH_MAX * 65536], in[65536 * 2];
static struct peer *peers;
static int epoll_descriptor;
static bool is_sending;
static uint64_t in_flight, completed, completed_before, lost;

static const unsigned char *bytes_of(const struct header *header) {
    return table + ((uint64_t)header->peer * 7919 + header->place * 31 + header->number * 127) % PERIOD_BYTES;
}

static void put(struct peer *peer, uint32_t place, unsigned char *to) {
    if (++peer->number == 0) peer->number = 1;
    struct header header = {(uint32_t)(peer - peers), place, peer->number};
    peer->expected[place] = header.number;
    memcpy(to, &header, sizeof header);
    memcpy(to + sizeof header, bytes_of(&header), options.message_bytes - sizeof header);
    peer->in_flight++;
    in_flight++;
}

static void refused(int error) {
    if (error == EAGAIN || error == ENOBUFS || error == ECONNREFUSED) return;  // As if lost on the way.
    fail(EX_OSERR, "sending: %s", strerror(error));
}

static void send_place(struct peer *peer, uint32_t place) {
    put(peer, place, out);
    if (send(peer->descriptor, out, options.message_bytes, 0) < 0) refused(errno);
}

static void send_window(struct peer *peer) {
    peer->last_answer_ns = now_ns();
    if (!options.groups) {
        for (uint32_t place = 0; place < options.depth; place++)
            if (peer->expected[place] == 0) send_place(peer, place);
        return;
    }
    for (uint32_t place = 0; place < options.depth; place++) put(peer, place, out + place * options.message_bytes);
    struct iovec piece = {out, options.depth * options.message_bytes};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(uint16_t)), IPPROTO_UDP, UDP_SEGMENT};
    *(uint16_t *)CMSG_DATA(header) = (uint16_t)options.message_bytes;
    if (sendmsg(peer->descriptor, &message, 0) < 0) refused(errno);
}

static void take(struct peer *peer, const unsigned char *bytes, size_t count) {
    struct header header;
    if (count != options.message_bytes)
        fail(1, "peer %d: a datagram of %zu bytes", (int)(peer - peers), count);
    memcpy(&header, bytes, sizeof header);
    if (header.peer != (uint32_t)(peer - peers) || header.place >= options.depth ||
        memcmp(bytes + sizeof header, bytes_of(&header), count - sizeof header) != 0)
        fail(1, "peer %d: wrong bytes (of peer %u, place %u, number %u)", (int)(peer - peers), header.peer,
             header.place, header.number);
    if (peer->expected[header.place] != header.number) return;  // Counted as lost before.
    peer->expected[header.place] = 0;
    peer->in_flight--;
    in_flight--;
    completed++;
    if (is_sending && !options.groups) send_place(peer, header.place);
}

static void on_readable(struct peer *peer) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    for (;;) {
        struct iovec piece = {in, sizeof in};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t count = options.groups ? recvmsg(peer->descriptor, &message, 0) : recv(peer->descriptor, in, sizeof in, 0);
        if (count < 0) {
            if (errno == EAGAIN || errno == ECONNREFUSED) break;
            fail(EX_OSERR, "receiving: %s", strerror(errno));
        }
        size_t segment = (size_t)count;
        if (options.groups)
            for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
                if (header->cmsg_type == UDP_GRO) segment = (size_t)*(int *)CMSG_DATA(header);
        for (size_t at = 0; at < (size_t)count; at += segment)
            take(peer, in + at, (size_t)count - at < segment ? (size_t)count - at : segment);
        peer->last_answer_ns = now_ns();
        // A datagram in flight at most: nothing else can wait.
        if (options.depth == 1 && !options.groups) break;
    }
    if (options.groups && is_sending && peer->in_flight == 0) send_window(peer);
}

static void serve_events(int timeout_ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_descriptor, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) on_readable(events[i].data.ptr);
}

// What has not come back for too long does not come any more.
static void give_up_lost(void) {
    uint64_t now = now_ns();
    for (int i = 0; i < options.peer_count; i++) {
        struct peer *peer = &peers[i];
        if (peer->in_flight == 0 || now - peer->last_answer_ns < loss_limit_ns) continue;
        lost += peer->in_flight;
        in_flight -= peer->in_flight;
        peer->in_flight = 0;
        memset(peer->expected, 0, sizeof peer->expected);
        if (is_sending) send_window(peer);
    }
}

static uint64_t run_phase(double duration_s) {
    completed_before += completed;
    completed = 0;
    is_sending = true;
    uint64_t start = now_ns(), end = start + (uint64_t)(duration_s * 1e9), look = start;
    for (int i = 0; i < options.peer_count; i++) send_window(&peers[i]);
    while (in_flight > 0) {
        uint64_t now = now_ns();
        if (now >= end) is_sending = false;
        if (now - look > 100000000u) {
            give_up_lost();
            look = now;
        }
        serve_events(20);
    }
    return now_ns() - start;
}

static void connect_all(void) {
    for (int i = 0; i < options.peer_count; i++) {
        int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), buffer = BUFFER_BYTES, on = 1;
        if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&options.endpoint, sizeof options.endpoint) != 0)
            fail(EX_OSERR, "peer %d: %s", i, strerror(errno));
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
        if (options.groups && setsockopt(descriptor, IPPROTO_UDP, UDP_GRO, &on, sizeof on) != 0)
            fail(EX_OSERR, "UDP_GRO: %s", strerror(errno));
        peers[i].descriptor = descriptor;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        if (epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, descriptor, &event) != 0)
            fail(EX_OSERR, "epoll_ctl: %s", strerror(errno));
    }
}

static void measure(clockid_t server_clock) {
    uint64_t lost_before = lost;
    sleep_ns(settle_ns);
    uint64_t server = options.server_pid > 0 ? cpu_clock_ns(server_clock) : 0;
    uint64_t client = cpu_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t elapsed = run_phase(options.duration_s);
    client = cpu_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - client;
    sleep_ns(settle_ns);
    if (options.server_pid > 0) server = cpu_clock_ns(server_clock) - server;
    double messages = (double)completed, seconds = (double)elapsed / 1e9;
    if (options.json)
        printf("{\"connections\": %d, \"size\": %zu, \"depth\": %u, \"groups\": %s, \"seconds\": %.6f, "
               "\"messages\": %lu, \"messages_with_warmup\": %lu, \"messages_per_second\": %.1f, \"lost\": %lu, "
               "\"server_cpu_ns_per_message\": %.1f, \"client_cpu_ns_per_message\": %.1f, \"client_cpu_share\": %.4f}\n",
               options.peer_count, options.message_bytes, options.depth, options.groups ? "true" : "false", seconds,
               completed, completed + completed_before, messages / seconds, lost - lost_before,
               (double)server / messages, (double)client / messages, (double)client / (double)elapsed);
    else
        printf("%d peers x %zu B x depth %u%s: %.0f datagrams/s, every byte verified, %lu lost\n"
               "  server CPU: %.1f ns per datagram\n  client CPU: %.1f ns per datagram, %.1f %% busy\n",
               options.peer_count, options.message_bytes, options.depth, options.groups ? ", in groups" : "",
               messages / seconds, lost - lost_before, (double)server / messages, (double)client / messages,
               100.0 * (double)client / (double)elapsed);
    if (fflush(stdout) != 0) fail(EX_IOERR, "cannot write the result: %s", strerror(errno));
}

static void parse_arguments(int argument_count, char **arguments) {
    static const struct option flags[] = {
        {"connect", required_argument, NULL, 'a'},  {"connections", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},     {"depth", required_argument, NULL, 'd'},
        {"groups", no_argument, NULL, 'g'},         {"duration", required_argument, NULL, 't'},
        {"warmup", required_argument, NULL, 'w'},   {"cpu", required_argument, NULL, 'k'},
        {"server-pid", required_argument, NULL, 'p'}, {"slices", no_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},           {NULL, 0, NULL, 0},
    };
    int flag;
    while ((flag = getopt_long(argument_count, arguments, "", flags, NULL)) != -1) {
        switch (flag) {
        case 'a': options.endpoint = parse_endpoint(optarg); break;
        case 'c': options.peer_count = (int)parse_integer("--connections", optarg, 1, PEERS_MAX); break;
        case 's':
            options.message_bytes =
                (size_t)parse_integer("--size", optarg, (long)sizeof(struct header), MESSAGE_BYTES_MAX);
            break;
        case 'd': options.depth = (uint32_t)parse_integer("--depth", optarg, 1, DEPTH_MAX); break;
        case 'g': options.groups = true; break;
        case 't': options.duration_s = parse_seconds("--duration", optarg, 3600); break;
        case 'w': options.warmup_s = parse_seconds("--warmup", optarg, 3600); break;
        case 'k': options.cpu = (int)parse_integer("--cpu", optarg, -1, CPU_SETSIZE - 1); break;
        case 'p': options.server_pid = (pid_t)parse_integer("--server-pid", optarg, 1, 1 << 30); break;
        case 'l': options.slices = true; break;
        case 'j': options.json = true; break;
        default: exit(EX_USAGE);
        }
    }
    if (optind < argument_count) fail(EX_USAGE, "unexpected argument %s", arguments[optind]);
    if (options.endpoint.sin_port == 0) fail(EX_USAGE, "--connect HOST:PORT is missing");
    if (options.duration_s <= 0) fail(EX_USAGE, "--duration 0 measures nothing");
    if (options.groups && options.depth * options.message_bytes > MESSAGE_BYTES_MAX)
        fail(EX_USAGE, "--groups: depth x size is more than %d bytes", MESSAGE_BYTES_MAX);
}

int main(int argument_count, char **arguments) {
    program_name = "udp_load";
    parse_arguments(argument_count, arguments);
    raise_descriptor_limit(options.peer_count + 16);
    pin_to_cpu(options.cpu);
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < sizeof table; i++) {
        if (i >= PERIOD_BYTES) {
            table[i] = table[i - PERIOD_BYTES];
            continue;
        }
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;  // xorshift64
        table[i] = (unsigned char)(state >> 56);
    }
    clockid_t server_clock = 0;
    if (options.server_pid > 0 && clock_getcpuclockid(options.server_pid, &server_clock) != 0)
        fail(EX_USAGE, "--server-pid %d: no such process", options.server_pid);
    epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    peers = calloc((size_t)options.peer_count, sizeof *peers);
    if (epoll_descriptor < 0 || peers == NULL) fail(EX_OSERR, "no memory or descriptor");
    connect_all();
    if (options.warmup_s > 0) run_phase(options.warmup_s);
    char line[16];
    do {
        if (options.slices && fgets(line, sizeof line, stdin) == NULL) break;
        measure(server_clock);
    } while (options.slices);
    return 0;
}

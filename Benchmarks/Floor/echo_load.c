// SPDX-License-Identifier: Apache-2.0
//
// echo_load: a closed-loop load generator for any TCP echo server, which verifies every byte.
//
// Each connection keeps `--depth` messages of `--size` bytes in flight: a completed message is
// replaced at once, and the replacements of one receive leave in one send. Depth 1 is ping-pong;
// depth 64 is streaming.
//
// Why it takes little CPU itself (on a two-core machine the generator has one core, and must not
// be what is measured): one thread, edge-triggered; one recv, one send and one clock read per
// event; bytes are sent straight from one table of random bytes and compared against the same
// table with memcmp, so nothing is generated or copied per message.
//
// What it proves: byte k of connection c is table[(seed(c) + k) mod 16411]. The period is prime,
// so no message size divides it, and every connection starts elsewhere: lost, repeated, swapped
// or altered bytes and bytes of another connection are seen, and the place is reported.
//
// What it measures: messages/s and MB/s; the latency of each message from being handed to send
// until its last byte was received; with --server-pid the server's CPU time per message. The
// measured interval starts and ends with nothing in flight and the server asleep: the kernel adds
// a thread's run time up when it stops running, so this is exact and not to the tick.
//
// Phases: connect; greet (one message on every connection); warm up; settle; measure; settle.
// --messages N measures exactly N messages (callgrind and strace need that), with --duration as
// the limit. --slices measures once for every line on stdin, until its end: two generators, each at
// its server, are told to go in turn, so that what the machine does meets both alike.
//
// Usage: echo_load --connect HOST:PORT [--connections 64] [--size 64] [--depth 1]
//                  [--duration 2] [--warmup 0.5] [--messages N] [--cpu K] [--server-pid P] [--slices]
//                  [--json]
//
// Exit: 0; 1 wrong, lost or surplus bytes; 64 usage; 69 cannot connect; 71 the system refused.

#define _GNU_SOURCE
#include "client.h"
#include "latencies.h"

#include <fcntl.h>
#include <getopt.h>
#include <sys/epoll.h>

enum {
    PATTERN_PERIOD_BYTES = 16411,  // Prime, more than the connections allowed, fits the L1 cache.
    READ_BYTES = 64 * 1024,        // Per recv; also the longest run compared or sent at once.
    EVENTS_PER_WAIT = 256,
    CONNECTIONS_MAX = 16000,
    MESSAGE_BYTES_MAX = 16 << 20,
    DEPTH_MAX = 65536,
};

static const uint64_t second_ns = 1000000000u;
static const uint64_t drain_limit_ns = 10 * 1000000000ull;    // For the answers still owed.
static const uint64_t connect_limit_ns = 60 * 1000000000ull;  // For all connections together.
static const uint64_t settle_ns = 5 * 1000000u;               // For the server to fall asleep.

static struct {
    struct sockaddr_in endpoint;
    int connection_count;
    size_t message_bytes;
    uint32_t depth;
    double duration_s;
    double warmup_s;
    uint64_t message_limit;  // 0: none.
    int cpu;
    pid_t server_pid;
    bool slices;
    bool json;
} options = {
    .connection_count = 64,
    .message_bytes = 64,
    .depth = 1,
    .duration_s = -1,  // Not given: 2, or 60 with --messages.
    .warmup_s = 0.5,
    .cpu = -1,
};

// One connection. Bytes [received_bytes, sent_bytes) are on their way; messages
// [completed, submitted) are in the window, and their send times in `sent_at_ns`.
struct stream {
    int descriptor;
    uint32_t send_position;     // In the pattern.
    uint32_t receive_position;  // In the pattern.
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t submitted;
    uint64_t completed;
    uint64_t next_completion_bytes;  // received_bytes at which the oldest message is complete.
    uint64_t *sent_at_ns;            // [depth], indexed by message mod depth.
    uint32_t oldest_slot, newest_slot;
};

static unsigned char pattern[PATTERN_PERIOD_BYTES + READ_BYTES];
static unsigned char received[READ_BYTES];
static struct stream *streams;
static int epoll_descriptor;

// The running phase.
static bool is_sending;            // Completed messages are replaced.
static uint64_t messages_to_send;  // How many may still be submitted.
static uint64_t in_flight;
static uint64_t completed_in_phase;
static uint64_t completed_before;  // In earlier phases: what the server's own counters include.

// Pattern

static void fill_pattern(void) {
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < PATTERN_PERIOD_BYTES; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;  // xorshift64
        pattern[i] = (unsigned char)(state >> 56);
    }
    for (size_t i = PATTERN_PERIOD_BYTES; i < sizeof pattern; i++)
        pattern[i] = pattern[i - PATTERN_PERIOD_BYTES];
}

static int ordinal(const struct stream *stream) {
    return (int)(stream - streams);
}

static _Noreturn void report_mismatch(const struct stream *stream, size_t byte_count) {
    const unsigned char *expected = pattern + stream->receive_position;
    size_t i = 0;
    while (i + 1 < byte_count && received[i] == expected[i]) i++;
    uint64_t offset = stream->received_bytes + i;
    fail(EXIT_NOT_AN_ECHO,
         "mismatch on connection %d at byte %lu (byte %lu of message %lu): expected 0x%02x, got "
         "0x%02x",
         ordinal(stream), offset, offset % options.message_bytes, offset / options.message_bytes,
         expected[i], received[i]);
}

// Sending

static void send_submitted(struct stream *stream) {
    uint64_t end_bytes = stream->submitted * options.message_bytes;
    while (stream->sent_bytes < end_bytes) {
        uint64_t wanted = end_bytes - stream->sent_bytes;
        if (wanted > READ_BYTES) wanted = READ_BYTES;
        ssize_t sent = send(stream->descriptor, pattern + stream->send_position, wanted,
                            MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) return;  // EPOLLOUT continues here.
            fail(EXIT_NOT_AN_ECHO, "connection %d: %s after %lu bytes sent, %lu echoed",
                 ordinal(stream), strerror(errno), stream->sent_bytes, stream->received_bytes);
        }
        stream->sent_bytes += (uint64_t)sent;
        stream->send_position = (stream->send_position + (uint32_t)sent) % PATTERN_PERIOD_BYTES;
    }
}

static void submit_messages(struct stream *stream, uint64_t count, uint64_t now) {
    if (count > messages_to_send) count = messages_to_send;
    messages_to_send -= count;
    in_flight += count;
    stream->submitted += count;
    for (; count > 0; count--) {
        stream->sent_at_ns[stream->newest_slot] = now;
        if (++stream->newest_slot == options.depth) stream->newest_slot = 0;
    }
    send_submitted(stream);
}

// Receiving

// Verifies and counts; returns how many messages these bytes completed.
static uint64_t take_bytes(struct stream *stream, size_t byte_count, uint64_t now) {
    if (stream->received_bytes + byte_count > stream->sent_bytes)
        fail(EXIT_NOT_AN_ECHO, "surplus bytes on connection %d: %lu sent, %lu echoed",
             ordinal(stream), stream->sent_bytes, stream->received_bytes + byte_count);
    if (memcmp(received, pattern + stream->receive_position, byte_count) != 0)
        report_mismatch(stream, byte_count);
    stream->received_bytes += byte_count;
    stream->receive_position =
        (stream->receive_position + (uint32_t)byte_count) % PATTERN_PERIOD_BYTES;

    uint64_t completions = 0;
    while (stream->received_bytes >= stream->next_completion_bytes) {
        stream->next_completion_bytes += options.message_bytes;
        record_latency(now - stream->sent_at_ns[stream->oldest_slot]);
        if (++stream->oldest_slot == options.depth) stream->oldest_slot = 0;
        completions++;
    }
    stream->completed += completions;
    completed_in_phase += completions;
    in_flight -= completions;
    return completions;
}

// `to_end`: the end of the stream was announced and, edge-triggered, will not be again.
static void on_readable(struct stream *stream, bool to_end) {
    for (;;) {
        ssize_t count = recv(stream->descriptor, received, READ_BYTES, 0);
        if (count == 0)
            fail(EXIT_NOT_AN_ECHO, "connection %d was closed by the server: %lu sent, %lu echoed",
                 ordinal(stream), stream->sent_bytes, stream->received_bytes);
        if (count < 0) {
            if (errno == EAGAIN) return;
            fail(EXIT_NOT_AN_ECHO, "connection %d: %s: %lu sent, %lu echoed", ordinal(stream),
                 strerror(errno), stream->sent_bytes, stream->received_bytes);
        }
        uint64_t now = now_ns();
        uint64_t completions = take_bytes(stream, (size_t)count, now);
        if (completions > 0 && is_sending) submit_messages(stream, completions, now);
        if (count < READ_BYTES && !to_end) return;
    }
}

static void serve_events(int timeout_ms) {
    struct epoll_event events[EVENTS_PER_WAIT];
    int count = epoll_wait(epoll_descriptor, events, EVENTS_PER_WAIT, timeout_ms);
    if (count < 0 && errno != EINTR) fail(EX_OSERR, "epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct stream *stream = events[i].data.ptr;
        const uint32_t end = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
        if (events[i].events & EPOLLOUT) send_submitted(stream);
        if (events[i].events & (EPOLLIN | end)) on_readable(stream, events[i].events & end);
    }
}

// Phases

// Waits for all answers that are owed. A server that owes them for too long has lost them.
static void drain(void) {
    is_sending = false;
    uint64_t limit = now_ns() + drain_limit_ns;
    while (in_flight > 0 && now_ns() < limit) serve_events(100);
    if (in_flight == 0) return;
    for (int i = 0; i < options.connection_count; i++) {
        const struct stream *stream = &streams[i];
        if (stream->completed < stream->submitted)
            fail(EXIT_NOT_AN_ECHO,
                 "%lu messages lost, the first on connection %d: %lu bytes sent, %lu echoed, "
                 "nothing more for %lu s",
                 in_flight, i, stream->sent_bytes, stream->received_bytes,
                 drain_limit_ns / second_ns);
    }
}

// Keeps `window` messages in flight on every connection until the time or the messages are used
// up, then waits for the answers. Returns the nanoseconds from the first send to the last answer.
static uint64_t run_phase(uint32_t window, double duration_s, uint64_t message_limit) {
    memset(&latencies, 0, sizeof latencies);
    completed_before += completed_in_phase;
    completed_in_phase = 0;
    messages_to_send = message_limit > 0 ? message_limit : UINT64_MAX;
    is_sending = true;
    uint64_t start = now_ns();
    uint64_t end = start + (uint64_t)(duration_s * 1e9);
    for (int i = 0; i < options.connection_count; i++) submit_messages(&streams[i], window, now_ns());
    for (uint64_t now = now_ns(); now < end && in_flight > 0; now = now_ns())
        serve_events((int)((end - now) / 1000000u) + 1);
    drain();
    return now_ns() - start;
}

static void connect_all(void) {
    uint64_t limit = now_ns() + connect_limit_ns;
    bool many_sources = options.connection_count > 1000;
    for (int i = 0; i < options.connection_count; i++) {
        if (now_ns() > limit)
            fail(EX_UNAVAILABLE, "only %d connections in %lu s", i, connect_limit_ns / second_ns);
        struct stream *stream = &streams[i];
        stream->descriptor = connect_stream(options.endpoint, i, many_sources);
        if (fcntl(stream->descriptor, F_SETFL, O_NONBLOCK) != 0)
            fail(EX_OSERR, "fcntl: %s", strerror(errno));
        // Any stride below the prime period gives every connection its own start.
        stream->send_position = (uint32_t)((uint64_t)i * 7919 % PATTERN_PERIOD_BYTES);
        stream->receive_position = stream->send_position;
        stream->next_completion_bytes = options.message_bytes;
        stream->sent_at_ns = calloc(options.depth, sizeof *stream->sent_at_ns);
        if (stream->sent_at_ns == NULL) fail(EX_OSERR, "no memory");
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                    .data.ptr = stream};
        if (epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, stream->descriptor, &event) != 0)
            fail(EX_OSERR, "epoll_ctl: %s", strerror(errno));
    }
}

// Report

struct result {
    uint64_t messages;
    uint64_t elapsed_ns;
    uint64_t server_cpu_ns;
    uint64_t client_cpu_ns;
};

static void print_json(const struct result *result, double seconds) {
    double messages = (double)result->messages;
    printf("{\"connections\": %d, \"size\": %zu, \"depth\": %u, \"seconds\": %.6f, "
           "\"messages\": %lu, \"messages_with_warmup\": %lu, \"messages_per_second\": %.1f, \"megabytes_per_second\": %.3f, ",
           options.connection_count, options.message_bytes, options.depth, seconds,
           result->messages, result->messages + completed_before, messages / seconds,
           messages * (double)options.message_bytes / seconds / 1e6);
    if (options.server_pid > 0)
        printf("\"server_cpu_ns_per_message\": %.1f, \"server_cpu_share\": %.4f, ",
               (double)result->server_cpu_ns / messages,
               (double)result->server_cpu_ns / (double)result->elapsed_ns);
    printf("\"client_cpu_ns_per_message\": %.1f, \"client_cpu_share\": %.4f, ",
           (double)result->client_cpu_ns / messages,
           (double)result->client_cpu_ns / (double)result->elapsed_ns);
    printf("\"latency_ns\": {\"p50\": %lu, \"p90\": %lu, \"p99\": %lu, \"p99.9\": %lu, "
           "\"max\": %lu}}\n",
           percentile_ns(0.5), percentile_ns(0.9), percentile_ns(0.99), percentile_ns(0.999),
           latencies.max_ns);
}

static void print_text(const struct result *result, double seconds) {
    double messages = (double)result->messages;
    printf("%d connections x %zu B x depth %u: %lu messages in %.3f s, every byte verified\n",
           options.connection_count, options.message_bytes, options.depth, result->messages,
           seconds);
    printf("  %.0f messages/s, %.1f MB/s each way\n", messages / seconds,
           messages * (double)options.message_bytes / seconds / 1e6);
    if (options.server_pid > 0)
        printf("  server CPU: %.1f ns per message, %.1f %% busy\n",
               (double)result->server_cpu_ns / messages,
               100.0 * (double)result->server_cpu_ns / (double)result->elapsed_ns);
    printf("  client CPU: %.1f ns per message, %.1f %% busy\n",
           (double)result->client_cpu_ns / messages,
           100.0 * (double)result->client_cpu_ns / (double)result->elapsed_ns);
    printf("  latency us: p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
           (double)percentile_ns(0.5) / 1e3, (double)percentile_ns(0.9) / 1e3,
           (double)percentile_ns(0.99) / 1e3, (double)percentile_ns(0.999) / 1e3,
           (double)latencies.max_ns / 1e3);
}

static void parse_arguments(int argument_count, char **arguments) {
    static const struct option flags[] = {
        {"connect", required_argument, NULL, 'a'},  {"connections", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},     {"depth", required_argument, NULL, 'd'},
        {"duration", required_argument, NULL, 't'}, {"warmup", required_argument, NULL, 'w'},
        {"messages", required_argument, NULL, 'm'}, {"cpu", required_argument, NULL, 'k'},
        {"server-pid", required_argument, NULL, 'p'}, {"slices", no_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},           {NULL, 0, NULL, 0},
    };
    int flag;
    while ((flag = getopt_long(argument_count, arguments, "", flags, NULL)) != -1) {
        switch (flag) {
        case 'a': options.endpoint = parse_endpoint(optarg); break;
        case 'c':
            options.connection_count = (int)parse_integer("--connections", optarg, 1,
                                                          CONNECTIONS_MAX);
            break;
        case 's':
            options.message_bytes = (size_t)parse_integer("--size", optarg, 1, MESSAGE_BYTES_MAX);
            break;
        case 'd': options.depth = (uint32_t)parse_integer("--depth", optarg, 1, DEPTH_MAX); break;
        case 't': options.duration_s = parse_seconds("--duration", optarg, 3600); break;
        case 'w': options.warmup_s = parse_seconds("--warmup", optarg, 3600); break;
        case 'm':
            options.message_limit = (uint64_t)parse_integer("--messages", optarg, 1, INT64_MAX);
            break;
        case 'k': options.cpu = (int)parse_integer("--cpu", optarg, -1, CPU_SETSIZE - 1); break;
        case 'p':
            options.server_pid = (pid_t)parse_integer("--server-pid", optarg, 1, 1 << 30);
            break;
        case 'l': options.slices = true; break;
        case 'j': options.json = true; break;
        default: exit(EX_USAGE);
        }
    }
    if (optind < argument_count) fail(EX_USAGE, "unexpected argument %s", arguments[optind]);
    if (options.endpoint.sin_port == 0) fail(EX_USAGE, "--connect HOST:PORT is missing");
    if (options.duration_s < 0) options.duration_s = options.message_limit > 0 ? 60 : 2;
    if (options.duration_s == 0) fail(EX_USAGE, "--duration 0 measures nothing");
}

// Starts and ends with nothing in flight and the server asleep.
static struct result measure(clockid_t server_clock) {
    struct result result = {0};
    sleep_ns(settle_ns);
    uint64_t server_start = options.server_pid > 0 ? cpu_clock_ns(server_clock) : 0;
    uint64_t client_start = cpu_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    result.elapsed_ns = run_phase(options.depth, options.duration_s, options.message_limit);
    result.client_cpu_ns = cpu_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - client_start;
    sleep_ns(settle_ns);
    if (options.server_pid > 0) result.server_cpu_ns = cpu_clock_ns(server_clock) - server_start;
    result.messages = completed_in_phase;
    // Surplus bytes would have arrived by now.
    serve_events(0);
    if (options.message_limit > 0 && result.messages < options.message_limit)
        fail(EX_TEMPFAIL, "only %lu of %lu messages in %g s", result.messages,
             options.message_limit, options.duration_s);
    return result;
}

static void report(const struct result *result) {
    double seconds = (double)result->elapsed_ns / 1e9;
    if (options.json) {
        print_json(result, seconds);
    } else {
        print_text(result, seconds);
    }
    if (fflush(stdout) != 0) fail(EX_IOERR, "cannot write the result: %s", strerror(errno));
}

int main(int argument_count, char **arguments) {
    program_name = "echo_load";
    parse_arguments(argument_count, arguments);
    raise_descriptor_limit(options.connection_count + 16);
    pin_to_cpu(options.cpu);
    fill_pattern();
    clockid_t server_clock = 0;
    if (options.server_pid > 0) {
        int error = clock_getcpuclockid(options.server_pid, &server_clock);
        if (error != 0)
            fail(EX_USAGE, "--server-pid %d: %s", options.server_pid, strerror(error));
    }
    epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_descriptor < 0) fail(EX_OSERR, "epoll_create1: %s", strerror(errno));
    streams = calloc((size_t)options.connection_count, sizeof *streams);
    if (streams == NULL) fail(EX_OSERR, "no memory");

    connect_all();
    // The greeting: after it every connection is accepted and has echoed.
    run_phase(1, 30, (uint64_t)options.connection_count);
    if (options.warmup_s > 0) run_phase(options.depth, options.warmup_s, 0);

    char line[16];
    do {
        if (options.slices && fgets(line, sizeof line, stdin) == NULL) break;
        struct result result = measure(server_clock);
        report(&result);
    } while (options.slices);
    return 0;
}

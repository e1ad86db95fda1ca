// SPDX-License-Identifier: Apache-2.0
//
// file_load: a closed-loop client of a server of one file, such as file_send.
//
// Each connection keeps `--depth` requests on their way, a byte each, and gets the whole file for every one. The bytes
// of one file in CHECK_EVERY are compared with the file's own; those of the others are counted and dropped in the
// kernel (MSG_TRUNC, tcp(7)), so that the server is what is measured.
//
// Measured as echo_load does, whose flags and JSON these are; a message is a file.
//
// Usage: file_load --connect HOST:PORT --file PATH [--connections 4] [--depth 1] [--duration 2] [--warmup 0.5]
//                  [--cpu K] [--server-pid P] [--messages N] [--slices] [--json]
//
// Exit: 0; 1 wrong, lost or surplus bytes; 64 usage; 71 the system refused.

#define _GNU_SOURCE
#include "client.h"

#include <fcntl.h>
#include <getopt.h>
#include <sys/epoll.h>
#include <sys/stat.h>

enum { CHECK_EVERY = 16, DEPTH_MAX = 1024, CONNECTIONS_MAX = 4000, EVENTS = 256, BUFFER_BYTES = 256 << 10 };

static const uint64_t settle_ns = 5 * 1000000u;

static struct {
    struct sockaddr_in endpoint;
    int connection_count;
    uint32_t depth;
    double duration_s, warmup_s;
    int cpu;
    pid_t server_pid;
    uint64_t messages;
    bool slices, json;
} options = {.connection_count = 4, .depth = 1, .duration_s = 2, .warmup_s = 0.5, .cpu = -1};

struct connection {
    int descriptor;
    uint32_t in_flight;
    size_t offset;  // Of the file that comes now.
    uint64_t number;
};

static unsigned char *expected, buffer[BUFFER_BYTES];
static size_t file_bytes;
static struct connection *connections;
static int epoll_descriptor;
static bool is_sending;
static uint64_t in_flight, completed, completed_before, asked;

static void ask(struct connection *connection) {
    if (options.messages > 0 && asked == options.messages) return;
    char request = 'f';
    if (send(connection->descriptor, &request, 1, MSG_NOSIGNAL) != 1)
        fail(EX_UNAVAILABLE, "the server has closed a connection: %s", strerror(errno));
    asked++;
    connection->in_flight++;
    in_flight++;
}

static void on_readable(struct connection *connection) {
    for (;;) {
        bool checks = connection->number % CHECK_EVERY == 0;
        // Never beyond a file's end, or a file that is compared would begin within one that is dropped.
        size_t left = file_bytes - connection->offset, room = checks && left > BUFFER_BYTES ? BUFFER_BYTES : left;
        ssize_t count = recv(connection->descriptor, buffer, room, MSG_DONTWAIT | (checks ? 0 : MSG_TRUNC));
        if (count < 0) {
            if (errno == EAGAIN) return;
            fail(EXIT_NOT_AN_ECHO, "connection %d: %s", (int)(connection - connections), strerror(errno));
        }
        if (count == 0) fail(EXIT_NOT_AN_ECHO, "the server has ended connection %d", (int)(connection - connections));
        if (connection->in_flight == 0) fail(EXIT_NOT_AN_ECHO, "bytes that nobody has asked for");
        if (checks && memcmp(buffer, expected + connection->offset, (size_t)count) != 0)
            fail(EXIT_NOT_AN_ECHO, "wrong bytes of file %lu from byte %zu", connection->number, connection->offset);
        connection->offset += (size_t)count;
        if (connection->offset < file_bytes) continue;
        connection->offset = 0;
        connection->number++;
        connection->in_flight--;
        in_flight--;
        completed++;
        if (is_sending) ask(connection);
        if (connection->in_flight == 0) return;
    }
}

static uint64_t run_phase(double duration_s) {
    completed_before += completed;
    completed = 0;
    is_sending = true;
    uint64_t start = now_ns(), end = start + (uint64_t)(duration_s * 1e9), last = start, before = 0;
    for (int i = 0; i < options.connection_count; i++)
        while (connections[i].in_flight < options.depth) {
            uint32_t had = connections[i].in_flight;
            ask(&connections[i]);
            if (connections[i].in_flight == had) break;
        }
    while (in_flight > 0) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll_descriptor, events, EVENTS, 100);
        for (int i = 0; i < count; i++) on_readable(events[i].data.ptr);
        uint64_t now = now_ns();
        if (options.messages == 0 && now >= end) is_sending = false;
        if (count > 0 || completed != before) last = now;
        before = completed;
        if (now - last > 10000000000u) fail(EXIT_NOT_AN_ECHO, "nothing has come for 10 s: %lu files are missing", in_flight);
    }
    return now_ns() - start;
}

static void connect_all(void) {
    for (int i = 0; i < options.connection_count; i++) {
        connections[i].descriptor = connect_stream(options.endpoint, i, false);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        if (epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, connections[i].descriptor, &event) != 0)
            fail(EX_OSERR, "epoll_ctl: %s", strerror(errno));
    }
}

static void measure(clockid_t server_clock) {
    sleep_ns(settle_ns);
    uint64_t server = options.server_pid > 0 ? cpu_clock_ns(server_clock) : 0;
    uint64_t client = cpu_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t elapsed = run_phase(options.duration_s);
    client = cpu_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - client;
    sleep_ns(settle_ns);
    if (options.server_pid > 0) server = cpu_clock_ns(server_clock) - server;
    double messages = (double)completed, seconds = (double)elapsed / 1e9;
    if (options.json)
        printf("{\"connections\": %d, \"size\": %zu, \"depth\": %u, \"seconds\": %.6f, \"messages\": %lu, "
               "\"messages_with_warmup\": %lu, \"messages_per_second\": %.1f, \"server_cpu_ns_per_message\": %.1f, "
               "\"client_cpu_ns_per_message\": %.1f, \"client_cpu_share\": %.4f}\n",
               options.connection_count, file_bytes, options.depth, seconds, completed, completed + completed_before,
               messages / seconds, (double)server / messages, (double)client / messages,
               (double)client / (double)elapsed);
    else
        printf("%d connections x %zu B x depth %u: %.0f files/s, one in %d verified\n"
               "  server CPU: %.1f ns per file\n  client CPU: %.1f ns per file, %.1f %% busy\n",
               options.connection_count, file_bytes, options.depth, messages / seconds, CHECK_EVERY,
               (double)server / messages, (double)client / messages, 100.0 * (double)client / (double)elapsed);
    if (fflush(stdout) != 0) fail(EX_IOERR, "cannot write the result: %s", strerror(errno));
}

static void read_file(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0) fail(EX_NOINPUT, "%s: %s", path, strerror(errno));
    file_bytes = (size_t)status.st_size;
    expected = malloc(file_bytes + 1);
    if (file_bytes == 0 || expected == NULL || pread(file, expected, file_bytes, 0) != (ssize_t)file_bytes)
        fail(EX_DATAERR, "%s can't be read whole, or is empty", path);
    close(file);
}

static void parse_arguments(int argument_count, char **arguments) {
    static const struct option flags[] = {
        {"connect", required_argument, NULL, 'a'},  {"connections", required_argument, NULL, 'c'},
        {"file", required_argument, NULL, 'f'},     {"depth", required_argument, NULL, 'd'},
        {"duration", required_argument, NULL, 't'}, {"warmup", required_argument, NULL, 'w'},
        {"cpu", required_argument, NULL, 'k'},      {"server-pid", required_argument, NULL, 'p'},
        {"messages", required_argument, NULL, 'n'}, {"slices", no_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},           {NULL, 0, NULL, 0},
    };
    int flag;
    while ((flag = getopt_long(argument_count, arguments, "", flags, NULL)) != -1) {
        switch (flag) {
        case 'a': options.endpoint = parse_endpoint(optarg); break;
        case 'c': options.connection_count = (int)parse_integer("--connections", optarg, 1, CONNECTIONS_MAX); break;
        case 'f': read_file(optarg); break;
        case 'd': options.depth = (uint32_t)parse_integer("--depth", optarg, 1, DEPTH_MAX); break;
        case 't': options.duration_s = parse_seconds("--duration", optarg, 3600); break;
        case 'w': options.warmup_s = parse_seconds("--warmup", optarg, 3600); break;
        case 'k': options.cpu = (int)parse_integer("--cpu", optarg, -1, CPU_SETSIZE - 1); break;
        case 'p': options.server_pid = (pid_t)parse_integer("--server-pid", optarg, 1, 1 << 30); break;
        case 'n': options.messages = (uint64_t)parse_integer("--messages", optarg, 1, 1 << 30); break;
        case 'l': options.slices = true; break;
        case 'j': options.json = true; break;
        default: exit(EX_USAGE);
        }
    }
    if (optind < argument_count) fail(EX_USAGE, "unexpected argument %s", arguments[optind]);
    if (options.endpoint.sin_port == 0) fail(EX_USAGE, "--connect HOST:PORT is missing");
    if (file_bytes == 0) fail(EX_USAGE, "--file PATH is missing");
    if (options.duration_s <= 0) fail(EX_USAGE, "--duration 0 measures nothing");
}

int main(int argument_count, char **arguments) {
    program_name = "file_load";
    parse_arguments(argument_count, arguments);
    raise_descriptor_limit(options.connection_count + 16);
    pin_to_cpu(options.cpu);
    clockid_t server_clock = 0;
    if (options.server_pid > 0 && clock_getcpuclockid(options.server_pid, &server_clock) != 0)
        fail(EX_USAGE, "--server-pid %d: no such process", options.server_pid);
    epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)options.connection_count, sizeof *connections);
    if (epoll_descriptor < 0 || connections == NULL) fail(EX_OSERR, "no memory or descriptor");
    connect_all();
    if (options.warmup_s > 0 && options.messages == 0) run_phase(options.warmup_s);
    char line[16];
    do {
        if (options.slices && fgets(line, sizeof line, stdin) == NULL) break;
        measure(server_clock);
    } while (options.slices);
    return 0;
}

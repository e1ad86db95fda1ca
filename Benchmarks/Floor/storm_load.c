// SPDX-License-Identifier: Apache-2.0
//
// storm_load: how long does one connection wait while thousands of others close at once?
//
// Opens --connections connections to any echo server (each echoes one byte, so all are accepted),
// and one more that ping-pongs 64 bytes without a pause. Then all but that one are closed as fast
// as one core can, while it goes on; its worst echo is the storm's figure. Ten storms, and the
// median of the ten, because a single worst value belongs to the machine as often as to the server.
//
// Why the figure is the server's and not the client's: closer and ping-pong are threads of this
// process on the client's CPU, and the ping-pong thread has real-time priority (where allowed; the
// report says so), so it runs as soon as its answer is there. The same time without a storm is
// measured before each one and reported as the baseline.
//
// The floor to compare with is epoll_echo, which closes inline: all closes of an event batch come
// before the next echo.
//
// Usage: storm_load --connect HOST:PORT [--connections 8000] [--storms 10] [--tail 0.5]
//                   [--reset] [--cpu K] [--json]
//
// --tail: seconds to go on after the last close, for what the server has still to do.
// --reset: close with RST instead of FIN.

#define _GNU_SOURCE
#include "client.h"

#include <getopt.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

enum {
    PING_BYTES = 64,
    CONNECTIONS_MAX = 16000,
    STORMS_MAX = 1000,
    REALTIME_PRIORITY = 10,
    SECONDS_PER_STORM_MAX = 60,
};

static const uint64_t second_ns = 1000000000u;
static const uint64_t baseline_ns = 200 * 1000000u;

static struct {
    struct sockaddr_in endpoint;
    int connection_count;
    int storm_count;
    double tail_s;
    bool reset;
    int cpu;
    bool json;
} options = {.connection_count = 8000, .storm_count = 10, .tail_s = 0.5, .cpu = -1};

static int descriptors[CONNECTIONS_MAX];
static int connections_opened;  // Over all storms: spreads them over source addresses.

// Ping-pong

struct echo_times {
    uint64_t count;
    uint64_t total_ns;
    uint64_t worst_ns;
};

static void exchange(int descriptor, unsigned char *bytes, size_t byte_count) {
    unsigned char answer[PING_BYTES];
    if (send(descriptor, bytes, byte_count, MSG_NOSIGNAL) != (ssize_t)byte_count)
        fail(EXIT_NOT_AN_ECHO, "send: %s", strerror(errno));
    for (size_t received = 0; received < byte_count;) {
        ssize_t count = recv(descriptor, answer + received, byte_count - received, 0);
        if (count == 0) fail(EXIT_NOT_AN_ECHO, "the server closed a connection in use");
        if (count < 0)
            fail(EXIT_NOT_AN_ECHO, "no echo within %d s: %s", CONNECT_TIMEOUT_SECONDS,
                 strerror(errno));
        received += (size_t)count;
    }
    if (memcmp(answer, bytes, byte_count) != 0) fail(EXIT_NOT_AN_ECHO, "the echo differs");
}

static void ping(int descriptor, struct echo_times *times) {
    static uint64_t number;
    unsigned char bytes[PING_BYTES];
    number++;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(number * 31 + i);
    uint64_t start = now_ns();
    exchange(descriptor, bytes, sizeof bytes);
    uint64_t elapsed = now_ns() - start;
    times->count++;
    times->total_ns += elapsed;
    if (elapsed > times->worst_ns) times->worst_ns = elapsed;
}

static bool become_realtime(void) {
    struct sched_param parameter = {.sched_priority = REALTIME_PRIORITY};
    return pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameter) == 0;
}

static void become_ordinary(void) {
    struct sched_param parameter = {0};
    pthread_setschedparam(pthread_self(), SCHED_OTHER, &parameter);
}

// Storm

static void open_connections(void) {
    unsigned char byte = 'x';
    for (int i = 0; i < options.connection_count; i++)
        descriptors[i] = connect_stream(options.endpoint, connections_opened++, true);
    for (int i = 0; i < options.connection_count; i++) {
        exchange(descriptors[i], &byte, 1);
        if (options.reset) {
            struct linger linger = {.l_onoff = 1, .l_linger = 0};
            setsockopt(descriptors[i], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        }
    }
}

struct closer {
    pthread_t thread;
    sem_t start;
    _Atomic bool is_done;
    uint64_t elapsed_ns;
};

static void *run_closer(void *argument) {
    struct closer *closer = argument;
    while (sem_wait(&closer->start) != 0) continue;  // EINTR
    uint64_t start = now_ns();
    for (int i = 0; i < options.connection_count; i++) close(descriptors[i]);
    closer->elapsed_ns = now_ns() - start;
    atomic_store(&closer->is_done, true);
    return NULL;
}

struct storm {
    struct echo_times baseline;
    struct echo_times during;
    uint64_t close_ns;
    bool is_realtime;
};

static void run_storm(int ping_descriptor, struct storm *storm) {
    open_connections();
    struct closer closer = {.is_done = false};
    sem_init(&closer.start, 0, 0);
    int error = pthread_create(&closer.thread, NULL, run_closer, &closer);  // Not real-time.
    if (error != 0) fail(EX_OSERR, "pthread_create: %s", strerror(error));

    storm->is_realtime = become_realtime();
    uint64_t end = now_ns() + baseline_ns;
    while (now_ns() < end) ping(ping_descriptor, &storm->baseline);

    sem_post(&closer.start);
    while (!atomic_load(&closer.is_done)) ping(ping_descriptor, &storm->during);
    end = now_ns() + (uint64_t)(options.tail_s * 1e9);
    while (now_ns() < end) ping(ping_descriptor, &storm->during);
    become_ordinary();

    pthread_join(closer.thread, NULL);
    sem_destroy(&closer.start);
    storm->close_ns = closer.elapsed_ns;
}

// Report

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void report(const struct storm *storms) {
    static double worst[STORMS_MAX], baseline[STORMS_MAX], closing[STORMS_MAX];
    bool is_realtime = true;
    for (int i = 0; i < options.storm_count; i++) {
        worst[i] = (double)storms[i].during.worst_ns / 1e3;
        baseline[i] = (double)storms[i].baseline.worst_ns / 1e3;
        closing[i] = (double)storms[i].close_ns / 1e3;
        is_realtime &= storms[i].is_realtime;
    }
    if (!options.json) {
        for (int i = 0; i < options.storm_count; i++)
            printf("storm %2d: worst echo %8.1f us of %lu, before it %8.1f us, closed in %.1f ms\n",
                   i + 1, worst[i], storms[i].during.count, baseline[i], closing[i] / 1e3);
        printf("median of the worst echo: %.1f us (without a storm %.1f us), %d connections%s\n",
               median(worst, options.storm_count), median(baseline, options.storm_count),
               options.connection_count, is_realtime ? "" : ", no real-time priority allowed");
        return;
    }
    printf("{\"connections\": %d, \"storms\": %d, \"realtime\": %s, \"worst_echo_us\": [",
           options.connection_count, options.storm_count, is_realtime ? "true" : "false");
    for (int i = 0; i < options.storm_count; i++) printf("%s%.1f", i > 0 ? ", " : "", worst[i]);
    printf("], \"median_worst_echo_us\": %.1f, \"median_worst_baseline_us\": %.1f, "
           "\"median_closing_us\": %.1f}\n",
           median(worst, options.storm_count), median(baseline, options.storm_count),
           median(closing, options.storm_count));
}

static void parse_arguments(int argument_count, char **arguments) {
    static const struct option flags[] = {
        {"connect", required_argument, NULL, 'a'}, {"connections", required_argument, NULL, 'c'},
        {"storms", required_argument, NULL, 's'},  {"tail", required_argument, NULL, 't'},
        {"reset", no_argument, NULL, 'r'},         {"cpu", required_argument, NULL, 'k'},
        {"json", no_argument, NULL, 'j'},          {NULL, 0, NULL, 0},
    };
    int flag;
    while ((flag = getopt_long(argument_count, arguments, "", flags, NULL)) != -1) {
        switch (flag) {
        case 'a': options.endpoint = parse_endpoint(optarg); break;
        case 'c':
            options.connection_count = (int)parse_integer("--connections", optarg, 1,
                                                          CONNECTIONS_MAX);
            break;
        case 's': options.storm_count = (int)parse_integer("--storms", optarg, 1, STORMS_MAX); break;
        case 't': options.tail_s = parse_seconds("--tail", optarg, 30); break;
        case 'r': options.reset = true; break;
        case 'k': options.cpu = (int)parse_integer("--cpu", optarg, -1, CPU_SETSIZE - 1); break;
        case 'j': options.json = true; break;
        default: exit(EX_USAGE);
        }
    }
    if (optind < argument_count) fail(EX_USAGE, "unexpected argument %s", arguments[optind]);
    if (options.endpoint.sin_port == 0) fail(EX_USAGE, "--connect HOST:PORT is missing");
}

int main(int argument_count, char **arguments) {
    static struct storm storms[STORMS_MAX];
    program_name = "storm_load";
    parse_arguments(argument_count, arguments);
    raise_descriptor_limit(options.connection_count + 16);
    pin_to_cpu(options.cpu);
    int ping_descriptor = connect_stream(options.endpoint, 0, false);
    for (int i = 0; i < options.storm_count; i++) {
        alarm(SECONDS_PER_STORM_MAX);  // Its default ends us.
        run_storm(ping_descriptor, &storms[i]);
        sleep_ns(second_ns / 5);
    }
    report(storms);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// spsc_ring: what it costs in C to pass 32-byte values between two pinned threads.
//
// It is the twin to measure the engine's mailboxes against, so it does what a mailbox must do and
// no more: a bounded single-producer single-consumer ring of 64-byte slots (handler index + 48
// bytes of payload, 32 of them used), a doorbell bitmap per receiver, and the sleep protocol.
//
// Why it is as fast as it can be:
// - `tail` and `head` are on own 128-byte lines (the prefetcher fetches lines in pairs), the
//   producer's next to its *cached* copy of `head`: that line crosses cores only when the copy
//   says full, not per value.
// - With --publish slot there is no tail to look at: the first slot of a batch says where the batch
//   ends, and a consumer that waits there needs no other line. With --publish tail a batch is shown
//   by the tail, the textbook way. Which is the faster changes with how near the CPUs are.
// - A batch is published and the bell rung once. Ringing is an atomic OR, *always*
//   executed: it is the fence between "value published" and "is the receiver asleep?". The load
//   of `sleeping` that follows hits the line that the OR already owns.
// - An idle sender costs the receiver nothing: it looks at one word.
// - The producer fetches the slots it will write soon (--prefetch) for writing, because the OR
//   waits until every store before it has its line. An idle consumer of the one-way run looks at
//   the bell only every few pauses (--idle-pauses), so that it does not take the line from the
//   producer for a single batch; a round trip looks after every pause.
// - The eventfd is registered edge-triggered and never read, so a sleep and its wake cost two
//   system calls: one epoll_wait, one write.
//
// Prints, in ns, each as the median of --rounds with its range:
//   one way, per value         batches of 16, the receiver spins
//   round trip, both spinning  batches of one
//   round trip, target sleeps  the sender spins for the answer
//   round trip, both sleep
// Every value carries its number and is checked on arrival.
//
// Usage: spsc_ring [--cpus 0,1] [--values 20000000] [--batch 16] [--capacity 1024]
//                  [--round-trips 200000] [--sleeps 2000] [--rounds 5]
//                  [--prefetch 32] [--idle-pauses 16] [--publish slot|tail] [--json]
//
// How near two virtual CPUs are is the host's choice and changes by the minute (8 to 100 ns per
// value were seen on one machine), so compare only with a run that took turns with this one.

#define _GNU_SOURCE
#include "client.h"
#include "ring.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum {
    CAPACITY_MAX = 1 << 16,
    ROUNDS_MAX = 101,
    SLEEPS_MAX = 1000000,
    TIME_LIMIT_SECONDS = 120,
};

// How long the target is left asleep before it is woken, so that its core has gone idle.
static const uint64_t idle_before_wake_ns = 100000;

// One receiver: who has mail for it, whether it sleeps, and what wakes it.
struct receiver {
    _Alignas(LINE_BYTES) _Atomic uint64_t doorbell;  // Bit i: sender i has published.
    _Atomic uint32_t sleeping;
    _Alignas(LINE_BYTES) int eventfd;
    int epoll;
};

struct endpoint {
    struct ring *outgoing;
    struct ring *incoming;
    struct receiver *self;
    struct receiver *peer;
};

static struct {
    int cpus[2];
    uint64_t value_count;
    uint64_t batch;
    uint64_t capacity;
    uint64_t round_trips;
    uint64_t sleeps;
    int rounds;
    uint64_t prefetch_slots;  // 0: none.
    int idle_pauses;
    bool in_slots;
    bool json;
} options = {
    .cpus = {0, 1},
    .value_count = 20000000,
    .batch = 16,
    .capacity = 1024,
    .round_trips = 200000,
    .sleeps = 2000,
    .rounds = 5,
    .prefetch_slots = 32,
    .idle_pauses = 16,
    .in_slots = true,
};

static struct ring rings[2];  // [0] from endpoint 0 to 1, [1] back.
static struct receiver receivers[2];
static struct endpoint endpoints[2] = {
    {&rings[0], &rings[1], &receivers[0], &receivers[1]},
    {&rings[1], &rings[0], &receivers[1], &receivers[0]},
};

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Ring and doorbell

static inline void ring_doorbell(struct receiver *receiver) {
    atomic_fetch_or_explicit(&receiver->doorbell, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&receiver->sleeping, memory_order_seq_cst)) {
        uint64_t one = 1;
        if (write(receiver->eventfd, &one, sizeof one) != sizeof one)
            fail(EX_OSERR, "eventfd: %s", strerror(errno));
    }
}

static uint64_t expected_number[2];  // Per ring; touched by its consumer only.

// Takes everything that is published; returns how many values.
static inline uint64_t drain(struct ring *ring) {
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t start = head;
    uint64_t expected = expected_number[ring - rings];
    uint64_t end = head;
    for (;; head++) {
        // In slots, each batch has to be looked for; the tail is told once for all.
        if (head == end && (head == start || ring->in_slots)) end = published_end(ring, head);
        if (head == end) break;
        const struct slot *slot = &ring->slots[head & ring->mask];
        struct value value;
        memcpy(&value, slot->payload, sizeof value);
        if (slot->handler != 1 || value.number != expected || value.words[2] != ~expected)
            fail(EX_SOFTWARE, "value %lu arrived where %lu was due", value.number, expected);
        expected++;
    }
    atomic_store_explicit(&ring->head, head, memory_order_release);
    expected_number[ring - rings] = expected;
    return head - start;
}

static inline bool has_mail(const struct receiver *receiver) {
    return atomic_load_explicit(&receiver->doorbell, memory_order_relaxed) != 0;
}

// Answers the doorbell: clear first, then drain, so that mail published in between rings again.
static inline uint64_t take_mail(struct endpoint *endpoint) {
    if (!has_mail(endpoint->self)) return 0;
    atomic_exchange_explicit(&endpoint->self->doorbell, 0, memory_order_seq_cst);
    return drain(endpoint->incoming);
}

static void wait_for_mail_spinning(struct endpoint *endpoint) {
    while (take_mail(endpoint) == 0) pause_briefly();
}

// Announce sleep with an exchange (the fence), look at the bell again, sleep.
static void wait_for_mail_sleeping(struct endpoint *endpoint) {
    struct receiver *self = endpoint->self;
    while (take_mail(endpoint) == 0) {
        atomic_exchange_explicit(&self->sleeping, 1, memory_order_seq_cst);
        if (!has_mail(self)) {
            struct epoll_event event;
            if (epoll_wait(self->epoll, &event, 1, -1) < 0 && errno != EINTR)
                fail(EX_OSERR, "epoll_wait: %s", strerror(errno));
        }
        atomic_store_explicit(&self->sleeping, 0, memory_order_relaxed);
    }
}

static inline struct value numbered(uint64_t number) {
    return (struct value){number, {number, number, ~number}};
}

static void send_one(struct endpoint *endpoint, uint64_t number) {
    struct value value = numbered(number);
    while (!push(endpoint->outgoing, &value)) pause_briefly();
    publish(endpoint->outgoing);
    ring_doorbell(endpoint->peer);
}

// The other thread: either takes values, or sends each one back.

enum task { TASK_TAKE, TASK_ANSWER_SPINNING, TASK_ANSWER_SLEEPING };

struct partner {
    enum task task;
    uint64_t count;
    pthread_t thread;
    _Atomic bool is_ready;
};

static void *run_partner(void *argument) {
    struct partner *partner = argument;
    struct endpoint *endpoint = &endpoints[1];
    pin_to_cpu(options.cpus[1]);
    atomic_store(&partner->is_ready, true);
    if (partner->task == TASK_TAKE) {
        for (uint64_t taken = 0; taken < partner->count;) {
            uint64_t count = take_mail(endpoint);
            for (int i = 0; count == 0 && i < options.idle_pauses; i++) pause_briefly();
            taken += count;
        }
        return NULL;
    }
    for (uint64_t number = 0; number < partner->count; number++) {
        if (partner->task == TASK_ANSWER_SLEEPING) {
            wait_for_mail_sleeping(endpoint);
        } else {
            wait_for_mail_spinning(endpoint);
        }
        send_one(endpoint, number);
    }
    return NULL;
}

static void reset(void) {
    for (int i = 0; i < 2; i++) {
        struct ring *ring = &rings[i];
        ring->tail = ring->head = ring->next = ring->batch_start = ring->cached_head = 0;
        memset(ring->slots, 0, options.capacity * sizeof(struct slot));
        expected_number[i] = 0;
        receivers[i].doorbell = 0;
        receivers[i].sleeping = 0;
    }
}

static void start_partner(struct partner *partner) {
    reset();
    int error = pthread_create(&partner->thread, NULL, run_partner, partner);
    if (error != 0) fail(EX_OSERR, "pthread_create: %s", strerror(error));
    while (!atomic_load(&partner->is_ready)) pause_briefly();
}

// The measurements: ns per value or per round trip.

static double measure_one_way(void) {
    struct partner partner = {.task = TASK_TAKE, .count = options.value_count};
    struct endpoint *endpoint = &endpoints[0];
    start_partner(&partner);
    uint64_t start = now_ns();
    uint64_t unpublished = 0;
    for (uint64_t number = 0; number < options.value_count; number++) {
        struct value value = numbered(number);
        while (!push(endpoint->outgoing, &value)) {
            // Full with a batch unfinished: publish it, or the consumer would never make room.
            if (unpublished > 0) {
                publish(endpoint->outgoing);
                ring_doorbell(endpoint->peer);
                unpublished = 0;
            }
            pause_briefly();
        }
        if (++unpublished >= options.batch) {
            publish(endpoint->outgoing);
            ring_doorbell(endpoint->peer);
            unpublished = 0;
        }
    }
    if (unpublished > 0) {
        publish(endpoint->outgoing);
        ring_doorbell(endpoint->peer);
    }
    pthread_join(partner.thread, NULL);
    return (double)(now_ns() - start) / (double)options.value_count;
}

static double measure_spinning_round_trip(void) {
    struct partner partner = {.task = TASK_ANSWER_SPINNING, .count = options.round_trips};
    start_partner(&partner);
    uint64_t start = now_ns();
    for (uint64_t number = 0; number < options.round_trips; number++) {
        send_one(&endpoints[0], number);
        wait_for_mail_spinning(&endpoints[0]);
    }
    double elapsed = (double)(now_ns() - start);
    pthread_join(partner.thread, NULL);
    return elapsed / (double)options.round_trips;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

// The median of the single trips, because a wake has a long tail that is the machine's.
static double measure_sleeping_round_trip(bool sender_sleeps) {
    double *trips = calloc(options.sleeps, sizeof *trips);
    if (trips == NULL) fail(EX_OSERR, "no memory");
    struct partner partner = {.task = TASK_ANSWER_SLEEPING, .count = options.sleeps};
    start_partner(&partner);
    for (uint64_t number = 0; number < options.sleeps; number++) {
        while (!atomic_load(&receivers[1].sleeping)) pause_briefly();
        for (uint64_t start = now_ns(); now_ns() - start < idle_before_wake_ns;) pause_briefly();
        uint64_t start = now_ns();
        send_one(&endpoints[0], number);
        if (sender_sleeps) {
            wait_for_mail_sleeping(&endpoints[0]);
        } else {
            wait_for_mail_spinning(&endpoints[0]);
        }
        trips[number] = (double)(now_ns() - start);
    }
    pthread_join(partner.thread, NULL);
    double result = median(trips, options.sleeps);
    free(trips);
    return result;
}

static double measure_target_sleeps(void) {
    return measure_sleeping_round_trip(false);
}

static double measure_both_sleep(void) {
    return measure_sleeping_round_trip(true);
}

static void prepare(void) {
    for (int i = 0; i < 2; i++) {
        rings[i].mask = options.capacity - 1;
        rings[i].prefetch_slots = options.prefetch_slots;
        rings[i].slots = aligned_alloc(LINE_BYTES, options.capacity * sizeof(struct slot));
        if (rings[i].slots == NULL) fail(EX_OSERR, "no memory");
        rings[i].in_slots = options.in_slots;
        struct receiver *receiver = &receivers[i];
        receiver->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        receiver->epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN | EPOLLET};
        if (receiver->eventfd < 0 || receiver->epoll < 0 ||
            epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, receiver->eventfd, &event) != 0)
            fail(EX_OSERR, "eventfd in epoll: %s", strerror(errno));
    }
}

static void parse_cpus(const char *text) {
    const char *comma = strchr(text, ',');
    if (comma == NULL) fail(EX_USAGE, "--cpus %s: expected two, as in 0,1", text);
    char first[16];
    snprintf(first, sizeof first, "%.*s", (int)(comma - text), text);
    options.cpus[0] = (int)parse_integer("--cpus", first, 0, CPU_SETSIZE - 1);
    options.cpus[1] = (int)parse_integer("--cpus", comma + 1, 0, CPU_SETSIZE - 1);
    if (options.cpus[0] == options.cpus[1]) fail(EX_USAGE, "--cpus: two threads spin, so two CPUs");
}

static void parse_arguments(int argument_count, char **arguments) {
    static const struct option flags[] = {
        {"cpus", required_argument, NULL, 'c'},     {"values", required_argument, NULL, 'n'},
        {"batch", required_argument, NULL, 'b'},    {"capacity", required_argument, NULL, 'k'},
        {"round-trips", required_argument, NULL, 't'}, {"sleeps", required_argument, NULL, 's'},
        {"rounds", required_argument, NULL, 'r'},   {"json", no_argument, NULL, 'j'},
        {"prefetch", required_argument, NULL, 'p'}, {"idle-pauses", required_argument, NULL, 'i'},
        {"publish", required_argument, NULL, 'u'},
        {NULL, 0, NULL, 0},
    };
    int flag;
    while ((flag = getopt_long(argument_count, arguments, "", flags, NULL)) != -1) {
        switch (flag) {
        case 'c': parse_cpus(optarg); break;
        case 'n':
            options.value_count = (uint64_t)parse_integer("--values", optarg, 1, 1l << 40);
            break;
        case 'b': options.batch = (uint64_t)parse_integer("--batch", optarg, 1, CAPACITY_MAX); break;
        case 'k':
            options.capacity = (uint64_t)parse_integer("--capacity", optarg, 2, CAPACITY_MAX);
            if (options.capacity & (options.capacity - 1))
                fail(EX_USAGE, "--capacity %s: expected a power of two", optarg);
            break;
        case 't':
            options.round_trips = (uint64_t)parse_integer("--round-trips", optarg, 1, 1l << 40);
            break;
        case 's': options.sleeps = (uint64_t)parse_integer("--sleeps", optarg, 1, SLEEPS_MAX); break;
        case 'r': options.rounds = (int)parse_integer("--rounds", optarg, 1, ROUNDS_MAX); break;
        case 'p':
            options.prefetch_slots = (uint64_t)parse_integer("--prefetch", optarg, 0, CAPACITY_MAX);
            break;
        case 'i':
            options.idle_pauses = (int)parse_integer("--idle-pauses", optarg, 0, 1000);
            break;
        case 'u':
            options.in_slots = strcmp(optarg, "slot") == 0;
            if (!options.in_slots && strcmp(optarg, "tail") != 0)
                fail(EX_USAGE, "--publish %s: expected slot or tail", optarg);
            break;
        case 'j': options.json = true; break;
        default: exit(EX_USAGE);
        }
    }
    if (optind < argument_count) fail(EX_USAGE, "unexpected argument %s", arguments[optind]);
}

int main(int argument_count, char **arguments) {
    static const struct {
        const char *name, *key;
        double (*measure)(void);
    } measurements[] = {
        {"one way, per value", "one_way_ns", measure_one_way},
        {"round trip, both spinning", "round_trip_spinning_ns", measure_spinning_round_trip},
        {"round trip, target sleeps", "round_trip_target_sleeps_ns", measure_target_sleeps},
        {"round trip, both sleep", "round_trip_both_sleep_ns", measure_both_sleep},
    };
    enum { COUNT = sizeof measurements / sizeof measurements[0] };

    program_name = "spsc_ring";
    parse_arguments(argument_count, arguments);
    signal(SIGALRM, SIG_DFL);
    alarm(TIME_LIMIT_SECONDS);  // A lost ring would otherwise spin for ever; the default kills.
    pin_to_cpu(options.cpus[0]);
    prepare();
    double samples[COUNT][ROUNDS_MAX];
    for (int round = 0; round < options.rounds; round++)
        for (int i = 0; i < COUNT; i++) samples[i][round] = measurements[i].measure();

    if (options.json) printf("{\"rounds\": %d", options.rounds);
    for (int i = 0; i < COUNT; i++) {
        double middle = median(samples[i], (size_t)options.rounds);  // Sorts.
        double low = samples[i][0], high = samples[i][options.rounds - 1];
        if (options.json) {
            printf(", \"%s\": %.2f, \"%s_range\": [%.2f, %.2f]", measurements[i].key, middle,
                   measurements[i].key, low, high);
        } else {
            printf("%-28s %10.1f ns   (%.1f to %.1f)\n", measurements[i].name, middle, low, high);
        }
    }
    if (options.json) printf("}\n");
    return 0;
}

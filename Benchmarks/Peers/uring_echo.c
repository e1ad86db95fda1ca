// SPDX-License-Identifier: Apache-2.0
//
// The peer on io_uring (liburing): multishot accept and receive, provided buffers, one send in flight per connection
// straight out of the buffer that was received into, work of the ring done when this thread asks for it.
//
// usage: uring_echo PORT      prints `listening on 127.0.0.1:PORT`

#include "peer.h"

#include <liburing.h>

enum {
    BUFFERS = 8192,  // Provided to the kernel, shared by all connections; a power of two.
    BUFFER_BYTES = 16 * 1024,
    ENTRIES = 4096,
    CONNECTIONS_MAX = 65536,  // Descriptors above it are refused.
    NONE = -1,
};

enum operation { ACCEPT, RECEIVE, SEND };

// What of a buffer still has to be sent; a list from the connection's oldest to its newest.
static struct piece {
    uint32_t offset, end;
    int next;
} pieces[BUFFERS];

static struct connection {
    int oldest, newest;
    bool is_receiving, is_ending, is_starved;
} connections[CONNECTIONS_MAX];

static struct io_uring ring;
static struct io_uring_buf_ring *provided;
static unsigned char *memory;
static int free_buffers;
// Connections whose receive ended because no buffer was left; those that have closed since are skipped.
static int starved[CONNECTIONS_MAX], starved_count;

static struct io_uring_sqe *entry(void) {
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&ring))) io_uring_submit(&ring);
    return sqe;
}

// After the preparation, which clears it.
static void submit_as(struct io_uring_sqe *sqe, enum operation operation, int descriptor) {
    sqe->user_data = (uint64_t)operation << 32 | (uint32_t)descriptor;
}

static void receive(int descriptor) {
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_recv_multishot(sqe, descriptor, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    submit_as(sqe, RECEIVE, descriptor);
    connections[descriptor].is_receiving = true;
}

static void send_oldest(int descriptor) {
    int index = connections[descriptor].oldest;
    struct piece *piece = &pieces[index];
    struct io_uring_sqe *sqe = entry();
    const unsigned char *bytes = memory + (size_t)index * BUFFER_BYTES + piece->offset;
    io_uring_prep_send(sqe, descriptor, bytes, piece->end - piece->offset, MSG_NOSIGNAL);
    submit_as(sqe, SEND, descriptor);
}

static void give_back(int index) {
    int mask = io_uring_buf_ring_mask(BUFFERS);
    io_uring_buf_ring_add(provided, memory + (size_t)index * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)index, mask, 0);
    io_uring_buf_ring_advance(provided, 1);
    free_buffers++;
    while (starved_count > 0) {
        int descriptor = starved[--starved_count];
        if (!connections[descriptor].is_starved) continue;
        connections[descriptor].is_starved = false;
        return receive(descriptor);
    }
}

// There was no buffer: at once again when one has come back meanwhile, else when one does.
static void starve(int descriptor) {
    if (free_buffers > 0 || starved_count == CONNECTIONS_MAX) return receive(descriptor);
    connections[descriptor].is_starved = true;
    starved[starved_count++] = descriptor;
}

// Closes once nothing is in flight: neither a receive nor a send.
static void end(int descriptor) {
    struct connection *connection = &connections[descriptor];
    connection->is_ending = true;
    connection->is_starved = false;
    if (connection->is_receiving) shutdown(descriptor, SHUT_RDWR);
    if (!connection->is_receiving && connection->oldest == NONE) close(descriptor);
}

static void accepted(int listener, struct io_uring_cqe *cqe) {
    if (cqe->res >= CONNECTIONS_MAX) {
        close(cqe->res);
    } else if (cqe->res >= 0) {
        set_no_delay(cqe->res);
        connections[cqe->res] = (struct connection){.oldest = NONE, .newest = NONE};
        receive(cqe->res);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        struct io_uring_sqe *sqe = entry();
        io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
        submit_as(sqe, ACCEPT, listener);
    }
}

static void received(int descriptor, struct io_uring_cqe *cqe) {
    struct connection *connection = &connections[descriptor];
    connection->is_receiving = cqe->flags & IORING_CQE_F_MORE;
    if (cqe->flags & IORING_CQE_F_BUFFER && cqe->res > 0) {
        int index = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        free_buffers--;
        pieces[index] = (struct piece){.end = (uint32_t)cqe->res, .next = NONE};
        bool was_idle = connection->oldest == NONE;
        if (was_idle) connection->oldest = index;
        else pieces[connection->newest].next = index;
        connection->newest = index;
        if (was_idle) send_oldest(descriptor);
    }
    if (connection->is_ending) end(descriptor);
    else if (cqe->res == -ENOBUFS) starve(descriptor);
    else if (cqe->res <= 0) end(descriptor);
    else if (!connection->is_receiving) receive(descriptor);
}

static void sent(int descriptor, struct io_uring_cqe *cqe) {
    struct connection *connection = &connections[descriptor];
    int index = connection->oldest;
    if (cqe->res > 0) pieces[index].offset += (uint32_t)cqe->res;
    if (cqe->res > 0 && pieces[index].offset < pieces[index].end) return send_oldest(descriptor);
    connection->oldest = pieces[index].next;
    give_back(index);
    if (cqe->res <= 0) {
        for (; connection->oldest != NONE; connection->oldest = pieces[index].next) give_back(index = connection->oldest);
        return end(descriptor);
    }
    if (connection->oldest != NONE) send_oldest(descriptor);
    else if (connection->is_ending) end(descriptor);
}

int main(int argc, char **argv) {
    int listener = listen_on(argc, argv);
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 4 * ENTRIES,
    };
    int error = io_uring_queue_init_params(ENTRIES, &ring, &parameters);
    if (error) return fail("io_uring_setup", -error);

    memory = mmap(NULL, (size_t)BUFFERS * BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t ring_bytes = BUFFERS * sizeof(struct io_uring_buf);
    provided = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || provided == MAP_FAILED) return fail("mmap", errno);
    struct io_uring_buf_reg registration = {.ring_addr = (uint64_t)(uintptr_t)provided, .ring_entries = BUFFERS};
    error = io_uring_register_buf_ring(&ring, &registration, 0);
    if (error) return fail("io_uring_register", -error);
    io_uring_buf_ring_init(provided);
    for (int index = 0; index < BUFFERS; index++) give_back(index);

    struct io_uring_cqe first = {.res = -1};
    accepted(listener, &first);
    for (;;) {
        error = io_uring_submit_and_wait(&ring, 1);
        if (error < 0 && error != -EINTR) return fail("io_uring_enter", -error);
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            int descriptor = (int)(uint32_t)cqe->user_data;
            switch ((enum operation)(cqe->user_data >> 32)) {
                case ACCEPT: accepted(descriptor, cqe); break;
                case RECEIVE: received(descriptor, cqe); break;
                case SEND: sent(descriptor, cqe); break;
            }
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}

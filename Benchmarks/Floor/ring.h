// SPDX-License-Identifier: Apache-2.0
//
// A bounded ring of 64-byte slots with one producer and one consumer; why it is as it is stands in
// spsc_ring.c.

#ifndef FLOOR_RING_H
#define FLOOR_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LINE_BYTES = 128, PAYLOAD_BYTES = 48 };

struct value {
    uint64_t number;
    uint64_t words[3];
};

struct slot {
    _Alignas(64) uint32_t handler;
    _Atomic uint64_t end;  // Of the batch that begins here; meaningless in other slots.
    _Alignas(8) unsigned char payload[PAYLOAD_BYTES];
};
_Static_assert(sizeof(struct slot) == 64, "a slot is one cache line");
_Static_assert(sizeof(struct value) == 32, "the value is 32 bytes");

struct ring {
    // The producer's line.
    _Alignas(LINE_BYTES) _Atomic uint64_t tail;
    uint64_t next;         // Written but not published up to here.
    uint64_t batch_start;
    uint64_t cached_head;  // What the producer last saw of `head`.
    // The consumer's line.
    _Alignas(LINE_BYTES) _Atomic uint64_t head;
    // Never written after the start.
    _Alignas(LINE_BYTES) uint64_t mask;
    uint64_t prefetch_slots;
    bool in_slots;
    struct slot *slots;
};

// False: the ring is full, also after looking at the consumer's index again.
static inline bool push(struct ring *ring, const struct value *value) {
    if (ring->next - ring->cached_head > ring->mask) {
        ring->cached_head = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (ring->next - ring->cached_head > ring->mask) return false;
    }
    struct slot *slot = &ring->slots[ring->next & ring->mask];
    __builtin_prefetch(&ring->slots[(ring->next + ring->prefetch_slots) & ring->mask], 1);
    slot->handler = 1;
    memcpy(slot->payload, value, sizeof *value);
    ring->next++;
    return true;
}

static inline void publish(struct ring *ring) {
    if (ring->in_slots) {
        struct slot *first = &ring->slots[ring->batch_start & ring->mask];
        atomic_store_explicit(&first->end, ring->next, memory_order_release);
        ring->batch_start = ring->next;
    } else {
        atomic_store_explicit(&ring->tail, ring->next, memory_order_release);
    }
}

// Up to where the messages behind `head` are there. What a slot said a turn of the ring ago is
// `head` at most.
static inline uint64_t published_end(const struct ring *ring, uint64_t head) {
    if (!ring->in_slots) return atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint64_t end = atomic_load_explicit(&ring->slots[head & ring->mask].end, memory_order_acquire);
    return end > head ? end : head;
}

#endif

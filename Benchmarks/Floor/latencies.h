// SPDX-License-Identifier: Apache-2.0
//
// A histogram of latencies in nanoseconds, one for the program.

#ifndef FLOOR_LATENCIES_H
#define FLOOR_LATENCIES_H

#include <stdint.h>

// Latencies: 64 buckets for each power of two, so a bucket is at most 1.6 % wide.
enum { SUB_BUCKET_BITS = 6, BUCKET_COUNT = (65 - SUB_BUCKET_BITS) << SUB_BUCKET_BITS };

static struct {
    uint64_t counts[BUCKET_COUNT];
    uint64_t total;
    uint64_t max_ns;
} latencies;

static uint32_t bucket_of(uint64_t value_ns) {
    if (value_ns < (1u << SUB_BUCKET_BITS)) return (uint32_t)value_ns;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value_ns) - SUB_BUCKET_BITS;
    return ((shift + 1) << SUB_BUCKET_BITS) +
           ((uint32_t)(value_ns >> shift) & ((1u << SUB_BUCKET_BITS) - 1));
}

static uint64_t highest_of_bucket(uint32_t bucket) {
    if (bucket < (1u << SUB_BUCKET_BITS)) return bucket;
    uint32_t shift = (bucket >> SUB_BUCKET_BITS) - 1;
    uint64_t lowest = ((uint64_t)(bucket & ((1u << SUB_BUCKET_BITS) - 1)) + (1u << SUB_BUCKET_BITS))
                      << shift;
    return lowest + (1ull << shift) - 1;
}

static void record_latency(uint64_t latency_ns) {
    latencies.counts[bucket_of(latency_ns)]++;
    latencies.total++;
    if (latency_ns > latencies.max_ns) latencies.max_ns = latency_ns;
}

static uint64_t percentile_ns(double fraction) {
    uint64_t rank = (uint64_t)((double)latencies.total * fraction);
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        seen += latencies.counts[bucket];
        if (seen > rank) {
            uint64_t highest = highest_of_bucket(bucket);
            return highest < latencies.max_ns ? highest : latencies.max_ns;
        }
    }
    return latencies.max_ns;
}

#endif

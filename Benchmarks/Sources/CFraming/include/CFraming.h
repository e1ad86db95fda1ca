// SPDX-License-Identifier: Apache-2.0
//
// What `Micro framing` is measured against: the loops that a careful C programmer writes, over one buffer.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Lines that end with a newline: for each, its length and first byte are added to the sum. memchr(3).
uint64_t cf_lines(const uint8_t *bytes, size_t count, uint64_t sum);
/// Messages behind four bytes of length in network order: for each, the same.
uint64_t cf_prefixed(const uint8_t *bytes, size_t count, uint64_t sum);

// SPDX-License-Identifier: Apache-2.0
#include "CFraming.h"

#include <string.h>

uint64_t cf_lines(const uint8_t *bytes, size_t count, uint64_t sum) {
    const uint8_t *end = bytes + count;
    while (bytes < end) {
        const uint8_t *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        if (newline == NULL) break;
        size_t length = (size_t)(newline - bytes);
        if (length > 0 && newline[-1] == '\r') length--;
        sum += length + (length > 0 ? bytes[0] : 0);
        bytes = newline + 1;
    }
    return sum;
}

uint64_t cf_prefixed(const uint8_t *bytes, size_t count, uint64_t sum) {
    const uint8_t *end = bytes + count;
    while (end - bytes >= 4) {
        uint32_t length;
        memcpy(&length, bytes, 4);
        length = __builtin_bswap32(length);
        if ((size_t)(end - bytes) - 4 < length) break;
        sum += length + (length > 0 ? bytes[4] : 0);
        bytes += 4 + length;
    }
    return sum;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CNUMA.h"

#include <errno.h>
#include <stddef.h>

#if __has_include(<numa.h>)
#include <numa.h>
#include <numaif.h>

int cn_available(void) { return numa_available() >= 0; }

int cn_prefer(const unsigned long *mask, unsigned long bits) {
    return set_mempolicy(MPOL_PREFERRED, mask, bits) < 0 ? -errno : 0;
}

int cn_reset(void) { return set_mempolicy(MPOL_DEFAULT, NULL, 0) < 0 ? -errno : 0; }

int cn_preferred(unsigned long *mask, unsigned long bits) {
    int mode = 0;
    if (get_mempolicy(&mode, mask, bits, 0, 0) < 0) return -errno;
    return mode == MPOL_PREFERRED;
}
#else
// No libnuma-dev: only a build with the trait NUMA disabled gets as far as linking without it.
int cn_available(void) { return 0; }
int cn_prefer(const unsigned long *mask, unsigned long bits) { return (void)mask, (void)bits, -ENOSYS; }
int cn_reset(void) { return -ENOSYS; }
int cn_preferred(unsigned long *mask, unsigned long bits) { return (void)mask, (void)bits, -ENOSYS; }
#endif

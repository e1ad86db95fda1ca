// SPDX-License-Identifier: Apache-2.0
//
// The part of libnuma that the engine uses, without its headers: they need _GNU_SOURCE, and their types would
// then differ from those of Swift's Glibc module. numa(3), set_mempolicy(2).
#pragma once

/// 1 when this kernel and this build have NUMA.
int cn_available(void);
/// set_mempolicy(2) with MPOL_PREFERRED for the calling thread; `mask` has `bits` bits. 0 or -errno.
int cn_prefer(const unsigned long *mask, unsigned long bits);
/// set_mempolicy(2) with MPOL_DEFAULT for the calling thread. 0 or -errno.
int cn_reset(void);
/// get_mempolicy(2): 1 when the policy is MPOL_PREFERRED, with its nodes in `mask`; 0 for another; or -errno.
int cn_preferred(unsigned long *mask, unsigned long bits);

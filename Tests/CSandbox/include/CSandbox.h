// SPDX-License-Identifier: Apache-2.0
//
// Refuses system calls to the calling process, as containers do. seccomp(2). For tests, in a process of their own:
// there is no way back.
#pragma once

/// Has the system call `number` fail with `error` from now on, in every thread. 0, or -errno.
int sandbox_refuse(int number, int error);
/// Has setsockopt(2) of `option` fail with `error` from now on. 0, or -errno.
int sandbox_refuse_option(int option, int error);

/// Numbers of system calls on this processor.
int sandbox_epoll_pwait2(void);
int sandbox_sched_setaffinity(void);
int sandbox_set_mempolicy(void);
int sandbox_mbind(void);
/// SO_ATTACH_REUSEPORT_CBPF.
int sandbox_reuseport_filter(void);

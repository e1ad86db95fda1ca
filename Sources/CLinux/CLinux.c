// SPDX-License-Identifier: Apache-2.0
//
// The two things that need one home in the process: the thread-local, and the state of the signal handler.
#include "CLinux.h"

#include <stdatomic.h>

_Thread_local void *cl_current_reactor_storage;

static atomic_int signal_event_fd = -1;
static _Atomic uint64_t caught_signals;

static void on_signal(int signal) {
    int saved_errno = errno;
    atomic_fetch_or(&caught_signals, (uint64_t)1 << (signal - 1));
    int fd = atomic_load(&signal_event_fd);
    if (fd >= 0) (void)cl_eventfd_ring(fd);
    errno = saved_errno;
}

uint64_t cl_take_signals(void) { return atomic_exchange(&caught_signals, 0); }

int cl_catch_signal(int signal, int event_fd, struct sigaction *previous) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_store(&signal_event_fd, event_fd);
    return CL_RESULT(sigaction(signal, &action, previous));
}

int cl_restore_signal(int signal, const struct sigaction *previous) {
    return CL_RESULT(sigaction(signal, previous, NULL));
}

int cl_is_default_action(const struct sigaction *action) { return action->sa_handler == SIG_DFL; }

void cl_forget_signal_descriptor(void) { atomic_store(&signal_event_fd, -1); }

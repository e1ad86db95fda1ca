// SPDX-License-Identifier: Apache-2.0
//
// Where the jobs go that a thread gives to Swift's global pool. The runtime has a hook for this, a C function
// pointer whose calling convention Swift can't spell: `swift_task_enqueueGlobal_hook` of swift/Runtime/Concurrency.h.
#pragma once

/// Takes one job over; called on the thread that gave it.
typedef void (*ct_route)(void *context, void *job);

/// Asked first about every job: true takes it over. Called on the thread that gave it.
typedef int (*ct_claim)(void *job);

/// From now on every job is offered to `claim`, on every thread.
void ct_set_claim(ct_claim claim);

/// From now on the calling thread's jobs go to `route` instead of the pool; NULL: to the pool again.
///
/// The first call installs the hook, for good. It passes on what threads without a route give, to the hook that
/// was there before or to the runtime: they pay one thread-local load.
void ct_set_route(ct_route route, void *context);

/// The calling thread's task, to be compared; NULL when it runs none.
void *ct_current_task(void);

/// Gives a job that a route took to the pool, from a thread without a route.
void ct_give_to_pool(void *job);

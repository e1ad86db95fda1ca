// SPDX-License-Identifier: Apache-2.0

#include "CTasks.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define SWIFT_CC __attribute__((swiftcall))

typedef SWIFT_CC void (*enqueue)(void *job);
typedef SWIFT_CC void (*enqueue_hook)(void *job, enqueue original);

extern enqueue_hook swift_task_enqueueGlobal_hook;
extern SWIFT_CC void swift_task_enqueueGlobal(void *job);

static _Thread_local struct {
    ct_route take;
    void *context;
} route;

static _Atomic(enqueue_hook) hook_before;
static _Atomic(ct_claim) claim;

static SWIFT_CC void on_enqueue(void *job, enqueue original) {
    ct_claim take = atomic_load_explicit(&claim, memory_order_relaxed);
    if (take && take(job)) return;
    if (route.take) return route.take(route.context, job);
    enqueue_hook before = atomic_load_explicit(&hook_before, memory_order_acquire);
    if (before) return before(job, original);
    original(job);
}

static void install(void) {
    enqueue_hook before = __atomic_load_n(&swift_task_enqueueGlobal_hook, __ATOMIC_ACQUIRE);
    // Stored first: who meets the new hook finds the old one. Again, when somebody else came between.
    do atomic_store(&hook_before, before);
    while (!__atomic_compare_exchange_n(&swift_task_enqueueGlobal_hook, &before, on_enqueue, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE));
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

void ct_set_claim(ct_claim take) {
    pthread_once(&once, install);
    atomic_store(&claim, take);
}

void ct_set_route(ct_route take, void *context) {
    pthread_once(&once, install);
    route.take = take;
    route.context = context;
}

extern SWIFT_CC void *swift_task_getCurrent(void);
void *ct_current_task(void) { return swift_task_getCurrent(); }

void ct_give_to_pool(void *job) { swift_task_enqueueGlobal(job); }

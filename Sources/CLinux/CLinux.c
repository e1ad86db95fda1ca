// SPDX-License-Identifier: Apache-2.0
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RESULT(call) ({ __typeof__(call) result_ = (call); result_ < 0 ? -errno : result_; })

// ---- epoll, eventfd, poll ----

_Static_assert(sizeof(cl_epoll_event) == sizeof(struct epoll_event), "epoll_event differs");

// The numbers that Epoll.swift spells out, and whose order EpollDriver.swift relies on.
_Static_assert(EPOLLIN == 0x1 && EPOLLOUT == 0x4 && EPOLLERR == 0x8 && EPOLLHUP == 0x10, "epoll bits differ");
_Static_assert(EPOLLPRI == 0x2, "epoll bits differ");
_Static_assert(EPOLLRDHUP == 0x2000 && EPOLLET == 1u << 31, "epoll bits differ");

int cl_epoll_create(void) { return RESULT(epoll_create1(EPOLL_CLOEXEC)); }

int cl_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return RESULT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

int cl_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return RESULT(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
}

int cl_epoll_remove(int epoll, int fd) { return RESULT(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL)); }

#ifndef __NR_epoll_pwait2
#define __NR_epoll_pwait2 441
#endif

int cl_epoll_pwait2(int epoll, cl_epoll_event *events, int count, int64_t nanoseconds) {
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    const struct timespec *limit = nanoseconds < 0 ? NULL : &timeout;
    return (int)cl_system_call(__NR_epoll_pwait2, epoll, (long)events, count, (long)limit, 0, 0);
}

int cl_eventfd(void) { return RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int cl_eventfd_ring(int fd) {
    uint64_t one = 1;
    return (int)RESULT(write(fd, &one, sizeof one));
}

int cl_eventfd_clear(int fd) {
    uint64_t value;
    return (int)RESULT(read(fd, &value, sizeof value));
}

int cl_wait_readable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return RESULT(poll(&poll_fd, 1, -1));
}

int cl_wait_writable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    return RESULT(poll(&poll_fd, 1, -1));
}

ptrdiff_t cl_write(int fd, const void *bytes, size_t count) { return RESULT(write(fd, bytes, count)); }

int cl_close(int fd) { return RESULT(close(fd)); }

int cl_open_null(void) { return RESULT(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

ptrdiff_t cl_read_file(const char *path, void *buffer, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ptrdiff_t result = RESULT(read(fd, buffer, size));
    close(fd);
    return result;
}

// ---- sockets ----

_Static_assert(CL_MSG_NOSIGNAL == MSG_NOSIGNAL, "MSG_NOSIGNAL differs");
_Static_assert(sizeof(cl_piece) == sizeof(struct iovec), "iovec differs");
_Static_assert(offsetof(cl_piece, count) == offsetof(struct iovec, iov_len), "iovec differs");
_Static_assert(sizeof(cl_filter) == sizeof(struct sock_filter), "sock_filter differs");
_Static_assert(offsetof(cl_filter, constant) == offsetof(struct sock_filter, k), "sock_filter differs");

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
} raw_address;

_Static_assert(sizeof((struct sockaddr_un){0}.sun_path) == sizeof((cl_address){0}.path), "unix(7)");

static socklen_t encode(const cl_address *from, raw_address *to) {
    memset(to, 0, sizeof *to);
    if (from->family == 1) {
        to->local.sun_family = AF_UNIX;
        memcpy(to->local.sun_path, from->path, from->path_length);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + from->path_length);
    }
    if (from->family == 4) {
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(from->port);
        memcpy(&to->v4.sin_addr, from->bytes, 4);
        return sizeof to->v4;
    }
    to->v6.sin6_family = AF_INET6;
    to->v6.sin6_port = htons(from->port);
    to->v6.sin6_scope_id = from->scope;
    memcpy(&to->v6.sin6_addr, from->bytes, 16);
    return sizeof to->v6;
}

void cl_decode_address(const void *address, size_t length, cl_address *to) {
    const raw_address *from = address;
    memset(to, 0, sizeof *to);
    if (length >= sizeof(sa_family_t) && from->any.sa_family == AF_UNIX) {
        size_t count = length - offsetof(struct sockaddr_un, sun_path);
        if (count > sizeof to->path) count = sizeof to->path;
        // A file's name ends with a zero, which is counted; an abstract one begins with one, and is as long as it is.
        if (count > 0 && from->local.sun_path[0] != 0) count = strnlen(from->local.sun_path, count);
        to->family = 1;
        to->path_length = (uint8_t)count;
        memcpy(to->path, from->local.sun_path, count);
        return;
    }
    if (from->any.sa_family == AF_INET) {
        to->family = 4;
        to->port = ntohs(from->v4.sin_port);
        memcpy(to->bytes, &from->v4.sin_addr, 4);
    } else if (from->any.sa_family == AF_INET6) {
        to->family = 6;
        to->port = ntohs(from->v6.sin6_port);
        to->scope = from->v6.sin6_scope_id;
        memcpy(to->bytes, &from->v6.sin6_addr, 16);
    }
}

int cl_address_parse(const char *text, cl_address *to) {
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, text, to->bytes) == 1) {
        to->family = 4;
        return 1;
    }
    if (inet_pton(AF_INET6, text, to->bytes) == 1) {
        to->family = 6;
        return 1;
    }
    return 0;
}

unsigned cl_interface_index(const char *name) { return if_nametoindex(name); }

int cl_stream_socket(int family) {
    int domain = family == 1 ? AF_UNIX : family == 4 ? AF_INET : AF_INET6;
    return RESULT(socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int cl_bind(int fd, const cl_address *address) {
    raw_address raw;
    socklen_t length = encode(address, &raw);
    return RESULT(bind(fd, &raw.any, length));
}

int cl_connect(int fd, const cl_address *address) {
    raw_address raw;
    socklen_t length = encode(address, &raw);
    return RESULT(connect(fd, &raw.any, length));
}

int cl_listen(int fd, int backlog) { return RESULT(listen(fd, backlog)); }

int cl_accept(int fd, cl_address *peer) {
    raw_address raw = {0};
    socklen_t length = sizeof raw;
    int result = accept4(fd, &raw.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (result < 0) return -errno;
    cl_decode_address(&raw, length, peer);
    return result;
}

int cl_local_address(int fd, cl_address *address) {
    raw_address raw = {0};
    socklen_t length = sizeof raw;
    if (getsockname(fd, &raw.any, &length) < 0) return -errno;
    cl_decode_address(&raw, length, address);
    return 0;
}

int cl_peer_address(int fd, cl_address *address) {
    raw_address raw = {0};
    socklen_t length = sizeof raw;
    if (getpeername(fd, &raw.any, &length) < 0) return -errno;
    cl_decode_address(&raw, length, address);
    return 0;
}

long cl_library_system_call(long number, long a, long b, long c, long d, long e, long f) {
    return RESULT(syscall(number, a, b, c, d, e, f));
}

ptrdiff_t cl_send_vector(int fd, const cl_piece *pieces, size_t count) {
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
    return cl_system_call(__NR_sendmsg, fd, (long)&message, MSG_NOSIGNAL, 0, 0, 0);
}

int cl_peer_credentials(int fd, uint32_t numbers[3]) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return -errno;
    numbers[0] = (uint32_t)peer.pid;
    numbers[1] = peer.uid;
    numbers[2] = peer.gid;
    return 0;
}

int cl_shutdown_writes(int fd) { return RESULT(shutdown(fd, SHUT_WR)); }

int cl_waiting_bytes(int fd) {
    int count = 0;
    return RESULT(ioctl(fd, FIONREAD, &count)) < 0 ? -errno : count;
}

int cl_reset_on_close(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return RESULT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

int cl_bind_to_interface(int fd, const char *name) {
    return RESULT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)));
}

int cl_attach_reuseport_filter(int fd, const cl_filter *instructions, int count) {
    struct sock_fprog program = {.len = (unsigned short)count, .filter = (struct sock_filter *)instructions};
    return RESULT(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program));
}

// ---- threads, placement, memory, limits ----

int cl_thread_id(void) { return (int)syscall(SYS_gettid); }

static _Thread_local int has_blocked_broken_pipes;

static int change_broken_pipes(int how) {
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    return pthread_sigmask(how, &signals, &before) == 0 && !sigismember(&before, SIGPIPE);
}

void cl_block_broken_pipes(void) { has_blocked_broken_pipes |= change_broken_pipes(SIG_BLOCK); }
void cl_unblock_broken_pipes(void) { change_broken_pipes(SIG_UNBLOCK); }
int cl_has_blocked_broken_pipes(void) { return has_blocked_broken_pipes; }

int cl_set_affinity(const uint64_t *mask, size_t words) {
    return (int)RESULT(syscall(SYS_sched_setaffinity, 0, words * 8, mask));
}

int cl_get_affinity(uint64_t *mask, size_t words) {
    return (int)RESULT(syscall(SYS_sched_getaffinity, 0, words * 8, mask));
}

int cl_current_cpu(void) { return sched_getcpu(); }

void cl_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

void cl_yield(void) { sched_yield(); }

void *cl_map(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int cl_unmap(void *memory, size_t size) { return RESULT(munmap(memory, size)); }

int cl_prefer_node(void *memory, size_t size, const unsigned long *mask, unsigned long bits) {
    return (int)RESULT(syscall(SYS_mbind, memory, size, 1 /* MPOL_PREFERRED */, mask, bits, 0));
}

int cl_descriptor_limit(uint64_t *soft, uint64_t *hard) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    *soft = limit.rlim_cur;
    *hard = limit.rlim_max;
    return 0;
}

int cl_set_descriptor_limit(uint64_t soft, uint64_t hard) {
    struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    return RESULT(setrlimit(RLIMIT_NOFILE, &limit));
}

void cl_grow_descriptor_table(int count) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, count - 1);
    if (high >= 0) close(high);
    close(fd);
}

// ---- clocks ----

static uint64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t cl_monotonic_nanoseconds(void) { return nanoseconds(CLOCK_MONOTONIC); }

uint64_t cl_thread_cpu_nanoseconds(void) { return nanoseconds(CLOCK_THREAD_CPUTIME_ID); }

// ---- counting ----

int cl_count_tracepoint(int thread, uint64_t tracepoint) {
    struct perf_event_attr event = {
        .type = PERF_TYPE_TRACEPOINT,
        .size = sizeof event,
        .config = tracepoint,
        .inherit = 1,
    };
    return (int)RESULT(syscall(SYS_perf_event_open, &event, thread, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

int cl_read_count(int fd, uint64_t *count) { return (int)RESULT(read(fd, count, sizeof *count)); }

// ---- the two things that need one home in the process: the thread-local and the signal handler's state ----

_Thread_local void *cl_current_reactor_storage;

static atomic_int signal_event_fd = -1;
static _Atomic uint64_t caught_signals;
static struct sigaction previous_actions[65];

static void on_signal(int signal) {
    int saved_errno = errno;
    atomic_fetch_or(&caught_signals, (uint64_t)1 << (signal - 1));
    int fd = atomic_load(&signal_event_fd);
    if (fd >= 0) (void)cl_eventfd_ring(fd);
    errno = saved_errno;
}

uint64_t cl_take_signals(void) { return atomic_exchange(&caught_signals, 0); }

int cl_catch_signal(int signal, int event_fd, int only_if_default) {
    if (signal < 1 || signal > 64) return -EINVAL;
    struct sigaction before, action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (sigaction(signal, NULL, &before) < 0) return -errno;
    if (only_if_default && before.sa_handler != SIG_DFL) return 0;
    sigemptyset(&action.sa_mask);
    atomic_store(&signal_event_fd, event_fd);
    if (sigaction(signal, &action, NULL) < 0) return -errno;
    previous_actions[signal] = before;
    return 1;
}

int cl_restore_signal(int signal) {
    if (signal < 1 || signal > 64) return -EINVAL;
    return RESULT(sigaction(signal, &previous_actions[signal], NULL));
}

void cl_forget_signal_descriptor(void) { atomic_store(&signal_event_fd, -1); }

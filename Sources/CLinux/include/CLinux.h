// SPDX-License-Identifier: Apache-2.0
//
// What Swift can't import from Linux's headers: macros, GNU extensions, sockaddr casts, thread-locals and
// one instruction or two. No logic: each function is one system call and returns its result or -errno, so
// that Swift never reads `errno`. The man page of the call named in each function is its documentation.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <poll.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CL_INLINE static inline __attribute__((always_inline))
#define CL_RESULT(call) ({ __typeof__(call) result_ = (call); result_ < 0 ? -errno : result_; })

// ---- epoll(7), eventfd(2) ----

/// `struct epoll_event` with its union spelled out; packed as the kernel has it on x86-64.
typedef struct
#ifdef __x86_64__
    __attribute__((packed))
#endif
{
    uint32_t events;
    uint64_t data;
} cl_epoll_event;
_Static_assert(sizeof(cl_epoll_event) == sizeof(struct epoll_event), "epoll_event differs");

enum { CL_EPOLLIN = EPOLLIN, CL_EPOLLOUT = EPOLLOUT, CL_EPOLLRDHUP = EPOLLRDHUP, CL_EPOLLHUP = EPOLLHUP,
       CL_EPOLLERR = EPOLLERR };
static const uint32_t cl_epollet = 1u << 31;

CL_INLINE int cl_epoll_create(void) { return CL_RESULT(epoll_create1(EPOLL_CLOEXEC)); }
CL_INLINE int cl_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return CL_RESULT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}
CL_INLINE int cl_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return CL_RESULT(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
}
CL_INLINE int cl_epoll_remove(int epoll, int fd) { return CL_RESULT(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL)); }
CL_INLINE int cl_epoll_wait(int epoll, cl_epoll_event *events, int count, int milliseconds) {
    return CL_RESULT(epoll_wait(epoll, (struct epoll_event *)events, count, milliseconds));
}
/// epoll_pwait2(2), Linux 5.11: nanoseconds < 0 waits for ever. By number: a sandbox may lack it.
CL_INLINE int cl_epoll_pwait2(int epoll, cl_epoll_event *events, int count, int64_t nanoseconds) {
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
#ifdef SYS_epoll_pwait2
    return (int)CL_RESULT(syscall(SYS_epoll_pwait2, epoll, events, count, nanoseconds < 0 ? NULL : &timeout, NULL, 0));
#else
    return (int)CL_RESULT(syscall(441, epoll, events, count, nanoseconds < 0 ? NULL : &timeout, NULL, 0));
#endif
}
CL_INLINE int cl_eventfd(void) { return CL_RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
CL_INLINE int cl_eventfd_ring(int fd) {
    uint64_t one = 1;
    return (int)CL_RESULT(write(fd, &one, sizeof one));
}
CL_INLINE int cl_eventfd_clear(int fd) {
    uint64_t value;
    return (int)CL_RESULT(read(fd, &value, sizeof value));
}
CL_INLINE int cl_wait_readable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return CL_RESULT(poll(&poll_fd, 1, -1));
}
CL_INLINE int cl_close(int fd) { return CL_RESULT(close(fd)); }
CL_INLINE int cl_open_null(void) { return CL_RESULT(open("/dev/null", O_RDONLY | O_CLOEXEC)); }
CL_INLINE int cl_is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }

// ---- sockets ----

/// A numeric address in one shape for both families; `bytes` in network order.
typedef struct {
    uint8_t family;  // 4, 6, or 0 for none
    uint16_t port;   // host order
    uint32_t scope;
    uint8_t bytes[16];
} cl_address;

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} cl_sockaddr;

CL_INLINE socklen_t cl_address_encode(const cl_address *from, cl_sockaddr *to) {
    memset(to, 0, sizeof *to);
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
CL_INLINE void cl_address_decode(const cl_sockaddr *from, cl_address *to) {
    memset(to, 0, sizeof *to);
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
/// inet_pton(3) for both families; 1 when `text` is a numeric address, else 0.
CL_INLINE int cl_address_parse(const char *text, cl_address *to) {
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, text, to->bytes) == 1) { to->family = 4; return 1; }
    if (inet_pton(AF_INET6, text, to->bytes) == 1) { to->family = 6; return 1; }
    return 0;
}
CL_INLINE unsigned cl_interface_index(const char *name) { return if_nametoindex(name); }

CL_INLINE int cl_stream_socket(int family) {
    return CL_RESULT(socket(family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}
CL_INLINE int cl_bind(int fd, const cl_address *address) {
    cl_sockaddr raw;
    socklen_t length = cl_address_encode(address, &raw);
    return CL_RESULT(bind(fd, &raw.any, length));
}
CL_INLINE int cl_connect(int fd, const cl_address *address) {
    cl_sockaddr raw;
    socklen_t length = cl_address_encode(address, &raw);
    return CL_RESULT(connect(fd, &raw.any, length));
}
CL_INLINE int cl_listen(int fd, int backlog) { return CL_RESULT(listen(fd, backlog)); }
CL_INLINE int cl_accept(int fd, cl_address *peer) {
    cl_sockaddr raw;
    socklen_t length = sizeof raw;
    int result = accept4(fd, &raw.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (result < 0) return -errno;
    cl_address_decode(&raw, peer);
    return result;
}
CL_INLINE int cl_local_address(int fd, cl_address *address) {
    cl_sockaddr raw = {0};
    socklen_t length = sizeof raw;
    if (getsockname(fd, &raw.any, &length) < 0) return -errno;
    cl_address_decode(&raw, address);
    return 0;
}
CL_INLINE int cl_peer_address(int fd, cl_address *address) {
    cl_sockaddr raw = {0};
    socklen_t length = sizeof raw;
    if (getpeername(fd, &raw.any, &length) < 0) return -errno;
    cl_address_decode(&raw, address);
    return 0;
}
CL_INLINE ssize_t cl_receive(int fd, void *buffer, size_t size) { return CL_RESULT(recv(fd, buffer, size, 0)); }
CL_INLINE ssize_t cl_send(int fd, const void *buffer, size_t size) {
    return CL_RESULT(send(fd, buffer, size, MSG_NOSIGNAL));
}
CL_INLINE ssize_t cl_send_vector(int fd, struct iovec *pieces, size_t count) {
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    return CL_RESULT(sendmsg(fd, &message, MSG_NOSIGNAL));
}
CL_INLINE int cl_shutdown_writes(int fd) { return CL_RESULT(shutdown(fd, SHUT_WR)); }

enum { CL_REUSEADDR, CL_REUSEPORT, CL_OOBINLINE, CL_KEEPALIVE, CL_NODELAY, CL_V6ONLY, CL_BUSY_POLL, CL_SEND_BUFFER,
       CL_RECEIVE_BUFFER, CL_ERROR };
CL_INLINE int cl_option_name(int option, int *level) {
    *level = option == CL_NODELAY ? IPPROTO_TCP : option == CL_V6ONLY ? IPPROTO_IPV6 : SOL_SOCKET;
    static const int names[] = {SO_REUSEADDR, SO_REUSEPORT, SO_OOBINLINE, SO_KEEPALIVE, TCP_NODELAY,
                                IPV6_V6ONLY,  SO_BUSY_POLL, SO_SNDBUF,    SO_RCVBUF,    SO_ERROR};
    return names[option];
}
CL_INLINE int cl_set_option(int fd, int option, int value) {
    int level, name = cl_option_name(option, &level);
    return CL_RESULT(setsockopt(fd, level, name, &value, sizeof value));
}
/// The option's value, or -errno: for options whose value is never negative.
CL_INLINE int cl_get_option(int fd, int option) {
    int level, name = cl_option_name(option, &level), value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) < 0 ? -errno : value;
}
/// SO_LINGER with a time of 0: close(2) then sends a reset and drops what is unsent.
CL_INLINE int cl_reset_on_close(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return CL_RESULT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}
CL_INLINE int cl_bind_to_interface(int fd, const char *name) {
    return CL_RESULT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)));
}
CL_INLINE int cl_attach_reuseport_filter(int fd, struct sock_filter *instructions, int count) {
    struct sock_fprog program = {.len = (unsigned short)count, .filter = instructions};
    return CL_RESULT(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program));
}

// ---- threads, placement, memory ----

CL_INLINE int cl_thread_id(void) { return (int)syscall(SYS_gettid); }
/// sched_setaffinity(2) of the calling thread; `mask` is an array of 64-bit words.
CL_INLINE int cl_set_affinity(const uint64_t *mask, size_t words) {
    return (int)CL_RESULT(syscall(SYS_sched_setaffinity, 0, words * 8, mask));
}
/// The bytes written to `mask`, or -errno.
CL_INLINE int cl_get_affinity(uint64_t *mask, size_t words) {
    return (int)CL_RESULT(syscall(SYS_sched_getaffinity, 0, words * 8, mask));
}
CL_INLINE int cl_current_cpu(void) { return sched_getcpu(); }
CL_INLINE void cl_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
CL_INLINE void *cl_map(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}
CL_INLINE int cl_unmap(void *memory, size_t size) { return CL_RESULT(munmap(memory, size)); }
/// mbind(2) by number with MPOL_PREFERRED, so that a build without libnuma still compiles.
CL_INLINE int cl_prefer_node(void *memory, size_t size, const unsigned long *mask, unsigned long bits) {
    return (int)CL_RESULT(syscall(SYS_mbind, memory, size, 1 /* MPOL_PREFERRED */, mask, bits, 0));
}
CL_INLINE int cl_descriptor_limit(uint64_t *soft, uint64_t *hard) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    *soft = limit.rlim_cur;
    *hard = limit.rlim_max;
    return 0;
}
CL_INLINE int cl_set_descriptor_limit(uint64_t soft, uint64_t hard) {
    struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    return CL_RESULT(setrlimit(RLIMIT_NOFILE, &limit));
}

// ---- clocks and single instructions ----

CL_INLINE uint64_t cl_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
CL_INLINE uint64_t cl_thread_cpu_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
/// A counter that ticks at a constant rate on one core: rdtsc, cntvct_el0, else the monotonic clock.
CL_INLINE uint64_t cl_ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return cl_monotonic_nanoseconds();
#endif
}
CL_INLINE void cl_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}
CL_INLINE void cl_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/// The reactor that the calling thread runs, or NULL. Written by the reactor alone.
extern _Thread_local void *cl_current_reactor_storage;
CL_INLINE void *cl_current_reactor(void) { return cl_current_reactor_storage; }
CL_INLINE void cl_set_current_reactor(void *reactor) { cl_current_reactor_storage = reactor; }

// ---- signals (signal-safety(7): the handler only stores a number and writes an eventfd) ----

/// Signals caught so far, one bit each (bit n-1 for signal n). Read and cleared by `cl_take_signals`.
uint64_t cl_take_signals(void);
/// Installs the handler for `signal`; the one before it is kept in `*previous`.
int cl_catch_signal(int signal, int event_fd, struct sigaction *previous);
int cl_restore_signal(int signal, const struct sigaction *previous);
/// True when `action` is SIG_DFL.
int cl_is_default_action(const struct sigaction *action);
/// Gives the handler no descriptor to write to any more.
void cl_forget_signal_descriptor(void);

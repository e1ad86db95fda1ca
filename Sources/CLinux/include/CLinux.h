// SPDX-License-Identifier: Apache-2.0
//
// What Swift can't import from Linux's headers: GNU extensions, macros, sockaddr casts, thread-locals and one
// instruction or two. No logic: each function is one system call and returns its result or -errno, so that Swift
// never reads `errno`. The man page of the call named in each function is its documentation.
//
// This header includes nothing of glibc's (the numbers of system calls are the kernel's): with _GNU_SOURCE its types
// differ from those of Swift's Glibc module, and a program that imports both would not compile. Inline is what the
// loop does for every event.
#pragma once
#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#define CL_INLINE static inline __attribute__((always_inline))

// ---- epoll(7), eventfd(2), poll(2) ----

/// `struct epoll_event` with its union spelled out; packed as the kernel has it on x86-64.
typedef struct
#ifdef __x86_64__
    __attribute__((packed))
#endif
{
    uint32_t events;
    uint64_t data;
} cl_epoll_event;

int cl_epoll_create(void);
int cl_epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
int cl_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data);
int cl_epoll_remove(int epoll, int fd);
/// epoll_pwait2(2), Linux 5.11: nanoseconds < 0 waits for ever. By number: a sandbox may lack it.
int cl_epoll_pwait2(int epoll, cl_epoll_event *events, int count, int64_t nanoseconds);
int cl_eventfd(void);
int cl_eventfd_ring(int fd);
int cl_eventfd_clear(int fd);
int cl_wait_readable(int fd);
int cl_wait_writable(int fd);
int cl_close(int fd);
int cl_open_null(void);
ptrdiff_t cl_write(int fd, const void *bytes, size_t count);
/// The file's first bytes, at most `size` of them: how many, or -errno.
ptrdiff_t cl_read_file(const char *path, void *buffer, size_t size);

// ---- files that are sent ----

/// open(2) for reading; never waits for the other end of a pipe.
int cl_open_file(const char *path);
enum { CL_NOT_REGULAR = -4096 };  // Below every errno.
/// The bytes of a regular file, CL_NOT_REGULAR of any other, or -errno. fstat(2).
int64_t cl_file_size(int fd);
/// pread(2).
ptrdiff_t cl_read_at(int fd, void *buffer, size_t size, int64_t offset);
/// 1 for a file of a file system without a disk. fstatfs(2).
int cl_is_of_memory(int fd);
/// As cl_read_at; -EAGAIN instead of waiting for a disk, -EOPNOTSUPP of file systems that can't tell. preadv2(2),
/// RWF_NOWAIT.
ptrdiff_t cl_read_now(int fd, void *buffer, size_t size, int64_t offset);
/// sendfile(2).
ptrdiff_t cl_send_file(int socket, int fd, int64_t offset, size_t count);

// ---- sockets ----

/// An address in one shape for all families; `bytes` in network order. unix(7) for the path, which is not terminated.
typedef struct {
    uint8_t family;  // 4, 6, 1 for a Unix socket, or 0 for none
    uint8_t path_length;
    uint16_t port;  // host order
    uint32_t scope;
    uint8_t bytes[16];
    uint8_t path[108];
} cl_address;

/// struct iovec, struct sock_filter: layouts checked in CLinux.c.
typedef struct {
    const void *base;
    size_t count;
} cl_piece;
typedef struct {
    uint16_t code;
    uint8_t jump_true, jump_false;
    uint32_t constant;
} cl_filter;

/// inet_pton(3) for both families; 1 when `text` is a numeric address, else 0.
int cl_address_parse(const char *text, cl_address *to);
unsigned cl_interface_index(const char *name);
/// A struct sockaddr of `length` bytes; family 0 when it is none of ours.
void cl_decode_address(const void *address, size_t length, cl_address *to);
int cl_stream_socket(int family);
int cl_bind(int fd, const cl_address *address);
int cl_connect(int fd, const cl_address *address);
int cl_listen(int fd, int backlog);
int cl_accept(int fd, cl_address *peer);
int cl_local_address(int fd, cl_address *address);
int cl_peer_address(int fd, cl_address *address);
ptrdiff_t cl_send_vector(int fd, const cl_piece *pieces, size_t count);
int cl_shutdown_writes(int fd);
/// FIONREAD: the bytes that a read would give, or -errno. ioctl_tty(2), tcp(7).
int cl_waiting_bytes(int fd);
/// SO_PEERCRED: process, user and group of a Unix socket's other end, in this order. unix(7).
int cl_peer_credentials(int fd, uint32_t numbers[3]);

// ---- sending from where the bytes lie ----

typedef struct {
    uint32_t first, last;  // The sends, as the kernel counts those of the socket from 0.
    int was_copied;
    int is_ours;  // 0 when the message is about something else.
} cl_completion;
/// SO_ZEROCOPY.
int cl_enable_zero_copy(int fd);
/// send(2) with MSG_ZEROCOPY: the bytes must stay as they are until the send is completed.
ptrdiff_t cl_send_zero_copy(int fd, const void *buffer, size_t size);
/// One message of the error queue; -EAGAIN when there is none.
int cl_take_completion(int fd, cl_completion *completion);

/// Descriptors that one message can pass: the kernel's SCM_MAX_FD.
enum { CL_MOST_PASSED = 253 };
/// sendmsg(2) with SCM_RIGHTS, of 1 to CL_MOST_PASSED descriptors: they travel with the first byte. unix(7).
ptrdiff_t cl_send_passing(int fd, const cl_piece *pieces, size_t count, const int *descriptors, int passed);
/// recvmsg(2) with room for so many descriptors: `passed` have come, close-on-exec; `lost` is 1 when others had no room.
ptrdiff_t cl_receive_passed(int fd, void *buffer, size_t size, int *descriptors, int room, int *passed, int *lost);
/// F_DUPFD_CLOEXEC.
int cl_duplicate(int fd);
/// O_NONBLOCK, of the open socket and so of every number for it. fcntl(2).
int cl_set_nonblocking(int fd);
int cl_set_close_on_exec(int fd);
/// SO_TYPE, SO_ACCEPTCONN; the family is getsockname's.
int cl_socket_is_stream(int fd);
/// SO_TYPE, SO_PROTOCOL.
int cl_socket_is_udp(int fd);
/// SO_DOMAIN.
int cl_socket_is_ipv6(int fd);
int cl_socket_is_listening(int fd);

enum { CL_REUSEADDR, CL_REUSEPORT, CL_OOBINLINE, CL_KEEPALIVE, CL_NODELAY, CL_V6ONLY, CL_BUSY_POLL, CL_SEND_BUFFER,
       CL_RECEIVE_BUFFER, CL_ERROR, CL_BIND_ADDRESS_NO_PORT, CL_QUICK_ACK, CL_KEEP_IDLE, CL_KEEP_INTERVAL,
       CL_KEEP_COUNT, CL_USER_TIMEOUT, CL_NOT_SENT_LOW_WATERMARK, CL_FAST_OPEN, CL_FAST_OPEN_CONNECT,
       CL_DEFER_ACCEPT, CL_MARK, CL_INCOMING_CPU };
int cl_set_option(int fd, int option, int value);
int cl_get_option(int fd, int option, int *value);
/// IP_TOS and IPV6_TCLASS, all eight bits, by the socket's family. ip(7), ipv6(7)
int cl_set_traffic_class(int fd, int value);
int cl_get_traffic_class(int fd);
/// SO_LINGER with a time of 0: close(2) then sends a reset and drops what is unsent.
int cl_reset_on_close(int fd);
int cl_bind_to_interface(int fd, const char *name);
int cl_attach_reuseport_filter(int fd, const cl_filter *instructions, int count);

// ---- datagrams: recvmmsg(2), sendmmsg(2), udp(7) ----

/// A peer's address as the kernel has it, 28 bytes, and their length in 4: 0 for none; what is beyond is zero.
typedef struct {
    uint64_t words[4];
} cl_peer;

/// A datagram; or, with `segment`, several from or to one peer, each of so many bytes but for the last.
typedef struct {
    void *bytes;
    cl_peer peer;
    /// Received: which address it came to. Sent: which one it comes from. In the kernel's order.
    uint64_t local[2];
    uint32_t count;
    /// Received: where it came in. Sent: of a link-local `local` address.
    uint32_t interface;
    /// UDP_GRO, UDP_SEGMENT.
    uint16_t segment;
    /// 4, 6, or 0 for the kernel's choice.
    uint8_t local_family;
    /// Received: it was longer than there was room for.
    uint8_t truncated;
    /// Received: two bits, RFC 3168. Sent: those, and the class of service before them; 0 for the socket's.
    uint8_t traffic_class;
    /// Received: `local` is a group's address, or everybody's.
    uint8_t to_many;
} cl_datagram;

/// One peer, one address of ours, one class: what datagrams of one message have in common.
CL_INLINE int cl_same_path(const cl_datagram *one, const cl_datagram *other) {
    uint64_t differences = 0;
    for (int i = 0; i < 4; i++) differences |= one->peer.words[i] ^ other->peer.words[i];
    for (int i = 0; i < 2; i++) differences |= one->local[i] ^ other->local[i];
    return (differences | (one->interface ^ other->interface) | (one->local_family ^ other->local_family) |
            (one->traffic_class ^ other->traffic_class)) == 0;
}

/// `to` goes back to where `from` came from, from the address that it came to unless that is a group's.
CL_INLINE void cl_answer(cl_datagram *to, const cl_datagram *from) {
    to->peer = from->peer;
    int has_local = from->local_family != 0 && !from->to_many;
    to->local[0] = has_local ? from->local[0] : 0;
    to->local[1] = has_local ? from->local[1] : 0;
    to->local_family = has_local ? from->local_family : 0;
    // Only a link's own address (fe80::/10) needs the interface; the others leave by the way that the kernel chooses.
    int is_of_link = has_local && from->local_family == 6 && (from->local[0] & 0xc0ff) == 0x80fe;
    to->interface = is_of_link ? from->interface : 0;
    to->traffic_class = 0;
}

/// The kernel's structures for so many datagrams: made once, used by one thread.
typedef struct cl_datagram_scratch cl_datagram_scratch;
cl_datagram_scratch *cl_datagram_scratch_make(int count);
/// For receiving into `count` datagrams, whose `bytes` have `room` each.
cl_datagram_scratch *cl_datagram_scratch_make_incoming(cl_datagram *datagrams, int count, uint32_t room);
void cl_datagram_scratch_free(cl_datagram_scratch *scratch);

int cl_datagram_socket(int family);
enum {
    CL_DATAGRAM_GROUPS,
    CL_DATAGRAM_DROPS,
    CL_DATAGRAM_BROADCAST,
    CL_DATAGRAM_LOCAL_ADDRESS,
    CL_DATAGRAM_ECN,
    CL_DATAGRAM_OWN_GROUPS,
};
int cl_datagram_enable(int fd, int family, int feature, int is_on);
/// Fills up to `count` of the scratch's datagrams; `drops` gets the kernel's count when it tells it.
int cl_receive_datagrams(int fd, cl_datagram *datagrams, cl_datagram_scratch *scratch, int count, uint32_t *drops);
/// The number that was taken, at least 1, or -errno of the first.
int cl_send_datagrams(int fd, const cl_datagram *datagrams, cl_datagram_scratch *scratch, int count);
/// How many datagrams the socket had no room for (SO_MEMINFO), or -errno.
int64_t cl_datagram_drops(int fd);
/// Joins or leaves a group, of 4 or 16 bytes; interface 0 for the kernel's choice. ip(7), ipv6(7)
int cl_multicast(int fd, int family, int joins, const uint8_t *group, uint32_t interface);
enum { CL_MULTICAST_HOPS, CL_MULTICAST_LOOP, CL_MULTICAST_INTERFACE };
int cl_multicast_option(int fd, int family, int option, int value);

// ---- the loop's system calls: recvfrom(2), sendto(2) with MSG_NOSIGNAL, epoll_pwait(2) without a mask ----

enum { CL_MSG_NOSIGNAL = 0x4000 };  // Checked against the header in CLinux.c.

/// By way of glibc, for processors that the next function does not know.
long cl_library_system_call(long number, long a, long b, long c, long d, long e, long f);

/// One system call: its result or -errno. syscall(2), "Architecture calling conventions".
///
/// Not by way of glibc: its functions are cancellation points (two atomic operations each in a process with
/// threads), and every jump into a library and back runs through lines of code and data that the kernel has just
/// driven out of the nearest caches.
CL_INLINE long cl_system_call(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return number;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
    return cl_library_system_call(number, a, b, c, d, e, f);
#endif
}
CL_INLINE ptrdiff_t cl_receive(int fd, void *buffer, size_t size) {
    return cl_system_call(__NR_recvfrom, fd, (long)buffer, (long)size, 0, 0, 0);
}
CL_INLINE ptrdiff_t cl_send(int fd, const void *buffer, size_t size) {
    return cl_system_call(__NR_sendto, fd, (long)buffer, (long)size, CL_MSG_NOSIGNAL, 0, 0);
}
CL_INLINE int cl_epoll_wait(int epoll, cl_epoll_event *events, int count, int milliseconds) {
    return (int)cl_system_call(__NR_epoll_pwait, epoll, (long)events, count, milliseconds, 0, 0);
}

// ---- threads, placement, memory, limits ----

int cl_thread_id(void);
/// SIGPIPE of the calling thread, pthread_sigmask(3). One that somebody else had blocked stays so, and is no news.
void cl_block_broken_pipes(void);
void cl_unblock_broken_pipes(void);
/// 1 when cl_block_broken_pipes changed something on this thread.
int cl_has_blocked_broken_pipes(void);
/// sched_setaffinity(2) of the calling thread; `mask` is an array of 64-bit words.
int cl_set_affinity(const uint64_t *mask, size_t words);
/// The bytes written to `mask`, or -errno.
int cl_get_affinity(uint64_t *mask, size_t words);
int cl_current_cpu(void);
void cl_name_thread(const char *name);
void cl_yield(void);
/// mmap(2) of zeroed pages; NULL when there are none.
void *cl_map(size_t size);
int cl_unmap(void *memory, size_t size);
/// mbind(2) by number with MPOL_PREFERRED, so that a build without libnuma still compiles.
int cl_prefer_node(void *memory, size_t size, const unsigned long *mask, unsigned long bits);
int cl_descriptor_limit(uint64_t *soft, uint64_t *hard);
/// Has descriptor `count - 1` be open for a moment: the kernel's table grows to hold it.
void cl_grow_descriptor_table(int count);
int cl_set_descriptor_limit(uint64_t soft, uint64_t hard);

// ---- clocks and single instructions ----

uint64_t cl_monotonic_nanoseconds(void);
uint64_t cl_thread_cpu_nanoseconds(void);

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
/// Opens a counter of how often `thread`, and the threads that it starts from now on, pass the tracepoint with this
/// number: a descriptor, or -errno. perf_event_open(2).
int cl_count_tracepoint(int thread, uint64_t tracepoint);
/// What such a counter counts now, in `count`.
int cl_read_count(int fd, uint64_t *count);
CL_INLINE void cl_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/// The reactor that the calling thread runs, or NULL. Written by the reactor alone.
extern _Thread_local void *cl_current_reactor_storage;
CL_INLINE void *cl_current_reactor(void) { return cl_current_reactor_storage; }
CL_INLINE void cl_set_current_reactor(void *reactor) { cl_current_reactor_storage = reactor; }

// ---- names (getaddrinfo(3): blocks) ----

/// The addresses of `host`, sorted: how many were stored, at least 1, or a code of gai_strerror(3).
int cl_resolve(const char *host, uint16_t port, cl_address *addresses, int count);
const char *cl_resolve_message(int code);
int cl_resolve_is_temporary(int code);

// ---- socket files (unix(7)) and descriptors that somebody else has opened ----

/// lstat(2): the file's kind and mode, its device and inode.
int cl_file_identity(const char *path, uint32_t *mode, uint64_t *device, uint64_t *inode);
int cl_unlink(const char *path);
/// open(2) with O_PATH: the file's number is not given away while it is open.
int cl_open_path(const char *path);
int cl_change_mode(const char *path, uint32_t mode);
int cl_change_mode_of(int fd, uint32_t mode);
/// open(2) of a folder and flock(2), for a second at most; closing it lets it go.
int cl_lock_folder(const char *path);

// ---- who the process is (credentials(7): glibc changes every thread, setxid in nptl(7)) ----

int cl_set_users(uint32_t user);
int cl_set_groups(uint32_t group, const uint32_t *supplementary, size_t count);
/// Real, effective and saved numbers of user and group, in this order.
int cl_get_owners(uint32_t numbers[6]);
/// getpwnam_r(3) and getgrnam_r(3), or by number when `name` is NULL: 1 when found, 0 when not, or -errno.
int cl_find_user(const char *name, uint32_t *user, uint32_t *group, char *found_name, size_t size);
int cl_find_group(const char *name, uint32_t *group);
/// getgroups(2): how many supplementary groups the process has; stored when there is room for them.
int cl_get_groups(uint32_t *groups, int count);
/// capget(2): 1 when the calling thread may get CAP_SETUID, 0 when not.
int cl_may_set_users(void);
/// getgrouplist(3): how many groups there are, of which at most `count` are stored; -ENOMEM.
int cl_groups_of_user(const char *name, uint32_t group, uint32_t *groups, int count);

// ---- signals (signal-safety(7): the handler only stores a number and writes an eventfd) ----

/// Signals caught so far, one bit each (bit n-1 for signal n). Reads and clears them.
uint64_t cl_take_signals(void);
/// Installs the handler for `signal`, 1...64; the one before it is kept. With `only_if_default`, 0 is returned
/// and nothing is changed when the program has a handler of its own; 1 when the signal is caught now.
int cl_catch_signal(int signal, int event_fd, int only_if_default);
/// Puts the handler back that `cl_catch_signal` replaced.
int cl_restore_signal(int signal);
/// Gives the handler no descriptor to write to any more.
void cl_forget_signal_descriptor(void);

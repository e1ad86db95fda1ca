// SPDX-License-Identifier: Apache-2.0
//
// The files of Unix sockets, unix(7), descriptors that somebody else has opened, and files that are sent.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define RESULT(call) ({ __typeof__(call) result_ = (call); result_ < 0 ? -errno : result_; })

int cl_file_identity(const char *path, uint32_t *mode, uint64_t *device, uint64_t *inode) {
    struct stat file;
    if (lstat(path, &file) < 0) return -errno;
    *mode = file.st_mode;
    *device = file.st_dev;
    *inode = file.st_ino;
    return 0;
}

int cl_open_path(const char *path) { return RESULT(open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC)); }
int cl_unlink(const char *path) { return RESULT(unlink(path)); }
int cl_change_mode(const char *path, uint32_t mode) { return RESULT(chmod(path, mode)); }
int cl_change_mode_of(int fd, uint32_t mode) { return RESULT(fchmod(fd, mode)); }

int cl_lock_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    // Whoever has it for longer than a second has it for something else.
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0 && (errno == EWOULDBLOCK || errno == EINTR) && tries < 100; tries++) {
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    return fd;
}

int cl_duplicate(int fd) { return RESULT(fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

int cl_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -errno : RESULT(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

int cl_set_close_on_exec(int fd) { return RESULT(fcntl(fd, F_SETFD, FD_CLOEXEC)); }

static int option_is(int fd, int name, int wanted) {
    int value = 0;
    socklen_t length = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0) return -errno;
    return value == wanted;
}

int cl_socket_is_stream(int fd) { return option_is(fd, SO_TYPE, SOCK_STREAM); }
int cl_socket_is_udp(int fd) {
    int is_datagram = option_is(fd, SO_TYPE, SOCK_DGRAM);
    return is_datagram == 1 ? option_is(fd, SO_PROTOCOL, IPPROTO_UDP) : is_datagram;
}
int cl_socket_is_ipv6(int fd) { return option_is(fd, SO_DOMAIN, AF_INET6); }
int cl_socket_is_listening(int fd) { return option_is(fd, SO_ACCEPTCONN, 1); }

// ---- files that are sent ----

int cl_open_file(const char *path) { return RESULT(open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)); }

int64_t cl_file_size(int fd) {
    struct stat file;
    if (fstat(fd, &file) < 0) return -errno;
    return S_ISREG(file.st_mode) ? file.st_size : CL_NOT_REGULAR;
}

ptrdiff_t cl_read_at(int fd, void *buffer, size_t size, int64_t offset) {
    return RESULT(pread(fd, buffer, size, offset));
}

int cl_is_of_memory(int fd) {
    struct statfs system;
    if (fstatfs(fd, &system) < 0) return 0;
    return system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC || system.f_type == HUGETLBFS_MAGIC;
}

ptrdiff_t cl_read_now(int fd, void *buffer, size_t size, int64_t offset) {
    struct iovec piece = {buffer, size};
    return RESULT(preadv2(fd, &piece, 1, offset, RWF_NOWAIT));
}

ptrdiff_t cl_send_file(int socket, int fd, int64_t offset, size_t count) {
    off_t from = offset;
    return RESULT(sendfile(socket, fd, &from, count));
}

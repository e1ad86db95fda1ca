// SPDX-License-Identifier: Apache-2.0
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CLinux.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

// The kernel's SCM_MAX_FD.
_Static_assert(CL_MOST_PASSED == 253, "unix(7)");

ptrdiff_t cl_send_passing(int fd, const cl_piece *pieces, size_t count, const int *descriptors, int passed) {
    // A union, for the alignment. cmsg(3)
    union {
        char bytes[CMSG_SPACE(CL_MOST_PASSED * sizeof(int))];
        struct cmsghdr header;
    } control;
    if (passed < 1 || passed > CL_MOST_PASSED) return -EINVAL;
    size_t size = (size_t)passed * sizeof(int);
    struct msghdr message = {
        .msg_iov = (struct iovec *)pieces,
        .msg_iovlen = count,
        .msg_control = &control,
        .msg_controllen = CMSG_SPACE(size),
    };
    memset(&control, 0, CMSG_SPACE(size));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), descriptors, size);
    return cl_system_call(__NR_sendmsg, fd, (long)&message, MSG_NOSIGNAL, 0, 0, 0);
}

ptrdiff_t cl_receive_passed(int fd, void *buffer, size_t size, int *descriptors, int room, int *passed, int *lost) {
    union {
        char bytes[CMSG_SPACE(CL_MOST_PASSED * sizeof(int))];
        struct cmsghdr header;
    } control;
    struct iovec piece = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (room > CL_MOST_PASSED) room = CL_MOST_PASSED;
    if (room > 0) {
        message.msg_control = &control;
        // Not CMSG_SPACE: the kernel would use its padding for one more.
        message.msg_controllen = CMSG_LEN((size_t)room * sizeof(int));
    }
    *passed = 0;
    *lost = 0;
    ptrdiff_t result = cl_system_call(__NR_recvmsg, fd, (long)&message, MSG_CMSG_CLOEXEC, 0, 0, 0);
    if (result < 0) return result;
    *lost = (message.msg_flags & MSG_CTRUNC) != 0;
    if (room <= 0 || message.msg_controllen < sizeof(struct cmsghdr)) return result;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t bytes = header->cmsg_len - CMSG_LEN(0);
        memcpy(descriptors + *passed, CMSG_DATA(header), bytes);
        *passed += (int)(bytes / sizeof(int));
    }
    return result;
}

// SPDX-License-Identifier: Apache-2.0
//
// Sending from where the bytes lie: Documentation/networking/msg_zerocopy.rst of the kernel.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CLinux.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

// Needs struct timespec.
#include <linux/errqueue.h>

int cl_enable_zero_copy(int fd) {
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) < 0 ? -errno : 0;
}

ptrdiff_t cl_send_zero_copy(int fd, const void *buffer, size_t size) {
    return cl_system_call(__NR_sendto, fd, (long)buffer, (long)size, MSG_NOSIGNAL | MSG_ZEROCOPY, 0, 0);
}

int cl_take_completion(int fd, cl_completion *completion) {
    // A union, for the alignment. cmsg(3)
    union {
        char bytes[256];
        struct cmsghdr header;
    } control;
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
    ssize_t result = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (result < 0) return -errno;
    completion->is_ours = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        int is_error = (header->cmsg_level == SOL_IP && header->cmsg_type == IP_RECVERR) ||
                       (header->cmsg_level == SOL_IPV6 && header->cmsg_type == IPV6_RECVERR);
        if (!is_error) continue;
        struct sock_extended_err error;
        memcpy(&error, CMSG_DATA(header), sizeof error);
        if (error.ee_origin != SO_EE_ORIGIN_ZEROCOPY) continue;
        completion->is_ours = 1;
        completion->first = error.ee_info;
        completion->last = error.ee_data;
        completion->was_copied = (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0;
    }
    return 0;
}

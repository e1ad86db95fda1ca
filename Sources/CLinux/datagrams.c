// SPDX-License-Identifier: Apache-2.0
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CLinux.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RESULT(call) ({ __typeof__(call) result_ = (call); result_ < 0 ? -errno : result_; })

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef IP_MULTICAST_ALL
#define IP_MULTICAST_ALL 49
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

enum { ADDRESS_BYTES = sizeof(struct sockaddr_in6) };
_Static_assert(ADDRESS_BYTES == 28 && sizeof(cl_peer) == 32, "a peer's address, and its length");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a peer's length is the upper half of its last word");

// What one message's control data has at most: UDP_GRO, packet info and the traffic class in both families, SO_RXQ_OVFL.
enum {
    CONTROL = CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo)) +
              3 * CMSG_SPACE(sizeof(int)),
};

struct cl_datagram_scratch {
    struct mmsghdr *messages;
    struct iovec *pieces;
    // For the alignment: cmsg(3).
    union {
        char bytes[CONTROL];
        struct cmsghdr header;
    } *controls;
};

cl_datagram_scratch *cl_datagram_scratch_make(int count) {
    cl_datagram_scratch *scratch = malloc(sizeof *scratch);
    if (scratch == NULL) abort();
    scratch->messages = calloc((size_t)count, sizeof *scratch->messages);
    scratch->pieces = calloc((size_t)count, sizeof *scratch->pieces);
    scratch->controls = calloc((size_t)count, sizeof *scratch->controls);
    if (scratch->messages == NULL || scratch->pieces == NULL || scratch->controls == NULL) abort();
    for (int i = 0; i < count; i++) {
        scratch->messages[i].msg_hdr.msg_iov = &scratch->pieces[i];
        scratch->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return scratch;
}

// What the kernel changes of a header that it has filled.
static void arm(cl_datagram_scratch *scratch, int i) {
    struct msghdr *message = &scratch->messages[i].msg_hdr;
    message->msg_namelen = ADDRESS_BYTES;
    message->msg_control = &scratch->controls[i];
    message->msg_controllen = sizeof scratch->controls[i];
}

cl_datagram_scratch *cl_datagram_scratch_make_incoming(cl_datagram *datagrams, int count, uint32_t room) {
    cl_datagram_scratch *scratch = cl_datagram_scratch_make(count);
    for (int i = 0; i < count; i++) {
        scratch->pieces[i] = (struct iovec){.iov_base = datagrams[i].bytes, .iov_len = room};
        scratch->messages[i].msg_hdr.msg_name = &datagrams[i].peer;
        arm(scratch, i);
    }
    return scratch;
}

void cl_datagram_scratch_free(cl_datagram_scratch *scratch) {
    free(scratch->messages);
    free(scratch->pieces);
    free(scratch->controls);
    free(scratch);
}

int cl_datagram_socket(int family) {
    return RESULT(socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int set(int fd, int level, int name, int value) { return RESULT(setsockopt(fd, level, name, &value, sizeof value)); }

int cl_datagram_enable(int fd, int family, int feature, int is_on) {
    int result = 0;
    switch (feature) {
    case CL_DATAGRAM_GROUPS: return set(fd, IPPROTO_UDP, UDP_GRO, is_on);
    case CL_DATAGRAM_DROPS: return set(fd, SOL_SOCKET, SO_RXQ_OVFL, is_on);
    case CL_DATAGRAM_BROADCAST: return set(fd, SOL_SOCKET, SO_BROADCAST, is_on);
    // An IPv6 socket has those of IPv4, too, for peers that are IPv4's.
    case CL_DATAGRAM_LOCAL_ADDRESS:
        result = set(fd, IPPROTO_IP, IP_PKTINFO, is_on);
        return family == 4 ? result : set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, is_on);
    case CL_DATAGRAM_OWN_GROUPS:
        result = set(fd, IPPROTO_IP, IP_MULTICAST_ALL, !is_on);
        return family == 4 ? result : set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, !is_on);
    case CL_DATAGRAM_ECN:
        result = set(fd, IPPROTO_IP, IP_RECVTOS, is_on);
        return family == 4 ? result : set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, is_on);
    default: return -EINVAL;
    }
}

// False for data that were cut off, for want of room (MSG_CTRUNC).
static int take(const struct cmsghdr *header, void *to, size_t size) {
    if (header->cmsg_len < CMSG_LEN(size)) return 0;
    memcpy(to, CMSG_DATA(header), size);
    return 1;
}

static void look(cl_datagram *datagram, struct msghdr *message, uint32_t *drops) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        int value = 0;
        if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
            if (take(header, &value, sizeof value)) datagram->segment = (uint16_t)value;
        } else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SO_RXQ_OVFL) {
            take(header, drops, sizeof *drops);
        } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            if (!take(header, &info, sizeof info)) continue;
            datagram->local_family = 4;
            datagram->interface = (uint32_t)info.ipi_ifindex;
            // Of a mapped peer both forms come, this one last.
            datagram->local[0] = datagram->local[1] = 0;
            memcpy(datagram->local, &info.ipi_addr, 4);
            datagram->to_many = info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr;
        } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            if (!take(header, &info, sizeof info)) continue;
            datagram->local_family = 6;
            datagram->interface = info.ipi6_ifindex;
            memcpy(datagram->local, &info.ipi6_addr, 16);
            datagram->to_many = info.ipi6_addr.s6_addr[0] == 0xff;
        } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) {
            uint8_t byte = 0;
            if (take(header, &byte, sizeof byte)) datagram->traffic_class = byte & 3;
        } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS) {
            if (take(header, &value, sizeof value)) datagram->traffic_class = (uint8_t)(value & 3);
        }
    }
}

// The peer's address, with zeros behind it, so that equal ones are equal in all words.
static void end_peer(cl_peer *peer, socklen_t length) {
    if (length <= sizeof(struct sockaddr_in)) peer->words[2] = peer->words[3] = 0;
    if (length == 0) peer->words[0] = peer->words[1] = 0;
    peer->words[3] = (uint32_t)peer->words[3] | (uint64_t)length << 32;
}

int cl_receive_datagrams(int fd, cl_datagram *datagrams, cl_datagram_scratch *scratch, int count, uint32_t *drops) {
    int result = (int)cl_system_call(__NR_recvmmsg, fd, (long)scratch->messages, count, 0, 0, 0);
    for (int i = 0; i < result; i++) {
        struct msghdr *message = &scratch->messages[i].msg_hdr;
        cl_datagram *datagram = &datagrams[i];
        datagram->count = scratch->messages[i].msg_len;
        datagram->segment = 0;
        datagram->truncated = (message->msg_flags & MSG_TRUNC) != 0;
        datagram->traffic_class = 0;
        datagram->interface = 0;
        datagram->local_family = 0;
        datagram->to_many = 0;
        datagram->local[0] = datagram->local[1] = 0;
        end_peer(&datagram->peer, message->msg_namelen);
        if (message->msg_controllen > 0) look(datagram, message, drops);
        arm(scratch, i);
    }
    return result;
}

int64_t cl_datagram_drops(int fd) {
    // SK_MEMINFO_DROPS, the last of nine. linux/sock_diag.h
    uint32_t numbers[9] = {0};
    socklen_t length = sizeof numbers;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, numbers, &length) < 0) return -errno;
    return length == sizeof numbers ? numbers[8] : -ENOPROTOOPT;
}

// Adds one message of control data.
static void put(struct msghdr *message, int level, int type, const void *data, size_t size) {
    struct cmsghdr *header = (struct cmsghdr *)((char *)message->msg_control + message->msg_controllen);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), data, size);
    message->msg_controllen += CMSG_SPACE(size);
}

static void prepare(struct msghdr *message, const cl_datagram *datagram) {
    if (datagram->segment > 0) put(message, IPPROTO_UDP, UDP_SEGMENT, &datagram->segment, sizeof datagram->segment);
    if (datagram->local_family == 4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, datagram->local, 4);
        put(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (datagram->local_family == 6) {
        struct in6_pktinfo info = {.ipi6_ifindex = datagram->interface};
        memcpy(&info.ipi6_addr, datagram->local, 16);
        put(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (datagram->traffic_class > 0) {
        int value = datagram->traffic_class;
        // Of a mapped address the first counts, of an IPv6 one the second; a socket leaves alone what is not its own.
        put(message, IPPROTO_IP, IP_TOS, &value, sizeof value);
        if ((sa_family_t)datagram->peer.words[0] != AF_INET) put(message, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof value);
    }
}

int cl_send_datagrams(int fd, const cl_datagram *datagrams, cl_datagram_scratch *scratch, int count) {
    for (int i = 0; i < count; i++) {
        const cl_datagram *datagram = &datagrams[i];
        struct msghdr *message = &scratch->messages[i].msg_hdr;
        scratch->pieces[i] = (struct iovec){.iov_base = datagram->bytes, .iov_len = datagram->count};
        uint32_t length = (uint32_t)(datagram->peer.words[3] >> 32);
        message->msg_name = length > 0 ? (void *)&datagram->peer : NULL;
        message->msg_namelen = length;
        message->msg_control = &scratch->controls[i];
        message->msg_controllen = 0;
        if ((datagram->segment | datagram->local_family | datagram->traffic_class) != 0) prepare(message, datagram);
        if (message->msg_controllen == 0) message->msg_control = NULL;
    }
    return (int)cl_system_call(__NR_sendmmsg, fd, (long)scratch->messages, count, MSG_NOSIGNAL, 0, 0);
}

int cl_multicast(int fd, int family, int joins, const uint8_t *group, uint32_t interface) {
    if (family == 4) {
        struct ip_mreqn request = {.imr_ifindex = (int)interface};
        memcpy(&request.imr_multiaddr, group, 4);
        return RESULT(setsockopt(fd, IPPROTO_IP, joins ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request,
                                 sizeof request));
    }
    struct ipv6_mreq request = {.ipv6mr_interface = interface};
    memcpy(&request.ipv6mr_multiaddr, group, 16);
    return RESULT(setsockopt(fd, IPPROTO_IPV6, joins ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request, sizeof request));
}

int cl_multicast_option(int fd, int family, int option, int value) {
    switch (option) {
    case CL_MULTICAST_HOPS:
        return family == 4 ? set(fd, IPPROTO_IP, IP_MULTICAST_TTL, value)
                           : set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, value);
    case CL_MULTICAST_LOOP:
        return family == 4 ? set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, value)
                           : set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, value);
    case CL_MULTICAST_INTERFACE: {
        if (family != 4) return set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, value);
        struct ip_mreqn request = {.imr_ifindex = value};
        return RESULT(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
    }
    default: return -EINVAL;
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Who the process is: credentials(7). The calls are glibc's and not the kernel's, which would change one thread.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CLinux.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESULT(call) ({ __typeof__(call) result_ = (call); result_ < 0 ? -errno : result_; })

int cl_set_users(uint32_t user) { return RESULT(setresuid(user, user, user)); }

int cl_set_groups(uint32_t group, const uint32_t *supplementary, size_t count) {
    _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "gid_t differs");
    if (setgroups(count, supplementary) < 0) return -errno;
    return RESULT(setresgid(group, group, group));
}

int cl_get_owners(uint32_t numbers[6]) {
    if (getresuid(&numbers[0], &numbers[1], &numbers[2]) < 0) return -errno;
    return RESULT(getresgid(&numbers[3], &numbers[4], &numbers[5]));
}

int cl_find_user(const char *name, uint32_t *user, uint32_t *group, char *found_name, size_t size) {
    char buffer[1 << 14];
    struct passwd entry, *found = NULL;
    int code = name ? getpwnam_r(name, &entry, buffer, sizeof buffer, &found)
                    : getpwuid_r(*user, &entry, buffer, sizeof buffer, &found);
    if (!found) return code == ENOENT || code == ESRCH ? 0 : -code;
    if (strlen(entry.pw_name) >= size) return -ENAMETOOLONG;
    strcpy(found_name, entry.pw_name);
    *user = entry.pw_uid;
    *group = entry.pw_gid;
    return 1;
}

int cl_find_group(const char *name, uint32_t *group) {
    char buffer[1 << 16];
    struct group entry, *found = NULL;
    int code = getgrnam_r(name, &entry, buffer, sizeof buffer, &found);
    if (!found) return code == ENOENT || code == ESRCH ? 0 : -code;
    *group = entry.gr_gid;
    return 1;
}

int cl_groups_of_user(const char *name, uint32_t group, uint32_t *groups, int count) {
    int found = count;
    if (getgrouplist(name, group, groups, &found) < 0 && found <= count) return -ENOMEM;
    return found;
}

int cl_get_groups(uint32_t *groups, int count) {
    int found = getgroups(0, groups);
    return found < 0 || found > count ? RESULT(found) : RESULT(getgroups(count, groups));
}

int cl_may_set_users(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    int result = RESULT(syscall(SYS_capget, &header, data));
    return result < 0 ? result : (data[0].permitted & CAP_TO_MASK(CAP_SETUID)) != 0;
}

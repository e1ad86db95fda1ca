// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

/// A user and the groups that go with it: whom a process becomes when it no longer has to be root. credentials(7).
package struct ProcessOwner: Sendable, Equatable {
    /// Why an owner cannot be had.
    package enum Failure: Error, Equatable {
        /// There is no such user.
        case noUser
        /// There is no such group.
        case noGroup
        /// A number without an entry in the user database says nothing of a group.
        case groupNeeded
        /// The database cannot be read.
        case unreadable(Errno)
    }

    package let user: UInt32
    package let group: UInt32
    /// Those of the user in group(5), with `group` among them; `group` alone for a number that is nobody's.
    package let supplementaryGroups: [UInt32]

    /// Looks them up: getpwnam(3), getgrnam(3), getgrouplist(3). May read files or ask a server.
    ///
    /// - Parameters:
    ///   - user: A name, or a number.
    ///   - group: A name, or a number; nil is the user's own.
    package init(user: String, group: String?) throws(Failure) {
        var (userNumber, ownGroup) = (UInt32(user) ?? 0, UInt32.max)
        var name = [CChar](repeating: 0, count: 256)
        let found =
            UInt32(user) != nil
            ? unsafe cl_find_user(nil, &userNumber, &ownGroup, &name, name.count)
            : unsafe cl_find_user(user, &userNumber, &ownGroup, &name, name.count)
        if found < 0 { throw .unreadable(Errno(rawValue: -found)) }
        if found == 0, UInt32(user) == nil { throw .noUser }
        if let group {
            ownGroup = try ProcessOwner.number(ofGroup: group)
        } else if found == 0 {
            throw .groupNeeded
        }
        self.user = userNumber
        self.group = ownGroup
        supplementaryGroups = found == 0 ? [ownGroup] : try ProcessOwner.groups(of: name, with: ownGroup)
    }

    private static func number(ofGroup group: String) throws(Failure) -> UInt32 {
        if let number = UInt32(group) { return number }
        var number: UInt32 = 0
        let found = unsafe cl_find_group(group, &number)
        if found < 0 { throw .unreadable(Errno(rawValue: -found)) }
        guard found == 1 else { throw .noGroup }
        return number
    }

    private static func groups(of name: [CChar], with group: UInt32) throws(Failure) -> [UInt32] {
        var groups = [UInt32](repeating: 0, count: 64)
        while true {
            let count = Int(unsafe cl_groups_of_user(name, group, &groups, Int32(groups.count)))
            if count < 0 { throw .unreadable(Errno(rawValue: Int32(-count))) }
            if count <= groups.count { return Array(groups.prefix(count)) }
            groups = [UInt32](repeating: 0, count: count)
        }
    }

    /// True when the process is it already, and in no group beside.
    package var isCurrent: Bool {
        var numbers = [UInt32](repeating: 0, count: 6)
        guard unsafe cl_get_owners(&numbers) == 0 else { return false }
        return numbers[0..<3].allSatisfy { $0 == user } && numbers[3..<6].allSatisfy { $0 == group }
            && ProcessOwner.currentGroups?.isSubset(of: supplementaryGroups + [group]) == true
    }

    /// The supplementary groups of the process; nil when the kernel does not say.
    private static var currentGroups: Set<UInt32>? {
        var groups = [UInt32](repeating: 0, count: 1 << 16)
        let count = Int(unsafe cl_get_groups(&groups, Int32(groups.count)))
        return count < 0 ? nil : Set(groups.prefix(count))
    }

    /// The process becomes it, with every thread, and for good. Does nothing when it is already.
    ///
    /// setgroups(2), setresgid(2) and setresuid(2), in this order: the first two need what the last one gives up. Only
    /// from root: from another user on, the kernel leaves capabilities as they are, and with them the way back.
    ///
    /// - Throws: EPERM when the process is not root, and nothing has changed then, or when capabilities survived the
    ///   change (securebits, capabilities(7)). EAGAIN when the user has as many processes as it may. Groups may have
    ///   changed when the last step fails.
    package func become() throws(Errno) {
        guard !isCurrent else { return }
        var numbers = [UInt32](repeating: 0, count: 6)
        try checked(unsafe cl_get_owners(&numbers))
        guard numbers[1] == 0 else { throw .notPermitted }
        try checked(unsafe cl_set_groups(group, supplementaryGroups, supplementaryGroups.count))
        try checked(cl_set_users(user))
        guard user == 0 || cl_may_set_users() == 0 else { throw .notPermitted }
    }
}

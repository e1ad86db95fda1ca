// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

/// The addresses of a name: getaddrinfo(3), which blocks for as long as a name server takes.
package enum HostLookup {
    /// gai_strerror(3).
    package struct Failure: Error, Equatable {
        package let reason: String
        package let isTemporary: Bool
    }

    /// Addresses at most; of more the first ones are taken.
    private static var most: Int { 64 }

    /// Blocks; not on a reactor.
    ///
    /// - Returns: At least one, the most promising first.
    package static func addresses(of host: String, port: UInt16) throws(Failure) -> [SocketAddress] {
        guard !host.utf8.contains(0) else { throw Failure(reason: "a name with a zero byte", isTemporary: false) }
        var raw = [cl_address](repeating: cl_address(), count: most)
        let result = unsafe cl_resolve(host, port, &raw, CInt(most))
        guard result > 0 else {
            let reason = unsafe String(cString: cl_resolve_message(result))
            throw Failure(reason: reason, isTemporary: cl_resolve_is_temporary(result) != 0)
        }
        return raw[..<Int(result)].compactMap { SocketAddress($0) }
    }
}

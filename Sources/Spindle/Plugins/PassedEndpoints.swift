// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// `fd:3`: a listening socket, or a UDP socket that is bound, that whoever started the process has left open for it.
enum DescriptorEndpoint {
    static let summary = "fd:NUMBER"

    static func make(_ arguments: inout PluginArguments) throws -> Endpoint.Serve {
        let text = try arguments.require("number", as: "3")
        guard let number = Int32(text), number >= 0 else {
            throw PluginError("fd: number=\(text) is not allowed; allowed is a descriptor's number, as fd:3")
        }
        return { engine, served in
            let listener = try engine.serve(adopting: [number], served, "fd")
            // The text has named it, so it is this endpoint's.
            Descriptor.close(number)
            return listener
        }
    }
}

/// A service manager has not passed the socket that an endpoint wants.
public struct PassedSocketError: Error, Equatable, CustomStringConvertible {
    /// One sentence, with what was passed.
    public let description: String
}

/// `systemd:name=web`, `systemd:index=0`, `systemd`: sockets of a service manager's. systemd.socket(5).
///
/// A name may stand for several sockets: all of them are listened on, one by each reactor where there are as many
/// (`ReusePort=` in as many `.socket` units with one `FileDescriptorName=`).
enum SystemdEndpoint {
    static let summary = "systemd[:name=NAME|:index=NUMBER]"

    /// What was passed, and of that what no endpoint has taken yet; read when the first one asks.
    private static let passed = Guarded<(all: [PassedSockets.Entry], left: [Int])?>(nil)

    static func make(_ arguments: inout PluginArguments) throws -> Endpoint.Serve {
        let name = arguments.takeFirst("name")
        let index = try arguments.takeInteger("index", in: 0...65_535)
        guard name == nil || index == nil else { throw PluginError("systemd takes a name or an index, not both") }
        return { engine, served in
            let (taken, there) = take { place, entry in
                index.map { $0 == place } ?? name.map { $0 == entry.name } ?? true
            }
            guard !taken.isEmpty else { throw missing(name, index, there) }
            let descriptors = taken.map { there[$0].descriptor }
            do {
                let listener = try engine.serve(adopting: descriptors, served, "systemd")
                descriptors.forEach(Descriptor.close)
                return listener
            } catch {
                passed.withLock { $0?.left += taken }
                throw PassedSocketError(description: "systemd: \(error)")
            }
        }
    }

    /// The places of those that `isWanted` wants, which nobody else gets, and all that were passed.
    private static func take(
        where isWanted: (Int, PassedSockets.Entry) -> Bool
    ) -> (taken: [Int], there: [PassedSockets.Entry]) {
        passed.withLock { passed in
            var (all, left) = passed ?? { ($0, Array($0.indices)) }(PassedSockets.take())
            let taken = left.filter { isWanted($0, all[$0]) }
            left.removeAll { taken.contains($0) }
            passed = (all, left)
            return (taken, all)
        }
    }

    private static func missing(_ name: String?, _ index: Int?, _ there: [PassedSockets.Entry]) -> PassedSocketError {
        guard !there.isEmpty else {
            return PassedSocketError(
                description: "systemd: no socket was passed to this process (LISTEN_PID, LISTEN_FDS); systemd.socket(5)"
            )
        }
        let wanted = name.map { "with the name '\($0)'" } ?? index.map { "with the index \($0)" } ?? "left"
        return PassedSocketError(
            description: "systemd: there is no socket \(wanted); passed are: "
                + there.map(\.name).joined(separator: ", ") + ", each for one endpoint"
        )
    }
}

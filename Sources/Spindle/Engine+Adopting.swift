// SPDX-License-Identifier: Apache-2.0

public import SpindleCore
public import SpindleReactor
internal import SpindleSystem

extension Engine {
    /// Listens with every reactor on sockets that somebody else has bound: a service manager, or the process that this
    /// one replaces.
    ///
    /// Of as many sockets as there are reactors, or more, each belongs to one reactor, as the sockets of a group
    /// (SO_REUSEPORT) should; of fewer, one is shared by several, which are balanced. A stop closes this engine's
    /// numbers and no more: whoever has another goes on.
    ///
    /// - Parameters:
    ///   - descriptors: At least one; each a stream socket that listens. The caller closes his own, now or later; the
    ///     sockets are non-blocking from now on.
    ///   - build: Makes the protocol of each connection, on the reactor that has it; nil refuses.
    /// - Throws: `AdoptError`; nothing listens then.
    @discardableResult
    public func listen(
        adopting descriptors: [Int32],
        _ build: @escaping @Sendable (any StreamTransport) throws -> (any StreamProtocol)?
    ) throws(AdoptError) -> Listener {
        precondition(!descriptors.isEmpty, "listening needs a socket")
        var groups: [SocketGroup] = []
        do throws(AdoptError) {
            for start in stride(from: 0, to: descriptors.count, by: reactorCount) {
                groups.append(try adopt(descriptors[start..<min(start + reactorCount, descriptors.count)]))
            }
        } catch {
            groups.forEach { $0.close() }
            throw error
        }
        return add(groups) { ClosureFactory(build) }
    }

    /// A group of these sockets, at least one and not more than reactors: one for each reactor, in turn.
    private func adopt(_ descriptors: ArraySlice<Int32>) throws(AdoptError) -> SocketGroup {
        var bound: [BoundSocket] = []
        do throws(AdoptError) {
            // A number of its own for each reactor, of a socket that several have, too.
            for reactor in 0..<reactorCount {
                bound.append(
                    try drivers.adopt(
                        listener: descriptors[descriptors.startIndex + reactor % descriptors.count]
                    )
                )
            }
        } catch {
            bound.forEach { drivers.close($0.socket) }
            throw error
        }
        return SocketGroup(
            sockets: bound.map { TravellingSocket($0.socket, close: drivers.close) },
            addresses: bound.prefix(descriptors.count).map(\.address),
            isShared: descriptors.count < reactorCount,
            keeper: nil
        )
    }
}

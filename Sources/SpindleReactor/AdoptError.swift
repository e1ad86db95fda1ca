// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleSystem

/// A descriptor that somebody else has opened can't be taken over.
public struct AdoptError: Error, Equatable, CustomStringConvertible {
    /// Which.
    public let descriptor: Int32
    /// One sentence.
    public let reason: String

    /// For drivers of your own.
    public init(descriptor: Int32, reason: String) {
        self.descriptor = descriptor
        self.reason = reason
    }

    init(_ descriptor: Int32, _ failure: AdoptedSocket.Failure) {
        let reason =
            switch failure {
            case .notStream: "it is no stream socket"
            case .notListening: "it does not listen; listen(2) is for whoever opened it"
            case .listening: "it listens, and is no connection"
            case .notConnected: "it is not connected"
            case .unknownFamily: "its family is neither IPv4 nor IPv6 nor Unix"
            case .system(.badDescriptor): "it is not open"
            case .system(.notSocket): "it is no socket"
            case .system(let errno): "\(errno)"
            }
        self.init(descriptor: descriptor, reason: reason)
    }

    /// The number and the reason.
    public var description: String { "descriptor \(descriptor) can't be used: \(reason)" }
}

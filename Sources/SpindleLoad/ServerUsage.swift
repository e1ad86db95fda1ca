// SPDX-License-Identifier: Apache-2.0

/// What a server's process had used up at one moment, as far as it is known.
public struct ServerUsage: Sendable, Equatable {
    /// CPU time, user and kernel, of all threads.
    public var cpu: Duration
    /// Times that a thread gave up its CPU, and had it taken away; nil when unknown.
    public var voluntarySwitches: Int?, involuntarySwitches: Int?
    /// System calls begun, of all threads; nil when they were not counted.
    public var systemCalls: Int?
    /// Resident memory in bytes; nil when unknown.
    public var residentBytes: Int?

    /// Nothing is checked.
    public init(
        cpu: Duration,
        voluntarySwitches: Int? = nil,
        involuntarySwitches: Int? = nil,
        systemCalls: Int? = nil,
        residentBytes: Int? = nil
    ) {
        self.cpu = cpu
        self.voluntarySwitches = voluntarySwitches
        self.involuntarySwitches = involuntarySwitches
        self.systemCalls = systemCalls
        self.residentBytes = residentBytes
    }

    /// What was used since `earlier`; memory is what is resident now.
    public func since(_ earlier: ServerUsage) -> ServerUsage {
        func difference(_ path: KeyPath<ServerUsage, Int?>) -> Int? {
            guard let now = self[keyPath: path], let before = earlier[keyPath: path] else { return nil }
            return now - before
        }
        return ServerUsage(
            cpu: cpu - earlier.cpu,
            voluntarySwitches: difference(\.voluntarySwitches),
            involuntarySwitches: difference(\.involuntarySwitches),
            systemCalls: difference(\.systemCalls),
            residentBytes: residentBytes
        )
    }
}

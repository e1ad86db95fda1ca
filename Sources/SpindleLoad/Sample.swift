// SPDX-License-Identifier: Apache-2.0

internal import Spindle

/// What server and generator had done and used up at one moment.
struct Sample {
    /// By reactor, of a server in this process.
    let cpu: [Duration]
    let connections: [Int]
    let bytes: [Int]
    /// System calls of that server, all reactors together, by what they are called on epoll.
    let calls: [(name: String, count: Int)]
    let usage: ServerUsage?
    let generator: [TurnStatistics]

    init(generator: Engine, server: Engine?, usage: @Sendable () -> ServerUsage?) async {
        cpu = await server?.cpuTimes() ?? []
        let snapshot = server?.snapshot()
        let reactors = snapshot?.reactors ?? []
        connections = reactors.map { Int($0[.openConnections]) }
        bytes = reactors.map { Int($0[.bytesReceived]) }
        calls =
            snapshot.map { snapshot in
                let named: [(String, Counter)] = [
                    ("recv", .receives), ("send", .sends), ("epoll_wait", .waits), ("accept", .acceptCalls),
                    ("close", .closed),
                ]
                return named.map { ($0, Int(snapshot[$1])) }
            } ?? []
        self.usage = usage() ?? (server == nil ? nil : ServerUsage(cpu: cpu.reduce(.zero, +)))
        self.generator = generator.snapshot().reactors.map(\.turns)
    }
}

extension TurnStatistics {
    /// The share of the time since `earlier` that was not spent waiting, 0...1.
    func busyShare(since earlier: TurnStatistics) -> Double {
        let busy = busyNanoseconds - earlier.busyNanoseconds
        let all = busy + idleNanoseconds - earlier.idleNanoseconds
        return all > 0 ? busy / all : 0
    }
}

// SPDX-License-Identifier: Apache-2.0

internal import SpindleCore
internal import SpindleReactor
internal import SpindleSystem
internal import SpindleTopology

/// The thread of one reactor: finds its place, makes the reactor there, runs it.
struct ReactorThread: Sendable {
    let engine: Engine
    let index: Int
    let mailroom: Mailroom
    let forwarder: TaskForwarder?

    func run(ready: Latch, failures: FailureList) {
        let handle = mailroom.handles[index]
        let cpusBefore = try? SystemThread.affinity()
        takePlace()
        forwarder?.adoptThread()
        // What the thread lets go of at its very end may start tasks, when nobody forwards any more.
        defer { leavePlace(to: cpusBefore) }
        let reactor: Reactor
        do throws(Errno) {
            let limits = engine.configuration.limits
            let driver = try engine.drivers.makeDriver(reactor: index, configuration: limits)
            reactor = Reactor(index: index, configuration: limits, driver: driver, mailroom: mailroom, log: engine.log)
            reactor.resolver = engine.resolver
            reactor.blockingPool = engine.blockingPool
        } catch {
            failures.add(index, error)
            handle.markStopped()
            return ready.arrive()
        }
        ready.arrive()
        reactor.run()
        reactor.finishHandlers(within: ReactorThread.handlerGrace)
        reactor.tearDown()
        handle.markStopped()
        mailroom.discardUndelivered(to: index)
    }

    /// How long the tasks of connections have to end once they are cancelled and their connections closed.
    private static var handlerGrace: Duration { .seconds(1) }

    /// Pins the thread and sets its memory policy, before anything of the reactor's is touched.
    private func takePlace() {
        let place = engine.placement.reactors[index]
        if engine.placement.isPinned {
            do throws(Errno) { try SystemThread.setAffinity(Array(place.allowedCPUs)) } catch {
                say("cannot run on CPU \(place.allowedCPUs) alone: \(error); it floats")
            }
        }
        guard let node = place.memoryNode, engine.machine.nodes.count > 1 else { return }
        do throws(Errno) { try MemoryPolicy.prefer(node: node) } catch {
            // Containers without CAP_SYS_NICE refuse: said once, by the first reactor.
            if index == 0 { say("memory cannot be bound to NUMA nodes: \(error); it comes from wherever is near") }
        }
    }

    /// An ordinary thread again: the pool's threads that it may bring about inherit nothing from a reactor.
    private func leavePlace(to cpus: [Int]?) {
        if engine.placement.isPinned, let cpus { try? SystemThread.setAffinity(cpus) }
        if engine.machine.nodes.count > 1 { try? MemoryPolicy.reset() }
        TaskForwarder.releaseThread()
    }

    private func say(_ message: String) {
        engine.log.write(LogRecord(level: .warning, message: message, reactor: index))
    }
}

/// The reactors that could not be made.
final class FailureList: Sendable {
    private let failures = Guarded<[(index: Int, errno: Errno)]>([])

    func add(_ index: Int, _ errno: Errno) { failures.withLock { $0.append((index, errno)) } }

    var first: (index: Int, errno: Errno)? { failures.withLock { $0.min { $0.index < $1.index } } }
}

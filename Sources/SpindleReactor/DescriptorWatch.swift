// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// A descriptor of somebody else's that a reactor waits for: a timerfd, an inotify, another library's socket.
///
/// Its callback is called in every turn in which the descriptor is ready, until it is not or the watch is cancelled:
/// level-triggered, as libraries expect it. The descriptor stays its owner's, who cancels the watch before closing it.
public final class DescriptorWatch {
    /// What is watched.
    public let descriptor: Int32
    /// False once it was cancelled.
    public private(set) var isActive = true
    let token: EventToken
    private unowned let reactor: Reactor
    private var body: ((DescriptorWatch, Readiness) throws -> Void)?

    /// What is waited for, of `.readable` and `.writable`; errors and hang-ups are told unasked. With neither, they
    /// alone are.
    public private(set) var readiness: Readiness

    init(
        _ descriptor: Int32,
        _ readiness: Readiness,
        _ token: EventToken,
        on reactor: Reactor,
        _ body: @escaping (DescriptorWatch, Readiness) throws -> Void
    ) {
        self.descriptor = descriptor
        self.readiness = readiness
        self.token = token
        self.reactor = reactor
        self.body = body
    }

    /// Waits for something else from now on. On the reactor's thread; does nothing once it was cancelled.
    ///
    /// - Throws: `WatchError` when the descriptor was closed meanwhile.
    public func wait(for readiness: Readiness) throws(WatchError) {
        guard isActive else { return }
        reactor.preconditionCurrent()
        do throws(Errno) { try reactor.driver.change(descriptor: descriptor, to: readiness, token: token) } catch {
            throw WatchError(descriptor: descriptor, errno: error)
        }
        self.readiness = readiness
    }

    /// Waits no longer. On the reactor's thread.
    public func cancel() {
        guard isActive else { return }
        reactor.preconditionCurrent()
        reactor.driver.unwatch(descriptor: descriptor)
        forget()
        reactor.watches.removeAll { $0 === self }
    }

    /// The callback goes, with all that it holds.
    func forget() {
        isActive = false
        body = nil
    }

    /// An error of the callback ends the watch: the descriptor would be ready again at once.
    func fire(_ readiness: Readiness) {
        do { try body?(self, readiness) } catch {
            let message = "the watch of descriptor \(descriptor) threw \(error); it is not watched any longer"
            reactor.log.write(LogRecord(level: .error, message: message, reactor: reactor.index))
            cancel()
        }
    }
}

/// A descriptor can't be watched.
public struct WatchError: Error, Equatable, CustomStringConvertible {
    /// Which.
    public let descriptor: Int32
    /// The kernel's reason.
    public let errno: Errno

    /// The number, the reason, and what to do about it.
    public var description: String {
        let advice =
            switch errno {
            case .notPermitted: "; a file or folder is always ready: read it on the blocking pool"
            case .fileExists: "; this reactor watches it already"
            case .noSuchFile, .badDescriptor: "; it is not open"
            default: ""
            }
        return "descriptor \(descriptor) can't be watched: \(errno)\(advice)"
    }
}

extension Reactor {
    /// Calls `body` whenever a descriptor of somebody else's is ready, on this reactor, in every turn in which it is.
    ///
    /// - Parameters:
    ///   - descriptor: Open, of a kind that can be waited for: no file, no folder.
    ///   - readiness: `.readable`, `.writable` or both.
    ///   - body: Gets the watch, which it may cancel or change, and what the descriptor is ready for. An error that it
    ///     throws is logged and ends the watch.
    /// - Throws: `WatchError`.
    @discardableResult
    public func watch(
        _ descriptor: Int32,
        for readiness: Readiness = .readable,
        _ body: @escaping (DescriptorWatch, Readiness) throws -> Void
    ) throws(WatchError) -> DescriptorWatch {
        preconditionCurrent()
        watchCount &+= 1
        let token = EventToken(watch: watchCount)
        do throws(Errno) { try driver.watch(descriptor: descriptor, for: readiness, token: token) } catch {
            throw WatchError(descriptor: descriptor, errno: error)
        }
        let watch = DescriptorWatch(descriptor, readiness, token, on: self, body)
        watches.append(watch)
        return watch
    }

    /// An event of no connection.
    @inline(never)
    func specialEvent(_ event: DriverEvent) {
        if let index = event.token.portIndex { return datagramEvent(onPort: index, event.token) }
        guard event.token.isWatch, let watch = watches.first(where: { $0.token == event.token }) else {
            return counters.add(.staleEvents)
        }
        watch.fire(event.readiness)
    }

    func endWatches() {
        for watch in watches {
            driver.unwatch(descriptor: watch.descriptor)
            watch.forget()
        }
        watches = []
    }
}

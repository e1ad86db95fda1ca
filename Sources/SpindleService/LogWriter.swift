// SPDX-License-Identifier: Apache-2.0

public import Logging
public import Spindle
internal import SpindleSystem
internal import Synchronization

/// Writes what is logged from a thread of its own, so that no core waits for a disk, a pipe or a terminal.
///
///     let writer = try LogWriter()
///     LoggingSystem.bootstrap(writer.handler)
///     …                                      // What is logged here is kept,
///     try writer.start(.json)                // and shown now.
///
/// Those who log put their line into a queue without a lock and go on. When `capacity` lines wait, further ones are
/// dropped, counted, and the count is written as soon as there is room.
public final class LogWriter: Sendable {
    private struct State {
        var hasStarted = false
        var isDone = false
    }

    private final class Waiting: InboxNode {
        let line: LogLine
        init(_ line: LogLine) { self.line = line }
    }

    private let queue: Inbox<Waiting>
    private let event: EventDescriptor
    private let state = Monitor(State())
    private let level = Atomic<Int>(LogWriter.rank(.debug))
    private let format = Atomic<Bool>(false)
    private let descriptor = Atomic<CInt>(2)
    private let isEnding = Atomic<Bool>(false)
    private let dropped = Atomic<Int>(0)
    private let lost = Atomic<Int>(0)

    /// A writer that keeps what it is given until it is started.
    ///
    /// - Parameter capacity: Lines that may wait.
    /// - Throws: EMFILE or ENFILE when there is no descriptor left.
    public init(capacity: Int = 8192) throws(Errno) {
        queue = Inbox(capacity: capacity)
        event = try EventDescriptor()
    }

    /// Lines that may wait.
    public var capacity: Int {
        get { queue.capacity }
        set { queue.capacity = newValue }
    }

    /// Lines that were dropped because the queue was full, or could not be written as on a full disk.
    public var lostCount: Int { lost.load(ordering: .relaxed) + dropped.load(ordering: .relaxed) }

    /// What is below it is not taken; `debug` until the start.
    public var minimumLevel: Logger.Level { LogWriter.levels[level.load(ordering: .relaxed)] }

    /// A handler for `LoggingSystem.bootstrap`, or for a single `Logger`.
    @Sendable public func handler(label: String) -> any LogHandler { Handler(writer: self, label: label) }

    /// The same, for programs that bootstrap with a metadata provider.
    @Sendable public func providingHandler(
        label: String,
        metadataProvider: Logger.MetadataProvider?
    ) -> any LogHandler {
        var handler = Handler(writer: self, label: label)
        handler.metadataProvider = metadataProvider
        return handler
    }

    /// Begins to write: first what was kept, as far as it is not below `level`. A second call changes nothing.
    ///
    /// - Parameters:
    ///   - format: Text or JSON.
    ///   - level: What is below it is dropped, and not counted.
    ///   - descriptor: Where to; standard error unless said otherwise. It stays the caller's.
    /// - Throws: EAGAIN when there is no thread to be had.
    public func start(
        _ format: LogFormat = .text,
        level: Logger.Level = .info,
        descriptor: Int32 = 2
    ) throws(Errno) {
        guard !state.withLock({ $0.hasStarted }) else { return }
        self.format.store(format == .json, ordering: .relaxed)
        self.level.store(LogWriter.rank(level), ordering: .relaxed)
        self.descriptor.store(descriptor, ordering: .relaxed)
        try SystemThread.start(name: "spindle-log") { [self] in
            SystemThread.blockBrokenPipeSignal()
            while !isEnding.load(ordering: .acquiring) {
                write(take())
                event.wait()
            }
            write(close())
            state.changeForAll { $0.isDone = true }
        }
        state.changeForAll { $0.hasStarted = true }
        event.ring()
    }

    /// Writes what waits, at most for so long, and ends the thread. What is logged after that is written at once.
    ///
    /// A writer that was never started shows what it kept, as text on standard error.
    ///
    /// - Returns: False when not all could be written in time: whoever reads does not.
    @discardableResult
    public func stop(within time: Duration = .seconds(1)) -> Bool {
        guard state.withLock({ $0.hasStarted }) else {
            write(close())
            return true
        }
        isEnding.store(true, ordering: .releasing)
        event.ring()
        let end = SystemClock.now().advanced(by: time)
        return state.wait(until: end) { state, isLast in state.isDone || isLast ? state.isDone : nil } ?? false
    }

    /// From any thread; never waits, but for after the stop.
    func take(_ line: LogLine) {
        switch queue.push(Waiting(line)) {
        case .pushed(let wasEmpty): if wasEmpty { event.ring() }
        case .full: dropped.add(1, ordering: .relaxed)
        case .closed: write([line])
        }
    }

    private func take() -> [LogLine] {
        var lines: [LogLine] = []
        queue.takeAll { lines.append($0.line) }
        return lines
    }

    private func close() -> [LogLine] {
        var lines: [LogLine] = []
        queue.close { lines.append($0.line) }
        return lines
    }

    /// Some 64 KiB at a time, so that a reader sees the first before the last is formatted.
    private func write(_ lines: [LogLine]) {
        var bytes: [UInt8] = []
        var count = 0
        let minimum = minimumLevel
        let format: LogFormat = format.load(ordering: .relaxed) ? .json : .text
        func flush() {
            do throws(Errno) { try Descriptor.write(bytes, to: descriptor.load(ordering: .relaxed)) } catch {
                lost.add(count, ordering: .relaxed)
            }
            bytes.removeAll(keepingCapacity: true)
            count = 0
        }
        for line in lines + complaint() where !line.followsWriter || line.level >= minimum {
            bytes += line.text(format).utf8
            count += 1
            if bytes.count >= 1 << 16 { flush() }
        }
        if count > 0 { flush() }
    }

    /// What was dropped since the last time; nothing when nothing was.
    private func complaint() -> [LogLine] {
        let count = dropped.exchange(0, ordering: .relaxed)
        guard count > 0 else { return [] }
        lost.add(count, ordering: .relaxed)
        let message = "\(count) lines were dropped: \(capacity) waited to be written already"
        var line = LogLine(
            microseconds: WallClock.now(),
            level: .warning,
            label: "log",
            message: message,
            metadata: [:]
        )
        line.followsWriter = false
        return [line]
    }

    private static let levels = Logger.Level.allCases.sorted()

    private static func rank(_ level: Logger.Level) -> Int { levels.firstIndex(of: level) ?? 0 }
}

extension LogWriter {
    /// What a `Logger` holds: its own metadata and level, and the writer.
    private struct Handler: LogHandler {
        let writer: LogWriter
        let label: String
        var metadata: Logger.Metadata = [:]
        var metadataProvider: Logger.MetadataProvider?
        private var ownLevel: Logger.Level?

        init(writer: LogWriter, label: String) {
            self.writer = writer
            self.label = label
        }

        var logLevel: Logger.Level {
            get { ownLevel ?? writer.minimumLevel }
            set { ownLevel = newValue }
        }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            var all = metadata
            if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
            if let given = event.metadata { all.merge(given) { $1 } }
            if let error = event.error { all["error"] = "\(error)" }
            var line = LogLine(
                microseconds: WallClock.now(),
                level: event.level,
                label: label,
                message: "\(event.message)",
                metadata: all
            )
            line.followsWriter = ownLevel == nil
            writer.take(line)
        }
    }
}

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
    /// The last write failed: what it has written may end in the middle of a line.
    private let isCut = Atomic<Bool>(false)

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
        let isFirst = state.withLock { state in
            defer { state.hasStarted = true }
            return !state.hasStarted
        }
        guard isFirst else { return }
        self.format.store(format == .json, ordering: .relaxed)
        self.level.store(LogWriter.rank(level), ordering: .relaxed)
        self.descriptor.store(descriptor, ordering: .relaxed)
        do throws(Errno) { try SystemThread.start(name: "spindle-log") { [self] in run() } } catch {
            state.withLock { $0.hasStarted = false }
            throw error
        }
    }

    private func run() {
        while !isEnding.load(ordering: .acquiring) {
            write(take())
            event.wait()
        }
        write(close())
        state.changeForAll { $0.isDone = true }
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
        let isDone = state.wait(until: end) { state, isLast in state.isDone || isLast ? state.isDone : nil } ?? false
        // Those who found the queue full just before it was closed.
        if isDone { write([]) }
        return isDone
    }

    /// From any thread; never waits, but for after the stop.
    func take(_ line: LogLine) {
        switch queue.push(Waiting(line)) {
        case .pushed(let wasEmpty): if wasEmpty { event.ring() }
        // The first one rings: its line may have been taken for the last by then.
        case .full: if dropped.add(1, ordering: .relaxed).oldValue == 0 { event.ring() }
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
        for line in lines where !line.followsWriter || line.level >= minimum {
            bytes += line.text(format).utf8
            count += 1
            if bytes.count >= 1 << 16 { flush(&bytes, &count) }
        }
        flush(&bytes, &count)
        guard let complaint = complaint() else { return }
        bytes += complaint.text(format).utf8
        flush(&bytes, &count)
    }

    /// Writes the bytes of so many lines; lines that cannot be written are told of with those that were dropped.
    private func flush(_ bytes: inout [UInt8], _ count: inout Int) {
        guard !bytes.isEmpty else { return }
        let isCut = isCut.exchange(false, ordering: .relaxed)
        let text = (isCut ? [UInt8(ascii: "\n")] : []) + bytes
        let target = descriptor.load(ordering: .relaxed)
        let isWritten = SystemThread.withoutBrokenPipeSignal {
            do { try Descriptor.write(text, to: target) } catch { return false }
            return true
        }
        if !isWritten {
            // A part of a line may have been.
            self.isCut.store(true, ordering: .relaxed)
            dropped.add(count, ordering: .relaxed)
        }
        bytes.removeAll(keepingCapacity: true)
        count = 0
    }

    /// What was lost since the last time; nil when nothing was.
    private func complaint() -> LogLine? {
        let count = dropped.exchange(0, ordering: .relaxed)
        guard count > 0 else { return nil }
        lost.add(count, ordering: .relaxed)
        let message = "\(count) lines were lost: \(capacity) waited to be written already, or they could not be written"
        var line = LogLine(
            microseconds: WallClock.now(),
            level: .warning,
            label: "log",
            message: message,
            metadata: [:]
        )
        line.followsWriter = false
        return line
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

// SPDX-License-Identifier: Apache-2.0

internal import Spindle

/// What one connection sends and gets back, every byte checked: its part of the pattern and its messages on the way.
struct CheckedStream {
    /// Where it begins in the pattern: connections begin at different places.
    private let offset: UInt64
    private(set) var window: MessageWindow

    init(number: Int, _ window: MessageWindow) {
        offset = UInt64(number) &* 7919
        self.window = window
    }

    /// Puts one more message on the way; it has to be written.
    ///
    /// - Parameter time: Nanoseconds: what its latency counts from.
    mutating func send(at time: UInt64) -> Int { window.send(at: time) }

    /// Where the bytes begin in the pattern that are put on the way next.
    var nextOffset: UInt64 { offset + window.sentBytes }

    /// Takes in what came back and records the messages that it completes. What was not sent fails the run and aborts
    /// the connection.
    ///
    /// - Returns: How many messages.
    mutating func receive(
        _ bytes: Span<UInt8>,
        of pattern: LoadPattern,
        at now: UInt64,
        _ recorder: LoadRecorder,
        from transport: any StreamTransport
    ) -> Int {
        let (first, before) = (window.receivedBytes, window.received)
        if let index = pattern.firstMismatch(bytes, at: offset + first) {
            recorder.fail(.mismatch(connection: transport.connectionNumber, byte: first + UInt64(index)))
            transport.abortConnection()
            return 0
        }
        guard window.receive(bytes.count, finished: { recorder.record(from: $0, to: now) }) else {
            recorder.fail(.surplus(connection: transport.connectionNumber, byte: window.sentBytes))
            transport.abortConnection()
            return 0
        }
        return window.received - before
    }
}

// SPDX-License-Identifier: Apache-2.0

package import SpindleCore

/// Stands for a task among the protocols of connections: it only passes on what the task has to know.
package final class HandlerProtocol: StreamProtocol {
    let stream: StreamConnection
    /// What serves the connection; nil when the task that opened it does.
    private let handle: StreamConnection.Handler?

    /// Traps when the transport is not a reactor's.
    package init(_ transport: any StreamTransport, _ handle: StreamConnection.Handler?) {
        guard let connection = transport as? Connection else {
            preconditionFailure("a handler serves connections of reactors, not \(type(of: transport))")
        }
        stream = StreamConnection(connection)
        self.handle = handle
    }

    package var transport: any StreamTransport { stream.connection }
    package func connectionMade() { if let handle { stream.start(handle) } }
    package func dataReceived(_ bytes: Span<UInt8>) {}
    package func lowWatermarkReached() { stream.resumeWriter() }
    package func writeDrained() { stream.resumeWriter() }
    package func connectionLost(_ reason: DisconnectReason) { stream.ended(reason) }
    func resumeWaiting() { stream.resumeWaiting() }
}

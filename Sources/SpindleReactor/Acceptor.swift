// SPDX-License-Identifier: Apache-2.0

package import SpindleCore

/// A listening socket for a reactor to accept from.
package struct ListeningSocket {
    package let handle: SocketHandle
    package let address: SocketAddress
    /// Other reactors accept from the same queue.
    package let isShared: Bool
    /// Kept while anybody accepts there.
    package let keeper: (any AnyObject & Sendable)?

    package init(
        _ handle: SocketHandle,
        address: SocketAddress,
        isShared: Bool = false,
        keeper: (any AnyObject & Sendable)? = nil
    ) {
        self.handle = handle
        self.address = address
        self.isShared = isShared
        self.keeper = keeper
    }
}

/// One listening socket of one reactor.
final class Acceptor {
    let socket: ListeningSocket
    var handle: SocketHandle { socket.handle }
    var address: SocketAddress { socket.address }
    let token: EventToken
    let use: FactoryUse
    /// Asked before a protocol is built: the reactor that should have the connection.
    let balance: Balance?
    /// Names this listener in every reactor of the engine.
    let listenerID: Int
    /// While it rests: what ends that.
    var restTimer = TimerWheel<TimerAction>.ID.none
    var isResting: Bool { restTimer != .none }
    var isOnReadyList = false
    /// Its queue is being emptied before it is closed.
    var isClosing = false
    var isClosed = false

    init(
        _ socket: ListeningSocket,
        token: EventToken,
        use: FactoryUse,
        listenerID: Int,
        balance: Balance?
    ) {
        self.socket = socket
        self.token = token
        self.use = use
        self.listenerID = listenerID
        self.balance = balance
    }
}

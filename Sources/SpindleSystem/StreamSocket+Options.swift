// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SpindleCore

/// The options that programs may set. socket(7), tcp(7), ip(7), ipv6(7).
extension StreamSocket {
    /// setsockopt(2).
    package func set(_ option: SocketOptionName, _ value: Int32) throws(Errno) {
        // ECN's two bits stand below.
        if option == .dscp {
            try checked(cl_set_traffic_class(descriptor, CInt(value) << 2))
        } else {
            try checked(cl_set_option(descriptor, option.raw, CInt(value)))
        }
    }

    /// getsockopt(2).
    package func value(of option: SocketOptionName) throws(Errno) -> Int32 {
        option == .dscp
            ? try checked(cl_get_traffic_class(descriptor)) >> 2 : try value(ofRaw: option.raw)
    }

    /// Sets all of them, in order, up to the first that is refused.
    package func apply(_ settings: [SocketSetting]) throws(SocketOptionError) {
        for setting in settings {
            do throws(Errno) { try set(setting.name, setting.rawValue) } catch {
                throw SocketOptionError(setting.name, error)
            }
        }
    }
}

extension SocketOptionName {
    fileprivate var raw: CInt {
        switch self {
        case .noDelay: CInt(CL_NODELAY)
        case .quickAck: CInt(CL_QUICK_ACK)
        case .keepAlive: CInt(CL_KEEPALIVE)
        case .keepAliveIdle: CInt(CL_KEEP_IDLE)
        case .keepAliveInterval: CInt(CL_KEEP_INTERVAL)
        case .keepAliveCount: CInt(CL_KEEP_COUNT)
        case .userTimeout: CInt(CL_USER_TIMEOUT)
        case .notSentLowWatermark: CInt(CL_NOT_SENT_LOW_WATERMARK)
        case .fastOpen: CInt(CL_FAST_OPEN)
        case .fastOpenConnect: CInt(CL_FAST_OPEN_CONNECT)
        case .deferAccept: CInt(CL_DEFER_ACCEPT)
        case .sendBuffer: CInt(CL_SEND_BUFFER)
        case .receiveBuffer: CInt(CL_RECEIVE_BUFFER)
        case .mark: CInt(CL_MARK)
        case .dscp: preconditionFailure("of two names, by the socket's family")
        case .busyPoll: CInt(CL_BUSY_POLL)
        case .incomingCPU: CInt(CL_INCOMING_CPU)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

import Logging
import Spindle
import SpindleProtocols

/// What the command itself can put before an endpoint: `limit:connections=1000:per-peer=10:proxy:tcp:port=80`.
struct StandardPolicies: Plugin {
    func register(in registry: inout PluginRegistry) throws {
        try registry.register(
            filter: "proxy",
            summary:
                "proxy[:timeout=TIME]: clients come by way of a proxy that says who they are (PROXY protocol v1, v2)",
            isWrapper: true
        ) { arguments in
            let timeout = try arguments.takeDuration("timeout") ?? .seconds(5)
            return { build in ProxiedConnection.guarding(timeout: timeout, build) }
        }
        try registry.register(
            filter: "limit",
            summary: "limit[:connections=N][:per-peer=N][:message=TEXT]: no more connections at once; others get TEXT",
            isWrapper: false
        ) { arguments in
            let limit = ConnectionLimit(
                .init(
                    total: try arguments.takeInteger("connections", in: 0...1_000_000_000),
                    perPeer: try arguments.takeInteger("per-peer", in: 0...1_000_000_000)
                )
            )
            guard limit.configuration.total != nil || limit.configuration.perPeer != nil else {
                throw PluginError("limit needs connections or per-peer, as limit:connections=1000")
            }
            guard let message = arguments.take("message") else { return { build in limit.guarding(build) } }
            return { build in
                limit.guarding(overflow: { transport, _ in Farewell(transport, message + "\r\n") }, build)
            }
        }
        try registry.register(
            filter: "access",
            summary: "access[:allow=NETWORKS][:deny=NETWORKS]: lets in who comes from these, separated by commas",
            isWrapper: false
        ) { arguments in
            let list = AccessList(
                allow: try StandardPolicies.networks(&arguments, "allow"),
                deny: try StandardPolicies.networks(&arguments, "deny")
            )
            guard list != AccessList() else {
                throw PluginError("access needs allow or deny, as access:allow=10.0.0.0/8")
            }
            return { build in list.guarding(build) }
        }
        try registry.register(
            filter: "throttle",
            summary: "throttle[:read=RATE][:write=RATE][:total-read=RATE][:total-write=RATE][:burst=SIZE]"
                + "[:total-burst=SIZE]: bytes a second, as 1MiB, of each connection and of all",
            isWrapper: false,
            StandardPolicies.throttle
        )
        try registry.register(
            wrapper: "dump",
            summary: "dump[:limit=BYTES]: logs what goes in and out, in hexadecimal"
        ) { arguments in
            let limit = try arguments.takeInteger("limit", in: 0...65_536) ?? 256
            let logger = Logger(label: "spindle.traffic")
            return { TrafficLog($0, limitBytes: limit) { logger.info("\($0)") } }
        }
    }

    private static func throttle(
        _ arguments: inout PluginArguments
    ) throws -> @Sendable (@escaping StreamBuilder) -> StreamBuilder {
        let burst = try arguments.takeBytes("burst", in: RateLimit.allowedBursts)
        let totalBurst = try arguments.takeBytes("total-burst", in: RateLimit.allowedBursts)
        func rate(_ key: String, _ burst: Int?) throws -> Throttle.Rate? {
            try arguments.takeBytes(key, in: RateLimit.allowedRates).map {
                .init(bytesPerSecond: $0, burstBytes: burst)
            }
        }
        let (read, write) = (try rate("read", burst), try rate("write", burst))
        let (totalRead, totalWrite) = (try rate("total-read", totalBurst), try rate("total-write", totalBurst))
        guard read != nil || write != nil || totalRead != nil || totalWrite != nil else {
            throw PluginError("throttle needs read, write, total-read or total-write, as throttle:write=1MiB")
        }
        guard burst == nil || read != nil || write != nil else {
            throw PluginError("throttle: burst is of read and write, and neither is given")
        }
        guard totalBurst == nil || totalRead != nil || totalWrite != nil else {
            throw PluginError("throttle: total-burst is of total-read and total-write, and neither is given")
        }
        let throttle = Throttle(read: read, write: write, totalRead: totalRead, totalWrite: totalWrite)
        return { build in throttle.guarding(build) }
    }

    private static func networks(_ arguments: inout PluginArguments, _ key: String) throws -> [AddressPrefix] {
        guard let text = arguments.take(key) else { return [] }
        return try text.split(separator: ",", omittingEmptySubsequences: false).map { word in
            guard let prefix = AddressPrefix(String(word)) else {
                throw PluginError(
                    "access: \(key)=\(word) is not allowed; allowed are networks, as 10.0.0.0/8,2001\\:db8\\:\\:/32"
                )
            }
            return prefix
        }
    }
}

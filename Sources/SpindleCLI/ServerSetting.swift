// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleService

/// What can be set about a server besides its engine: by flag, variable or file, under the same name.
enum ServerSetting: String, CaseIterable {
    case listen
    case `protocol`
    case stats
    case logLevel = "log-level"
    case logFormat = "log-format"
    case logQueue = "log-queue"

    var name: String { rawValue }

    var environmentName: String { EngineOption.environmentName(of: name) }

    var standard: String {
        switch self {
        case .listen: "tcp:port=7000"
        case .protocol: "echo"
        case .stats: "never"
        case .logLevel: "info"
        case .logFormat: "text"
        case .logQueue: "8192"
        }
    }
}

/// The settings of a server, read and checked.
struct ServerSettings {
    let endpoints: [Endpoint]
    let served: ServedProtocol
    let statisticsInterval: Duration?
    let logLevel: LogLevel
    let logFormat: LogFormat
    let logQueue: Int

    /// - Parameters:
    ///   - name: The protocol, where the command decides; nil asks the settings.
    ///   - registry: What endpoints and protocols there are.
    init(_ settings: Settings, protocol name: String?, registry: PluginRegistry) throws {
        func refuse(_ setting: ServerSetting, _ allowed: String) -> SettingsFailure {
            settings.refusal(of: setting.name, given: settings.text(setting), allowed: allowed)
        }
        do {
            endpoints = try settings.texts(.listen).map(registry.makeEndpoint)
        } catch { throw settings.failure("\(settings.origin(of: "listen")): \(error)", about: "listen") }
        guard !endpoints.isEmpty else {
            throw settings.refusal(of: "listen", given: "", allowed: "an endpoint or more")
        }
        do {
            served = try registry.makeProtocol(name ?? settings.text(.protocol))
        } catch { throw settings.failure("\(settings.origin(of: "protocol")): \(error)", about: "protocol") }
        let stats = settings.text(.stats)
        statisticsInterval = stats == "never" ? nil : TimeText.parse(stats)
        guard stats == "never" || statisticsInterval ?? .zero >= .milliseconds(10) else {
            throw refuse(.stats, "never, or a time from 10ms on, as 1s")
        }
        switch settings.text(.logLevel) {
        case "debug": logLevel = .debug
        case "info": logLevel = .info
        case "warning": logLevel = .warning
        case "error": logLevel = .error
        default: throw refuse(.logLevel, "debug, info, warning, error")
        }
        guard let format = LogFormat(rawValue: settings.text(.logFormat)) else {
            throw refuse(.logFormat, LogFormat.allCases.map(\.rawValue).joined(separator: ", "))
        }
        logFormat = format
        guard let queue = Int(settings.text(.logQueue)), (1...10_000_000).contains(queue) else {
            throw refuse(.logQueue, "a whole number from 1 to 10000000")
        }
        logQueue = queue
    }
}

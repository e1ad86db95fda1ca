// SPDX-License-Identifier: Apache-2.0

import Configuration
import Spindle
import SpindleService
import SpindleSystem
import SpindleTopology
import Synchronization
import SystemPackage

/// What a command runs with: flags, over `SPINDLE_*` variables, over a file, over defaults.
struct Settings {
    let engine: EngineConfiguration
    private let config: ConfigReader
    private let origins: SettingOrigins

    /// - Parameters:
    ///   - flags: By name, without dashes.
    ///   - environment: The variables that begin with `SPINDLE_`.
    ///   - file: YAML or JSON; nil for none.
    /// - Throws: `SettingsFailure`.
    init(flags: [String: [String]], environment: [String: String], file: String?) async throws {
        try Settings.check(environment)
        let file = file ?? environment["SPINDLE_CONFIG"]
        var providers: [any ConfigProvider] = [
            InMemoryProvider(name: "flags", values: Settings.values(flags)),
            EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "spindle"),
        ]
        if let file { providers.append(try await Settings.provider(file)) }
        origins = SettingOrigins()
        config = ConfigReader(providers: providers, accessReporter: origins)
        do throws(OptionError) { engine = try EngineConfiguration(config: config) } catch {
            throw Settings.refusal(of: error.option, given: error.given, allowed: error.allowed, origins)
        }
    }

    private static func values(_ flags: [String: [String]]) -> [AbsoluteConfigKey: ConfigValue] {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, texts) in flags {
            let content: ConfigContent =
                name == ServerSetting.listen.name ? .stringArray(texts) : .string(texts.last ?? "")
            values[AbsoluteConfigKey([name])] = ConfigValue(content, isSecret: false)
        }
        return values
    }

    /// The names that a variable or a file may set.
    private static let otherNames = Set(ServerSetting.allCases.map(\.name))

    private static func provider(_ path: String) async throws(SettingsFailure) -> any ConfigProvider {
        do { try OrdinaryFile.checkReadable(path) } catch {
            throw SettingsFailure("the configuration \(path) cannot be read: \(error)", code: ExitStatus.noInput)
        }
        let options = OptionsFile.ParsingOptions(path: path, otherNames: otherNames)
        do { return try await FileProvider<OptionsFile>(parsingOptions: options, filePath: FilePath(path)) } catch {
            if let refusal = error as? OptionsFile.Refusal {
                throw SettingsFailure("\(refusal)", code: ExitStatus.configuration)
            }
            throw SettingsFailure("the configuration \(path) cannot be read: \(error)", code: ExitStatus.noInput)
        }
    }

    /// Refuses a variable that is no option, but for those that a cluster sets for a service called "spindle-…".
    private static func check(_ environment: [String: String]) throws(SettingsFailure) {
        let known = EngineOption.all.map(\.environmentName) + ServerSetting.allCases.map(\.environmentName)
        for name in environment.keys.sorted() where !known.contains(name) && name != "SPINDLE_CONFIG" {
            guard !isServiceVariable(name) else { continue }
            throw SettingsFailure("\(name) is no option: unset it\(NearName.hint(name, among: known))")
        }
    }

    /// `…_SERVICE_HOST`, `…_SERVICE_PORT`, `…_PORT`, `…_PORT_80_TCP_ADDR`: what Kubernetes sets in each container.
    private static func isServiceVariable(_ name: String) -> Bool {
        let words = name.split(separator: "_")
        if name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") { return true }
        guard let port = words.firstIndex(of: "PORT") else { return false }
        return port == words.count - 1 || words[port + 1].allSatisfy(\.isNumber)
    }

    /// A setting of a server as text, its default when nobody said anything.
    ///
    /// A list is a text that no setting allows, unless it has one element.
    func text(_ setting: ServerSetting) -> String {
        let key = ConfigKey(setting.name)
        return config.string(forKey: key) ?? config.stringArray(forKey: key)?.joined(separator: ",") ?? setting.standard
    }

    /// A setting that may be there several times.
    func texts(_ setting: ServerSetting) -> [String] {
        config.stringArray(forKey: ConfigKey(setting.name)) ?? [setting.standard]
    }

    /// The options that somebody has set, to whatever.
    var given: Set<String> { Set(EngineOption.all.map(\.name).filter { origins.origin(of: $0) != nil }) }

    /// Where the value comes from: `--cores`, `SPINDLE_CORES`, `server.yaml:3`, or `default`.
    func origin(of name: String) -> String { origins.origin(of: name)?.place ?? "default" }

    /// The failure that a value is not allowed, with where it stands.
    func refusal(of name: String, given: String, allowed: String) -> SettingsFailure {
        Settings.refusal(of: name, given: given, allowed: allowed, origins)
    }

    private static func refusal(
        of name: String,
        given: String,
        allowed: String,
        _ origins: SettingOrigins
    ) -> SettingsFailure {
        let origin = origins.origin(of: name)
        let place = origin.map { $0.isFile ? "\($0.place): \(name)" : $0.place } ?? "--\(name)"
        return SettingsFailure(
            "\(place): '\(given)' is not allowed; allowed is \(allowed)",
            code: origin?.isFile == true ? ExitStatus.configuration : ExitStatus.usage
        )
    }

    /// A failure about a setting, with the exit code that goes with where it stands.
    func failure(_ text: String, about name: String) -> SettingsFailure {
        SettingsFailure(
            text,
            code: origins.origin(of: name)?.isFile == true ? ExitStatus.configuration : ExitStatus.usage
        )
    }

    /// Every value with where it comes from; the text is a file that `--config` reads.
    func listing(with server: [ServerSetting]) -> [(name: String, values: [String], origin: String)] {
        EngineOption.all.map { ($0.name, [$0.value(in: engine)], origin(of: $0.name)) }
            + server.map { setting in
                let values = setting == .listen ? texts(setting) : [text(setting)]
                return (setting.name, values, origin(of: setting.name))
            }
    }
}

/// Settings that cannot be used, and the exit code for it.
struct SettingsFailure: Error, Equatable, CustomStringConvertible {
    let description: String
    let code: Int32

    init(_ description: String, code: Int32 = ExitStatus.usage) {
        (self.description, self.code) = (description, code)
    }
}

/// Remembers which provider each value came from.
final class SettingOrigins: AccessReporter {
    struct Origin: Sendable {
        let place: String
        let isFile: Bool
    }

    private let origins = Mutex<[String: Origin]>([:])

    /// The providers are those of `Settings`, in their order.
    func report(_ event: AccessEvent) {
        for (index, provider) in event.providerResults.enumerated() {
            guard case .success(let found) = provider.result, found.value != nil else { continue }
            let name = event.metadata.key.components.joined(separator: ".")
            let place = index == 0 ? "--\(name)" : found.encodedKey
            return origins.withLock { $0[name] = Origin(place: place, isFile: index == 2) }
        }
    }

    /// Nil when nobody has set it, or nobody has asked.
    func origin(of name: String) -> Origin? { origins.withLock { $0[name] } }
}

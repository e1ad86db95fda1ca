// SPDX-License-Identifier: Apache-2.0

public import Configuration
public import Spindle

extension EngineConfiguration {
    /// Takes what a configuration says, and the defaults for the rest: every option of `EngineOption.all` by its name.
    ///
    ///     let config = ConfigReader(providers: [EnvironmentVariablesProvider(), file])
    ///     let engine = try Engine(EngineConfiguration(config: config.scoped(to: "spindle")))
    ///
    /// With that, `SPINDLE_READ_BUDGET=16KiB` sets the environment's and `spindle: { read-budget: 16KiB }` the file's.
    /// A reader cannot tell which names nobody asked for: read the file as an `OptionsFile`, which refuses those.
    ///
    /// - Parameter config: Values may be text, as `EngineOption.set` takes it, numbers, or truth values.
    /// - Throws: `OptionError` for a value that is not allowed, and for options that contradict each other.
    public init(config: ConfigReader) throws(OptionError) {
        self.init()
        for option in EngineOption.all {
            guard let text = EngineConfiguration.text(of: option, in: config) else { continue }
            try option.set(text, in: &self)
        }
        try validate()
    }

    /// A value of another type is an error of its provider, which ends the search: so all types that may be meant
    /// find the same one.
    private static func text(of option: EngineOption, in config: ConfigReader) -> String? {
        let key = ConfigKey(option.name)
        if let text = config.string(forKey: key) { return text }
        if option.placeholder == nil, let value = config.bool(forKey: key) { return "\(value)" }
        if let number = config.int(forKey: key) { return "\(number)" }
        if let number = config.double(forKey: key) { return "\(number)" }
        if let value = config.bool(forKey: key) { return "\(value)" }
        return config.stringArray(forKey: key)?.joined(separator: ",")
    }
}

// SPDX-License-Identifier: Apache-2.0

/// What a core is built for, on machines that mix two sorts.
///
/// Intel hybrids list them in `/sys/devices/cpu_core/cpus` and `cpu_atom/cpus`; Arm machines state a relative
/// `cpu_capacity`, where a core below 3/4 of the largest counts as an efficiency core (little cores have 0.25 to
/// 0.5, middle ones 0.75 to 0.9). On other machines every core is a performance core.
public enum CoreKind: String, Sendable, Equatable, Comparable {
    /// The fast sort, or the only one.
    case performance
    /// The slower sort; gets a reactor after all performance cores have one.
    case efficiency

    /// Performance cores come first.
    public static func < (left: CoreKind, right: CoreKind) -> Bool {
        left == .performance && right == .efficiency
    }
}

// SPDX-License-Identifier: Apache-2.0

/// A stream of pseudo-random numbers that depends on its seed alone: SplitMix64 (Steele, Lea, Flood, 2014).
///
/// The standard library's generator can't be seeded. Two streams of one seed are equal on every machine, so a
/// failure can be had again from the seed that the test printed. A value of 8 bytes; a number costs about 1 ns.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// The stream of `seed`; any number is a good one.
    public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A number of 0..<`bound`, which must be at least 1. The bias of a plain remainder is below 2^-32 here.
    public mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "no number is below \(bound)")
        return Int(next() % UInt64(bound))
    }

    /// True with a probability of 0 (never) to 1 (always). Never draws a number for 0, so that a fault which is
    /// off does not change what the others do.
    public mutating func chance(_ probability: Double) -> Bool {
        probability > 0 && Double(next() >> 11) * 0x1p-53 < probability
    }
}

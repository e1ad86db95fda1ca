// SPDX-License-Identifier: Apache-2.0

public import SpindleCore

/// What decides on which core something lives: the same shard for equal keys, in every run and on every machine.
///
/// Swift's own `Hashable` is seeded anew in each process, so it can't say where data lies. Here the hash of bytes and
/// text is FNV-1a of 64 bits (over the UTF-8 of text), that of an integer its value as 64 bits, and both go through
/// the finalizer of MurmurHash3 before the shard is taken from the upper bits. Keys of other types say which bytes or
/// number stands for them.
public protocol ShardKey {
    /// The key's hash: equal for equal keys, on every machine, for ever.
    var shardHash: UInt64 { get }
}

extension ShardKey {
    /// The shard of the key among `count`, at least 1. Changes for most keys when the count changes.
    public func shard(of count: Int) -> Int {
        precondition(count > 0, "a key can't lie on one of \(count) shards")
        return Int(shardHash.multipliedFullWidth(by: UInt64(count)).high)
    }
}

/// The hashes of keys, as `ShardKey` promises them.
public enum ShardHash {
    /// FNV-1a of the bytes, then mixed. draft-eastlake-fnv.
    public static func of(_ bytes: Span<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in bytes.indices { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3 }
        return mix(hash)
    }

    /// The number, mixed.
    public static func of(_ number: UInt64) -> UInt64 { mix(number) }

    /// MurmurHash3's finalizer for 64 bits: every bit of the result depends on every bit of the value.
    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ value >> 33) &* 0xFF51_AFD7_ED55_8CCD
        value = (value ^ value >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return value ^ value >> 33
    }
}

extension String: ShardKey {
    /// Of the text's UTF-8: texts that differ in bytes are different keys, though they may look alike.
    public var shardHash: UInt64 {
        var text = self
        text.makeContiguousUTF8()
        return ShardHash.of(text.utf8.span)
    }
}

extension Substring: ShardKey {
    /// As the string of the same text.
    public var shardHash: UInt64 { String(self).shardHash }
}

extension [UInt8]: ShardKey {
    /// Of the bytes.
    public var shardHash: UInt64 { ShardHash.of(span) }
}

extension ByteChunk: ShardKey {
    /// Of the bytes.
    public var shardHash: UInt64 { ShardHash.of(bytes) }
}

extension Int: ShardKey {
    /// Of the number, sign-extended.
    public var shardHash: UInt64 { ShardHash.of(UInt64(bitPattern: Int64(self))) }
}

extension Int64: ShardKey {
    /// Of the number.
    public var shardHash: UInt64 { ShardHash.of(UInt64(bitPattern: self)) }
}

extension UInt64: ShardKey {
    /// Of the number.
    public var shardHash: UInt64 { ShardHash.of(self) }
}

extension Int32: ShardKey {
    /// As the `Int64` of the same value.
    public var shardHash: UInt64 { Int64(self).shardHash }
}

extension UInt32: ShardKey {
    /// As the `Int64` of the same value.
    public var shardHash: UInt64 { Int64(self).shardHash }
}

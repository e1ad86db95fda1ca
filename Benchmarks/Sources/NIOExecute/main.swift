// SPDX-License-Identifier: Apache-2.0
//
// What SwiftNIO's `execute` costs: closures from one event loop to another, in batches of 16 as Micro's one-way
// values, the sender waiting when 1,024 are on the way. Prints one line of JSON.
//
// usage: NIOExecute [COUNT]

import NIOCore
import NIOPosix
import Synchronization

let count = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 2_000_000
let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
let (sender, receiver) = (group.next(), group.next())
let handled = Atomic<Int>(0)
let start = ContinuousClock.now
try await sender.submit {
    for number in 0..<count {
        // The closure carries 32 bytes, as a message would.
        let value = (UInt64(number), UInt64(number), UInt64(number), ~UInt64(number))
        while number - handled.load(ordering: .acquiring) > 1024 {}
        receiver.execute {
            precondition(value.3 == ~value.0)
            handled.add(1, ordering: .releasing)
        }
    }
}.get()
try await receiver.submit {}.get()
let elapsed = ContinuousClock.now - start
print("{\"ns\": \(elapsed / .nanoseconds(1) / Double(count))}")
try await group.shutdownGracefully()

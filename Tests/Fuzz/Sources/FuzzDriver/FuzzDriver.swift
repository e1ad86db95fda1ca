// SPDX-License-Identifier: Apache-2.0

import Glibc

/// libFuzzer's own `main`, as a function. Source: "libFuzzer – a library for coverage-guided fuzz testing", "Using
/// libFuzzer as a library".
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

nonisolated(unsafe) private var body: ([UInt8]) -> Void = { _ in }

/// Has libFuzzer look for an input that makes `check` trap, with the command's arguments as its flags.
public func fuzz(_ check: @escaping ([UInt8]) -> Void) -> Never {
    body = check
    var count = CommandLine.argc
    var arguments = CommandLine.unsafeArgv
    let result = withUnsafeMutablePointer(to: &arguments) { arguments in
        runDriver(
            &count,
            UnsafeMutableRawPointer(arguments).assumingMemoryBound(to: type(of: CommandLine.unsafeArgv).self)
        ) {
            body(Array(UnsafeBufferPointer(start: $0, count: $1)))
            return 0
        }
    }
    exit(result)
}

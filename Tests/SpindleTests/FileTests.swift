// SPDX-License-Identifier: Apache-2.0

import Glibc
import Spindle
import SpindleSystem
import Testing

extension EngineTests {
    @Suite("files that are sent") struct Files {
        private static let bytes = (0..<1_500_000).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ $0 >> 8) }

        /// A file on a disk, mostly; removed with the object.
        private final class Scratch: Sendable {
            let path: String

            init(_ bytes: [UInt8]) throws {
                var name = Array("/var/tmp/spindle-XXXXXX".utf8CString)
                let descriptor = unsafe mkstemp(&name)
                path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
                var rest = bytes[...]
                while !rest.isEmpty {
                    let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
                    try #require(count > 0, "the disk takes no bytes")
                    rest = rest.dropFirst(count)
                }
                // Written, or the kernel would not let go of them.
                fsync(descriptor)
                close(descriptor)
            }

            deinit { unsafe unlink(path) }

            func region() throws -> FileRegion { try FileRegion(path: path) }

            /// Has the kernel forget what it keeps of the file in memory; true when it did.
            func forget() throws -> Bool {
                let (file, _) = try OpenFile.open(path)
                posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED)
                var byte: UInt8 = 0
                return unsafe withUnsafeMutableBytes(of: &byte) { unsafe file.readNow(into: $0, at: 0) } == nil
            }
        }

        @Test("a region is opened by path or descriptor, and what can't be sent is refused with a reason")
        func opening() throws {
            let file = try Scratch(Array("0123456789".utf8))
            func text(_ region: FileRegion) throws -> String {
                String(decoding: try region.read(atMost: 100), as: UTF8.self)
            }
            #expect(try text(FileRegion(path: file.path)) == "0123456789")
            #expect(try text(FileRegion(path: file.path, offset: 4, count: 3)) == "456")
            #expect(try text(FileRegion(path: file.path, offset: 10)) == "")
            #expect(try text(FileRegion(path: file.path, offset: 2).slice(1..<4)) == "345")
            let descriptor = unsafe open(file.path, O_RDONLY)
            let region = try FileRegion(descriptor: descriptor, offset: 8)
            close(descriptor)
            #expect(try text(region) == "89" && region.offset == 8 && region.count == 2)

            let name = file.path
            for (offset, count) in [(11, nil), (0, 11), (5, 6), (-1, 2), (3, -1), (Int.max, 1), (1, Int.max)] {
                #expect(throws: FileError.outside(file: name, byteCount: 10)) {
                    try FileRegion(path: name, offset: offset, count: count)
                }
            }
            #expect(throws: FileError.refused(file: "/nowhere/at/all", Errno(rawValue: ENOENT))) {
                try FileRegion(path: "/nowhere/at/all")
            }
            #expect(throws: FileError.notRegular(file: "/tmp")) { try FileRegion(path: "/tmp") }
            #expect(throws: FileError.notRegular(file: "/dev/null")) { try FileRegion(path: "/dev/null") }
            #expect(throws: FileError.refused(file: "descriptor -1", Errno(rawValue: EBADF))) {
                try FileRegion(descriptor: -1)
            }
            #expect("\(FileError.outside(file: "a", byteCount: 10))" == "a has 10 bytes, and others were to be sent")
        }

        @Test("reading a region stops at a file that became shorter, and says so")
        func reading() throws {
            let file = try Scratch(Array("0123456789".utf8))
            let region = try FileRegion(path: file.path)
            unsafe truncate(file.path, 5)
            #expect(try region.read(atMost: 5) == Array("01234".utf8))
            #expect(throws: FileError.shrank) { try region.read(atMost: 6) }
        }

        @Test("a handler's write of a file waits until it is sent but for the low watermark", arguments: reactorCounts)
        func handlers(reactors: Int) async throws {
            let server = try engine(reactors: reactors)
            let file = try Scratch(Files.bytes).region()
            let left = Recorder<Int>()
            let address = try server.serve(on: .loopback(port: 0)) { connection in
                try await connection.write("head ")
                try await connection.write(file)
                left.add(connection.bufferedByteCount)
                try await connection.write(file.slice(0..<10))
            }.address
            try await server.start()
            let client = try await Client()
            for _ in 0..<3 {
                let outcome = await client.exchange([], with: address)
                #expect(outcome.received == Array("head ".utf8) + Files.bytes + Files.bytes[..<10])
                #expect(outcome.reason.map { "\($0)" } == "done")
            }
            #expect(left.values.count == 3 && left.values.allSatisfy { $0 <= 64 << 10 })
            await client.stop()
            await server.stop()
        }

        @Test("a handler's write of a file that became shorter throws why", arguments: [100, 20_000, 900_000])
        func handlersAreTold(left: Int) async throws {
            let server = try engine(reactors: 1)
            let scratch = try Scratch(Files.bytes)
            let file = try scratch.region()
            unsafe truncate(scratch.path, left)
            let errors = Recorder<String>()
            let address = try server.serve(on: .loopback(port: 0)) { connection in
                do { try await connection.write(file) } catch { errors.add("\(error)") }
            }.address
            try await server.start()
            let client = try await Client()
            _ = await client.exchange([], with: address)
            #expect(errors.values.count == 1 && errors.values.allSatisfy { $0.contains("became shorter") })
            await client.stop()
            await server.stop()
        }

        @Test("a file that is not in memory is read by the blocking pool, and arrives all the same")
        func cold() async throws {
            let server = try engine(reactors: 1)
            let scratch = try Scratch(Files.bytes)
            let file = try FileRegion(path: scratch.path)
            let address = try server.serve(on: .loopback(port: 0)) { try await $0.write(file) }.address
            try await server.start()
            let client = try await Client()
            // Not every file system forgets, or says what it has in memory; what is sent is the same.
            let isCold = try scratch.forget()
            let outcome = await client.exchange([], with: address)
            #expect(outcome.received == Files.bytes)
            #expect(!isCold || server.snapshot()[.fileLoads] > 0)
            await client.stop()
            await server.stop()
        }

        @Test("files that wait go along to another reactor, in their place")
        func handedOff() async throws {
            let server = try engine(reactors: 2)
            let file = try Scratch(Files.bytes).region()
            let handles = Guarded<[ReactorHandle]>([])
            let address = try server.serve(on: .loopback(port: 0)) { connection in
                // More than the sockets take: some of it is unsent when it leaves.
                func writeAll() {
                    for _ in 0..<8 { connection.write(file) }
                    connection.write(" between ")
                }
                writeAll()
                let target = handles.withLock { $0[1 - connection.reactor.index] }
                connection.handOff(to: target) { try await $0.write(file.slice(5..<10)) }
            }.address
            try await server.start()
            handles.withLock { $0 = server.reactors }
            let client = try await Client()
            let outcome = await client.exchange([], with: address)
            let expected = (0..<8).flatMap { _ in Files.bytes } + Array(" between ".utf8) + Files.bytes[5..<10]
            #expect(outcome.received == expected)
            await client.stop()
            await server.stop()
        }

        @Test("zero copy: chunks arrive over TCP and Unix sockets, and go along to another reactor")
        func zeroCopy() async throws {
            let server = try engine(reactors: 2) { $0.limits.zeroCopyBytes = 4096 }
            let chunk = ByteChunk(Files.bytes)
            let handles = Guarded<[ReactorHandle]>([])
            var addresses: [SocketAddress] = []
            for address in [SocketAddress.loopback(port: 0), .unix("@spindle-zero-copy-\(getpid())")] {
                let listener = try server.serve(on: address) { connection in
                    func writeAll() { for _ in 0..<4 { connection.write(chunk) } }
                    writeAll()
                    let target = handles.withLock { $0[1 - connection.reactor.index] }
                    connection.handOff(to: target) { try await $0.write(chunk) }
                }
                addresses.append(listener.address)
            }
            try await server.start()
            handles.withLock { $0 = server.reactors }
            let client = try await Client()
            for address in addresses {
                let outcome = await client.exchange([], with: address)
                let isRight = outcome.received == (0..<5).flatMap { _ in Files.bytes }
                #expect(isRight && outcome.reason.map { "\($0)" } == "done")
            }
            #expect(server.snapshot()[.zeroCopySends] > 0)
            await client.stop()
            await server.stop()
        }

        @Test("a wrapper that changes what goes out changes files, too")
        func wrapped() async throws {
            final class Inverting: StreamWrapper {
                let transport: any StreamTransport
                var inner: (any StreamProtocol)?
                init(_ transport: any StreamTransport) { self.transport = transport }
                func write(_ bytes: Span<UInt8>) { transport.write(bytes.indices.map { ~bytes[$0] }) }
            }
            final class Sender: StreamProtocol {
                let transport: any StreamTransport
                let file: FileRegion
                init(_ transport: any StreamTransport, _ file: FileRegion) {
                    (self.transport, self.file) = (transport, file)
                }
                func dataReceived(_ bytes: Span<UInt8>) {}
                func connectionMade() {
                    transport.write(file)
                    transport.loseConnection()
                }
            }
            let server = try engine(reactors: 1)
            let file = try Scratch(Files.bytes).region()
            let address = try server.listen(on: .loopback(port: 0)) { transport in
                let wrapper = Inverting(transport)
                wrapper.inner = Sender(wrapper, file)
                return wrapper
            }.address
            try await server.start()
            let client = try await Client()
            let outcome = await client.exchange([], with: address)
            #expect(outcome.received == Files.bytes.map { ~$0 })
            await client.stop()
            await server.stop()
        }
    }
}

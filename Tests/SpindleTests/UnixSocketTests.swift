// SPDX-License-Identifier: Apache-2.0

import Glibc
import SpindleSystem
import Testing

@testable import Spindle

extension EngineTests {
    @Suite("Unix sockets") struct UnixSockets {
        /// A folder that goes with the test.
        final class Folder {
            let path: String

            init() throws {
                var template = Array("/tmp/spindle-test-XXXXXX".utf8CString)
                guard unsafe mkdtemp(&template) != nil else { throw Errno.noSuchFile }
                path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }

            deinit {
                for name in SystemFiles().names(in: path) { unsafe unlink("\(path)/\(name)") }
                unsafe rmdir(path)
            }

            var names: [String] { SystemFiles().names(in: path) }
            func make(_ name: String, _ contents: String = "") {
                guard let file = unsafe fopen("\(path)/\(name)", "w") else { return }
                unsafe fputs(contents, file)
                unsafe fclose(file)
            }
            func mode(of name: String) -> UInt32 {
                var status = stat()
                return unsafe lstat("\(path)/\(name)", &status) == 0 ? status.st_mode & 0o777 : 0
            }
        }

        @Test("what is sent comes back over a socket file, which is gone after the stop", arguments: reactorCounts)
        func file(reactors: Int) async throws {
            let folder = try Folder()
            let server = try engine(reactors: reactors)
            let address = try server.listen(on: .unix("\(folder.path)/echo")) { Echo($0) }.address
            #expect(address == .unix("\(folder.path)/echo"))
            try await server.start()
            let client = try await Client()
            // No more than the kernel holds: a client that only writes pauses its own reading.
            for count in [0, 1, 65_537, 150_000] {
                let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
                let outcome = await client.exchange(bytes, with: address)
                #expect(outcome.received == bytes)
                #expect(outcome.reason.map { "\($0)" } == "done")
            }
            #expect(folder.names == ["echo"])
            await client.stop()
            await server.stop()
            #expect(folder.names.isEmpty)
        }

        @Test("an abstract name needs no file, and is free again after the stop", arguments: reactorCounts)
        func abstract(reactors: Int) async throws {
            let name = SocketAddress.unix("@spindle-test-\(getpid())-\(reactors)")
            for _ in 0..<2 {
                let server = try engine(reactors: reactors)
                #expect(try server.listen(on: name) { Echo($0) }.address == name)
                try await server.start()
                let client = try await Client()
                #expect(await client.exchange([1, 2, 3], with: name).received == [1, 2, 3])
                await client.stop()
                await server.stop()
            }
        }

        @Test("the file has the mode that was asked for, whatever the umask", arguments: [0o600, 0o660, 0o777, 0o222])
        func mode(_ mode: UInt32) async throws {
            let folder = try Folder()
            let server = try engine(reactors: 1)
            var options = ListenOptions()
            options.unixMode = mode
            let listener = try server.listen(on: .unix("\(folder.path)/x"), options: options) { Echo($0) }
            #expect(folder.mode(of: "x") == mode)
            await listener.stopListening()
            #expect(folder.names.isEmpty, "a listener that never started leaves nothing")
        }

        @Test("what a dead server left is replaced; a live one's file and one that is no socket are not")
        func stale() async throws {
            let folder = try Folder()
            let path = "\(folder.path)/x"
            let left = try StreamSocket.open(for: .unix(path))
            try left.bind(to: .unix(path))
            left.close()
            #expect(folder.names == ["x"])
            let server = try engine(reactors: 2)
            try server.listen(on: .unix(path)) { Echo($0) }
            let second = try engine(reactors: 1)
            // Bound and not started: connections wait for it.
            #expect(throws: ListenError(address: .unix(path), errno: .addressInUse)) {
                try second.listen(on: .unix(path)) { Echo($0) }
            }
            try await server.start()
            #expect(throws: ListenError(address: .unix(path), errno: .addressInUse)) {
                try second.listen(on: .unix(path)) { Echo($0) }
            }
            let client = try await Client()
            #expect(await client.exchange([7], with: .unix(path)).received == [7])
            await client.stop()
            await server.stop()
            folder.make("x", "precious")
            #expect(throws: ListenError(address: .unix(path), errno: .fileExists)) {
                try second.listen(on: .unix(path)) { Echo($0) }
            }
            #expect(folder.names == ["x"])
        }

        @Test("a file that somebody else has put there meanwhile is not removed")
        func othersFile() async throws {
            let folder = try Folder()
            let server = try engine(reactors: 1)
            let listener = try server.listen(on: .unix("\(folder.path)/x")) { Echo($0) }
            unsafe unlink("\(folder.path)/x")
            folder.make("x")
            await listener.stopListening()
            #expect(folder.names == ["x"])
        }

        @Test("a successor's file is not removed, though it came while the old server's sockets were closed already")
        func successor() throws {
            let folder = try Folder()
            let path = "\(folder.path)/x"
            let old = try StreamSocket.open(for: .unix(path))
            var oldFile: SocketFile? = try SocketFile(binding: old, to: path, mode: nil, backlog: 1)
            old.close()
            let new = try StreamSocket.open(for: .unix(path))
            let newFile = try SocketFile(binding: new, to: path, mode: nil, backlog: 1)
            oldFile = nil
            #expect(folder.names == ["x"])
            withExtendedLifetime((oldFile, newFile)) {}
            new.close()
        }

        @Test("a name that is too long and a folder that is not there are refused with what to do")
        func refusals() throws {
            let server = try engine(reactors: 1)
            let long = SocketAddress.unix("/tmp/" + String(repeating: "x", count: 103))
            #expect(throws: ListenError(address: long, errno: .nameTooLong)) {
                try server.listen(on: long) { Echo($0) }
            }
            let nowhere = SocketAddress.unix("/nowhere/at/all")
            let error = #expect(throws: ListenError.self) { try server.listen(on: nowhere) { Echo($0) } }
            #expect(error?.errno == .noSuchFile)
            #expect(error.map { "\($0)".contains("folder") } == true)
        }

        @Test("both ends know the other's process, user and group; TCP's don't")
        func credentials() async throws {
            final class Asking: StreamProtocol {
                let transport: any StreamTransport
                let told: @Sendable (PeerCredentials?) -> Void
                init(_ transport: any StreamTransport, _ told: @escaping @Sendable (PeerCredentials?) -> Void) {
                    self.transport = transport
                    self.told = told
                }
                func connectionMade() { told(transport.peerCredentials) }
                func dataReceived(_ bytes: Span<UInt8>) {}
            }
            let told = Recorder<PeerCredentials?>()
            let server = try engine(reactors: 1)
            let name = SocketAddress.unix("@spindle-credentials-\(getpid())")
            try server.listen(on: name) { Asking($0) { told.add($0) } }
            let tcp = try server.listen(on: .loopback(port: 0)) { Asking($0) { told.add($0) } }
            try await server.start()
            let client = try await Client()
            _ = await client.exchange([], with: name)
            _ = await client.exchange([], with: tcp.address)
            let own = PeerCredentials(process: UInt32(getpid()), user: getuid(), group: getgid())
            #expect(told.values == [own, nil])
            await client.stop()
            await server.stop()
        }

        @Test("connections are spread over the reactors, though all come to one queue", arguments: [2, 4])
        func spread(reactors: Int) async throws {
            let server = try engine(reactors: reactors)
            let name = SocketAddress.unix("@spindle-spread-\(getpid())-\(reactors)")
            try server.listen(on: name) { Echo($0) }
            try await server.start()
            let client = try await Client()
            var connections: [Client.Connection] = []
            for _ in 0..<(10 * reactors) { connections.append(await client.open(name, sending: [1])) }
            // Whoever accepted last has been counted by then.
            #expect(await client.exchange([5], with: name).received == [5])
            let counts = server.snapshot().reactors.map { $0[.openConnections] }
            #expect(counts.min().map { $0 >= 10 - 4 } == true, "\(counts)")
            await client.stop()
            await server.stop()
        }

        @Test("a target whose queue is full is tried again until it has room")
        func fullQueue() async throws {
            let folder = try Folder()
            let path = "\(folder.path)/x"
            let slow = try StreamSocket.open(for: .unix(path))
            try slow.bind(to: .unix(path))
            try slow.listen(backlog: 0)
            let filler = try StreamSocket.open(for: .unix(path))
            try filler.connect(to: .unix(path))
            #expect(throws: Errno.wouldBlock) {
                let probe = try StreamSocket.open(for: .unix(path))
                defer { probe.close() }
                try probe.connect(to: .unix(path))
            }
            let client = try engine(reactors: 1)
            try await client.start()
            let begun = Gate()
            let task = Task {
                try await client.withConnection(to: .address(.unix(path))) { $0.peerAddress }
            }
            client.reactors[0].submit { Reactor.current?.callLater(.milliseconds(15)) { begun.arrive() } }
            await begun.wait()
            let (first, _) = try slow.accept()
            #expect(try await task.value == .unix(path))
            for socket in [first, filler, slow] { socket.close() }
            await client.stop()
        }

        @Test("a client learns that nobody listens, and that there is no such file")
        func connectErrors() async throws {
            let folder = try Folder()
            let client = try await Client()
            let none = await client.exchange([], with: .unix("\(folder.path)/x"))
            #expect(none.error.map { "\($0.reason)" } == "lost: \(Errno.noSuchFile)")
            let left = try StreamSocket.open(for: .unix("x"))
            try left.bind(to: .unix("\(folder.path)/x"))
            let refused = await client.exchange([], with: .unix("\(folder.path)/x"))
            #expect(refused.error.map { "\($0.reason)" } == "lost: \(Errno.connectionRefused)")
            left.close()
            await client.stop()
        }
    }
}

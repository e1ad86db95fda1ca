// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleTopology
import Testing

@testable import SpindleCLI

@Suite("A server as a child", .serialized, .timeLimit(.minutes(1)))
struct ServerProcessTests {
    @Test("a command needs {port}; {port} and {cores} are filled in wherever they stand, and nothing else is touched")
    func commandLine() {
        #expect(ServerCommandLine("server 7000") == nil)
        let command = ServerCommandLine("x --port={port} -t {cores} '{other}' {port}{cores} {")
        #expect(command?.filled(port: 7, cores: 12) == "x --port=7 -t 12 '{other}' 712 {")
        #expect(command?.hasCores == true)
        #expect(ServerCommandLine("x {port}")?.hasCores == false)
        #expect(ServerCommandLine("{port}")?.filled(port: 1, cores: 1) == "1")
    }

    private func run(_ text: String, _ body: (ServerProcess) async throws -> Void) async throws {
        let command = try #require(ServerCommandLine(text))
        var configuration = EngineConfiguration()
        configuration.placement.cores = .count(1)
        let engine = try Engine(configuration)
        try await engine.start()
        let cpus = CPUSet(engine.placement.reactors.flatMap { Array($0.allowedCPUs) })
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(
                try await ServerProcess.running(command, on: cpus, cores: 1, tryingFrom: engine, body)
            )
        } catch { outcome = .failure(error) }
        await engine.stop(deadline: .zero)
        try outcome.get()
    }

    private static let echo = """
        python3 -c 'import socket
        listener = socket.create_server(("127.0.0.1", {port}))
        while True:
            peer, _ = listener.accept()
            peer.close()'
        """

    @Test("the server can be connected to while it is measured, has the process that is said, and is gone afterwards")
    func runs() async throws {
        var process = 0
        try await run(Self.echo) { server in
            process = server.process
            #expect(ProcessUsage(process: process).read() != nil)
            #expect(server.address.port > 0)
        }
        #expect(process > 0 && ProcessUsage(process: process).read() == nil)
    }

    @Test("the server is gone, too, when measuring it fails")
    func fails() async throws {
        struct Fault: Error {}
        var process = 0
        await #expect(throws: Fault.self) {
            try await run(Self.echo) { server in
                process = server.process
                throw Fault()
            }
        }
        #expect(process > 0 && ProcessUsage(process: process).read() == nil)
    }

    @Test(
        "a command that ends before it listens is an error with its text",
        arguments: ["false {port}", "/none/x {port}"]
    )
    func endsEarly(text: String) async throws {
        let error = await #expect(throws: ServerProcess.Failure.self) { try await run(text) { _ in } }
        guard case .endedEarly? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(error?.description.contains(text.split(separator: " ")[0]) == true)
    }
}

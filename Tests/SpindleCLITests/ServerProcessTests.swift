// SPDX-License-Identifier: Apache-2.0

import Spindle
import SpindleLoad
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

    @Test(
        "a load's parts have all of its connections and of its rate, and no connection twice",
        arguments: [1, 2, 3, 7]
    )
    func parts(count: Int) throws {
        let whole = LoadPlan(
            address: .loopback(port: 1),
            connections: 1000,
            sizes: .constant(1),
            depth: 1,
            pace: .open(messagesPerSecond: 5000),
            churn: 100,
            duration: .seconds(1),
            warmup: .zero
        )
        let plans = (0..<count).map { GeneratorFleet.Part(index: $0, of: count).plan(of: whole) }
        let numbers = plans.flatMap { $0.firstConnection..<$0.firstConnection + $0.connections }
        #expect(numbers == Array(0..<1000))
        let rates = plans.map { plan in if case .open(let rate) = plan.pace { rate } else { 0.0 } }
        #expect(abs(rates.reduce(0, +) - 5000) < 0.001)
        #expect(abs(plans.compactMap(\.churn).reduce(0, +) - 100) < 0.001)
    }

    @Test("so many processes as their descriptors need")
    func partsNeeded() {
        #expect(GeneratorFleet.partsNeeded(connections: 19_744, descriptorLimit: 20_000) == 1)
        #expect(GeneratorFleet.partsNeeded(connections: 19_745, descriptorLimit: 20_000) == 2)
        #expect(GeneratorFleet.partsNeeded(connections: 1000, descriptorLimit: 700) == 3)
        #expect(GeneratorFleet.partsNeeded(connections: 1000, comeAndGo: 64, descriptorLimit: 700) == 3)
        #expect(GeneratorFleet.partsNeeded(connections: 1000, comeAndGo: 200, descriptorLimit: 700) == 5)
        #expect(GeneratorFleet.partsNeeded(connections: 10, descriptorLimit: 100) == 1)
        #expect(GeneratorFleet.Part("2/3") == GeneratorFleet.Part(index: 1, of: 3))
        for wrong in ["", "2", "0/3", "4/3", "1/0", "a/b", "1/2/3"] { #expect(GeneratorFleet.Part(wrong) == nil) }
    }

    @Test("an end that comes while the server starts ends the waiting, and the server")
    func endedEarly() async throws {
        let control = RunControl()
        control.end()
        await #expect(throws: LoadFailure.self) { try await run("sleep 60; true {port}", control) { _ in } }
    }

    @Test("what a wrapper has started is gone with it: its port is free")
    func wrapper() async throws {
        var address: SocketAddress?
        try await run("python3 -m http.server --bind 127.0.0.1 {port} & wait") { server in address = server.address }
        let engine = try Engine()
        #expect(throws: Never.self) { try engine.listen(on: #require(address)) { Nothing($0) } }
    }

    private final class Nothing: StreamProtocol {
        let transport: any StreamTransport
        init(_ transport: any StreamTransport) { self.transport = transport }
        func dataReceived(_ bytes: Span<UInt8>) {}
    }

    private func run(_ text: String, _ control: RunControl = RunControl(), _ body: (ServerProcess) async throws -> Void)
        async throws
    {
        let command = try #require(ServerCommandLine(text))
        var configuration = EngineConfiguration()
        configuration.placement.cores = .count(1)
        let engine = try Engine(configuration)
        try await engine.start()
        let cpus = CPUSet(engine.placement.reactors.flatMap { Array($0.allowedCPUs) })
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(
                try await ServerProcess.running(command, on: cpus, cores: 1, tryingFrom: engine, control: control, body)
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

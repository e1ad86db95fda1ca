// SPDX-License-Identifier: Apache-2.0

import SpindleSimulation
import SpindleSystem
import SpindleTesting
import Testing

@testable import Spindle

/// Writes its mark before what comes in, and before what goes out.
private final class Marking: StreamWrapper {
    let transport: any StreamTransport
    var inner: (any StreamProtocol)?
    let mark: String
    init(_ transport: any StreamTransport, _ mark: String) { (self.transport, self.mark) = (transport, mark) }
    func dataReceived(_ bytes: Span<UInt8>) throws {
        let marked = Array("<\(mark)".utf8) + bytes.indices.map { bytes[$0] }
        if let error = inner?._deliver(marked.span) { throw error }
    }
    func write(_ bytes: Span<UInt8>) { transport.write(Array(">\(mark)".utf8) + bytes.indices.map { bytes[$0] }) }
}

@Suite("Names in text: endpoints, wrappers, protocols")
struct PluginTests {
    private func registry() throws -> PluginRegistry {
        var registry = PluginRegistry()
        try registry.register(protocol: "echo", summary: "Echoes.") { _ in { Echo($0) } }
        try registry.register(handler: "task", summary: "A task.") { _ in { _ in } }
        try registry.register(wrapper: "mark", summary: "Marks.") { arguments in
            let mark = arguments.take("with") ?? "-"
            return { Marking($0, mark) }
        }
        return registry
    }

    private func said(_ body: () throws -> some Any) -> String {
        do { return "no error: \(try body())" } catch { return "\(error)" }
    }

    @Test("a text is names with arguments, and a backslash takes a colon for what it is")
    func grammar() throws {
        let text = try PluginText(parsing: #"proxy:limit=3:tcp:port=80:interface=\:\:1"#)
        #expect(text.parts.map(\.name) == ["proxy", "tcp"])
        #expect(text.parts[0] == .init("proxy", [("limit", "3")]))
        #expect(text.parts[1] == .init("tcp", [("port", "80"), ("interface", "::1")]))
        #expect(try PluginText(parsing: "a:b=c=d").parts == [.init("a", [("b", "c=d")])])
        #expect(
            try PluginText(parsing: "proxy:unix:/run/x.sock:mode=660").parts
                == [.init("proxy"), .init("unix", [("", "/run/x.sock"), ("mode", "660")])]
        )
        #expect(try PluginText(parsing: "fd:3").parts == [.init("fd", [("", "3")])])
        #expect(try PluginText(parsing: "unix:=sock").parts == [.init("unix", [("", "sock")])])
    }

    @Test(
        "what is no text is refused",
        arguments: ["", ":", "tcp:", "port=1", "tcp:a=1:a=2", "7", "/x", "=x", #"tcp:a=b\"#]
    )
    func noText(text: String) {
        #expect(throws: PluginError.self) { try PluginText(parsing: text) }
    }

    @Test("a text that is written out and read again is the same, whatever characters it has", arguments: 0..<200)
    func roundTrip(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        func word(_ random: inout SeededRandom) -> String {
            String((0...random.below(4)).map { _ in #":\=a-é "#.randomElement(using: &random) ?? "x" })
        }
        let parts = (0...random.below(3)).map { _ in
            let keys = Set((0..<random.below(4)).map { _ in word(&random) })
            let unnamed = (0..<random.below(3)).map { _ in ("", word(&random)) }
            let name = "a" + String((0...random.below(4)).map { _ in "ab-1".randomElement(using: &random) ?? "x" })
            return PluginText.Part(name, unnamed + keys.sorted().map { ($0, word(&random)) })
        }
        let text = PluginText(parts)
        #expect(try PluginText(parsing: text.description) == text)
    }

    @Test("a combining mark after a colon or an equals sign takes neither with it")
    func combining() throws {
        let text = PluginText([.init("a", [("k", "\u{301}b:\u{301}=\u{301}"), ("", "\u{301}:=")]), .init("tcp")])
        #expect(try PluginText(parsing: text.description) == text)
    }

    @Test("tcp takes a port, an address or an interface, and nothing else")
    func tcp() throws {
        let registry = PluginRegistry()
        // Parsed only: nothing listens.
        for right in ["tcp:port=0", "tcp:7000", "tcp:port=7:interface=127.0.0.1", #"tcp:port=7:interface=\:\:1"#] {
            #expect(try registry.makeEndpoint(right).text.description == right)
        }
        for wrong in [
            "tcp", "sctp:port=1", "tcp:port=65536", "tcp:port=-1", "tcp:port=1:x=2", "7000", "tcp:port=1:interface=",
            "tcp:1:2", "unix", "unix:", "unix:/x:mode=888", "unix:/x:mode=1777", "unix:@x:mode=600", "unix:@",
            "unix:/" + String(repeating: "x", count: 107),
        ] {
            #expect(throws: PluginError.self, "\(wrong)") { try registry.makeEndpoint(wrong) }
        }
    }

    @Test("udp takes a port, an interface, a reply limit and options of its sockets")
    func udp() throws {
        let registry = PluginRegistry()
        for right in [
            "udp:port=0", "udp:7000:interface=127.0.0.1", "udp:7000:reply-limit=none", "udp:7000:reply-limit=10",
            "udp:7000:receive-buffer=1m:dscp=46",
        ] { _ = try registry.makeEndpoint(right) }
        for wrong in [
            "udp", "udp:port=65536", "udp:1:interface=", "udp:1:reply-limit=0", "udp:1:reply-limit=x",
            "udp:1:reply-limit=-1", "udp:1:user-timeout=1s", "udp:1:fast-open=1",
        ] {
            #expect(throws: PluginError.self, "\(wrong)") { try registry.makeEndpoint(wrong) }
        }
    }

    @Test("a protocol of datagrams may have the name of one of connections; each endpoint has its own")
    func datagrams() throws {
        var registry = try registry()
        try registry.register(datagrams: "echo", summary: "Echo.") { _ in { DatagramEcho($0) } }
        try registry.register(datagrams: "only", summary: "Only datagrams.") { _ in { DatagramEcho($0) } }
        let server = try engine(reactors: 1)
        let udp = try registry.makeEndpoint("udp:port=0:interface=127.0.0.1")
        let tcp = try registry.makeEndpoint("tcp:port=0:interface=127.0.0.1")
        for endpoint in [udp, tcp] { try endpoint.listen(with: server, registry.makeProtocol("echo")) }
        try udp.listen(with: server, registry.makeProtocol("only"))
        #expect(said { try tcp.listen(with: server, registry.makeProtocol("only")) }.contains("protocol of datagrams"))
        #expect(
            said { try udp.listen(with: server, registry.makeProtocol("task")) }.contains("no protocol of datagrams")
        )
        #expect(
            said { try registry.makeEndpoint("mark:udp:port=0").listen(with: server, registry.makeProtocol("echo")) }
                .contains("for connections")
        )
        #expect(throws: PluginError.self) {
            try registry.register(datagrams: "echo", summary: "Again.") { _ in { DatagramEcho($0) } }
        }
    }

    @Test("a target is a host and a port, or a Unix socket, with how to get there")
    func targets() throws {
        let registry = PluginRegistry()
        // Nobody connects: only the text is read.
        let web: UInt16 = 80
        var options = ConnectOptions()
        options.timeout = .milliseconds(1500)
        options.localAddress = .ipv4(0x7f00_0009, port: 0)
        #expect(
            try registry.makeRoute("tcp:example.com:80:timeout=1500ms:bind=127.0.0.9")
                == ConnectRoute(target: .host("example.com", port: web), options: options)
        )
        #expect(try registry.makeRoute("tcp:127.0.0.1:80").target == .address(.loopback(port: web)))
        #expect(try registry.makeRoute(#"tcp:\:\:1:80"#).target == .address(.loopback6(port: web)))
        #expect(try registry.makeRoute("tcp:host=localhost:port=80").target == .host("localhost", port: web))
        #expect(try registry.makeRoute("unix:/run/x.sock").target == .address(.unix("/run/x.sock")))
        #expect(said { try registry.makeRoute("tcp:localhost:80") }.contains("tcp:host=localhost"))
        for wrong in ["tcp:80", "tcp:a.b:0", "tcp:a.b:80:timeout=0s", "tcp:a.b:80:bind=a.b", "udp:a.b:1", "unix"] {
            #expect(throws: PluginError.self, "\(wrong)") { try registry.makeRoute(wrong) }
        }
    }

    @Test("a name or an argument that is not there is refused with what there is")
    func unknown() throws {
        let registry = try registry()
        #expect(said { try registry.makeEndpoint("mrak:tcp:port=1") }.contains("did you mean 'mark'?"))
        #expect(said { try registry.makeEndpoint("sctp:port=1") }.contains("tcp:port=PORT"))
        #expect(said { try registry.makeEndpoint("tcp:prot=1:port=1") }.contains("it takes port, interface"))
        #expect(said { try registry.makeEndpoint("unix:sock") }.contains("unix:=argument"))
        #expect(said { try registry.makeProtocol("ecko") }.contains("did you mean 'echo'?"))
        #expect(said { try registry.makeProtocol("echo:x=1") }.contains("takes no arguments"))
        #expect(said { try registry.makeProtocol("echo:task") }.contains("one name"))
        #expect(said { try PluginRegistry().makeProtocol("echo") }.contains("linked is none"))
    }

    @Test("a name is taken once, by endpoint or wrapper, and by protocol; a plugin comes whole or not at all")
    func names() throws {
        struct Greedy: Plugin {
            func register(in registry: inout PluginRegistry) throws {
                try registry.register(protocol: "mine", summary: "") { _ in { Echo($0) } }
                try registry.register(wrapper: "tcp", summary: "") { _ in { Marking($0, "") } }
            }
        }
        var registry = try registry()
        #expect(throws: PluginError.self) { try registry.add(Greedy()) }
        #expect(throws: PluginError.self) { try registry.makeProtocol("mine") }
        try registry.register(protocol: "tcp", summary: "A protocol of that name.") { _ in { Echo($0) } }
        for wrong in ["", "Echo", "a b", "a:b", "a=b"] {
            #expect(throws: PluginError.self) {
                try registry.register(protocol: wrong, summary: "") { _ in { Echo($0) } }
            }
        }
    }

    @Test("the leftmost wrapper is the nearest to the protocol, and both let go of each other at the end")
    func wrappers() throws {
        let builds = Recorder<ProtocolBuilder>()
        var registry = try registry()
        try registry.register(endpoint: "kept", summary: "kept") { _ in
            { engine, build in
                builds.add(build)
                return try engine.listen(on: .loopback(port: 0), build)
            }
        }
        let engine = try engine(reactors: 1)
        let endpoint = try registry.makeEndpoint("mark:with=a:mark:with=b:kept")
        try endpoint.listen(with: engine, try registry.makeProtocol("echo"))
        weak var wrapper: Marking?
        let build = try #require(builds.values.first)
        do {
            let test = ScriptedConnection { transport in
                let proto = try build(transport)
                wrapper = proto as? Marking
                return proto
            }
            #expect(wrapper?.mark == "b")
            test.feed("x")
            #expect(test.takeText() == ">b>a<a<bx")
            test.halfClose()
            #expect(test.isClosed)
            #expect(wrapper?.inner == nil)
        }
        #expect(wrapper == nil)
    }

    @Test("a protocol that aborts while it is made is told nothing, and goes with its wrapper")
    func abortedWhileMade() {
        final class Rude: StreamProtocol {
            let transport: any StreamTransport
            private let calls: Recorder<String>
            init(_ transport: any StreamTransport, _ calls: Recorder<String>) {
                (self.transport, self.calls) = (transport, calls)
                transport.abortConnection()
            }
            func connectionMade() { calls.add("made") }
            func dataReceived(_ bytes: Span<UInt8>) {}
            func connectionLost(_ reason: DisconnectReason) { calls.add("\(reason)") }
        }
        weak var wrapper: Marking?
        weak var rude: Rude?
        let calls = Recorder<String>()
        do {
            let test = ScriptedConnection { transport in
                let marking = Marking(transport, "")
                let inner = Rude(marking, calls)
                (marking.inner, wrapper, rude) = (inner, marking, inner)
                return marking
            }
            #expect(test.isClosed)
        }
        #expect(wrapper == nil && rude == nil)
        #expect(calls.values.isEmpty)
    }

    @Test("a protocol that is a task can't be wrapped, and the start says so")
    func wrappedTask() throws {
        let registry = try registry()
        let engine = try engine(reactors: 1)
        let endpoint = try registry.makeEndpoint("mark:tcp:port=0:interface=127.0.0.1")
        #expect(throws: PluginError.self) { try endpoint.listen(with: engine, try registry.makeProtocol("task")) }
    }

    @Test("numbers among arguments have a range")
    func numbers() throws {
        var arguments = PluginArguments(.init("x", [("n", "5"), ("m", "11"), ("k", "no")]))
        #expect(try arguments.takeInteger("n", in: 1...10) == 5)
        #expect(throws: PluginError.self) { try arguments.takeInteger("m", in: 1...10) }
        #expect(throws: PluginError.self) { try arguments.takeInteger("k", in: 1...10) }
        #expect(try arguments.takeInteger("none", in: 1...10) == nil)
    }

    @Test(
        "a near name is one with two letters wrong, or a part of it",
        arguments: [
            ("raed-budget", "read-budget"), ("budget", "job-budget"), ("coers", "cores"),
        ]
    )
    func nearNames(given: String, meant: String) {
        #expect(NearName.hint(given, among: EngineOption.all.map(\.name)).contains("'\(meant)'"))
    }

    @Test("nothing is suggested where nothing is near")
    func noNearName() {
        #expect(NearName.hint("zzzzzzz", among: ["cores", "backlog"]).isEmpty)
        #expect(NearName.distance("", "abc") == 3)
        #expect(NearName.distance("ab", "ba") == 1)
    }
}

private final class DatagramEcho: DatagramProtocol {
    let transport: any DatagramTransport
    init(_ transport: any DatagramTransport) { self.transport = transport }
    func datagramReceived(_ bytes: Span<UInt8>, from origin: DatagramOrigin) { transport.reply(bytes) }
}

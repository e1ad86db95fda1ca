// SPDX-License-Identifier: Apache-2.0

import Spindle
import Testing

@testable import SpindleCLI

@Suite
struct CommandTests {
    @Test("--listen takes a port, an address or an interface, and nothing else")
    func listenFlag() {
        // tidy: allow banned: parsed only, nothing listens
        #expect(ListenFlag(argument: "tcp:port=7000")?.address == .any(port: 7000))
        #expect(ListenFlag(argument: "tcp:port=7:interface=127.0.0.1")?.address == .loopback(port: 7))
        #expect(ListenFlag(argument: #"tcp:port=7:interface=\:\:1"#)?.address == .loopback6(port: 7))
        #expect(ListenFlag(argument: "tcp:port=7:interface=eth0")?.device == "eth0")
        for wrong in ["", "tcp", "tcp:", "udp:port=1", "tcp:port=65536", "tcp:port=1:port=2", "tcp:port=1:x=2", "7000"]
        {
            #expect(ListenFlag(argument: wrong) == nil, "\(wrong)")
        }
    }

    @Test("engine flags are those of the table, in both spellings, over the environment's")
    func engineFlags() throws {
        var flags = EngineFlags()
        flags.helpAll = false
        flags.printConfig = false
        flags.engineFlags = ["--cores", "3", "--idle-spin=50us", "--no-smt"]
        let configuration = try flags.configuration(environment: ["SPINDLE_CORES": "2", "SPINDLE_BACKLOG": "17"])
        #expect(configuration.placement.cores == .count(3))
        #expect(configuration.limits.idleSpin == .microseconds(50))
        #expect(!configuration.placement.allowSMT)
        #expect(configuration.backlog == 17)
    }

    @Test(
        "a wrong engine flag is refused",
        arguments: [
            ["--cores"], ["--cores", "x"], ["--coers", "2"], ["stray"], ["--backlog", "0"], ["--no-smt=perhaps"],
            ["--write-low-watermark", "1GiB"],
        ]
    )
    func wrongFlags(words: [String]) {
        var flags = EngineFlags()
        flags.helpAll = false
        flags.printConfig = false
        flags.engineFlags = words
        #expect(throws: (any Error).self) { try flags.configuration(environment: [:]) }
    }

    @Test("chargen's lines follow RFC 864: 72 characters, each line begins one further")
    func chargenLines() {
        #expect(ChargenProtocol.line(0).count == 74)
        #expect(ChargenProtocol.line(0).first == UInt8(ascii: " "))
        #expect(ChargenProtocol.line(1).first == UInt8(ascii: "!"))
        #expect(ChargenProtocol.line(95) == ChargenProtocol.line(0))
    }
}

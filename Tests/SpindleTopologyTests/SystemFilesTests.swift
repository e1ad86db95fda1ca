// SPDX-License-Identifier: Apache-2.0

import Foundation
import SpindleTopology
import Testing

@Suite("SystemFiles")
struct SystemFilesTests {
    @Test("a folder and memory give the same answers")
    func sameAnswers() {
        let disk = Fixture.twoNodesSMT.files
        let memory = SystemFiles(bytes: Fixture.twoNodesSMT.contents)
        for path in ["/sys/devices/system/cpu/online", "/proc/meminfo", "/proc/none"] {
            #expect(disk.read(path) == memory.read(path))
            #expect(disk.readPrefix(path, byteCount: 3) == memory.readPrefix(path, byteCount: 3))
            #expect(disk.exists(path) == memory.exists(path))
        }
        for folder in ["/sys/class/net", "/sys/devices/system/node", "/sys/none"] {
            #expect(disk.names(in: folder) == memory.names(in: folder))
            #expect(disk.exists(folder) == memory.exists(folder))
        }
        #expect(MachineTopology(reading: disk) == MachineTopology(reading: memory))
    }

    @Test("what can't be read as a text file is a value")
    func values() {
        let files = SystemFiles()
        #expect(files.read("/proc/self/no such file") == .missing)
        #expect(files.read("/proc/self/fd") == .unreadable)
        #expect(files.read("/proc/self/status\u{0}x") == .missing)
        #expect(!files.exists("/proc/self/status\u{0}x"))
        #expect(files.names(in: "/proc/self\u{0}x").isEmpty)
        #expect(files.read("/proc/self/status", limitBytes: 10) == .tooLong(limitBytes: 10))
        #expect(files.readPrefix("/proc/self/status", byteCount: 5) == .text("Name:"))
        #expect(files.names(in: "/proc/self/status").isEmpty)
    }

    @Test("a FIFO in the place of a file does not hang the start")
    func fifo() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "spindle-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "fifo").path(percentEncoded: false)
        try #require(unsafe mkfifo(path, 0o600) == 0)
        #expect(SystemFiles(root: folder.path(percentEncoded: false)).read("/fifo") == .text(""))
    }

    @Test("invalid UTF-8 is repaired")
    func repaired() {
        #expect(SystemFiles(bytes: ["/a": [0x31, 0xFF]]).read("/a") == .text("1\u{FFFD}"))
    }
}

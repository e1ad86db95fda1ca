// SPDX-License-Identifier: Apache-2.0

import Spindle

extension Operation {
    static let byteChunk = Operation("byte-chunk", "a chunk of 1 KiB from a pool, sliced, and given back") {
        let pool = BufferPool()
        let bytes = [UInt8](repeating: 8, count: 1024)
        return { count in
            var total = 0
            for number in 0..<count {
                let chunk = ByteChunk(copying: bytes.span, from: pool)
                total += chunk.slice(number & 511..<1024).count
            }
            precondition(total > count * 500, "slices were too short")
        }
    }

    static let topology = Operation(
        "topology",
        "a machine of 2 nodes and 16 CPUs read, and 16 reactors placed",
        repetitions: 16
    ) {
        let files = SystemFiles(texts: machine)
        return { count in
            for _ in 0..<count {
                let machine = MachineTopology(reading: files)
                guard let placement = try? Placement.plan(PlacementRequest(), on: machine) else {
                    preconditionFailure("the machine cannot be planned")
                }
                precondition(placement.reactors.count == 16, "\(placement.reactors.count) reactors")
            }
        }
    }

    /// What `/sys` and `/proc` say of such a machine.
    private static let machine: [String: String] = {
        var texts = [
            "/sys/devices/system/cpu/online": "0-15\n", "/sys/devices/system/cpu/possible": "0-15\n",
            "/sys/devices/system/cpu/present": "0-15\n", "/sys/devices/system/node/online": "0-1\n",
            "/proc/self/status": "Cpus_allowed_list:\t0-15\nMems_allowed_list:\t0-1\n",
        ]
        for node in 0..<2 {
            let folder = "/sys/devices/system/node/node\(node)"
            texts["\(folder)/cpulist"] = "\(node * 8)-\(node * 8 + 7)\n"
            texts["\(folder)/distance"] = node == 0 ? "10 21\n" : "21 10\n"
            texts["\(folder)/meminfo"] = "Node \(node) MemTotal: 16777216 kB\nNode \(node) MemFree: 8388608 kB\n"
        }
        for cpu in 0..<16 {
            let topology = "/sys/devices/system/cpu/cpu\(cpu)/topology"
            texts["\(topology)/core_id"] = "\(cpu % 8)\n"
            texts["\(topology)/physical_package_id"] = "\(cpu / 8)\n"
            texts["\(topology)/thread_siblings_list"] = "\(cpu)\n"
            let cache = "/sys/devices/system/cpu/cpu\(cpu)/cache/index3"
            texts["\(cache)/level"] = "3\n"
            texts["\(cache)/type"] = "Unified\n"
            texts["\(cache)/size"] = "32768K\n"
            texts["\(cache)/shared_cpu_list"] = "\(cpu / 8 * 8)-\(cpu / 8 * 8 + 7)\n"
        }
        return texts
    }()
}

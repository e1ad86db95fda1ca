// SPDX-License-Identifier: Apache-2.0

// Caches.
extension TopologyReader {
    /// More cache folders than this per CPU are not looked for (L1d, L1i, L2, L3 and an L4 make 5).
    private static let cacheIndexLimit = 10

    /// The data and unified caches of the online CPUs, each once, in the order that `MachineTopology` keeps.
    mutating func readCaches(of online: CPUSet) -> [CPUCache] {
        struct CacheKey: Hashable {
            let level: Int
            let contents: CPUCache.Contents
            let cpus: CPUSet
        }
        var caches: [CPUCache] = []
        var known: Set<CacheKey> = []
        for id in online {
            for index in 0..<TopologyReader.cacheIndexLimit {
                let suffix = "/cache/index\(index)"
                guard let level = text("/sys/devices/system/cpu/cpu\(id)\(suffix)/level") else { break }
                guard let cache = readCache(id, suffix, levelText: level, online: online) else { continue }
                let key = CacheKey(level: cache.level, contents: cache.contents, cpus: cache.cpus)
                if known.insert(key).inserted { caches.append(cache) }
            }
        }
        return caches.sorted {
            ($0.level, $0.cpus.first ?? 0, $0.contents.rawValue) < ($1.level, $1.cpus.first ?? 0, $1.contents.rawValue)
        }
    }

    private mutating func readCache(_ id: Int, _ suffix: String, levelText: String, online: CPUSet) -> CPUCache? {
        let prefix = "/sys/devices/system/cpu/cpu"
        guard let level = Int(trimmed(levelText)), (1...9).contains(level) else {
            let found = printable(trimmed(levelText), maximumLength: 24)
            notes.add(prefix: prefix, id: id, suffix: suffix + "/level", problem: "not a level: '\(found)'; ignored")
            return nil
        }
        let folder = "\(prefix)\(id)\(suffix)"
        let contents: CPUCache.Contents
        switch text("\(folder)/type").map({ trimmed($0) }) {
        case "Data": contents = .data
        case "Instruction": return nil  // Nothing is placed by it.
        default: contents = .unified
        }
        let size = text("\(folder)/size").flatMap { parseSize(trimmed($0)) }
        var cpus = CPUSet()
        if let list = list("\(folder)/shared_cpu_list") {
            cpus = list
        } else if let mask = text("\(folder)/shared_cpu_map") {
            cpus = parseMask(mask, "\(folder)/shared_cpu_map") ?? []
        }
        cpus = cpus.intersection(online)
        if !cpus.contains(id) {
            notes.add(
                prefix: prefix,
                id: id,
                suffix: suffix + "/shared_cpu_list",
                problem: "does not tell who shares the cache; treated as private"
            )
            cpus = [id]
        }
        return CPUCache(level: level, contents: contents, sizeBytes: size, cpus: cpus)
    }

    /// "32K", "1024K", "32M" in bytes; nil when it is something else, or 0, as some virtual machines say.
    private func parseSize(_ text: String) -> Int? {
        let shifts: [Character: Int] = ["K": 10, "M": 20, "G": 30]
        let shift = text.last.flatMap { shifts[$0] }
        guard let number = Int(shift == nil ? text : String(text.dropLast())), number > 0 else { return nil }
        let (bytes, isOverflow) = number.multipliedReportingOverflow(by: 1 << (shift ?? 0))
        return isOverflow ? nil : bytes
    }
}

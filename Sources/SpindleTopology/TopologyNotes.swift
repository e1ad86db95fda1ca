// SPDX-License-Identifier: Apache-2.0

/// Collects what was odd while a machine was read; becomes `MachineTopology.notes`.
///
/// The same problem of many CPUs is one note ("…/cpu{0-63}/topology/core_id: missing; …"), so an Arm machine
/// without those files gets one line rather than 64.
struct TopologyNotes {
    /// More different notes than this are counted, not kept: a folder of garbage must not fill a screen.
    static let noteLimit = 32

    private struct Note {
        let prefix: String
        let suffix: String
        let problem: String
        var ids: CPUSet
    }

    private var notes: [Note] = []
    private var indexByKey: [String: Int] = [:]
    private var droppedCount = 0

    /// Notes a problem of one file.
    mutating func add(_ path: String, _ problem: String) {
        add(prefix: path, id: nil, suffix: "", problem: problem)
    }

    /// Notes a problem of the file `prefix + id + suffix`; the same problem of other ids joins it.
    mutating func add(prefix: String, id: Int?, suffix: String, problem: String) {
        let key = "\(prefix)\n\(suffix)\n\(problem)"
        let ids: CPUSet = id.map { $0 < CPUSet.idLimit ? [$0] : [] } ?? []
        if let index = indexByKey[key] {
            notes[index].ids = notes[index].ids.union(ids)
            return
        }
        guard notes.count < TopologyNotes.noteLimit else {
            droppedCount += 1
            return
        }
        indexByKey[key] = notes.count
        notes.append(Note(prefix: prefix, suffix: suffix, problem: problem, ids: ids))
    }

    /// The notes in the order of their first occurrence.
    var texts: [String] {
        var result = notes.map { note in
            let id = note.ids.count > 1 ? "{\(note.ids.listText)}" : note.ids.listText
            return "\(printable(note.prefix + id + note.suffix, maximumLength: 200)): \(note.problem)"
        }
        if droppedCount > 0 { result.append("and \(counted(droppedCount, "more problem")) of other files") }
        return result
    }
}

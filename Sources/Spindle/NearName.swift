// SPDX-License-Identifier: Apache-2.0

/// What somebody may have meant who wrote a name that does not exist.
package enum NearName {
    /// `; did you mean 'read-budget'?`, or nothing when no name is near.
    package static func hint(_ given: String, among names: some Swift.Sequence<String>) -> String {
        let near = names.filter { name in
            (given.count > 2 && name.contains(given)) || given.contains(name) || distance(given, name) <= 2
        }
        let nearest = near.sorted { (distance(given, $0), $0) < (distance(given, $1), $1) }.prefix(3)
        return nearest.isEmpty ? "" : "; did you mean \(nearest.map { "'\($0)'" }.joined(separator: " or "))?"
    }

    /// How many letters have to be changed, added or left out, or neighbours be exchanged (optimal string alignment).
    static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        var rows = [[Int]](repeating: Array(0...right.count), count: left.count + 1)
        for row in left.indices {
            rows[row + 1][0] = row + 1
            for column in right.indices {
                var best = min(rows[row][column + 1] + 1, rows[row + 1][column] + 1)
                best = min(best, rows[row][column] + (left[row] == right[column] ? 0 : 1))
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    best = min(best, rows[row - 1][column - 1] + 1)
                }
                rows[row + 1][column + 1] = best
            }
        }
        return rows[left.count][right.count]
    }
}

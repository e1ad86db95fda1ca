// SPDX-License-Identifier: Apache-2.0

/// Text from files or users, made safe for one line of a message: other than printable ASCII becomes "?", and what
/// is longer than `maximumLength` characters ends in "...".
func printable(_ text: some StringProtocol, maximumLength: Int = 60) -> String {
    var result = ""
    var length = 0
    for scalar in text.unicodeScalars {
        guard length < maximumLength else { return result + "..." }
        result.unicodeScalars.append(scalar.value >= 0x20 && scalar.value < 0x7F ? scalar : "?")
        length += 1
    }
    return result
}

/// A byte count for people: "512 B", "1.5 GiB"; rounded down to one decimal, so that a sum never looks too large.
func byteText(_ bytes: Int) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    guard bytes >= 1024 else { return "\(bytes) B" }
    var shift = 10
    while shift < 60, bytes >> (shift + 10) > 0 { shift += 10 }
    let whole = bytes >> shift
    let tenths = ((bytes - (whole << shift)) >> (shift - 10)) * 10 / 1024
    return tenths == 0 ? "\(whole) \(units[shift / 10 - 1])" : "\(whole).\(tenths) \(units[shift / 10 - 1])"
}

/// A number of CPUs for people, rounded to two decimals: "2.5", "3", "0.33".
func cpuCountText(_ cpus: Double) -> String {
    guard cpus.isFinite, cpus.magnitude < 1e9 else { return "\(cpus)" }
    let hundredths = Int((cpus * 100).rounded())
    let fraction = hundredths % 100
    if fraction == 0 { return "\(hundredths / 100)" }
    if fraction % 10 == 0 { return "\(hundredths / 100).\(fraction / 10)" }
    return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
}

/// "1 CPU", "2.5 CPUs".
func cpuAmountText(_ cpus: Double) -> String {
    let amount = cpuCountText(cpus)
    return amount == "1" ? "1 CPU" : "\(amount) CPUs"
}

/// "1 reactor", "2 reactors".
func counted(_ count: Int, _ noun: String, plural: String? = nil) -> String {
    "\(count) \(count == 1 ? noun : plural ?? noun + "s")"
}

/// Node ids as the kernel lists them: "0-3,8".
func nodeListText(_ nodes: [Int]) -> String {
    CPUSet(nodes.lazy.filter { (0..<CPUSet.idLimit).contains($0) }).listText
}

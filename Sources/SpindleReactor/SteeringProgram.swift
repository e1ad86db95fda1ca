// SPDX-License-Identifier: Apache-2.0

package import SpindleSystem

extension SteeringProgram {
    // Opcodes of classic BPF: <linux/bpf_common.h>, and the ancillary loads of <linux/filter.h>.
    private static let loadWordAbsolute: UInt16 = 0x20  // BPF_LD | BPF_W | BPF_ABS
    private static let loadHalfAbsolute: UInt16 = 0x28  // BPF_LD | BPF_H | BPF_ABS
    private static let jumpIfEqual: UInt16 = 0x15  // BPF_JMP | BPF_JEQ | BPF_K
    private static let modulo: UInt16 = 0x94  // BPF_ALU | BPF_MOD | BPF_K
    private static let returnConstant: UInt16 = 0x06  // BPF_RET | BPF_K
    private static let returnAccumulator: UInt16 = 0x16  // BPF_RET | BPF_A
    private static let cpuNumber = UInt32(bitPattern: -0x1000 + 36)  // SKF_AD_OFF + SKF_AD_CPU

    /// The program: it returns the index of a socket in the group. socket(7), SO_ATTACH_REUSEPORT_CBPF.
    ///
    /// For `.cpu` a table of all CPUs, because an index outside of the group silently falls back to the hash.
    /// For `.sourcePort` the packet begins at the transport header: the source port is its first half-word,
    /// over IPv4 and IPv6 alike.
    package var instructions: [FilterInstruction] {
        switch self {
        case .cpu(let socketOfCPU):
            var program = [FilterInstruction(code: SteeringProgram.loadWordAbsolute, constant: SteeringProgram.cpuNumber)]
            for (cpu, socket) in socketOfCPU.enumerated().dropLast() {
                program.append(.init(code: SteeringProgram.jumpIfEqual, jumpTrue: 0, jumpFalse: 1, constant: UInt32(cpu)))
                program.append(.init(code: SteeringProgram.returnConstant, constant: UInt32(socket)))
            }
            program.append(.init(code: SteeringProgram.returnConstant, constant: UInt32(socketOfCPU.last ?? 0)))
            return program
        case .sourcePort(let socketCount):
            return [
                .init(code: SteeringProgram.loadHalfAbsolute, constant: 0),
                .init(code: SteeringProgram.modulo, constant: UInt32(max(socketCount, 1))),
                .init(code: SteeringProgram.returnAccumulator, constant: 0),
            ]
        }
    }
}
